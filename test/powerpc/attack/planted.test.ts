import { describe, expect, it, vi } from 'vitest';
import { runVictim as runHonest } from '../../../src/cli/attack-experiment.ts';
import { judge } from '../../../src/cli/attack-verdict.ts';
import { SPR } from '../../../src/powerpc/abi.ts';
import type { RegisterPort } from '../../../src/powerpc/cpu/port.ts';
import { VICTIM } from './victim.ts';

/*
 * A checker ships with a planted fault that it must find: an Ultravisor with one check taken out, for each kind of check. The attack that the check
 * stands against has to show a loss.
 */

const ULTRAVISOR = '../../../src/powerpc/ultravisor';

// biome-ignore lint/suspicious/noExplicitAny: a fault replaces functions of any module
type Module = Record<string, any>;

interface Fault {
  readonly what: string;
  /** Module of the Ultravisor. */
  readonly module: string;
  /** What it exports instead. */
  readonly exports: (original: Module) => Module;
  readonly attack: string;
  readonly loss: { readonly learned?: true; readonly changed?: true };
}

const FAULTS: readonly Fault[] = [
  {
    what: 'pages leave secure memory without encryption',
    module: 'page-crypto',
    exports: ({ sealPage }) => ({
      sealPage: (uv: unknown, svm: unknown, page: Uint8Array) => ({
        ...sealPage(uv, svm, page),
        ciphertext: page.slice(),
      }),
    }),
    attack: 'read-memory',
    loss: { learned: true },
  },
  ...['write-memory', 'replay-page', 'swap-pages', 'alias-page', 'drop-page'].map(
    (attack): Fault => ({
      what: 'what comes back is not verified',
      module: 'page-crypto',
      exports: ({ openPage }) => ({
        openPage: (uv: unknown, svm: unknown, ciphertext: Uint8Array, seal: unknown) =>
          openPage(uv, svm, ciphertext, seal) ?? ciphertext,
      }),
      attack,
      loss: { changed: true },
    }),
  ),
  {
    what: 'one register is not neutral',
    module: 'neutral-registers',
    exports: ({ NEUTRAL_SPRS }) => ({
      NEUTRAL_SPRS: NEUTRAL_SPRS.filter(({ spr }: { spr: number }) => spr !== SPR.SPRG0),
    }),
    attack: 'read-registers',
    loss: { learned: true },
  },
  {
    what: 'one register is not put back',
    module: 'neutral-registers',
    exports: ({ SAVED_SPRS }) => ({ SAVED_SPRS: SAVED_SPRS.filter((spr: number) => spr !== SPR.MMCR2) }),
    attack: 'change-registers',
    loss: { changed: true },
  },
  {
    what: 'LPCR stays as the hypervisor left it',
    module: 'svm-lpcr',
    exports: () => ({ enforceLpcr: () => {} }),
    attack: 'change-lpcr',
    loss: { changed: true },
  },
  {
    what: 'UV_PAGE_OUT does not forget translations',
    module: 'pages',
    exports: ({ setPage }) => ({
      setPage: (uv: unknown, port: RegisterPort, ...rest: unknown[]) => {
        const { invalidateTranslations } = port;
        port.invalidateTranslations = () => {};
        setPage(uv, port, ...rest);
        port.invalidateTranslations = invalidateTranslations;
      },
    }),
    attack: 'stale-translation',
    loss: { changed: true },
  },
  {
    what: 'digests are not compared',
    module: 'esm-proof',
    exports: () => ({ failedDigests: () => [] }),
    attack: 'corrupt-image',
    loss: { changed: true },
  },
  {
    what: 'what was measured can get other contents',
    module: 'esm-gather',
    exports: () => ({ acceptsContents: (svm: Module) => svm.state === 'ACTIVE' }),
    attack: 'change-after-check',
    loss: { changed: true },
  },
  {
    what: 'everything in no slot is a device',
    module: '../abi',
    exports: () => ({ DEVICE_SPACE: 0 }),
    attack: 'hole-in-memory',
    loss: { learned: true },
  },
  {
    what: 'a slot that was taken away can come back',
    module: 'uv_unregister_mem_slot',
    exports: ({ uvUnregisterMemSlot }) => ({
      uvUnregisterMemSlot: (uv: Module, port: RegisterPort) => {
        const code = uvUnregisterMemSlot(uv, port);
        uv.state.svms.get(Number(port.gpr(4))).lost.length = 0;
        return code;
      },
    }),
    attack: 'lie-about-slots',
    loss: { changed: true },
  },
];

const honest = runHonest({ ...VICTIM, protected: true, attack: null });

describe('an Ultravisor with one check taken out loses to the attack that the check stands against', () => {
  it.each(FAULTS)('$what: $attack', async ({ module, exports, attack: name, loss }) => {
    const path = `${ULTRAVISOR}/${module}.ts`;
    vi.resetModules();
    vi.doMock(path, async (importOriginal) => {
      const original = await importOriginal<Module>();
      return { ...original, ...exports(original) };
    });
    try {
      const { runVictim } = await import('../../../src/cli/attack-experiment.ts');
      const { ATTACKS } = await import('../../../src/powerpc/kvm/hostile/catalog.ts');
      const attack = ATTACKS.find((a) => a.name === name);
      if (attack === undefined) throw new Error(`no attack ${name}`);
      const verdict = judge(runVictim({ ...VICTIM, protected: true, attack }), honest);
      expect(verdict.effect).toBe('lost');
      if (loss.learned) expect(verdict.learned).toBeGreaterThan(0);
      if (loss.changed) expect(verdict.changed).toBe(true);
    } finally {
      vi.doUnmock(path);
      vi.resetModules();
    }
  });
});
