/**
 * Work that instructions leave to TypeScript (`Semantics.helper`). The arguments are always the instruction's first four bytes and its last two,
 * as `Instruction` takes them apart. What is below `CONTROL_HELPERS` is done by `perform` in `perform.ts`, all of it; the rest is the CPU model's.
 */
export const HELPER = {
  /** `perform` finds the instruction by its text. */
  perform: 0,
  /** STCK, STCKF, STCKE: the CPU model has the clock. */
  storeClock: 1,
} as const;

/** First number of the helpers that belong to control instructions and to the CPU model (`control.ts`). */
export const CONTROL_HELPERS = 256;

/**
 * Causes of `Semantics.trap`. Numbers below 0x100 are program interruption codes (`PGM` in `abi.ts`), and the argument is the data exception code
 * or 0. The instruction's writes up to the trap are done: where a program interruption completes an instruction, it stands behind them.
 */
export const TRAP = {
  /** No program interruption: generated code leaves the instruction at pc to `perform`. */
  perform: 0x100,
} as const;

/** Address spaces that accesses name (`AccessOptions.space`). */
export const SPACE = {
  /** That of the PSW: primary, secondary or home, or real storage without DAT. */
  current: 0,
  primary: 1,
  secondary: 2,
  home: 3,
  /** Real addresses. */
  real: 4,
  /** The space that instructions are fetched from. */
  instruction: 5,
} as const;
