/** Work that instructions leave to the CPU model in TypeScript (`Semantics.helper`), with the meaning of its arguments. */
export const HELPER = {
  /** a: instruction word: MRS. */
  mrs: 0,
  /** a: instruction word: MSR (register). */
  msr: 1,
  /** a: instruction word: MSR (immediate). */
  msrImmediate: 2,
  /** a: instruction word: SYS (DC, IC, AT, TLBI …). */
  sys: 3,
  eret: 4,
  wfi: 5,
  wfe: 6,
  sev: 7,
  sevl: 8,
  isb: 9,
  /** a: instruction word: floating point arithmetic that generated code does not do itself. */
  float: 10,
} as const;
export type Helper = (typeof HELPER)[keyof typeof HELPER];

/** Causes of `Semantics.trap`. The argument is the instruction's immediate where it has one. */
export const TRAP = {
  undefined: 0,
  svc: 1,
  hvc: 2,
  smc: 3,
  brk: 4,
  hlt: 5,
  /** Alignment fault; `trapAddress` holds the address. The argument is 1 for a store. */
  alignment: 6,
  /** Access to a V register while they are trapped. */
  fpAccess: 7,
  /** No trap of the architecture: generated code leaves a floating point instruction, whose word is the argument, to TypeScript. */
  softFloat: 8,
} as const;
export type Trap = (typeof TRAP)[keyof typeof TRAP];
