/** Work that instructions leave to the CPU model in TypeScript (`Semantics.helper`), with the meaning of its two arguments. */
export const HELPER = {
  /** a: RT, b: SPR number. */
  mfspr: 0,
  /** a: RS, b: SPR number. */
  mtspr: 1,
  /** a: RT. */
  mfmsr: 2,
  /** a: RS, b: L. */
  mtmsr: 3,
  /** a: RS, b: L. */
  mtmsrd: 4,
  rfid: 5,
  hrfid: 6,
  urfid: 7,
  /** a: LEV. */
  sc: 8,
  /** a: instruction word. */
  tlbie: 9,
  /** a: instruction word. */
  tlbiel: 10,
  /** a: instruction word: slbia and the other SLB instructions. */
  slb: 11,
  /** a: instruction word: msgsnd, msgclr and their privileged forms. */
  message: 12,
  stop: 13,
  /** a: WC. */
  wait: 14,
  /** a: RT, b: L. */
  darn: 15,
  /** a: instruction word: lmw, lswi, lswx. */
  loadMultiple: 16,
  /** a: instruction word: stmw, stswi, stswx. */
  storeMultiple: 17,
  /** Support processor attention. */
  attn: 18,
  rfscv: 19,
  /**
   * a: instruction word: floating point arithmetic. `executeFloat` in `float-execute.ts` does it; where it returns true and MSR[FE0,FE1] are not 0
   * a program interrupt follows, else execution goes on behind the instruction.
   */
  float: 20,
  /** a: instruction word: divde, divdeu. `divideExtended` in `helper-arithmetic.ts` does all of it. */
  divideExtended: 21,
  /** a: LEV. */
  scv: 22,
  /** a: whose synchronization it is: 0 tlbsync, 1 slbsync, 2 msgsync. Nothing to do but to have the privilege. */
  synchronize: 23,
} as const;
export type Helper = (typeof HELPER)[keyof typeof HELPER];

/** Causes of `Semantics.trap`. */
export const TRAP = {
  /** Trap instruction whose condition holds. */
  trap: 0,
  /** Illegal instruction form. */
  illegal: 1,
  /** Privileged instruction in problem state. */
  privileged: 2,
  alignment: 3,
  fpUnavailable: 4,
  vectorUnavailable: 5,
  vsxUnavailable: 6,
  /** Enabled floating point exception. */
  floatingPoint: 7,
  /**
   * No trap of the architecture: generated code leaves a floating point instruction, whose word is the argument, to `executeFloat`. Where that returns
   * true and MSR[FE0,FE1] are not 0 a program interrupt follows, else execution goes on behind the instruction.
   */
  softFloat: 8,
  /** Hypervisor privileged instruction below that. */
  hypervisorPrivileged: 9,
  /** TAR was used; FSCR or HFSCR may say that it is not available. */
  targetAddressRegister: 10,
  transactionalUnavailable: 11,
} as const;
export type Trap = (typeof TRAP)[keyof typeof TRAP];
