import { type Expr, i32, i64, select } from '../../wasm/expr.ts';
import type { I32 } from '../../wasm/types.ts';
import { type ArmInstruction, type D, define, holds, low, reg, type S, setReg, zext } from './common.ts';
import { requireVectorAccess, setVector, vector, vectorHigh } from './vector-registers.ts';

/** Floating point instructions that only move bits (Arm ARM, C7.2: FMOV, FABS, FNEG, FCSEL): they round nothing and raise nothing. */

/** Single and double precision; half precision needs FEAT_FP16. */
const PRECISIONS = [
  { ftype: '00', letter: 'S', sign: 1n << 31n, width: 32n },
  { ftype: '01', letter: 'D', sign: 1n << 63n, width: 64n },
] as const;
type Precision = (typeof PRECISIONS)[number];

/** The low part of a V register as wide as the precision, zero-extended. */
const value = (s: S, field: string, { width }: Precision): D =>
  width === 64n ? vector(s, field) : zext(vector(s, field));

const unary = (name: string, opcode: string, precision: Precision, operation: (value: D) => D): ArmInstruction =>
  define({
    name,
    encoding: `000 11110 ${precision.ftype} 1 ${opcode} 10000 Rn:5 Rd:5`,
    operands: `{${precision.letter}d},{${precision.letter}n}`,
    meaning(s) {
      requireVectorAccess(s);
      setVector(s, 'Rd', operation(value(s, 'Rn', precision)));
    },
  });

const conditionalSelect = (precision: Precision): ArmInstruction =>
  define({
    name: 'fcsel',
    encoding: `000 11110 ${precision.ftype} 1 Rm:5 cond:4 11 Rn:5 Rd:5`,
    operands: `{${precision.letter}d},{${precision.letter}n},{${precision.letter}m},{cond}`,
    split: ['cond'],
    meaning(s) {
      requireVectorAccess(s);
      const chosen = select(holds(s, 'cond'), value(s, 'Rn', precision), value(s, 'Rm', precision));
      setVector(s, 'Rd', chosen);
    },
  });

/** VFPExpandImm: sign, three bits of exponent of which the first is inverted and repeated, four bits of fraction. */
function expandImmediate(imm: Expr<I32>, { width }: Precision): D {
  const [repeats, fraction] = width === 64n ? [8, 52n] : [5, 23n];
  const bit = (n: number): D => i64.extendU(i32.and(i32.shrU(imm, i32.const(n)), i32.const(1)));
  const field = (from: number, mask: number): D =>
    i64.extendU(i32.and(i32.shrU(imm, i32.const(from)), i32.const(mask)));
  const sign = i64.shl(bit(7), i64.const(width - 1n));
  const first = i64.shl(i64.xor(bit(6), i64.const(1)), i64.const(width - 2n));
  const repeated = i64.shl(i64.mul(bit(6), i64.const((1n << BigInt(repeats)) - 1n)), i64.const(fraction + 2n));
  const rest = i64.or(i64.shl(field(4, 3), i64.const(fraction)), i64.shl(field(0, 15), i64.const(fraction - 4n)));
  return i64.or(i64.or(sign, first), i64.or(repeated, rest));
}

const immediate = (precision: Precision): ArmInstruction =>
  define({
    name: 'fmov',
    encoding: `000 11110 ${precision.ftype} 1 imm8:8 100 00000 Rd:5`,
    operands: `{${precision.letter}d},{imm8}`,
    meaning(s) {
      requireVectorAccess(s);
      setVector(s, 'Rd', s.let(expandImmediate(s.field('imm8'), precision)));
    },
  });

/** Between general and V registers. */
const between = (encoding: string, operands: string, move: (s: S) => void): ArmInstruction =>
  define({
    name: 'fmov',
    encoding,
    operands,
    meaning(s) {
      requireVectorAccess(s);
      move(s);
    },
  });

export const FLOAT_MOVE: readonly ArmInstruction[] = [
  ...PRECISIONS.flatMap((precision) => [
    unary('fmov', '000000', precision, (v) => v),
    unary('fabs', '000001', precision, (v) => i64.and(v, i64.const(precision.sign - 1n))),
    unary('fneg', '000010', precision, (v) => i64.xor(v, i64.const(precision.sign))),
    conditionalSelect(precision),
    immediate(precision),
  ]),
  between('0 00 11110 00 1 00 110 000000 Rn:5 Rd:5', '{Wd},{Sn}', (s) => setReg(s, 'Rd', zext(vector(s, 'Rn')))),
  between('0 00 11110 00 1 00 111 000000 Rn:5 Rd:5', '{Sd},{Wn}', (s) =>
    setVector(s, 'Rd', i64.extendU(low(reg(s, 'Rn')))),
  ),
  between('1 00 11110 01 1 00 110 000000 Rn:5 Rd:5', '{Xd},{Dn}', (s) => setReg(s, 'Rd', vector(s, 'Rn'))),
  between('1 00 11110 01 1 00 111 000000 Rn:5 Rd:5', '{Dd},{Xn}', (s) => setVector(s, 'Rd', reg(s, 'Rn'))),
  between('1 00 11110 10 1 01 110 000000 Rn:5 Rd:5', '{Xd},{Vn.d[1]}', (s) => setReg(s, 'Rd', vectorHigh(s, 'Rn'))),
  between('1 00 11110 10 1 01 111 000000 Rn:5 Rd:5', '{Vd.d[1]},{Xn}', (s) =>
    setVector(s, 'Rd', vector(s, 'Rd'), reg(s, 'Rn')),
  ),
];
