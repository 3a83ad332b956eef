import type { Mode } from '../../engine/semantics.ts';

/** What generated code depends on. Instructions are little-endian always. */
export interface ArmMode extends Mode {
  /** SCTLR_ELx.A: every access must be aligned to its size. */
  readonly alignmentChecked: boolean;
}

/** Bits of a mode key. */
export const MODE_BIG_ENDIAN = 1;
export const MODE_ALIGNMENT_CHECKED = 2;

const MODES: readonly ArmMode[] = [0, 1, 2, 3].map((key) => ({
  key,
  instructionsBigEndian: false,
  dataBigEndian: (key & MODE_BIG_ENDIAN) !== 0,
  alignmentChecked: (key & MODE_ALIGNMENT_CHECKED) !== 0,
}));

/** @param key bit 0: data is big-endian (SCTLR_ELx.EE, E0E); bit 1: SCTLR_ELx.A */
export function armMode(key: number): ArmMode {
  const mode = MODES[key];
  if (mode === undefined) throw new RangeError(`no mode ${key}`);
  return mode;
}
