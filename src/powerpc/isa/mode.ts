import type { Mode } from '../../engine/semantics.ts';

/** What generated code depends on: byte order and address width. */
export interface PowerMode extends Mode {
  /** MSR[SF]: 64-bit mode. In 32-bit mode addresses, CR0 and carries look at the low 32 bits (Power ISA 3.0B, book I, 1.10.3, 3.3.9). */
  readonly sixtyFour: boolean;
}

/** Bits of a mode key. */
export const MODE_LE = 1;
export const MODE_SF = 2;

const MODES: readonly PowerMode[] = [0, 1, 2, 3].map((key) => ({
  key,
  instructionsBigEndian: (key & MODE_LE) === 0,
  dataBigEndian: (key & MODE_LE) === 0,
  sixtyFour: (key & MODE_SF) !== 0,
  addressBits: (key & MODE_SF) !== 0 ? 64 : 32,
}));

/** @param key bit 0 is MSR[LE], bit 1 is MSR[SF] */
export function powerMode(key: number): PowerMode {
  const mode = MODES[key];
  if (mode === undefined) throw new RangeError(`no mode ${key}`);
  return mode;
}
