import { describe, expect, it } from 'vitest';
import { ARM_ATTACKS } from '../../../src/arm64/kvm/hostile/catalog.ts';
import { runArmVictim } from '../../../src/cli/arm64-attack-experiment.ts';
import { judgeArm } from '../../../src/cli/arm64-attack-verdict.ts';
import type { Verdict } from '../../../src/cli/attack-judge.ts';
import { honestConsole, VICTIM } from './victim.ts';

const honest = {
  normal: runArmVictim({ ...VICTIM, protected: false, attack: null }),
  secure: runArmVictim({ ...VICTIM, protected: true, attack: null }),
};

/** What an attack does to a plain VM, what to a protected one, and what stands in its way there: by hand, from what each promises and arm64-pkvm.md 3.4, 4.3, 6.6. */
interface Expected {
  readonly normal: readonly ('learned' | 'changed')[];
  readonly secure: Verdict['effect'];
  readonly stoppedBy: readonly (string | RegExp)[];
}
const STAGE_2 = /^stage 2 of the host \(\d+ times?\)$/;
const DONATE = /^__pkvm_host_donate_guest: −EPERM/;
const RECLAIM = /^__pkvm_reclaim_dying_guest_page: −EINVAL/;
const POISONED = /^cleared and poisoned first/;
const OWN_COPY = 'the hyp enters with its own copy';

const EXPECTED: Readonly<Record<string, Expected>> = {
  'read-memory': { normal: ['learned'], secure: 'none', stoppedBy: [STAGE_2] },
  'write-memory': { normal: ['changed'], secure: 'none', stoppedBy: [STAGE_2] },
  'replay-page': { normal: ['changed'], secure: 'none', stoppedBy: [STAGE_2] },
  'swap-pages': { normal: ['changed'], secure: 'none', stoppedBy: [DONATE, RECLAIM] },
  'map-twice': { normal: ['changed'], secure: 'none', stoppedBy: [DONATE, RECLAIM] },
  'foreign-page': { normal: ['changed'], secure: 'none', stoppedBy: [DONATE, RECLAIM] },
  'donate-twice': { normal: ['changed'], secure: 'none', stoppedBy: [DONATE, RECLAIM] },
  'drop-page': { normal: ['changed'], secure: 'denied', stoppedBy: [DONATE, POISONED] },
  'withhold-page': { normal: ['learned', 'changed'], secure: 'none', stoppedBy: [/^MMIO guard: answer ignored/] },
  'stale-translation': {
    normal: ['learned'],
    secure: 'denied',
    stoppedBy: ['__pkvm_host_wrprotect_guest: −EINVAL', POISONED],
  },
  dma: { normal: ['learned', 'changed'], secure: 'none', stoppedBy: [/^stage 2 for DMA \(4 times\)$/] },
  'read-registers': { normal: ['learned'], secure: 'none', stoppedBy: ['registers stay at EL2'] },
  'predict-random': { normal: ['learned'], secure: 'none', stoppedBy: ['the host is never asked'] },
  'change-registers': { normal: ['changed'], secure: 'none', stoppedBy: [OWN_COPY] },
  'resume-elsewhere': { normal: ['changed'], secure: 'none', stoppedBy: [OWN_COPY] },
  'inject-masked': { normal: ['changed'], secure: 'none', stoppedBy: [/^PC and PSTATE are the hyp’s/] },
  'map-hyp-memory': { normal: ['learned'], secure: 'none', stoppedBy: [STAGE_2, /^25 hypercalls refused/] },
  'corrupt-calls': { normal: ['changed'], secure: 'none', stoppedBy: [/^\d+ hypercalls refused/] },
  'end-and-read': { normal: ['learned'], secure: 'denied', stoppedBy: [/^cleared before they go back/] },
  'dying-handle': {
    normal: ['learned'],
    secure: 'denied',
    stoppedBy: [/hypercalls refused/, /^cleared before they go back/],
  },
};

describe('the victim below an honest host', () => {
  it('says what its source says, in both kinds of VM', () => {
    expect(honest.normal.console).toBe(honestConsole('normal'));
    expect(honest.secure.console).toBe(honestConsole('protected'));
  });

  it('has the secret that the judge looks for', () => {
    const { machine, secret } = runArmVictim({
      ...VICTIM,
      protected: false,
      attack: ARM_ATTACKS.find(({ name }) => name === 'read-memory') ?? null,
    });
    const [page] = machine.hostile?.toolbox.loot ?? [];
    const words = secret.map((word) => Buffer.from(word.toReversed()).toString('hex'));
    expect(
      Buffer.from(page ?? [])
        .subarray(0, 32)
        .toString('hex'),
    ).toBe(words.join(''));
  });
});

it('every attack is expected to do something', () => {
  expect(ARM_ATTACKS.map(({ name }) => name).sort()).toEqual(Object.keys(EXPECTED).sort());
});

describe.each(ARM_ATTACKS)('$name', (attack) => {
  const expected = EXPECTED[attack.name];

  it('works on a plain VM', () => {
    const verdict = judgeArm(runArmVictim({ ...VICTIM, protected: false, attack }), honest.normal);
    expect(verdict.effect).toBe('lost');
    if (expected?.normal.includes('learned')) expect(verdict.learned).toBeGreaterThan(0);
    if (expected?.normal.includes('changed')) expect(verdict.changed).toBe(true);
  });

  it('gets nothing from a protected one, and the events say why', () => {
    const run = runArmVictim({ ...VICTIM, protected: true, attack });
    const verdict = judgeArm(run, honest.secure);
    expect(verdict).toMatchObject({ learned: 0, changed: false, effect: expected?.secure });
    for (const reason of expected?.stoppedBy ?? []) {
      expect(verdict.stoppedBy, `${reason}`).toContainEqual(
        typeof reason === 'string' ? reason : expect.stringMatching(reason),
      );
    }
  });
});
