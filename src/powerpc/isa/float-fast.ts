import {
  between,
  bits,
  type Double,
  exponent,
  fused,
  isEasy,
  isZero,
  narrowed,
  quotient,
  type Rounded,
  root,
  toOdd,
  twoProduct,
  twoSum,
  ZERO,
} from '../../float/error-free.ts';
import { f64, i32, i64, select } from '../../wasm/expr.ts';
import { type D, instructionWord, low, type S, type W } from './common.ts';
import { HELPER, TRAP } from './helpers.ts';
import { fpr, fpscr } from './state.ts';

/**
 * Floating point arithmetic in generated code, for the case that nearly all of it is: rounding to nearest, no exception enabled, and operands that
 * are 0 or far from the ends of the exponent range. Error-free transformations tell there whether a result is exact and on which side of it the exact
 * one lies, so FPSCR is right to the bit. Everything else goes to `executeFloat` by `TRAP.softFloat`.
 */

/** Biased exponents of singles that are normal after rounding whichever way. */
const LOWEST_SINGLE = 0x382;
const HIGHEST_SINGLE = 0x47d;
const SIGN = i64.const(1n << 63n);

/** FPSCR[VE,OE,UE,ZE,XE,RN]: 0 where results need no more than IEEE's defaults. */
const CONTROLS = i64.const(0xfb);

export type Operation = (s: S, a: Double, b: Double, c: Double) => Rounded;

/** By name of the double precision instruction. */
export const OPERATIONS: Readonly<
  Record<string, { readonly operands: string; readonly negate?: true; readonly make: Operation }>
> = {
  fadd: { operands: 'AB', make: (s, a, b) => twoSum(s, a, b) },
  fsub: { operands: 'AB', make: (s, a, b) => twoSum(s, a, s.let(f64.neg(b))) },
  fmul: { operands: 'AC', make: (s, a, _b, c) => twoProduct(s, a, c) },
  fdiv: { operands: 'AB', make: (s, a, b) => quotient(s, a, b) },
  fsqrt: { operands: 'B', make: (s, _a, b) => root(s, b) },
  fmadd: { operands: 'ABC', make: (s, a, b, c) => fused(s, a, c, b) },
  fmsub: { operands: 'ABC', make: (s, a, b, c) => fused(s, a, c, s.let(f64.neg(b))) },
  fnmadd: { operands: 'ABC', negate: true, make: (s, a, b, c) => fused(s, a, c, b) },
  fnmsub: { operands: 'ABC', negate: true, make: (s, a, b, c) => fused(s, a, c, s.let(f64.neg(b))) },
};

/** Leaves the instruction to `executeFloat` where it does not go the easy way, or shall set CR1. */
function unlessEasy(s: S, hard: W): void {
  s.if(i32.or(hard, s.field('Rc')), () => s.trap(TRAP.softFloat, instructionWord(s)));
}

const controlled = (s: S): W => i64.ne(i64.and(s.get(fpscr), CONTROLS), i64.const(0));

/** Sets FR, FI, XX, FX, and FPRF where `flags` are given. */
function setStatus(s: S, inexact: W, incremented: W, flags: W | null): void {
  const old = s.let(low(s.get(fpscr)));
  const kept = i32.and(old, i32.const(flags === null ? ~0x60000 : ~0x7f000));
  const fresh = i32.shl(i32.and(i32.xor(old, i32.const(-1)), i32.const(0x02000000)), i32.const(6));
  const raised = select(inexact, i32.or(fresh, i32.const(0x02020000)), i32.const(0));
  const up = i32.shl(incremented, i32.const(18));
  const word = i32.or(i32.or(kept, raised), flags === null ? up : i32.or(up, flags));
  const upper = i64.and(s.get(fpscr), i64.const(0xffffffff00000000n));
  s.set(fpscr, i64.or(upper, i64.extendU(word)));
}

/** FPRF of a number that is zero or normal. */
function classOf(s: S, v: D): W {
  const negative = s.let(i64.ltS(v, i64.const(0)));
  const normal = select(negative, i32.const(0x08000), i32.const(0x04000));
  return s.let(select(isZero(v), select(negative, i32.const(0x12000), i32.const(0x02000)), normal));
}

const magnitude = (v: Double): Double => f64.abs(v);

/** An arithmetic instruction, in single precision or in double; without a fast path it is left to `executeFloat` at once. */
export function arithmetic(s: S, name: string, single: boolean): void {
  const operation = OPERATIONS[name];
  if (operation === undefined) return s.helper(HELPER.float, instructionWord(s));
  let hard = controlled(s);
  const read = (letter: string): Double => {
    if (!operation.operands.includes(letter)) return ZERO;
    const v = s.let(s.getAt(fpr, s.field(`FR${letter}`)));
    hard = i32.or(hard, i32.eqz(isEasy(v)));
    if (single) hard = i32.or(hard, i32.ne(i32.and(low(v), i32.const(0x1fffffff)), i32.const(0)));
    return s.let(f64.reinterpretI64(v));
  };
  const rounded = operation.make(s, read('A'), read('B'), read('C'));
  if (rounded.doubtful !== undefined) hard = i32.or(hard, rounded.doubtful);
  deliver(s, rounded, hard, single, operation.negate === true);
}

/** Rounds on to single precision where asked for, and writes the result and its flags. */
function deliver(s: S, rounded: Rounded, hard: W, single: boolean, negate = false): void {
  let { value } = rounded;
  let inexact: W;
  let incremented: W;
  if (single) {
    const odd = toOdd(s, rounded);
    const short = narrowed(s, odd);
    value = short.value;
    inexact = s.let(short.inexact);
    incremented = s.let(f64.gt(magnitude(value), magnitude(odd)));
    const v = bits(value);
    hard = i32.or(hard, i32.eqz(i32.or(between(v, LOWEST_SINGLE, HIGHEST_SINGLE), f64.eq(odd, ZERO))));
  } else {
    inexact = s.let(f64.ne(rounded.rest, ZERO));
    incremented = s.let(i32.and(inexact, i64.ltS(i64.xor(bits(rounded.rest), bits(value)), i64.const(0))));
  }
  const result = s.let(negate ? i64.xor(bits(value), SIGN) : bits(value));
  unlessEasy(s, hard);
  setStatus(s, inexact, incremented, classOf(s, result));
  s.setAt(fpr, s.field('FRT'), result);
}

/** frsp. */
export function roundToSingle(s: S): void {
  const v = s.let(s.getAt(fpr, s.field('FRB')));
  const value = s.let(f64.reinterpretI64(v));
  const hard = i32.or(controlled(s), i32.eqz(isEasy(v)));
  deliver(s, { value, rest: ZERO }, hard, true);
}

/** fcfid and its forms, for integers that the format holds. */
export function fromInteger(s: S, signed: boolean, single: boolean): void {
  const v = s.let(s.getAt(fpr, s.field('FRB')));
  const limit = 1n << (single ? 24n : 53n);
  const fits = signed ? i64.leU(i64.add(v, i64.const(limit)), i64.const(2n * limit)) : i64.leU(v, i64.const(limit));
  const result = s.let(bits(f64.convertI64S(v)));
  unlessEasy(s, i32.or(controlled(s), i32.eqz(fits)));
  setStatus(s, i32.const(0), i32.const(0), classOf(s, result));
  s.setAt(fpr, s.field('FRT'), result);
}

/** fctidz, fctiwz: towards zero, for results that fit. */
export function truncate(s: S, width: 32 | 64): void {
  const v = s.let(s.getAt(fpr, s.field('FRB')));
  const power = s.let(i64.sub(exponent(v), i64.const(1023)));
  const small = s.let(i64.ltS(power, i64.const(0)));
  const significand = s.let(i64.or(i64.and(v, i64.const((1n << 52n) - 1n)), i64.const(1n << 52n)));
  const down = s.let(i64.and(i64.sub(i64.const(52), power), i64.const(63)));
  const long = s.let(i64.gtS(power, i64.const(52)));
  const cut = i64.shrU(significand, down);
  const size = s.let(
    select(small, i64.const(0), select(long, i64.shl(significand, i64.sub(power, i64.const(52))), cut)),
  );
  const lost = i32.and(i32.eqz(long), i64.ne(i64.shl(size, down), significand));
  const inexact = s.let(select(small, i32.eqz(isZero(v)), lost));
  const result = s.let(select(i64.ltS(v, i64.const(0)), i64.neg(size), size));
  unlessEasy(s, i32.or(controlled(s), i64.gtS(power, i64.const(width - 2))));
  setStatus(s, inexact, i32.const(0), null);
  s.setAt(fpr, s.field('FRT'), result);
}
