/** The shape of a translation table and the input addresses that it is for. */
export interface Geometry {
  readonly stage: 1 | 2;
  /** Bits of input addresses. */
  readonly bits: number;
  /** log2 of the granule. */
  readonly granule: number;
  /** First level of the walk. */
  readonly start: number;
  /** Levels at which a block is allowed. */
  readonly blockLevels: readonly number[];
  /** Physical address of the root table. */
  readonly root: number;
  /** Output addresses end here. */
  readonly limit: number;
  /** Stage 1: the upper range of addresses, TTBR1. */
  readonly upper: boolean;
  /** Stage 1: the top byte of addresses is ignored. */
  readonly ignoreTop: boolean;
}

/** Bits of physical addresses by PARange, IPS and PS (arm64-pkvm.md 2.2). */
const ADDRESS_BITS = [32, 36, 40, 42, 44, 48, 48, 48];

/** Bits of physical addresses that the CPU has: ID_AA64MMFR0_EL1.PARange 4. */
export const IMPLEMENTED_BITS = 44;

const limitOf = (code: number): number => 2 ** Math.min(ADDRESS_BITS[code] as number, IMPLEMENTED_BITS);

/** log2 of the granule by TG0 and by TG1, which count differently; reserved values are 4 KiB. */
const TG0 = [12, 16, 14, 12];
const TG1 = [12, 14, 12, 16];

/** Blocks of 1 GiB and 2 MiB, of 32 MiB, of 512 MiB. */
const BLOCK_LEVELS: Readonly<Record<number, readonly number[]>> = { 12: [1, 2], 14: [2], 16: [2] };

const field = (register: bigint, shift: number, width: number): number =>
  Number((register >> BigInt(shift)) & ((1n << BigInt(width)) - 1n));

/** Lowest bit of the input that the level's index has. */
export function shiftOf(granule: number, level: number): number {
  return granule + (3 - level) * (granule - 3);
}

/** BADDR, aligned to the table's own size. */
function rootOf(ttbr: bigint, entryBits: number): number {
  const address = Number(ttbr & 0x0000_ffff_ffff_fffen);
  return address - (address % Math.max(64, 8 * 2 ** entryBits));
}

/**
 * Stage 1 of the EL2 regime, or of one half of EL1&0 (Arm ARM, D8.2).
 * @returns null where walks of that half are off (TCR_EL1.EPDn)
 */
export function stage1Geometry(tcr: bigint, ttbr: bigint, half: 'hyp' | 'lower' | 'upper'): Geometry | null {
  const hyp = half === 'hyp';
  const upper = half === 'upper';
  if (!hyp && field(tcr, upper ? 23 : 7, 1) !== 0) return null;
  const bits = 64 - Math.min(Math.max(field(tcr, upper ? 16 : 0, 6), 16), 39);
  const granule = (upper ? TG1 : TG0)[field(tcr, upper ? 30 : 14, 2)] as number;
  const start = 4 - Math.ceil((bits - granule) / (granule - 3));
  return {
    stage: 1,
    bits,
    granule,
    start,
    blockLevels: BLOCK_LEVELS[granule] as readonly number[],
    root: rootOf(ttbr, bits - shiftOf(granule, start)),
    limit: limitOf(field(tcr, hyp ? 16 : 32, 3)),
    upper,
    ignoreTop: field(tcr, hyp ? 20 : upper ? 38 : 37, 1) === 1,
  };
}

/** A stage 1 input address: the virtual one without what only chooses the half. @returns −1 where it is outside the range */
export function stage1Input({ bits, upper, ignoreTop }: Geometry, high: number, low: number): number {
  const top = ignoreTop ? high & 0x00ffffff : high >>> 0;
  const all = upper ? (ignoreTop ? 0x00ffffff : 0xffffffff) : 0;
  if (bits < 32) {
    const lowRest = low >>> bits;
    return top === all && lowRest === (upper ? 0xffffffff >>> bits : 0) ? low % 2 ** bits : -1;
  }
  const size = 2 ** (bits - 32);
  return Math.floor(top / size) === Math.floor(all / size) ? (top % size) * 2 ** 32 + low : -1;
}

/** Levels that VTCR_EL2.SL0 starts at, by log2 of the granule (arm64-pkvm.md 2.2). */
const START_LEVELS: Readonly<Record<number, readonly number[]>> = {
  12: [2, 1, 0, 3],
  14: [3, 2, 1, 0],
  16: [3, 2, 1, 0],
};

/** Up to 16 tables side by side make a stage 2 root. */
const CONCATENATED_BITS = 4;

/** Stage 2. @returns null where SL0 does not fit T0SZ: every address then faults at level 0 */
export function stage2Geometry(vtcr: bigint, vttbr: bigint): Geometry | null {
  const bits = 64 - field(vtcr, 0, 6);
  const granule = TG0[field(vtcr, 14, 2)] as number;
  const start = (START_LEVELS[granule] as readonly number[])[field(vtcr, 6, 2)] as number;
  const rootBits = bits - shiftOf(granule, start);
  if (bits > 48 || bits < 25 || rootBits < 1 || rootBits > granule - 3 + CONCATENATED_BITS) return null;
  return {
    stage: 2,
    bits,
    granule,
    start,
    blockLevels: BLOCK_LEVELS[granule] as readonly number[],
    root: rootOf(vttbr, rootBits),
    limit: limitOf(field(vtcr, 16, 3)),
    upper: false,
    ignoreTop: false,
  };
}
