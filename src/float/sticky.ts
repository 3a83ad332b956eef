import type { Semantics } from '../engine/semantics.ts';
import { type Expr, f32, f64, i32, i64, select } from '../wasm/expr.ts';
import type { F32 } from '../wasm/types.ts';
import {
  between,
  bits,
  type D,
  type Double,
  fused,
  isEasy,
  quotient,
  type Rounded,
  root,
  toOdd,
  twoProduct,
  twoSum,
  type W,
  ZERO,
} from './error-free.ts';

/**
 * Arithmetic in generated code for architectures whose exception flags stay set until software clears them. Rounded to nearest, with results that are
 * normal, the only exception is inexact: once its flag is set, an operation is what WebAssembly does and a look at the result's exponent. Before,
 * error-free transformations tell whether it is exact. All else is left to exact arithmetic (`arithmetic.ts`).
 */

type S = Semantics;
type Single = Expr<F32>;

/** What an architecture says of its control and status register. */
export interface Sticky {
  /** Whether it asks for more than IEEE's defaults: another rounding, traps, flushing. */
  readonly special: W;
  /** Whether its inexact flag is set. */
  readonly inexact: W;
  /** Leaves the instruction to exact arithmetic. */
  leave(): void;
  /** Sets the inexact flag. */
  raiseInexact(): void;
}

export type Precision = 'single' | 'double';
export type OperationName = 'add' | 'subtract' | 'multiply' | 'divide' | 'squareRoot' | 'multiplyAdd';

const single = (v: D): Single => f32.reinterpretI32(i32.wrap(v));
const singleBits = (v: Single): D => i64.extendU(i32.reinterpretF32(v));
const singleAsDouble = (v: D): Double => f64.promoteF32(single(v));
const number = (v: D, precision: Precision): Double =>
  precision === 'single' ? singleAsDouble(v) : f64.reinterpretI64(v);

/** Whether the low 32 bits are a single with a biased exponent from `from` to `to`. */
const singleBetween = (v: D, from: number, to: number): W => {
  const biased = i32.and(i32.shrU(i32.wrap(v), i32.const(23)), i32.const(0xff));
  return i32.leU(i32.sub(biased, i32.const(from)), i32.const(to - from));
};
const finite = (v: D, precision: Precision): W =>
  precision === 'single' ? singleBetween(v, 0, 0xfe) : between(v, 0, 0x7fe);
/** Whether a rounded result is normal, and was so before: the smallest normal number may have been tiny. */
const surelyNormal = (v: D, precision: Precision): W =>
  precision === 'single' ? singleBetween(v, 2, 0xfe) : between(v, 2, 0x7fe);

/** An operation on up to three numbers; `a * b + c` is the only one of three. */
interface Operation {
  double(a: Double, b: Double): Double;
  single(a: Single, b: Single): Single;
  /** Whether a result of 0 is exact, for this operation's operands. */
  exactZero(a: Double, b: Double): W;
  /** Whether tiny results are always exact. */
  readonly tinyIsExact?: true;
  /** Value and rest for easy operands. */
  rest(s: S, a: Double, b: Double): Rounded;
  /** Whether the result of two singles, as doubles, is not `value`. */
  singleInexact(s: S, a: Double, b: Double, value: Double): W;
}

const isNull = (v: Double): W => f64.eq(v, ZERO);

const sumInexact = (s: S, a: Double, b: Double, value: Double): W => {
  const sum = twoSum(s, a, b);
  return i32.or(f64.ne(sum.value, value), f64.ne(sum.rest, ZERO));
};

const OPERATIONS: Readonly<Record<Exclude<OperationName, 'multiplyAdd'>, Operation>> = {
  add: {
    double: f64.add,
    single: f32.add,
    exactZero: () => i32.const(1),
    tinyIsExact: true,
    rest: twoSum,
    singleInexact: sumInexact,
  },
  subtract: {
    double: f64.sub,
    single: f32.sub,
    exactZero: () => i32.const(1),
    tinyIsExact: true,
    rest: (s, a, b) => twoSum(s, a, s.let(f64.neg(b))),
    singleInexact: (s, a, b, value) => sumInexact(s, a, s.let(f64.neg(b)), value),
  },
  multiply: {
    double: f64.mul,
    single: f32.mul,
    exactZero: (a, b) => i32.or(isNull(a), isNull(b)),
    rest: twoProduct,
    singleInexact: (_, a, b, value) => f64.ne(f64.mul(a, b), value),
  },
  divide: {
    double: f64.div,
    single: f32.div,
    exactZero: (a) => isNull(a),
    rest: quotient,
    // A product of two singles is exact.
    singleInexact: (_, a, b, value) => f64.ne(f64.mul(value, b), a),
  },
  squareRoot: {
    double: (a) => f64.sqrt(a),
    single: (a) => f32.sqrt(a),
    exactZero: () => i32.const(1),
    rest: (s, a) => root(s, a),
    singleInexact: (_, a, _b, value) => f64.ne(f64.mul(value, value), a),
  },
};

/**
 * The result of an operation of one or two operands, which are encoded in the low bits; so is the result.
 * Leaves the instruction before it sets a flag: the caller writes registers afterwards only.
 */
export function arithmetic(s: S, name: keyof typeof OPERATIONS, precision: Precision, x: D, y: D, sticky: Sticky): D {
  const operation = OPERATIONS[name];
  const [a, b] = [s.let(number(x, precision)), s.let(number(y, precision))];
  const result =
    precision === 'single'
      ? s.let(singleBits(operation.single(single(x), single(y))))
      : s.let(bits(operation.double(a, b)));
  const ordinary = operation.tinyIsExact === true ? finite(result, precision) : surelyNormal(result, precision);
  s.if(i32.or(sticky.special, i32.eqz(ordinary)), () => {
    const zero = i32.and(isNull(number(result, precision)), operation.exactZero(a, b));
    s.if(i32.or(sticky.special, i32.eqz(zero)), () => sticky.leave());
  });
  s.if(i32.eqz(sticky.inexact), () => {
    if (precision === 'single') {
      s.if(operation.singleInexact(s, a, b, singleAsDouble(result)), () => sticky.raiseInexact());
      return;
    }
    s.if(i32.eqz(i32.and(isEasy(x), isEasy(y))), () => sticky.leave());
    s.if(f64.ne(operation.rest(s, a, b).rest, ZERO), () => sticky.raiseInexact());
  });
  return result;
}

/** The result of `x * y + z`. */
export function multiplyAdd(s: S, precision: Precision, x: D, y: D, z: D, sticky: Sticky): D {
  const [a, b, c] = [x, y, z].map((v) => s.let(number(v, precision))) as [Double, Double, Double];
  if (precision === 'double') {
    s.if(i32.or(sticky.special, i32.eqz(i32.and(isEasy(x), i32.and(isEasy(y), isEasy(z))))), () => sticky.leave());
    const sum = fused(s, a, b, c);
    if (sum.doubtful !== undefined) s.if(sum.doubtful, () => sticky.leave());
    s.if(i32.and(i32.eqz(sticky.inexact), f64.ne(sum.rest, ZERO)), () => sticky.raiseInexact());
    return s.let(bits(sum.value));
  }
  // The product of two singles is a double.
  const sum = twoSum(s, s.let(f64.mul(a, b)), c);
  const odd = toOdd(s, sum);
  const result = s.let(singleBits(f32.demoteF64(odd)));
  s.if(i32.or(sticky.special, i32.eqz(surelyNormal(result, precision))), () => {
    s.if(i32.or(sticky.special, f64.ne(odd, ZERO)), () => sticky.leave());
  });
  const inexact = i32.and(i32.eqz(sticky.inexact), f64.ne(singleAsDouble(result), odd));
  s.if(inexact, () => sticky.raiseInexact());
  return result;
}

/** A double as a single. */
export function shorten(s: S, x: D, sticky: Sticky): D {
  const a = s.let(f64.reinterpretI64(x));
  const result = s.let(singleBits(f32.demoteF64(a)));
  s.if(i32.or(sticky.special, i32.eqz(surelyNormal(result, 'single'))), () => {
    s.if(i32.or(sticky.special, f64.ne(a, ZERO)), () => sticky.leave());
  });
  const inexact = i32.and(i32.eqz(sticky.inexact), f64.ne(singleAsDouble(result), a));
  s.if(inexact, () => sticky.raiseInexact());
  return result;
}

/** A single as a double: exact but for NaNs, which are left. */
export function lengthen(s: S, x: D, sticky: Sticky): D {
  const a = s.let(singleAsDouble(x));
  s.if(i32.or(sticky.special, f64.ne(a, a)), () => sticky.leave());
  return s.let(bits(a));
}

/** Rounding to an integral value, by direction. */
export type Direction = 'nearest' | 'zero' | 'up' | 'down' | 'away';

function integral(s: S, a: Double, direction: Direction): Double {
  if (direction === 'nearest') return s.let(f64.nearest(a));
  if (direction === 'up') return s.let(f64.ceil(a));
  if (direction === 'down') return s.let(f64.floor(a));
  const cut = s.let(f64.trunc(a));
  if (direction === 'zero') return cut;
  // Halves go away from 0; what was cut off is exact.
  const half = f64.ge(f64.abs(f64.sub(a, cut)), f64.const(0.5));
  return s.let(select(half, f64.add(cut, f64.copysign(f64.const(1), a)), cut));
}

/** Rounded to an integral value in the same format; `inexact` where changing it raises that. NaNs are left. */
export function toIntegral(
  s: S,
  precision: Precision,
  x: D,
  direction: Direction,
  inexact: boolean,
  sticky: Sticky,
): D {
  const a = s.let(number(x, precision));
  s.if(i32.or(sticky.special, f64.ne(a, a)), () => sticky.leave());
  // Of a number between −1 and 0 the sign stays.
  const value = s.let(f64.copysign(integral(s, a, direction), a));
  if (inexact) s.if(i32.and(i32.eqz(sticky.inexact), f64.ne(value, a)), () => sticky.raiseInexact());
  return s.let(precision === 'single' ? singleBits(f32.demoteF64(value)) : bits(value));
}

/** Least and greatest doubles between which integers lie that a width holds; the upper ones of 64 bits are themselves too great. */
const RANGES = {
  s32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  s64: [-(2 ** 63), 2 ** 63 - 1024],
  u64: [0, 2 ** 64 - 2048],
} as const;

/** An integer of 32 or 64 bits, which the low bits of the result are (an unsigned or negative one of 32 bits extended). */
export function toInteger(
  s: S,
  precision: Precision,
  x: D,
  width: 32 | 64,
  signed: boolean,
  direction: Direction,
  sticky: Sticky,
): D {
  const a = s.let(number(x, precision));
  const value = integral(s, a, direction);
  const [least, greatest] = RANGES[`${signed ? 's' : 'u'}${width}`];
  const fits = i32.and(f64.ge(value, f64.const(least)), f64.le(value, f64.const(greatest)));
  s.if(i32.or(sticky.special, i32.eqz(fits)), () => sticky.leave());
  s.if(i32.and(i32.eqz(sticky.inexact), f64.ne(value, a)), () => sticky.raiseInexact());
  return s.let(signed ? i64.truncSatF64S(value) : i64.truncSatF64U(value));
}

/** A number from an integer of 64 bits. */
export function fromInteger(s: S, precision: Precision, integer: D, signed: boolean, sticky: Sticky): D {
  const v = s.let(integer);
  s.if(sticky.special, () => sticky.leave());
  s.if(i32.eqz(sticky.inexact), () => {
    const size = s.let(signed ? select(i64.ltS(v, i64.const(0)), i64.neg(v), v) : v);
    const length = i64.sub(i64.const(64), i64.add(i64.clz(size), i64.ctz(size)));
    // Of 0 that is negative.
    const inexact = i64.gtS(length, i64.const(precision === 'single' ? 24 : 53));
    s.if(inexact, () => sticky.raiseInexact());
  });
  if (precision === 'single') return s.let(singleBits(signed ? f32.convertI64S(v) : f32.convertI64U(v)));
  return s.let(bits(signed ? f64.convertI64S(v) : f64.convertI64U(v)));
}

/** Which of two numbers is less, and whether they are equal; NaNs are left. */
export function compare(
  s: S,
  precision: Precision,
  x: D,
  y: D,
  sticky: Sticky,
): { readonly less: W; readonly equal: W } {
  const [a, b] = [s.let(number(x, precision)), s.let(number(y, precision))];
  const unordered = i32.or(f64.ne(a, a), f64.ne(b, b));
  s.if(i32.or(sticky.special, unordered), () => sticky.leave());
  return { less: s.let(f64.lt(a, b)), equal: s.let(f64.eq(a, b)) };
}

/** The lesser or the greater of two numbers, −0 being less than 0; NaNs are left. */
export function extreme(s: S, precision: Precision, which: 'min' | 'max', x: D, y: D, sticky: Sticky): D {
  const [a, b] = [s.let(number(x, precision)), s.let(number(y, precision))];
  s.if(i32.or(sticky.special, i32.or(f64.ne(a, a), f64.ne(b, b))), () => sticky.leave());
  const value = s.let(f64[which](a, b));
  return s.let(precision === 'single' ? singleBits(f32.demoteF64(value)) : bits(value));
}
