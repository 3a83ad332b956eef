import { type Environment, nanOf } from './arithmetic.ts';
import { type Format, infinity, isNan, pack, type Unpacked, zero } from './format.ts';
import { type Control, cut, EXCEPTION, exact, type Result, round } from './round.ts';

/** Conversions and comparison (IEEE 754-2008, 5.3.1, 5.4, 5.6, 5.11). */

/** The same number in another format. */
export function convert(v: Unpacked, f: Format, env: Environment): Result {
  const nan = nanOf([v], f, env);
  if (nan !== null) return nan;
  if (v.kind === 'infinity') return exact(infinity(v.negative, f));
  if (v.kind === 'zero') return exact(zero(v.negative, f));
  return round(v.negative, v.magnitude, v.exponent, f, env);
}

/** Rounded to an integer in the same format; `inexact` where that changed it. */
export function toIntegral(v: Unpacked, rounding: number, env: Environment): Result {
  const nan = nanOf([v], v.format, env);
  if (nan !== null) return nan;
  if (v.kind !== 'finite' || v.exponent >= 0) return exact(v.bits);
  const { kept, inexact, up } = cut(v.magnitude, v.exponent, 0, rounding, v.negative);
  const bits = pack(v.negative, kept, 0, v.format);
  return { bits, exceptions: inexact ? EXCEPTION.inexact : 0, incremented: up };
}

/** `integer * 2^-fractionBits`, rounded. */
export function fromInteger(integer: bigint, f: Format, control: Control, fractionBits = 0): Result {
  if (integer === 0n) return exact(0n);
  return round(integer < 0n, integer < 0n ? -integer : integer, -fractionBits, f, control);
}

/** An integer made from a number. */
export interface IntegerResult {
  /** What the integer format has; saturated, and 0 for a NaN, where `exceptions` has `unrepresentable`. */
  readonly integer: bigint;
  readonly exceptions: number;
  readonly incremented: boolean;
}

export const smallest = (bits: number, signed: boolean): bigint => (signed ? -(1n << BigInt(bits - 1)) : 0n);
const greatest = (bits: number, signed: boolean): bigint => (1n << BigInt(signed ? bits - 1 : bits)) - 1n;

/** Conversion of `v * 2^fractionBits` to an integer of some bits. */
export function toInteger(
  v: Unpacked,
  bits: number,
  signed: boolean,
  rounding: number,
  fractionBits = 0,
): IntegerResult {
  const refuse = (integer: bigint, more = 0): IntegerResult => ({
    integer,
    exceptions: EXCEPTION.unrepresentable | more,
    incremented: false,
  });
  if (isNan(v)) return refuse(0n, v.kind === 'signalling' ? EXCEPTION.signallingNan : 0);
  const [min, max] = [smallest(bits, signed), greatest(bits, signed)];
  if (v.kind === 'infinity') return refuse(v.negative ? min : max);
  const { kept, inexact, up } = cut(v.magnitude, v.exponent + fractionBits, 0, rounding, v.negative);
  const integer = v.negative ? -kept : kept;
  if (integer < min || integer > max) return refuse(integer < min ? min : max);
  return { integer, exceptions: inexact ? EXCEPTION.inexact : 0, incremented: up };
}

/** How two numbers of one format stand to each other. */
export type Relation = 'less' | 'equal' | 'greater' | 'unordered';

export function compare(a: Unpacked, b: Unpacked): Relation {
  if (isNan(a) || isNan(b)) return 'unordered';
  const [x, y] = [ordered(a), ordered(b)];
  return x === y ? 'equal' : x < y ? 'less' : 'greater';
}

/** A number that orders as the encoding does; one for both zeros. */
function ordered(v: Unpacked): bigint {
  return v.negative ? -(v.bits ^ v.format.sign) : v.bits;
}
