import { i32, i64, select } from '../../wasm/expr.ts';
import { PGM } from '../abi.ts';
import {
  base,
  type D,
  define,
  gr,
  gr32,
  low,
  odd,
  requireEven,
  type S,
  type S390Instruction,
  setGr,
  setGr32,
  setGrHigh,
  sext,
  type W,
  withLow,
  zext,
} from './common.ts';
import { setConditions, setSign, setZero } from './condition.ts';
import { gpr } from './state.ts';

/** Shifts, rotations, and rotations that go into a range of bits (Principles of Operation, chapter 7). */

/** The amount: six bits of the second operand's address, at which nothing is accessed. */
function amount(s: S): W {
  const { fields } = (s.instruction as S390Instruction).pattern;
  const displacement = fields.has('D2') ? s.field('D2') : s.field('DL2');
  return s.let(i32.and(i32.add(low(base(s, 'B2')), displacement), i32.const(63)));
}

/** Register that is shifted: R3 where there is one, else R1. */
const source = (s: S): string => ((s.instruction as S390Instruction).has('R3') ? 'R3' : 'R1');

const n64 = (n: W): D => zext(n);

/** Overflow of a shift to the left by n of a number with sign and `bits` in all: a bit like the sign is not all that leaves. */
function leaves(v: D, n: W, bits: 32 | 64): W {
  const kept =
    bits === 64
      ? i32.sub(i32.const(63), n)
      : select(i32.gtS(n, i32.const(31)), i32.const(0), i32.sub(i32.const(31), n));
  const differs = i64.ne(i64.shrS(v, n64(kept)), i64.shrS(v, i64.const(63)));
  // Behind the number's own bits, zeros leave.
  return bits === 64 ? differs : i32.or(differs, i32.and(i32.gtS(n, i32.const(31)), i64.ltS(v, i64.const(0))));
}

/** Result of that shift: the sign stays. `v` is sign-extended. */
function shiftedLeft(v: D, n: W, bits: 32 | 64): D {
  const sign = i64.const(1n << BigInt(bits - 1));
  return i64.or(i64.and(i64.shl(v, n64(n)), i64.const((1n << BigInt(bits - 1)) - 1n)), i64.and(v, sign));
}

function setShifted(s: S, result: D, overflow: W): void {
  const within = i32.eqz(overflow);
  setConditions(s, [
    i32.and(i64.eqz(result), within),
    i32.and(i64.ltS(result, i64.const(0)), within),
    i32.and(i64.gtS(result, i64.const(0)), within),
    overflow,
  ]);
  if (s.mode.fixedOverflow) s.if(overflow, () => s.trap(PGM.FIXED_POINT_OVERFLOW));
}

type Direction = 'left' | 'right';

/** Shifts of one register. */
function single(
  name: string,
  opcode: string,
  format: 'RSs' | 'RSY',
  bits: 32 | 64,
  direction: Direction,
  arithmetic: boolean,
): S390Instruction {
  return define({
    name,
    opcode,
    format,
    ...(format === 'RSY' && { operands: '{R1},{R3},{S2}' }),
    meaning(s) {
      const n = amount(s);
      const from = source(s);
      const v = s.let(bits === 64 ? gr(s, from) : arithmetic ? sext(gr32(s, from)) : zext(gr32(s, from)));
      const set = (result: D): void => {
        if (bits === 64) setGr(s, 'R1', result);
        else setGr32(s, 'R1', low(result));
      };
      if (!arithmetic) return set(direction === 'left' ? i64.shl(v, n64(n)) : i64.shrU(v, n64(n)));
      if (direction === 'right') {
        const result = s.let(i64.shrS(v, n64(n)));
        set(result);
        setSign(s, result);
        return;
      }
      const overflow = s.let(leaves(v, n, bits));
      const shifted = shiftedLeft(v, n, bits);
      const result = s.let(bits === 64 ? shifted : i64.extend32(shifted));
      set(result);
      setShifted(s, result, overflow);
    },
  });
}

/** Shifts of the low halves of an even-odd pair. */
function double(name: string, opcode: string, direction: Direction, arithmetic: boolean): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RSs',
    meaning(s) {
      requireEven(s, 'R1');
      const n = amount(s);
      const second = odd(s, 'R1');
      const v = s.let(i64.or(i64.shl(gr(s, 'R1'), i64.const(32)), zext(low(s.getAt(gpr, second)))));
      const set = (result: D): void => {
        setGr32(s, 'R1', low(i64.shrU(result, i64.const(32))));
        s.setAt(gpr, second, withLow(s.getAt(gpr, second), low(result)));
      };
      if (!arithmetic) return set(s.let(direction === 'left' ? i64.shl(v, n64(n)) : i64.shrU(v, n64(n))));
      if (direction === 'right') {
        const result = s.let(i64.shrS(v, n64(n)));
        set(result);
        setSign(s, result);
        return;
      }
      const overflow = s.let(leaves(v, n, 64));
      const result = s.let(shiftedLeft(v, n, 64));
      set(result);
      setShifted(s, result, overflow);
    },
  });
}

/** Ones from bit `from` to bit `to` (IBM numbering), around the end where `from` is behind `to`. */
function range(s: S, from: W, to: W): D {
  const right = i64.shrU(i64.const(-1n), n64(from));
  const left = i64.shl(i64.const(-1n), n64(i32.sub(i32.const(63), to)));
  const wraps = i32.gtU(from, to);
  const known = s.known(wraps);
  if (known !== undefined) return known === 1 ? i64.or(right, left) : i64.and(right, left);
  return select(wraps, i64.or(right, left), i64.and(right, left));
}

const six = (s: S, field: string): W => i32.and(s.field(field), i32.const(63));
const flag = (s: S, field: string): W => i32.shrU(s.field(field), i32.const(7));

/** Rotate then insert: the range from R2, the rest from R1, or zeros where I4 says so. */
function rotateThenInsert(name: string, opcode: string, setsCondition: boolean): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RIEf',
    meaning(s) {
      const mask = s.let(range(s, six(s, 'I3'), six(s, 'I4')));
      const inserted = i64.and(i64.rotl(gr(s, 'R2'), n64(six(s, 'I5'))), mask);
      const kept = s.select(flag(s, 'I4'), i64.const(0), i64.and(gr(s, 'R1'), i64.not(mask)));
      const result = s.let(i64.or(inserted, kept));
      setGr(s, 'R1', result);
      if (setsCondition) setSign(s, result);
    },
  });
}

/** Rotate then AND, OR, XOR: on the range only. With the first bit of I3 the result is only tested. */
function rotateThen(name: string, opcode: string, operation: 'and' | 'or' | 'xor'): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RIEf',
    meaning(s) {
      const mask = s.let(range(s, six(s, 'I3'), six(s, 'I4')));
      const rotated = i64.rotl(gr(s, 'R2'), n64(six(s, 'I5')));
      const b = operation === 'and' ? i64.or(rotated, i64.not(mask)) : i64.and(rotated, mask);
      const result = s.let(i64[operation](gr(s, 'R1'), b));
      const zero = s.let(i64.eqz(i64.and(result, mask)));
      s.if(i32.eqz(flag(s, 'I3')), () => setGr(s, 'R1', result));
      setZero(s, zero);
    },
  });
}

/** Rotate then insert into one half of R1, from the same half of the rotated R2; positions count within the half. */
function rotateThenInsertHalf(name: string, opcode: string, half: 'high' | 'low'): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RIEf',
    meaning(s) {
      const position = (field: string): W => i32.and(s.field(field), i32.const(31));
      const from = position('I3');
      const to = position('I4');
      const right = i32.shrU(i32.const(-1), from);
      const left = i32.shl(i32.const(-1), i32.sub(i32.const(31), to));
      const mask = s.let(select(i32.gtU(from, to), i32.or(right, left), i32.and(right, left)));
      const part = (v: D): W => low(half === 'high' ? i64.shrU(v, i64.const(32)) : v);
      const rotated = part(i64.rotl(gr(s, 'R2'), n64(six(s, 'I5'))));
      const others = i32.and(part(gr(s, 'R1')), i32.xor(mask, i32.const(-1)));
      const kept = s.select(flag(s, 'I4'), i32.const(0), others);
      const result = i32.or(i32.and(rotated, mask), kept);
      if (half === 'high') setGrHigh(s, 'R1', result);
      else setGr32(s, 'R1', result);
    },
  });
}

export const SHIFT: readonly S390Instruction[] = [
  single('sll', '89', 'RSs', 32, 'left', false),
  single('srl', '88', 'RSs', 32, 'right', false),
  single('sla', '8B', 'RSs', 32, 'left', true),
  single('sra', '8A', 'RSs', 32, 'right', true),
  single('sllk', 'EBDF', 'RSY', 32, 'left', false),
  single('srlk', 'EBDE', 'RSY', 32, 'right', false),
  single('slak', 'EBDD', 'RSY', 32, 'left', true),
  single('srak', 'EBDC', 'RSY', 32, 'right', true),
  single('sllg', 'EB0D', 'RSY', 64, 'left', false),
  single('srlg', 'EB0C', 'RSY', 64, 'right', false),
  single('slag', 'EB0B', 'RSY', 64, 'left', true),
  single('srag', 'EB0A', 'RSY', 64, 'right', true),
  double('sldl', '8D', 'left', false),
  double('srdl', '8C', 'right', false),
  double('slda', '8F', 'left', true),
  double('srda', '8E', 'right', true),
  define({
    name: 'rll',
    opcode: 'EB1D',
    format: 'RSY',
    meaning: (s) => setGr32(s, 'R1', i32.rotl(gr32(s, 'R3'), i32.and(amount(s), i32.const(31)))),
  }),
  define({
    name: 'rllg',
    opcode: 'EB1C',
    format: 'RSY',
    meaning: (s) => setGr(s, 'R1', i64.rotl(gr(s, 'R3'), n64(amount(s)))),
  }),
  rotateThenInsert('risbg', 'EC55', true),
  rotateThenInsert('risbgn', 'EC59', false),
  rotateThen('rnsbg', 'EC54', 'and'),
  rotateThen('rosbg', 'EC56', 'or'),
  rotateThen('rxsbg', 'EC57', 'xor'),
  rotateThenInsertHalf('risbhg', 'EC5D', 'high'),
  rotateThenInsertHalf('risblg', 'EC51', 'low'),
];
