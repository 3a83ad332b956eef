import { describe, expect, it } from 'vitest';
import { runVictim, VICTIM_TARGETS } from '../../../src/cli/attack-experiment.ts';
import type { Verdict } from '../../../src/cli/attack-judge.ts';
import { judge } from '../../../src/cli/attack-verdict.ts';
import { gpaOf } from '../../../src/powerpc/abi.ts';
import { ATTACKS } from '../../../src/powerpc/kvm/hostile/catalog.ts';
import { HONEST_CONSOLE, VICTIM } from './victim.ts';

const honest = {
  normal: runVictim({ ...VICTIM, protected: false, attack: null }),
  secure: runVictim({ ...VICTIM, protected: true, attack: null }),
};

/** What an attack does to a normal VM, what to an SVM, and what stands in its way there: by hand, from what each promises and power-pef.md. */
interface Expected {
  readonly normal: readonly ('learned' | 'changed')[];
  readonly secure: Verdict['effect'];
  readonly stoppedBy: readonly (string | RegExp)[];
}
const SECURE_MEMORY = /^machine check: secure memory/;
const EXPECTED: Readonly<Record<string, Expected>> = {
  'read-memory': { normal: ['learned'], secure: 'none', stoppedBy: [SECURE_MEMORY, 'ciphertext'] },
  'write-memory': { normal: ['changed'], secure: 'denied', stoppedBy: [SECURE_MEMORY, /^UV_PAGE_IN: U_P3/] },
  'overwrite-page': { normal: ['changed'], secure: 'none', stoppedBy: ['UV_PAGE_IN: U_P2'] },
  'replay-page': { normal: ['changed'], secure: 'denied', stoppedBy: [/^UV_PAGE_IN: U_P3/] },
  'replay-snapshot': { normal: ['changed'], secure: 'denied', stoppedBy: [/^UV_PAGE_IN: U_P3/] },
  'swap-pages': { normal: ['changed'], secure: 'denied', stoppedBy: [/^UV_PAGE_IN: U_P3/] },
  'alias-page': { normal: ['changed'], secure: 'denied', stoppedBy: [/^UV_PAGE_IN: U_P2/, /^UV_PAGE_IN: U_P3/] },
  'foreign-page': { normal: ['changed'], secure: 'denied', stoppedBy: [/^UV_PAGE_IN: U_P3/] },
  'drop-page': { normal: ['changed'], secure: 'denied', stoppedBy: [/^UV_PAGE_IN: U_P3/] },
  'stale-translation': {
    normal: ['changed'],
    secure: 'none',
    stoppedBy: [/^UV_PAGE_OUT: unmapped and forgotten first/],
  },
  dma: { normal: ['learned', 'changed'], secure: 'none', stoppedBy: [/^device error: secure memory/] },
  'end-and-read': { normal: ['learned'], secure: 'denied', stoppedBy: [SECURE_MEMORY, /^UV_SVM_TERMINATE/] },
  'read-registers': {
    normal: ['learned'],
    secure: 'none',
    stoppedBy: [/^neutral at \d+ exits: \d{2,3} of \d+ registers never changed$/],
  },
  'predict-random': {
    normal: ['learned'],
    secure: 'none',
    stoppedBy: ['H_RANDOM answered without the hypervisor (once)'],
  },
  'change-registers': {
    normal: ['changed'],
    secure: 'none',
    stoppedBy: [/^(\d+) of \1 registers put back before the SVM went on \(once\)$/],
  },
  'change-lpcr': { normal: ['changed'], secure: 'none', stoppedBy: [/^1 of 1 registers put back/] },
  'resume-elsewhere': {
    normal: ['changed'],
    secure: 'none',
    stoppedBy: [/^UV_RETURN with another address: ignored \(\d+ times\)$/],
  },
  'inject-masked': {
    normal: ['changed'],
    secure: 'none',
    stoppedBy: [
      /^UV_RETURN with interrupt 0x500: ignored/,
      /^UV_RETURN with interrupt 0x900: ignored/,
      /^UV_RETURN with interrupt 0xa00: ignored/,
    ],
  },
  'replay-cookie': { normal: ['changed'], secure: 'denied', stoppedBy: [/^SVM killed: .*cookie/] },
  'other-partition': { normal: ['changed'], secure: 'denied', stoppedBy: [/^SVM killed: .*LPIDR/] },
  'rtas-answer': {
    normal: ['changed'],
    secure: 'none',
    stoppedBy: [/bounce buffer of the Ultravisor's, frame 0x[0-9a-f]+ \(\d+ times\)$/],
  },
  'partition-table': { normal: ['changed'], secure: 'none', stoppedBy: [SECURE_MEMORY, 'UV_WRITE_PATE: U_PERMISSION'] },
  'ultravisor-registers': { normal: ['changed'], secure: 'none', stoppedBy: [/^HEAI at mfspr/, /^HEAI at mtspr/] },
  'lie-about-slots': {
    normal: ['changed'],
    secure: 'denied',
    stoppedBy: [/^SVM killed/, 'UV_REGISTER_MEM_SLOT: U_P3'],
  },
  'leave-out-slot': { normal: ['learned'], secure: 'never secure', stoppedBy: [/^UV_ESM aborted: .*memory@0/] },
  'hole-in-memory': { normal: ['learned'], secure: 'denied', stoppedBy: [/^SVM killed: .*below all devices/] },
  'corrupt-image': { normal: ['changed'], secure: 'never secure', stoppedBy: [/^UV_ESM aborted: .*: kernel$/] },
  'corrupt-blob': {
    normal: ['changed'],
    secure: 'never secure',
    stoppedBy: [/^UV_ESM aborted: .*tag does not verify/],
  },
  'change-after-check': { normal: ['changed'], secure: 'none', stoppedBy: ['UV_PAGE_IN: U_P2'] },
};

describe('the victim below an honest hypervisor', () => {
  it('says what its source says, in both kinds of VM', () => {
    expect(honest.normal.console).toBe(HONEST_CONSOLE.normal);
    expect(honest.secure.console).toBe(HONEST_CONSOLE.secure);
    expect(honest.secure.vmState).toBe('secure');
    expect(judge(honest.secure, honest.secure)).toMatchObject({ learned: 0, changed: false, effect: 'none' });
  });

  it('keeps its secret at the beginning of the frame that is attacked', () => {
    let page: Uint8Array = new Uint8Array(0);
    const looking = {
      name: 'looking',
      summary: '',
      begin: (hv: Parameters<(typeof ATTACKS)[number]['begin']>[0]) => ({
        line(n: number) {
          if (n === 4) page = hv.kvm.memory.read(hv.victim, gpaOf(VICTIM_TARGETS[0]), 32);
        },
      }),
    };
    const { secret } = runVictim({ ...VICTIM, protected: false, attack: looking });
    const words = [0, 8, 16, 24].map((at) => page.slice(at, at + 8));
    // The guest is little-endian.
    expect(words).toEqual(secret.map((word) => word.toReversed()));
  });
});

describe('hostile hypervisors', () => {
  it('are all in the table of this test', () => {
    expect(ATTACKS.map(({ name }) => name)).toEqual(Object.keys(EXPECTED));
  });

  it.each(ATTACKS)('$name takes effect on a normal VM', (attack) => {
    const verdict = judge(runVictim({ ...VICTIM, protected: false, attack }), honest.normal);
    const effects = [...(verdict.learned > 0 ? ['learned'] : []), ...(verdict.changed ? ['changed'] : [])];
    expect(effects).toEqual(EXPECTED[attack.name]?.normal);
  });

  it.each(ATTACKS)('$name neither learns nor changes anything of an SVM', (attack) => {
    const run = runVictim({ ...VICTIM, protected: true, attack });
    const verdict = judge(run, honest.secure);
    const expected = EXPECTED[attack.name];
    expect(verdict).toMatchObject({ learned: 0, changed: false, effect: expected?.secure });
    expect(verdict.stoppedBy).toHaveLength(expected?.stoppedBy.length ?? 0);
    for (const [i, reason] of (expected?.stoppedBy ?? []).entries()) expect(verdict.stoppedBy[i]).toMatch(reason);
  });
});
