import type { Semantics } from '../engine/semantics.ts';
import { type Expr, f32, f64, i32, i64, select } from '../wasm/expr.ts';
import type { F64, I32, I64 } from '../wasm/types.ts';

/**
 * Arithmetic of doubles in generated code that also tells what rounding to nearest took away: error-free transformations. Operands must be 0 or
 * have biased exponents from `LOWEST` to `HIGHEST`.
 */

export type W = Expr<I32>;
export type D = Expr<I64>;
export type Double = Expr<F64>;
type S = Semantics;

/** Biased exponents between which products, quotients and their error terms neither overflow nor lose bits. */
const LOWEST = 0x240;
const HIGHEST = 0x5c0;
export const ZERO = f64.const(0);

/** A result on its way to a register: `value` rounded to double, and the rest of the exact result, of which only the sign counts. */
export interface Rounded {
  readonly value: Double;
  readonly rest: Double;
  /** Where the rest is not to be trusted. */
  readonly doubtful?: W;
}

export const bits = (v: Double): D => i64.reinterpretF64(v);
/** Biased exponent of a double. */
export const exponent = (v: D): D => i64.and(i64.shrU(v, i64.const(52)), i64.const(0x7ff));
export const between = (v: D, from: number, to: number): W =>
  i64.leU(i64.sub(exponent(v), i64.const(from)), i64.const(to - from));
/** Whether a double is 0, of either sign. */
export const isZero = (v: D): W => i64.eqz(i64.shl(v, i64.const(1)));
/** Whether a double is one that the transformations here take. */
export const isEasy = (v: D): W => i32.or(between(v, LOWEST, HIGHEST), isZero(v));

/** The sum of two numbers and what rounding it took away (Knuth). */
export function twoSum(s: S, a: Double, b: Double): Rounded {
  const value = s.let(f64.add(a, b));
  const part = s.let(f64.sub(value, a));
  return { value, rest: s.let(f64.add(f64.sub(a, f64.sub(value, part)), f64.sub(b, part))) };
}

/** Upper and lower half of a significand (Veltkamp). */
function split(s: S, v: Double): [Double, Double] {
  const scaled = s.let(f64.mul(v, f64.const(134217729)));
  const upper = s.let(f64.sub(scaled, f64.sub(scaled, v)));
  return [upper, s.let(f64.sub(v, upper))];
}

/** What `value`, about the product of a and b, is short of it (Dekker). */
function productRest(s: S, a: Double, b: Double, value: Double): Double {
  const [ah, al] = split(s, a);
  const [bh, bl] = split(s, b);
  const first = f64.sub(f64.mul(ah, bh), value);
  return s.let(f64.add(f64.add(f64.add(first, f64.mul(ah, bl)), f64.mul(al, bh)), f64.mul(al, bl)));
}

export function twoProduct(s: S, a: Double, b: Double): Rounded {
  const value = s.let(f64.mul(a, b));
  return { value, rest: productRest(s, a, b, value) };
}

export function quotient(s: S, a: Double, b: Double): Rounded {
  const value = s.let(f64.div(a, b));
  const product = twoProduct(s, value, b);
  const remainder = s.let(f64.sub(f64.sub(a, product.value), product.rest));
  // The rest of the quotient has the remainder's sign where the divisor is positive.
  return { value, rest: select(f64.lt(b, ZERO), f64.neg(remainder), remainder), doubtful: f64.eq(b, ZERO) };
}

export function root(s: S, a: Double): Rounded {
  const value = s.let(f64.sqrt(a));
  const square = twoProduct(s, value, value);
  return { value, rest: s.let(f64.sub(f64.sub(a, square.value), square.rest)), doubtful: f64.lt(a, ZERO) };
}

/** A sum rounded to odd: an inexact one ends in a 1, so that rounding it again to fewer bits rounds the exact one. */
export function toOdd(s: S, { value, rest }: Rounded): Double {
  const v = s.let(bits(value));
  const change = i32.and(f64.ne(rest, ZERO), i64.eqz(i64.and(v, i64.const(1))));
  const towards = i64.ltS(i64.xor(v, bits(rest)), i64.const(0));
  const step = select(towards, i64.const(-1n), i64.const(1n));
  return s.let(f64.reinterpretI64(i64.add(v, select(change, step, i64.const(0)))));
}

/** a * c + b, rounded once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums"). */
export function fused(s: S, a: Double, c: Double, b: Double): Rounded {
  const product = twoProduct(s, a, c);
  const lower = twoSum(s, b, product.rest);
  const upper = twoSum(s, product.value, lower.value);
  const tail = twoSum(s, lower.rest, upper.rest);
  const sum = twoSum(s, upper.value, toOdd(s, tail));
  // A sum of 0 is exact, and so is its product then, which alone knows the sign.
  const value = s.let(select(f64.eq(sum.value, ZERO), f64.add(product.value, b), sum.value));
  // A tail that the sum does not show is left to others.
  return { value, rest: sum.rest, doubtful: i32.and(f64.ne(tail.rest, ZERO), f64.eq(sum.rest, ZERO)) };
}

/** A double rounded to single precision, and whether that is inexact; `value` is in double format. */
export function narrowed(s: S, odd: Double): { readonly value: Double; readonly inexact: W } {
  const value = s.let(f64.promoteF32(f32.demoteF64(odd)));
  return { value, inexact: f64.ne(value, odd) };
}
