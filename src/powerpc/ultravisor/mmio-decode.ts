/** What a load or store instruction does, as far as emulating it needs. */
export interface MmioAccess {
  readonly store: boolean;
  readonly bytes: 1 | 2 | 4 | 8;
  /** The register that is loaded or stored. */
  readonly register: number;
  /** The register that gets the effective address; null if none. */
  readonly update: number | null;
  /** A loaded value is sign-extended. */
  readonly signed: boolean;
  /** Bytes are in the order that is not the machine's. */
  readonly reversed: boolean;
}

/** A cache operation: nothing happens. */
export type MmioInstruction = MmioAccess | 'cache';

interface Shape {
  readonly store?: true;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly update?: true;
  readonly signed?: true;
  readonly reversed?: true;
}

/** D forms by primary opcode (Power ISA 3.0B, Book I 3.3.2, 3.3.3). */
const D_FORMS: ReadonlyMap<number, Shape> = new Map<number, Shape>([
  [32, { bytes: 4 }],
  [33, { bytes: 4, update: true }],
  [34, { bytes: 1 }],
  [35, { bytes: 1, update: true }],
  [36, { bytes: 4, store: true }],
  [37, { bytes: 4, store: true, update: true }],
  [38, { bytes: 1, store: true }],
  [39, { bytes: 1, store: true, update: true }],
  [40, { bytes: 2 }],
  [41, { bytes: 2, update: true }],
  [42, { bytes: 2, signed: true }],
  [43, { bytes: 2, signed: true, update: true }],
  [44, { bytes: 2, store: true }],
  [45, { bytes: 2, store: true, update: true }],
]);

/** DS forms: primary opcode and the last two bits. */
const DS_FORMS: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ['58/0', { bytes: 8 }],
  ['58/1', { bytes: 8, update: true }],
  ['58/2', { bytes: 4, signed: true }],
  ['62/0', { bytes: 8, store: true }],
  ['62/1', { bytes: 8, store: true, update: true }],
]);

/** X forms of primary opcode 31 by extended opcode. */
const X_FORMS: ReadonlyMap<number, Shape> = new Map<number, Shape>([
  [21, { bytes: 8 }],
  [23, { bytes: 4 }],
  [53, { bytes: 8, update: true }],
  [55, { bytes: 4, update: true }],
  [87, { bytes: 1 }],
  [119, { bytes: 1, update: true }],
  [149, { bytes: 8, store: true }],
  [151, { bytes: 4, store: true }],
  [181, { bytes: 8, store: true, update: true }],
  [183, { bytes: 4, store: true, update: true }],
  [215, { bytes: 1, store: true }],
  [247, { bytes: 1, store: true, update: true }],
  [279, { bytes: 2 }],
  [311, { bytes: 2, update: true }],
  [341, { bytes: 4, signed: true }],
  [343, { bytes: 2, signed: true }],
  [373, { bytes: 4, signed: true, update: true }],
  [375, { bytes: 2, signed: true, update: true }],
  [407, { bytes: 2, store: true }],
  [439, { bytes: 2, store: true, update: true }],
  [532, { bytes: 8, reversed: true }],
  [534, { bytes: 4, reversed: true }],
  [660, { bytes: 8, store: true, reversed: true }],
  [662, { bytes: 4, store: true, reversed: true }],
  [790, { bytes: 2, reversed: true }],
  [918, { bytes: 2, store: true, reversed: true }],
]);

/** dcbst, dcbf, dcbtst, dcbt, icbi, dcbz. */
const CACHE_OPERATIONS: ReadonlySet<number> = new Set([54, 86, 246, 278, 982, 1014]);

/**
 * Decodes an instruction that failed for want of memory (6.4): fixed-point loads and stores with update and byte-reverse forms, and cache
 * operations. Undefined for all others, and for update forms that the ISA calls invalid.
 */
export function decodeMmio(word: number): MmioInstruction | undefined {
  const primary = word >>> 26;
  const extended = (word >>> 1) & 0x3ff;
  if (primary === 31 && CACHE_OPERATIONS.has(extended)) return 'cache';
  const shape =
    primary === 31 ? X_FORMS.get(extended) : (D_FORMS.get(primary) ?? DS_FORMS.get(`${primary}/${word & 3}`));
  if (shape === undefined) return undefined;
  const register = (word >>> 21) & 31;
  const base = (word >>> 16) & 31;
  const { store = false, bytes, update = false, signed = false, reversed = false } = shape;
  if (update && (base === 0 || (!store && base === register))) return undefined;
  return { store, bytes, register, update: update ? base : null, signed, reversed };
}
