import { describe, expect, it, vi } from 'vitest';
import { runArmVictim as runHonest } from '../../../src/cli/arm64-attack-experiment.ts';
import { judgeArm } from '../../../src/cli/arm64-attack-verdict.ts';
import { VICTIM } from './victim.ts';

/*
 * A checker ships with a planted fault that it must find: a hyp with one check taken out, for each kind of check. The attack that the check stands against
 * has to show a loss.
 */

type MemProtect = typeof import('../../../src/arm64/hyp/mem-protect.ts');
type ExitSlots = typeof import('../../../src/arm64/hyp/exit-slots.ts');
type Ownership = typeof import('../../../src/arm64/hyp/ownership.ts');
type Stage2Check = typeof import('../../../src/arm64/cpu/stage2-check.ts');

interface Fault {
  readonly what: string;
  readonly module: string;
  readonly exports: (original: object) => object;
  readonly attack: string;
  readonly loss: 'learned' | 'changed';
}

/** A fault in a module of type M: what it exports instead is typed as what it exports. */
function fault<M extends object>({
  exports,
  ...rest
}: Omit<Fault, 'exports'> & { readonly exports: (original: M) => Partial<M> }): Fault {
  return { ...rest, exports: (original) => exports(original as M) };
}

/** Accesses that stage 2 does not look at. */
const open: Pick<Fault, 'module' | 'exports'> = fault<Stage2Check>({
  what: '',
  attack: '',
  loss: 'learned',
  module: 'cpu/stage2-check',
  exports: ({ Stage2Check }) => ({
    Stage2Check: class extends Stage2Check {
      override allows(): boolean {
        return true;
      }
    },
  }),
});

const FAULTS: readonly Fault[] = [
  { ...open, what: 'the host is not held back by its stage 2', attack: 'read-memory', loss: 'learned' },
  { ...open, what: 'the host is not held back by its stage 2', attack: 'write-memory', loss: 'changed' },
  { ...open, what: 'devices are not held back', attack: 'dma', loss: 'learned' },
  fault<MemProtect>({
    what: 'reclaimed pages are not cleared',
    module: 'hyp/mem-protect',
    exports: ({ MemProtect }) => ({
      MemProtect: class extends MemProtect {
        constructor(parts: ConstructorParameters<typeof MemProtect>[0]) {
          super({ ...parts, view: Object.create(parts.view, { fill: { value: () => {} } }) });
        }
      },
    }),
    attack: 'end-and-read',
    loss: 'learned',
  }),
  ...['swap-pages', 'donate-twice'].map((attack) =>
    fault<Ownership>({
      what: 'who owns a page is not checked before it is given to a guest',
      module: 'hyp/ownership',
      exports: ({ checkGuest }) => ({
        checkHost: () => 0,
        checkGuest: (table, range, state) => (state === 'mmio' ? checkGuest(table, range, state) : 0),
      }),
      attack,
      loss: 'changed',
    }),
  ),
  fault<ExitSlots>({
    what: 'one register more than its slot has is shown',
    module: 'hyp/exit-slots',
    exports: ({ expose }) => ({
      expose: (vcpu, host) => {
        expose(vcpu, host);
        host.context.setX(20, vcpu.context.x(20));
      },
    }),
    attack: 'read-registers',
    loss: 'learned',
  }),
  fault<ExitSlots>({
    what: 'one register of the host’s is taken',
    module: 'hyp/exit-slots',
    exports: ({ admit }) => ({
      admit: (vcpu, host) => {
        // Only where the host has written one: all others are shown as 0.
        if (host.context.x(25) !== 0n) vcpu.context.setX(25, host.context.x(25));
        return admit(vcpu, host);
      },
    }),
    attack: 'change-registers',
    loss: 'changed',
  }),
  fault<ExitSlots>({
    what: 'the host’s PC is taken',
    module: 'hyp/exit-slots',
    exports: ({ admit }) => ({
      admit: (vcpu, host) => {
        const ignored = admit(vcpu, host);
        // It is shown as 0; before the first entry it is where the guest begins.
        if (host.context.pc < 0x1000n) vcpu.context.pc += host.context.pc;
        return ignored;
      },
    }),
    attack: 'resume-elsewhere',
    loss: 'changed',
  }),
  fault<ExitSlots>({
    what: 'the MMIO guard is not asked',
    module: 'hyp/exit-slots',
    exports: () => ({ isDevicePage: () => true }),
    attack: 'withhold-page',
    loss: 'learned',
  }),
];

const honest = runHonest({ ...VICTIM, protected: true, attack: null });

describe('a hyp with one check taken out loses to the attack that the check stands against', () => {
  it.each(FAULTS)('$what: $attack', async ({ module, exports, attack: name, loss }) => {
    const path = `../../../src/arm64/${module}.ts`;
    vi.resetModules();
    vi.doMock(path, async (importOriginal) => {
      const original = await importOriginal<object>();
      return { ...original, ...exports(original) };
    });
    try {
      const { runArmVictim } = await import('../../../src/cli/arm64-attack-experiment.ts');
      const { ARM_ATTACKS } = await import('../../../src/arm64/kvm/hostile/catalog.ts');
      const attack = ARM_ATTACKS.find((a) => a.name === name);
      if (attack === undefined) throw new Error(`no attack ${name}`);
      const verdict = judgeArm(runArmVictim({ ...VICTIM, protected: true, attack }), honest);
      expect(verdict.effect).toBe('lost');
      if (loss === 'learned') expect(verdict.learned).toBeGreaterThan(0);
      else expect(verdict.changed).toBe(true);
    } finally {
      vi.doUnmock(path);
      vi.resetModules();
    }
  });
});
