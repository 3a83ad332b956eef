import type { CpuContext } from '../../engine/cpu.ts';
import { StateLayout } from '../../engine/state.ts';
import { PSW, PSW_CC_SHIFT } from '../abi.ts';
import type { S390Mode } from './mode.ts';

/** The registers of a z/Architecture CPU that instructions work on. */
export const layout = new StateLayout();

/** General registers. Instructions on 32 bits work on the low half and keep the high one. */
export const gpr = layout.i64File('r', 16);
/** Raw bits of the floating point registers. */
export const fpr = layout.i64File('f', 16);
/** Access registers, in the low 32 bits. */
export const ar = layout.i64File('a', 16);
/** Control registers. */
export const cr = layout.i64File('c', 16);
/**
 * The condition code, one flag for each of its values: exactly one is 1. A comparison sets conditions, a branch asks for some of them, and what
 * nobody asks for is never computed.
 */
export const cc = layout.flagFile('cc', 4);
layout.setTogether(cc.slots);
/** First doubleword of the PSW with its condition code 0: that is in `cc`. The address is the context's pc. */
export const psw = layout.i64('PSW');
/** Floating point control register. */
export const fpc = layout.i32('FPC');

type Context = CpuContext<S390Mode>;

/** The condition code, 0 to 3. */
export function getCc(context: Context): number {
  return cc.slots.findIndex((slot) => context.get32(slot) !== 0);
}

export function setCc(context: Context, value: number): void {
  cc.slots.forEach((slot, i) => {
    context.set32(slot, Number(i === value));
  });
}

/** First doubleword of the PSW, with the condition code in its place. */
export function pswMask(context: Context): bigint {
  return context.get64(psw) | (BigInt(getCc(context)) << PSW_CC_SHIFT);
}

/** Sets the first doubleword of the PSW and the condition code that is in it. The mode is the caller's business (`modeOf`). */
export function setPswMask(context: Context, value: bigint): void {
  context.set64(psw, value & ~PSW.CC);
  setCc(context, Number((value >> PSW_CC_SHIFT) & 3n));
}
