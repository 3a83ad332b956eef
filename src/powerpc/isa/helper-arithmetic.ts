import type { CpuContext } from '../../engine/cpu.ts';
import type { PowerMode } from './mode.ts';
import { cr, gpr, ov, ov32, so } from './state.ts';

const WORD = 0xffffffffn;
const MIN = -(1n << 63n);

/** Quotient of (RA) * 2^64 and (RB), null where it is undefined: division by 0, or a quotient that does not fit. */
export function extendedQuotient(dividend: bigint, divisor: bigint, signed: boolean): bigint | null {
  const n = (signed ? BigInt.asIntN(64, dividend) : dividend) << 64n;
  const d = signed ? BigInt.asIntN(64, divisor) : divisor;
  if (d === 0n) return null;
  const q = n / d;
  const fits = signed ? q >= MIN && q < -MIN : q >> 64n === 0n;
  return fits ? BigInt.asUintN(64, q) : null;
}

/** What `HELPER.divideExtended` does: divde and divdeu with OE and Rc (Power ISA 3.0B, book I, 3.3.9.1). Execution goes on behind them. */
export function divideExtended(context: CpuContext<PowerMode>, word: number): void {
  const register = (shift: number): (typeof gpr.slots)[number] =>
    gpr.slots[(word >>> shift) & 31] as (typeof gpr.slots)[number];
  const signed = (word & 0x40) !== 0;
  const quotient = extendedQuotient(context.get64(register(16)), context.get64(register(11)), signed);
  const result = quotient ?? 0n;
  context.set64(register(21), result);
  if ((word & 0x400) !== 0) {
    const overflow = quotient === null ? 1 : 0;
    context.set32(ov, overflow);
    context.set32(ov32, overflow);
    if (overflow === 1) context.set32(so, 1);
  }
  if ((word & 1) !== 0) {
    const value = context.mode.sixtyFour ? BigInt.asIntN(64, result) : BigInt.asIntN(32, result & WORD);
    setCr(context, 0, [Number(value < 0n), Number(value > 0n), Number(value === 0n), context.get32(so)]);
  }
}

/** Sets the four bits of a CR field. */
export function setCr(context: CpuContext<PowerMode>, field: number, bits: readonly number[]): void {
  bits.forEach((bit, i) => {
    context.set32(cr.slots[4 * field + i] as (typeof cr.slots)[number], bit);
  });
}
