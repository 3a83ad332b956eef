import { StateLayout } from '../../engine/state.ts';

/** The registers of an AArch64 PE that instructions work on. What only MRS, MSR and exceptions touch belongs to the CPU model. */
export const layout = new StateLayout();

/** Position of the zero register in `x`: it always holds 0. */
export const ZERO = 31;
/** Position of the current stack pointer in `x`. */
export const STACK = 32;

/** X0 to X30, the zero register, and the stack pointer that PSTATE.SP selects. */
export const x = layout.i64File('x', 33);
/** Low and high halves of V0 to V31. */
export const v = layout.i64File('v', 32);
export const vHigh = layout.i64File('v-high', 32);

/** PSTATE.N, Z, C and V. */
export const flagN = layout.flag('N');
export const flagZ = layout.flag('Z');
export const flagC = layout.flag('C');
export const flagV = layout.flag('V');
/** N ≠ V, always: "signed less than" is one comparison this way, and not two flags put together. */
export const flagLess = layout.flag('N!=V');
layout.setTogether([flagN, flagZ, flagC, flagV, flagLess]);

/** PSTATE but for NZCV, in the format of SPSR_ELx (Arm ARM, C5.2.18). */
export const pstate = layout.i64('PSTATE');
export const fpcr = layout.i64('FPCR');
export const fpsr = layout.i64('FPSR');
/** 1 while instructions on V registers are trapped (CPACR_EL1, CPTR_EL2): the CPU model computes it. */
export const fpTrapped = layout.flag('fp-trapped');

/** Size in bytes of the access that the local exclusive monitor is open for, 0 if it is not. */
export const exclusiveSize = layout.flag('exclusive-size');
export const exclusiveAddress = layout.i64('exclusive-address');
/** What the load exclusive read; of a pair the first register. */
export const exclusiveValue = layout.i64('exclusive-value');
/** The second register of a pair. */
export const exclusiveValue2 = layout.i64('exclusive-value2');

/** Address of an access that trapped before it was made, for FAR_ELx. */
export const trapAddress = layout.i64('trap-address');
