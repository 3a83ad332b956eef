import { i32, i64, select } from '../../wasm/expr.ts';
import {
  type D,
  define,
  fromWord,
  low,
  type PowerInstruction,
  putReg,
  record,
  recordIfRc,
  reg,
  type S,
  setReg,
  uimm,
} from './common.ts';

/** Fixed-point logical instructions (Power ISA 3.0B, book I, 3.3.13). */

const rs = (s: S): D => reg(s, 'RS');
const rb = (s: S): D => reg(s, 'RB');
const BYTE_ONES = i64.const(0x0101010101010101n);
const BYTE_LOW_7 = i64.const(0x7f7f7f7f7f7f7f7fn);

function immediate(name: string, opcode: string, recorded: boolean, meaning: (s: S) => D): PowerInstruction {
  return define({
    name,
    encoding: `${opcode} RS:5 RA:5 UI:16`,
    operands: '{RA},{RS},{UI}',
    meaning(s) {
      const result = putReg(s, 'RA', meaning(s));
      if (recorded) record(s, result);
    },
  });
}

const ui = (s: S): D => uimm(s, 'UI');
const uiShifted = (s: S): D => i64.shl(uimm(s, 'UI'), i64.const(16));

const IMMEDIATES: readonly PowerInstruction[] = [
  immediate('andi.', '011100', true, (s) => i64.and(rs(s), ui(s))),
  immediate('andis.', '011101', true, (s) => i64.and(rs(s), uiShifted(s))),
  immediate('ori', '011000', false, (s) => i64.or(rs(s), ui(s))),
  immediate('oris', '011001', false, (s) => i64.or(rs(s), uiShifted(s))),
  immediate('xori', '011010', false, (s) => i64.xor(rs(s), ui(s))),
  immediate('xoris', '011011', false, (s) => i64.xor(rs(s), uiShifted(s))),
];

/** X form with two sources; every such instruction can record. */
export function logical(name: string, xo: string, meaning: (s: S) => D): PowerInstruction {
  return define({
    name,
    encoding: `011111 RS:5 RA:5 RB:5 ${xo} Rc:1`,
    operands: '{RA},{RS},{RB}',
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RA', meaning(s))),
  });
}

const BINARY: readonly PowerInstruction[] = [
  logical('and', '0000011100', (s) => i64.and(rs(s), rb(s))),
  logical('or', '0110111100', (s) => i64.or(rs(s), rb(s))),
  logical('xor', '0100111100', (s) => i64.xor(rs(s), rb(s))),
  logical('nand', '0111011100', (s) => i64.not(i64.and(rs(s), rb(s)))),
  logical('nor', '0001111100', (s) => i64.not(i64.or(rs(s), rb(s)))),
  logical('andc', '0000111100', (s) => i64.and(rs(s), i64.not(rb(s)))),
  logical('orc', '0110011100', (s) => i64.or(rs(s), i64.not(rb(s)))),
  logical('eqv', '0100011100', (s) => i64.not(i64.xor(rs(s), rb(s)))),
];

function unary(name: string, xo: string, meaning: (s: S, source: D) => D): PowerInstruction {
  return define({
    name,
    encoding: `011111 RS:5 RA:5 00000 ${xo} Rc:1`,
    operands: '{RA},{RS}',
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RA', meaning(s, s.let(rs(s))))),
  });
}

function unaryPlain(name: string, xo: string, meaning: (s: S, source: D) => D): PowerInstruction {
  return define({
    name,
    encoding: `011111 RS:5 RA:5 00000 ${xo} 0`,
    operands: '{RA},{RS}',
    meaning: (s) => setReg(s, 'RA', meaning(s, s.let(rs(s)))),
  });
}

/** Number of ones in each byte, in that byte. */
function bytePopulation(s: S, source: D): D {
  const and = (v: D, mask: bigint): D => i64.and(v, i64.const(mask));
  const pairs = s.let(i64.sub(source, and(i64.shrU(source, i64.const(1)), 0x5555555555555555n)));
  const nibbles = s.let(
    i64.add(and(pairs, 0x3333333333333333n), and(i64.shrU(pairs, i64.const(2)), 0x3333333333333333n)),
  );
  return and(i64.add(nibbles, i64.shrU(nibbles, i64.const(4))), 0x0f0f0f0f0f0f0f0fn);
}

const UNARY: readonly PowerInstruction[] = [
  unary('extsb', '1110111010', (_s, v) => i64.extend8(v)),
  unary('extsh', '1110011010', (_s, v) => i64.extend16(v)),
  unary('extsw', '1111011010', (_s, v) => i64.extend32(v)),
  unary('cntlzw', '0000011010', (_s, v) => fromWord(i32.clz(low(v)))),
  unary('cntlzd', '0000111010', (_s, v) => i64.clz(v)),
  unary('cnttzw', '1000011010', (_s, v) => fromWord(i32.ctz(low(v)))),
  unary('cnttzd', '1000111010', (_s, v) => i64.ctz(v)),
  unaryPlain('popcntb', '0001111010', bytePopulation),
  unaryPlain('popcntw', '0101111010', (_s, v) =>
    i64.or(fromWord(i32.popcnt(low(v))), i64.shl(i64.popcnt(i64.shrU(v, i64.const(32))), i64.const(32))),
  ),
  unaryPlain('popcntd', '0111111010', (_s, v) => i64.popcnt(v)),
  unaryPlain('prtyw', '0010011010', (_s, v) => {
    const ones = i64.and(v, i64.const(0x0000000001010101n));
    const upper = i64.and(i64.shrU(v, i64.const(32)), i64.const(0x0000000001010101n));
    const parity = (x: D): D => i64.and(i64.popcnt(x), i64.const(1));
    return i64.or(parity(ones), i64.shl(parity(upper), i64.const(32)));
  }),
  unaryPlain('prtyd', '0010111010', (_s, v) => i64.and(i64.popcnt(i64.and(v, BYTE_ONES)), i64.const(1))),
];

function plain(name: string, xo: string, meaning: (s: S) => D): PowerInstruction {
  return define({
    name,
    encoding: `011111 RS:5 RA:5 RB:5 ${xo} 0`,
    operands: '{RA},{RS},{RB}',
    meaning: (s) => setReg(s, 'RA', meaning(s)),
  });
}

/** A byte of ones for each byte in which the operands agree. */
function equalBytes(s: S): D {
  const difference = s.let(i64.xor(rs(s), rb(s)));
  const low7 = i64.add(i64.and(difference, BYTE_LOW_7), BYTE_LOW_7);
  const differs = i64.or(i64.or(low7, difference), BYTE_LOW_7);
  const agrees = s.let(i64.shrU(i64.not(differs), i64.const(7)));
  return i64.mul(agrees, i64.const(0xff));
}

/** Bit RS[index] for each of the eight index bytes of RS, taken from RB; 0 for an index above 63. */
function permutedBits(s: S): D {
  const indexes = s.let(rs(s));
  const source = s.let(rb(s));
  let result: D = i64.const(0);
  for (let i = 0; i < 8; i++) {
    const index = s.let(i64.and(i64.shrU(indexes, i64.const(8 * i)), i64.const(0xff)));
    const bit = i64.and(i64.shrU(source, i64.sub(i64.const(63), index)), i64.const(1));
    const kept = select(i64.ltU(index, i64.const(64)), bit, i64.const(0));
    result = s.let(i64.or(result, i64.shl(kept, i64.const(i))));
  }
  return result;
}

const OTHERS: readonly PowerInstruction[] = [
  plain('cmpb', '0111111100', equalBytes),
  plain('bpermd', '0011111100', permutedBits),
];

/** Shifts take one bit more of RB than the width needs, so that a shift by the width or more gives 0 (3.3.14.2). */
const SHIFTS: readonly PowerInstruction[] = [
  logical('slw', '0000011000', (s) => {
    const n = s.let(i32.and(low(rb(s)), i32.const(63)));
    return fromWord(select(i32.gtU(n, i32.const(31)), i32.const(0), i32.shl(low(rs(s)), n)));
  }),
  logical('srw', '1000011000', (s) => {
    const n = s.let(i32.and(low(rb(s)), i32.const(63)));
    return fromWord(select(i32.gtU(n, i32.const(31)), i32.const(0), i32.shrU(low(rs(s)), n)));
  }),
  logical('sld', '0000011011', (s) => {
    const n = s.let(i64.and(rb(s), i64.const(127)));
    return select(i64.gtU(n, i64.const(63)), i64.const(0), i64.shl(rs(s), n));
  }),
  logical('srd', '1000011011', (s) => {
    const n = s.let(i64.and(rb(s), i64.const(127)));
    return select(i64.gtU(n, i64.const(63)), i64.const(0), i64.shrU(rs(s), n));
  }),
];

export const FIXED_LOGICAL: readonly PowerInstruction[] = [...IMMEDIATES, ...BINARY, ...UNARY, ...OTHERS, ...SHIFTS];
