import { describe, expect, it } from 'vitest';
import { HCR } from '../../../src/arm64/abi.ts';
import { AT, asm, RAM, TestMachine } from './machine.ts';

const CODE = RAM + 0x10000;
const STAGE1 = RAM + 0x40000;
const STAGE2 = RAM + 0x60000;
const DATA = RAM + 0x80000;
const LOAD = asm('ldr', { Rt: 1, Rn: 2, imm12: 0 }, /^\{Xt\},\[\{Xn\|sp\}\{imm12/);
const STORE = asm('str', { Rt: 1, Rn: 2, imm12: 0 }, /^\{Wt\},\[\{Xn\|sp\}\{imm12/);

/** 48-bit addresses, 4 KiB granules, both halves, 44-bit output. */
const TCR = 16n | (16n << 16n) | (2n << 30n) | (4n << 32n);
const PAGE = { el1: 0x703n, user: 0x743n, readOnly: 0x783n, noExecute: (1n << 53n) | (1n << 54n) } as const;
const TABLE = 3n;

/** Tables for one page at `address` under a root, one of each level. */
function map(m: TestMachine, root: number, start: number, address: bigint, leaf: bigint): void {
  for (let level = start; level <= 3; level++) {
    const index = Number((address >> BigInt(12 + 9 * (3 - level))) & 0x1ffn);
    const entry = root + 0x1000 * (level - start) + 8 * index;
    m.quad(entry, level === 3 ? leaf : BigInt(root + 0x1000 * (level - start + 1)) | TABLE);
  }
}

function withStage1(address: bigint, leaf: bigint, half: 'TTBR0_EL1' | 'TTBR1_EL1' = 'TTBR0_EL1'): TestMachine {
  const m = new TestMachine();
  // Code runs from an identity block at level 1 in the other half's tables or in the same one.
  m.quad(STAGE1, BigInt(STAGE1 + 0x1000) | TABLE);
  m.quad(STAGE1 + 0x1000 + 8, BigInt(RAM) | 0x701n);
  const root = STAGE1 + 0x8000;
  map(m, root, 0, address, leaf);
  if (half === 'TTBR0_EL1') {
    // Both in one tree: the level 1 table of the code's block also holds the page's level 2 table.
    const index = Number((address >> 30n) & 0x1ffn);
    m.quad(STAGE1 + 0x1000 + 8 * index, BigInt(root + 0x2000) | TABLE);
  }
  m.set({
    TCR_EL1: TCR,
    TTBR0_EL1: BigInt(STAGE1),
    TTBR1_EL1: BigInt(root),
    SCTLR_EL1: m.register('SCTLR_EL1') | 1n,
    VBAR_EL1: BigInt(RAM + 0x20000),
    VBAR_EL2: BigInt(RAM + 0x30000),
  });
  return m;
}

function access(m: TestMachine, word: number, address: bigint, level: 'el0' | 'el1' = 'el1'): void {
  m.words(CODE, [word]);
  m.cpu.setX(2, address);
  m.run(AT[level], CODE, 1);
}

describe('stage 1 (Arm ARM, D8)', () => {
  const LOW = 0x1_0000_3000n;
  const HIGH = 0xffff_8000_0000_5000n;

  it('translates in both halves', () => {
    for (const [address, half] of [
      [LOW, 'TTBR0_EL1'],
      [HIGH, 'TTBR1_EL1'],
    ] as const) {
      const m = withStage1(address, BigInt(DATA) | PAGE.el1, half);
      m.quad(DATA + 0x18, 0x1122334455667788n);
      access(m, LOAD, address + 0x18n);
      expect(m.cpu.x(1)).toBe(0x1122334455667788n);
    }
  });

  it.each([
    ['translation, level 3', 0n, LOAD, 'el1', 0x96000007n],
    ['translation of a store', 0n, STORE, 'el1', 0x96000047n],
    ['access flag', BigInt(DATA) | (PAGE.el1 & ~0x400n), LOAD, 'el1', 0x9600000bn],
    ['permission: read-only', BigInt(DATA) | PAGE.readOnly, STORE, 'el1', 0x9600004fn],
    ['address size', (1n << 45n) | PAGE.el1, LOAD, 'el1', 0x96000003n],
  ] as const)('faults: %s', (_, leaf, word, level, esr) => {
    const m = withStage1(LOW, leaf);
    access(m, word, LOW, level);
    expect(m.register('ESR_EL1').toString(16)).toBe(esr.toString(16));
    expect(m.register('FAR_EL1')).toBe(LOW);
    expect(m.register('ELR_EL1')).toBe(BigInt(CODE));
  });

  it('refuses what lies beyond TxSZ at level 0', () => {
    const m = withStage1(LOW, BigInt(DATA) | PAGE.el1);
    access(m, LOAD, 0x0001_0000_0000_0000n);
    expect(m.register('ESR_EL1')).toBe(0x96000004n);
  });

  it('honours PSTATE.PAN for pages of EL0', () => {
    const m = withStage1(LOW, BigInt(DATA) | PAGE.user);
    access(m, LOAD, LOW);
    expect(m.register('ESR_EL1')).toBe(0n);
    m.words(CODE, [LOAD]);
    m.run(AT.el1 | (1n << 22n), CODE, 1);
    expect(m.register('ESR_EL1')).toBe(0x9600000fn);
  });

  it('never executes at EL1 what EL0 can write', () => {
    const m = withStage1(LOW, BigInt(DATA) | PAGE.user);
    m.run(AT.el1, LOW, 1);
    expect(m.register('ESR_EL1')).toBe(0x8600000fn);
  });
});

describe('stage 2 (arm64-pkvm.md 2)', () => {
  const IPA = 0x1_0000_3000n;

  /** A guest at EL1 with stage 1 off: 40-bit addresses, two concatenated roots at level 1. */
  function guest(leaf: bigint): TestMachine {
    const m = new TestMachine();
    m.quad(STAGE2 + 8, BigInt(RAM) | 0x7fdn);
    m.quad(STAGE2 + 8 * 4, BigInt(STAGE2 + 0x2000) | TABLE);
    m.quad(STAGE2 + 0x2000, BigInt(STAGE2 + 0x3000) | TABLE);
    m.quad(STAGE2 + 0x3000 + 8 * 3, leaf);
    m.set({
      // The sheet's example for 40 bits, with 44-bit output (2.2).
      VTCR_EL2: 0x8028_3558n | (4n << 16n),
      VTTBR_EL2: BigInt(STAGE2) | (1n << 48n),
      HCR_EL2: HCR.RW | HCR.VM,
      VBAR_EL2: BigInt(RAM + 0x30000),
    });
    return m;
  }

  it('translates', () => {
    const m = guest(BigInt(DATA) | 0x7ffn);
    m.quad(DATA + 0x10, 99n);
    access(m, LOAD, IPA + 0x10n);
    expect(m.cpu.x(1)).toBe(99n);
  });

  it.each([
    ['translation, with the syndrome of the load', 0n, LOAD, 0x93c18007n],
    ['an annotation is a translation fault', 0x2000_0000_0000_0002n, LOAD, 0x93c18007n],
    ['translation, with the syndrome of the store', 0n, STORE, 0x93810047n],
    ['permission', BigInt(DATA) | 0x77fn, STORE, 0x9381004fn],
  ] as const)('faults to EL2: %s', (_, leaf, word, esr) => {
    const m = guest(leaf);
    access(m, word, IPA + 0x18n);
    expect(m.register('ESR_EL2').toString(16)).toBe(esr.toString(16));
    expect(m.register('HPFAR_EL2')).toBe((IPA >> 12n) << 4n);
    expect(m.register('FAR_EL2')).toBe(IPA + 0x18n);
    expect(m.cpu.core.level).toBe(2);
  });

  it('keeps a translation until TLBI, as hardware may', () => {
    const m = guest(BigInt(DATA) | 0x7ffn);
    access(m, LOAD, IPA);
    m.quad(STAGE2 + 0x3000 + 8 * 3, 0n);
    access(m, LOAD, IPA);
    expect(m.register('ESR_EL2')).toBe(0n);
    m.cpu.flushTranslations();
    access(m, LOAD, IPA);
    expect(m.register('ESR_EL2')).toBe(0x93c18007n);
  });

  it('translates stage 1 tables, and tells of a fault on them', () => {
    const m = guest(0n);
    m.set({ TCR_EL1: TCR, TTBR0_EL1: IPA, SCTLR_EL1: m.register('SCTLR_EL1') | 1n });
    m.words(CODE, [LOAD]);
    m.run(AT.el1, CODE, 1);
    // The fetch's own table cannot be reached: S1PTW.
    expect(m.register('ESR_EL2')).toBe(0x82000087n);
    expect(m.register('HPFAR_EL2')).toBe((IPA >> 12n) << 4n);
  });
});
