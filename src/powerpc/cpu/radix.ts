/**
 * One radix tree, as the table walker sees it (sheet 2.2 to 2.4). Entries are big-endian doublewords, handled as two 32-bit halves: a bigint for
 * each would cost more than the walk. Halves are signed 32-bit numbers, which the host keeps without allocating.
 */

const WORD = 2 ** 32;

/** Largest address space a tree may span, in bits; larger ones have no exact number, and POWER9 has none (2.2). */
const MAX_SPACE = 52;
/** A directory has at least 2^5 entries (2.2). */
const MIN_DIRECTORY = 5;

const VALID = 0x80000000;
const LEAF = 0x40000000;
const PDE_RESERVED_HIGH = 0x60000000;
const PDE_RESERVED_LOW = 0xe0;
const BASE_HIGH = 0x0fffffff;
const BASE_LOW = 0xffffff00;
const SIZE = 0x1f;
const RPN_HIGH = 0x01ffffff;
const RPN_LOW = 0xfffff000;

/** Bits in the low half of a leaf (2.4). */
export const LEAF_BITS = {
  R: 0x100,
  C: 0x80,
  ATT: 0x30,
  NON_IDEMPOTENT: 0x20,
  PRIVILEGED: 0x8,
  READ: 0x4,
  WRITE: 0x2,
  EXECUTE: 0x1,
} as const;

/** What a walk came to; `WALK.reported` means that the access to a table entry itself failed and has been recorded by `TableReader`. */
export const WALK = { found: 0, noTranslation: 1, badTree: 2, reported: 3, outside: 4 } as const;
export type WalkResult = (typeof WALK)[keyof typeof WALK];

/** How a walk reaches the tables of a tree. */
export interface TableReader {
  readonly view: DataView;
  /**
   * Host address of the table entry at an address of the space the tables lie in.
   * @returns 0 where it cannot be reached; the reason has been recorded
   */
  locate(address: number): number;
}

/** A leaf, and the address that it gives. */
export class Leaf {
  /** Low half of the entry: permissions, R and C. */
  bits = 0;
  /** Translated address of the byte, in halves. It may have up to 57 bits. */
  high = 0;
  low = 0;
  /** Address of the entry in the space its table lies in, and in the store. */
  entry = 0;
  entryHost = 0;
}

/** An address in one number; above 2^53 it is not exact, and no real address either. */
export function joined(high: number, low: number): number {
  return high * WORD + (low >>> 0);
}

/** Bits that a tree spans, from dw0 of a partition or process table entry. */
export function spaceBits(high: number, low: number): number {
  return ((((high >>> 29) & 3) << 3) | ((low >>> 5) & 7)) + 31;
}

/** Whether an address has no bits from bit `bits` (31 to 52) up. */
function fits(high: number, low: number, bits: number): boolean {
  return bits >= 32 ? high >>> (bits - 32) === 0 : high === 0 && low >>> bits === 0;
}

/** `size` bits of an address, from bit `shift` up; `shift` is at least 12, `size` at most 31. */
function indexBits(high: number, low: number, shift: number, size: number): number {
  const shifted = shift >= 32 ? high >>> (shift - 32) : (low >>> shift) | (high << (32 - shift));
  return shifted & ((1 << size) - 1);
}

/** Whether a table of 2^`size` entries is aligned to its size. */
function isAligned(high: number, low: number, size: number): boolean {
  const bits = size + 3;
  if (bits < 32) return (low & ((1 << bits) - 1)) === 0;
  return low === 0 && (high & ((1 << (bits - 32)) - 1)) === 0;
}

/**
 * Walks a tree from the root that dw0 (`high`, `low`) names.
 * @param offsetHigh address in the tree's space, without quadrant, in halves
 * @returns `WALK.outside` where the tree does not span the address
 */
export function walk(
  reader: TableReader,
  high: number,
  low: number,
  offsetHigh: number,
  offsetLow: number,
  leaf: Leaf,
): WalkResult {
  const { view } = reader;
  let bits = spaceBits(high, low);
  if (bits > MAX_SPACE) return WALK.badTree;
  if (!fits(offsetHigh, offsetLow, bits)) return WALK.outside;
  let entryHigh = high;
  let entryLow = low;
  for (;;) {
    const baseHigh = entryHigh & BASE_HIGH;
    const baseLow = entryLow & BASE_LOW;
    const size = entryLow & SIZE;
    if (size < MIN_DIRECTORY || size > bits - 12 || !isAligned(baseHigh, baseLow, size)) return WALK.badTree;
    bits -= size;
    const address = joined(baseHigh, baseLow) + indexBits(offsetHigh, offsetLow, bits, size) * 8;
    const host = reader.locate(address);
    if (host === 0) return WALK.reported;
    entryHigh = view.getInt32(host);
    entryLow = view.getInt32(host + 4);
    if ((entryHigh & VALID) === 0) return WALK.noTranslation;
    if ((entryHigh & LEAF) !== 0) {
      if (bits !== 12 && bits !== 16 && bits !== 21 && bits !== 30) return WALK.badTree;
      const within = (1 << bits) - 1;
      leaf.bits = entryLow;
      leaf.high = entryHigh & RPN_HIGH;
      leaf.low = (entryLow & RPN_LOW & ~within) | (offsetLow & within);
      leaf.entry = address;
      leaf.entryHost = host;
      return WALK.found;
    }
    if ((entryHigh & PDE_RESERVED_HIGH) !== 0 || (entryLow & PDE_RESERVED_LOW) !== 0) return WALK.badTree;
  }
}
