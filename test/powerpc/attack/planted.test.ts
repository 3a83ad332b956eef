import { describe, expect, it, vi } from 'vitest';
import { runVictim as runHonest } from '../../../src/cli/attack-experiment.ts';
import { judge } from '../../../src/cli/attack-verdict.ts';
import { SPR } from '../../../src/powerpc/abi.ts';
import { VICTIM } from './victim.ts';

/*
 * A checker ships with a planted fault that it must find: an Ultravisor with one check taken out, for each kind of check. The attack that the check
 * stands against has to show a loss.
 */

const ULTRAVISOR = '../../../src/powerpc/ultravisor';

interface Fault {
  readonly what: string;
  /** Module of the Ultravisor. */
  readonly module: string;
  /** What it exports instead. */
  readonly exports: (original: object) => object;
  readonly attack: string;
  readonly loss: { readonly learned?: true; readonly changed?: true };
  /** What is said to have stopped the attack: not what has failed. */
  readonly stoppedBy?: readonly RegExp[];
}

/** A fault in a module of type M: what it exports instead is typed as what it exports. */
function fault<M extends object>({
  exports,
  ...rest
}: Omit<Fault, 'exports'> & { readonly exports: (original: M) => Partial<M> }): Fault {
  return { ...rest, exports: (original) => exports(original as M) };
}

type PageCrypto = typeof import('../../../src/powerpc/ultravisor/page-crypto.ts');
type NeutralRegisters = typeof import('../../../src/powerpc/ultravisor/neutral-registers.ts');
type SvmLpcr = typeof import('../../../src/powerpc/ultravisor/svm-lpcr.ts');
type Pages = typeof import('../../../src/powerpc/ultravisor/pages.ts');
type EsmProof = typeof import('../../../src/powerpc/ultravisor/esm-proof.ts');
type EsmGather = typeof import('../../../src/powerpc/ultravisor/esm-gather.ts');
type Abi = typeof import('../../../src/powerpc/abi.ts');
type Unregister = typeof import('../../../src/powerpc/ultravisor/uv_unregister_mem_slot.ts');

const FAULTS: readonly Fault[] = [
  fault<PageCrypto>({
    what: 'pages leave secure memory without encryption',
    module: 'page-crypto',
    exports: ({ sealPage }) => ({
      sealPage: (uv, svm, page) => ({
        ...sealPage(uv, svm, page),
        ciphertext: page.slice(),
      }),
    }),
    attack: 'read-memory',
    loss: { learned: true },
  }),
  ...['write-memory', 'replay-page', 'swap-pages', 'alias-page', 'drop-page'].map((attack) =>
    fault<PageCrypto>({
      what: 'what comes back is not verified',
      module: 'page-crypto',
      exports: ({ openPage }) => ({
        openPage: (uv, svm, ciphertext, seal) => openPage(uv, svm, ciphertext, seal) ?? ciphertext,
      }),
      attack,
      loss: { changed: true },
    }),
  ),
  fault<NeutralRegisters>({
    what: 'one register is not neutral',
    module: 'neutral-registers',
    exports: ({ NEUTRAL_SPRS }) => ({
      NEUTRAL_SPRS: NEUTRAL_SPRS.filter(({ spr }) => spr !== SPR.SPRG0),
    }),
    attack: 'read-registers',
    loss: { learned: true },
  }),
  fault<NeutralRegisters>({
    what: 'one register is not put back',
    module: 'neutral-registers',
    exports: ({ SAVED_SPRS }) => ({ SAVED_SPRS: SAVED_SPRS.filter((spr) => spr !== SPR.MMCR2) }),
    attack: 'change-registers',
    loss: { changed: true },
    stoppedBy: [/registers put back before the SVM went on \(once\), but not MMCR2$/],
  }),
  fault<SvmLpcr>({
    what: 'LPCR stays as the hypervisor left it',
    module: 'svm-lpcr',
    exports: () => ({ enforceLpcr: () => {} }),
    attack: 'change-lpcr',
    loss: { changed: true },
    stoppedBy: [],
  }),
  fault<Pages>({
    what: 'UV_PAGE_OUT does not forget translations',
    module: 'pages',
    exports: ({ setPage }) => ({
      setPage: (uv, port, ...rest) => {
        const { invalidateTranslations } = port;
        port.invalidateTranslations = () => {};
        setPage(uv, port, ...rest);
        port.invalidateTranslations = invalidateTranslations;
      },
    }),
    attack: 'stale-translation',
    loss: { changed: true },
  }),
  fault<EsmProof>({
    what: 'digests are not compared',
    module: 'esm-proof',
    exports: () => ({ failedDigests: () => [] }),
    attack: 'corrupt-image',
    loss: { changed: true },
  }),
  fault<EsmGather>({
    what: 'what was measured can get other contents',
    module: 'esm-gather',
    exports: () => ({ acceptsContents: (svm) => svm.state === 'ACTIVE' }),
    attack: 'change-after-check',
    loss: { changed: true },
  }),
  fault<Abi>({
    what: 'everything in no slot is a device',
    module: '../abi',
    exports: () => ({ DEVICE_SPACE: 0 }),
    attack: 'hole-in-memory',
    loss: { learned: true },
  }),
  fault<Unregister>({
    what: 'a slot that was taken away can come back',
    module: 'uv_unregister_mem_slot',
    exports: ({ uvUnregisterMemSlot }) => ({
      uvUnregisterMemSlot: (uv, port) => {
        const code = uvUnregisterMemSlot(uv, port);
        uv.state.svms.get(Number(port.gpr(4)))?.lost.splice(0);
        return code;
      },
    }),
    attack: 'lie-about-slots',
    loss: { changed: true },
  }),
];

const honest = runHonest({ ...VICTIM, protected: true, attack: null });

describe('an Ultravisor with one check taken out loses to the attack that the check stands against', () => {
  it.each(FAULTS)('$what: $attack', async ({ module, exports, attack: name, loss, stoppedBy }) => {
    const path = `${ULTRAVISOR}/${module}.ts`;
    vi.resetModules();
    vi.doMock(path, async (importOriginal) => {
      const original = await importOriginal<object>();
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
      if (stoppedBy !== undefined)
        expect(verdict.stoppedBy).toEqual(stoppedBy.map((text) => expect.stringMatching(text)));
    } finally {
      vi.doUnmock(path);
      vi.resetModules();
    }
  });
});
