import {
  bitLength,
  carriedNan,
  defaultNan,
  type Format,
  infinity,
  isNan,
  negated,
  type Unpacked,
  zero,
} from './format.ts';
import { type Control, EXCEPTION, exact, type Result, ROUND, round } from './round.ts';

/**
 * Arithmetic of IEEE 754-2008 over exact integers, rounded once. Operands may be of another format than the result. Nothing here knows a CPU;
 * what the standard leaves to implementers is in `NanRules`.
 */

/** The NaN that a result takes, where IEEE 754-2008 (6.2.3) leaves the choice. */
export interface NanRules {
  /** Whether a signalling NaN goes before a quiet one that stands before it. */
  readonly signallingFirst: boolean;
  /** Whether every NaN result is the default one. */
  readonly makesDefault?: boolean;
  /** Order in which the operands of `x * y + addend` are asked: 0 is x, 1 is y, 2 the addend. */
  readonly fusedOrder: readonly (0 | 1 | 2)[];
  /** Of an invalid product and a quiet NaN: whether the NaN is the result, and not the default one. */
  readonly nanBeforeInvalidProduct: boolean;
}

export interface Environment extends Control {
  readonly nans: NanRules;
}

const invalid = (f: Format, cause: number): Result => exact(defaultNan(f), cause);

/** The NaN result of an operation that has NaN operands, null where it has none. */
export function nanOf(operands: readonly Unpacked[], f: Format, { nans }: Environment): Result | null {
  const first = operands.find(isNan);
  if (first === undefined) return null;
  const signalling = operands.find(({ kind }) => kind === 'signalling');
  const exceptions = signalling === undefined ? 0 : EXCEPTION.signallingNan;
  if (nans.makesDefault === true) return exact(defaultNan(f), exceptions);
  return exact(carriedNan((nans.signallingFirst && signalling) || first, f), exceptions);
}

interface Signed {
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly exponent: number;
}

/** Exact sum of two finite numbers, rounded; a zero sum has the sign that the rounding mode gives it. */
function sum(x: Signed, y: Signed, f: Format, control: Control): Result {
  const exponent = Math.min(x.exponent, y.exponent);
  const value = (v: Signed): bigint => {
    const magnitude = v.magnitude << BigInt(v.exponent - exponent);
    return v.negative ? -magnitude : magnitude;
  };
  const total = value(x) + value(y);
  if (total !== 0n) return round(total < 0n, total < 0n ? -total : total, exponent, f, control);
  return exact(zero(x.negative === y.negative ? x.negative : control.rounding === ROUND.down, f));
}

export function add(a: Unpacked, b: Unpacked, f: Format, env: Environment): Result {
  const nan = nanOf([a, b], f, env);
  if (nan !== null) return nan;
  if (a.kind === 'infinity' && b.kind === 'infinity' && a.negative !== b.negative) {
    return invalid(f, EXCEPTION.infinityMinusInfinity);
  }
  if (a.kind === 'infinity') return exact(infinity(a.negative, f));
  return b.kind === 'infinity' ? exact(infinity(b.negative, f)) : sum(a, b, f, env);
}

/** A NaN keeps its sign, whichever operand it is. */
export const subtract = (a: Unpacked, b: Unpacked, f: Format, env: Environment): Result => add(a, negated(b), f, env);

const isZeroTimesInfinity = (a: Unpacked, b: Unpacked): boolean =>
  (a.kind === 'zero' && b.kind === 'infinity') || (a.kind === 'infinity' && b.kind === 'zero');

export function multiply(a: Unpacked, b: Unpacked, f: Format, env: Environment): Result {
  const nan = nanOf([a, b], f, env);
  if (nan !== null) return nan;
  const negative = a.negative !== b.negative;
  if (isZeroTimesInfinity(a, b)) return invalid(f, EXCEPTION.zeroTimesInfinity);
  if (a.kind === 'infinity' || b.kind === 'infinity') return exact(infinity(negative, f));
  if (a.kind === 'zero' || b.kind === 'zero') return exact(zero(negative, f));
  return round(negative, a.magnitude * b.magnitude, a.exponent + b.exponent, f, env);
}

export function divide(a: Unpacked, b: Unpacked, f: Format, env: Environment): Result {
  const nan = nanOf([a, b], f, env);
  if (nan !== null) return nan;
  const negative = a.negative !== b.negative;
  if (a.kind === 'infinity') {
    return b.kind === 'infinity' ? invalid(f, EXCEPTION.infinityByInfinity) : exact(infinity(negative, f));
  }
  if (b.kind === 'infinity') return exact(zero(negative, f));
  if (b.kind === 'zero') {
    return a.kind === 'zero' ? invalid(f, EXCEPTION.zeroByZero) : exact(infinity(negative, f), EXCEPTION.divideByZero);
  }
  if (a.kind === 'zero') return exact(zero(negative, f));
  // The shortest dividend by the longest divisor still has two bits more than the result.
  const shift = b.format.precision + f.precision + 2;
  const dividend = a.magnitude << BigInt(shift);
  const quotient = dividend / b.magnitude;
  const sticky = quotient * b.magnitude === dividend ? 0n : 1n;
  return round(negative, (quotient << 1n) | sticky, a.exponent - b.exponent - shift - 1, f, env);
}

function integerRoot(v: bigint): bigint {
  let x = 1n << BigInt((bitLength(v) + 1) >> 1);
  for (;;) {
    const y = (x + v / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

export function squareRoot(a: Unpacked, f: Format, env: Environment): Result {
  const nan = nanOf([a], f, env);
  if (nan !== null) return nan;
  if (a.kind === 'zero') return exact(zero(a.negative, f));
  if (a.negative) return invalid(f, EXCEPTION.negativeRoot);
  if (a.kind === 'infinity') return exact(infinity(false, f));
  const shift = 2 * f.precision + 4 + (a.exponent & 1);
  const radicand = a.magnitude << BigInt(shift);
  const root = integerRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  return round(false, (root << 1n) | sticky, (a.exponent - shift) / 2 - 1, f, env);
}

/** x * y + addend, rounded once. */
export function multiplyAdd(x: Unpacked, y: Unpacked, addend: Unpacked, f: Format, env: Environment): Result {
  const operands = [x, y, addend] as const;
  const nan = nanOf(
    env.nans.fusedOrder.map((n) => operands[n]),
    f,
    env,
  );
  if (isZeroTimesInfinity(x, y)) {
    const cause = EXCEPTION.zeroTimesInfinity;
    // With a signalling NaN, which alone the addend can be then, the exception stands anyway.
    if (nan === null || (addend.kind === 'quiet' && !env.nans.nanBeforeInvalidProduct)) return invalid(f, cause);
    return exact(nan.bits, nan.exceptions | cause);
  }
  if (nan !== null) return nan;
  const negative = x.negative !== y.negative;
  const product = x.kind === 'infinity' || y.kind === 'infinity';
  if (product && addend.kind === 'infinity' && addend.negative !== negative) {
    return invalid(f, EXCEPTION.infinityMinusInfinity);
  }
  if (product) return exact(infinity(negative, f));
  if (addend.kind === 'infinity') return exact(infinity(addend.negative, f));
  return sum({ negative, magnitude: x.magnitude * y.magnitude, exponent: x.exponent + y.exponent }, addend, f, env);
}
