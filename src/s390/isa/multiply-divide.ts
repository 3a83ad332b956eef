import type { Expr } from '../../wasm/expr.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { PGM } from '../abi.ts';
import {
  type D,
  define,
  gr,
  high,
  low,
  odd,
  requireEven,
  type S,
  type S390Instruction,
  setGr,
  setGr32,
  sext,
  type W,
  withLow,
  zext,
} from './common.ts';
import type { Format } from './formats.ts';
import { TRAP } from './helpers.ts';
import { gpr } from './state.ts';
import { operand, type Source, W32, W64, type Width } from './width.ts';

/** Multiplication and division (Principles of Operation, chapter 7). Neither sets the condition code. */

type Integer = I32 | I64;
type Row = readonly [name: string, opcode: string, format: Format, width: 32 | 64, source: Source];

/** Product as wide as its operands. */
function multiplySingle([name, opcode, format, bits, source]: Row): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void =>
    w.set(s, 'R1', w.ops.mul(w.get(s, 'R1'), operand(s, w, source)));
  return define({ name, opcode, format, meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64) });
}

/** The odd register of the pair R1. */
const second = (s: S): D => s.getAt(gpr, odd(s, 'R1'));
const setSecond = (s: S, v: D): void => s.setAt(gpr, odd(s, 'R1'), v);
const setSecond32 = (s: S, v: W): void => setSecond(s, withLow(second(s), v));

/** High doubleword of the unsigned 128-bit product. */
export function multiplyHigh(s: S, a: D, b: D): D {
  const [al, ah] = [s.let(zext(low(a))), s.let(i64.shrU(a, i64.const(32)))];
  const [bl, bh] = [s.let(zext(low(b))), s.let(i64.shrU(b, i64.const(32)))];
  const middle = s.let(i64.add(i64.mul(ah, bl), i64.shrU(i64.mul(al, bl), i64.const(32))));
  const lower = s.let(i64.add(i64.mul(al, bh), zext(low(middle))));
  return i64.add(i64.add(i64.mul(ah, bh), i64.shrU(middle, i64.const(32))), i64.shrU(lower, i64.const(32)));
}

/** Product of 64 bits in the low halves of a pair. */
function multiplyPair32(
  name: string,
  opcode: string,
  format: Format,
  source: Source,
  signed: boolean,
): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      requireEven(s, 'R1');
      const wide = signed ? sext : zext;
      const b = wide(operand(s, W32, source));
      const product = s.let(i64.mul(wide(low(second(s))), b));
      setGr32(s, 'R1', high(product));
      setSecond32(s, low(product));
    },
  });
}

/** Product of 128 bits in a pair. */
function multiplyPair64(name: string, opcode: string, format: Format, source: Source): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      requireEven(s, 'R1');
      const b = s.let(operand(s, W64, source));
      const a = s.let(second(s));
      const upper = s.let(multiplyHigh(s, a, b));
      const lower = s.let(i64.mul(a, b));
      setGr(s, 'R1', upper);
      setSecond(s, lower);
    },
  });
}

const noQuotient = (s: S): void => s.trap(PGM.FIXED_POINT_DIVIDE);
const SMALLEST = i64.const(-(1n << 63n));

/** Dividend of 64 bits in the low halves of a pair, divisor and results of 32 bits. */
function dividePair32(name: string, opcode: string, format: Format, source: Source, signed: boolean): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      requireEven(s, 'R1');
      const divisor = s.let((signed ? sext : zext)(operand(s, W32, source)));
      const dividend = s.let(i64.or(i64.shl(gr(s, 'R1'), i64.const(32)), zext(low(second(s)))));
      const bad = i64.eqz(divisor);
      const traps = i32.and(i64.eq(divisor, i64.const(-1n)), i64.eq(dividend, SMALLEST));
      s.if(signed ? i32.or(bad, traps) : bad, () => noQuotient(s));
      const quotient = s.let((signed ? i64.divS : i64.divU)(dividend, divisor));
      const fits = signed ? sext(low(quotient)) : zext(low(quotient));
      s.if(i64.ne(quotient, fits), () => noQuotient(s));
      const remainder = s.let(i64.sub(dividend, i64.mul(quotient, divisor)));
      setGr32(s, 'R1', low(remainder));
      setSecond32(s, low(quotient));
    },
  });
}

/** Dividend of 64 bits in the odd register of a pair, signed. */
function divideSingle64(name: string, opcode: string, format: Format, source: Source): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      requireEven(s, 'R1');
      const divisor = s.let(operand(s, W64, source));
      const dividend = s.let(second(s));
      const overflow = i32.and(i64.eq(divisor, i64.const(-1n)), i64.eq(dividend, SMALLEST));
      s.if(i32.or(i64.eqz(divisor), overflow), () => noQuotient(s));
      const quotient: Expr<I64> = s.let(i64.divS(dividend, divisor));
      setGr(s, 'R1', s.let(i64.sub(dividend, i64.mul(quotient, divisor))));
      setSecond(s, quotient);
    },
  });
}

/** Dividend of 128 bits in a pair, unsigned. A dividend that fits a doubleword is what compilers make; others are left to `perform`. */
function dividePair64(name: string, opcode: string, format: Format, source: Source): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      requireEven(s, 'R1');
      const divisor = s.let(operand(s, W64, source));
      const upper = s.let(gr(s, 'R1'));
      s.if(i64.geU(upper, divisor), () => noQuotient(s));
      s.if(i64.ne(upper, i64.const(0)), () => s.trap(TRAP.perform));
      const dividend = s.let(second(s));
      const quotient = s.let(i64.divU(dividend, divisor));
      setGr(s, 'R1', s.let(i64.sub(dividend, i64.mul(quotient, divisor))));
      setSecond(s, quotient);
    },
  });
}

const SINGLE: readonly Row[] = [
  ['msr', 'B252', 'RRE', 32, 'r'],
  ['msgr', 'B90C', 'RRE', 64, 'r'],
  ['msgfr', 'B91C', 'RRE', 64, 'rs'],
  ['ms', '71', 'RX', 32, 'm'],
  ['msy', 'E351', 'RXY', 32, 'm'],
  ['msg', 'E30C', 'RXY', 64, 'm'],
  ['msgf', 'E31C', 'RXY', 64, 'ms'],
  ['mh', '4C', 'RX', 32, 'mh'],
  ['mhy', 'E37C', 'RXY', 32, 'mh'],
  ['mhi', 'A7C', 'RI', 32, 'i'],
  ['mghi', 'A7D', 'RI', 64, 'i'],
  ['msfi', 'C21', 'RIL', 32, 'i'],
  ['msgfi', 'C20', 'RIL', 64, 'i'],
];

export const MULTIPLY_DIVIDE: readonly S390Instruction[] = [
  ...SINGLE.map(multiplySingle),
  multiplyPair32('mr', '1C', 'RR', 'r', true),
  multiplyPair32('m', '5C', 'RX', 'm', true),
  multiplyPair32('mfy', 'E35C', 'RXY', 'm', true),
  multiplyPair32('mlr', 'B996', 'RRE', 'r', false),
  multiplyPair32('ml', 'E396', 'RXY', 'm', false),
  multiplyPair64('mlgr', 'B986', 'RRE', 'r'),
  multiplyPair64('mlg', 'E386', 'RXY', 'm'),
  dividePair32('dr', '1D', 'RR', 'r', true),
  dividePair32('d', '5D', 'RX', 'm', true),
  dividePair32('dlr', 'B997', 'RRE', 'r', false),
  dividePair32('dl', 'E397', 'RXY', 'm', false),
  divideSingle64('dsgr', 'B90D', 'RRE', 'r'),
  divideSingle64('dsg', 'E30D', 'RXY', 'm'),
  divideSingle64('dsgfr', 'B91D', 'RRE', 'rs'),
  divideSingle64('dsgf', 'E31D', 'RXY', 'ms'),
  dividePair64('dlgr', 'B987', 'RRE', 'r'),
  dividePair64('dlg', 'E387', 'RXY', 'm'),
];
