import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { I32 } from '../../wasm/types.ts';
import { type ArmInstruction, type D, define, type S } from './common.ts';
import { requireVectorAccess, setVector, vector, vectorHigh } from './vector-registers.ts';

/** What compilers use of Advanced SIMD in code without vectors: immediates, bitwise operations and population counts (Arm ARM, C4.1.95). */

/** Both halves of a V register. */
interface Vector {
  readonly low: D;
  readonly high: D;
}

const read = (s: S, field: string): Vector => ({ low: s.let(vector(s, field)), high: s.let(vectorHigh(s, field)) });

/** Writes a result; of 64 bits only the low half. */
const write = (s: S, q: number, { low, high }: Vector): void =>
  setVector(s, 'Rd', s.let(low), q === 1 ? s.let(high) : i64.const(0));

const onVectors = (
  name: string,
  encoding: string,
  operands: string,
  meaning: (s: S, q: number) => void,
  split = ['Q'],
) =>
  define({
    name,
    encoding,
    operands,
    split,
    meaning(s) {
      requireVectorAccess(s);
      meaning(s, s.split('Q'));
    },
  });

type Bitwise = (d: D, n: D, m: D) => D;

/** Three registers, same: by U and size. */
const BITWISE: readonly (readonly [name: string, u: 0 | 1, size: string, operation: Bitwise])[] = [
  ['and', 0, '00', (_, n, m) => i64.and(n, m)],
  ['bic', 0, '01', (_, n, m) => i64.and(n, i64.not(m))],
  ['orr', 0, '10', (_, n, m) => i64.or(n, m)],
  ['orn', 0, '11', (_, n, m) => i64.or(n, i64.not(m))],
  ['eor', 1, '00', (_, n, m) => i64.xor(n, m)],
  ['bsl', 1, '01', (d, n, m) => chosen(d, n, m)],
  ['bit', 1, '10', (d, n, m) => chosen(m, n, d)],
  ['bif', 1, '11', (d, n, m) => chosen(m, d, n)],
];

/** Bits of `a` where `mask` has ones, else of `b`. */
const chosen = (mask: D, a: D, b: D): D => i64.xor(b, i64.and(i64.xor(a, b), mask));

const bitwise = BITWISE.map(([name, u, size, operation]) =>
  onVectors(name, `0 Q:1 ${u} 01110 ${size} 1 Rm:5 00011 1 Rn:5 Rd:5`, '{Vd.b},{Vn.b},{Vm.b}', (s, q) => {
    const [d, n, m] = [read(s, 'Rd'), read(s, 'Rn'), read(s, 'Rm')];
    write(s, q, { low: operation(d.low, n.low, m.low), high: operation(d.high, n.high, m.high) });
  }),
);

const ONES = 0x0101_0101_0101_0101n;

/** Population count of each byte. */
function byteCounts(s: S, v: D): D {
  const masked = (value: D, by: number, mask: bigint): D => i64.and(i64.shrU(value, i64.const(by)), i64.const(mask));
  const pairs = s.let(i64.sub(v, masked(v, 1, 0x55n * ONES)));
  const nibbles = s.let(i64.add(masked(pairs, 0, 0x33n * ONES), masked(pairs, 2, 0x33n * ONES)));
  return i64.and(i64.add(nibbles, i64.shrU(nibbles, i64.const(4))), i64.const(0x0fn * ONES));
}

/** Sum of the bytes of a doubleword, in its topmost byte. */
const byteSum = (v: D): D => {
  const even = i64.const(0x00ff_00ff_00ff_00ffn);
  const words = i64.add(i64.and(v, even), i64.and(i64.shrU(v, i64.const(8)), even));
  return i64.shrU(i64.mul(words, i64.const(0x0001_0001_0001_0001n)), i64.const(48));
};

const counts: readonly ArmInstruction[] = [
  onVectors('cnt', '0 Q:1 0 01110 00 10000 00101 10 Rn:5 Rd:5', '{Vd.b},{Vn.b}', (s, q) => {
    const { low, high } = read(s, 'Rn');
    write(s, q, { low: byteCounts(s, low), high: q === 1 ? byteCounts(s, high) : high });
  }),
  onVectors('addv', '0 Q:1 0 01110 00 11000 11011 10 Rn:5 Rd:5', '{Bd},{Vn.b}', (s, q) => {
    const { low, high } = read(s, 'Rn');
    const sum = q === 1 ? i64.add(byteSum(low), byteSum(high)) : byteSum(low);
    setVector(s, 'Rd', s.let(i64.and(sum, i64.const(0xff))));
  }),
];

/** The immediate of eight bits, repeated over 64 bits as AdvSIMDExpandImm says. */
export function expandImmediate(imm8: Expr<I32>, op: number, cmode: number): D {
  const imm = i64.extendU(imm8);
  const each = (value: D, pattern: bigint): D => i64.mul(value, i64.const(pattern));
  const words = 0x0000_0001_0000_0001n;
  if (cmode < 8) return each(i64.shl(imm, i64.const(8 * (cmode >> 1))), words);
  if (cmode < 12) return each(i64.shl(imm, i64.const(8 * ((cmode >> 1) & 1))), 0x0001_0001_0001_0001n);
  // Shifted with ones behind.
  if (cmode === 12) return each(i64.or(i64.shl(imm, i64.const(8)), i64.const(0xff)), words);
  if (cmode === 13) return each(i64.or(i64.shl(imm, i64.const(16)), i64.const(0xffff)), words);
  if (cmode === 14 && op === 0) return each(imm, ONES);
  if (cmode === 14) return eachBit(imm);
  return op === 0 ? each(floatBits(imm8, 5, 19), words) : floatBits(imm8, 8, 48);
}

/** A byte of ones for each bit that is set. */
function eachBit(imm: D): D {
  // Byte n keeps bit n of its copy; what is not 0 then carries into the top bit of its byte.
  const kept = i64.and(i64.mul(imm, i64.const(ONES)), i64.const(0x8040_2010_0804_0201n));
  const top = i64.and(i64.add(kept, i64.const(0x7fn * ONES)), i64.const(0x80n * ONES));
  return i64.mul(i64.shrU(top, i64.const(7)), i64.const(0xff));
}

/** VFPExpandImm for a format of which `fraction` is the shift of the immediate's low six bits. */
function floatBits(imm8: Expr<I32>, repeats: number, fraction: number): D {
  const bit = (n: number): D => i64.extendU(i32.and(i32.shrU(imm8, i32.const(n)), i32.const(1)));
  const rest = i64.shl(i64.extendU(i32.and(imm8, i32.const(63))), i64.const(fraction));
  const repeated = i64.shl(i64.mul(bit(6), i64.const((1n << BigInt(repeats)) - 1n)), i64.const(fraction + 6));
  const inverted = i64.shl(i64.xor(bit(6), i64.const(1)), i64.const(fraction + 6 + repeats));
  return i64.or(i64.or(rest, repeated), i64.or(inverted, i64.shl(bit(7), i64.const(fraction + 7 + repeats))));
}

type Immediate = 'set' | 'setInverted' | 'or' | 'clear';

/** Forms by op and cmode: cmodes as a pattern, the lowest bit of which chooses between setting and changing. */
const IMMEDIATES: readonly (readonly [
  name: string,
  op: number,
  cmodes: readonly number[],
  what: Immediate,
  shape: string,
])[] = [
  ['movi', 0, [0, 2, 4, 6, 8, 10, 12, 13, 14], 'set', '{Vd.i},{imm8v}'],
  ['mvni', 1, [0, 2, 4, 6, 8, 10, 12, 13], 'setInverted', '{Vd.i},{imm8v}'],
  ['orr', 0, [1, 3, 5, 7, 9, 11], 'or', '{Vd.i},{imm8v}'],
  ['bic', 1, [1, 3, 5, 7, 9, 11], 'clear', '{Vd.i},{imm8v}'],
  ['movi', 1, [14], 'set', '{Vd.i},{imm8v}'],
  ['fmov', 0, [15], 'set', '{Vd.i},{imm8v}'],
];

const CHANGE: Readonly<Record<Immediate, (old: D, imm: D) => D>> = {
  set: (_, imm) => imm,
  setInverted: (_, imm) => i64.not(imm),
  or: (old, imm) => i64.or(old, imm),
  clear: (old, imm) => i64.and(old, i64.not(imm)),
};

const immediate = (name: string, op: number, cmode: number, what: Immediate, operands: string): ArmInstruction =>
  onVectors(
    name,
    `0 Q:1 ${op} 0111100000 abc:3 ${cmode.toString(2).padStart(4, '0')} 0 1 defgh:5 Rd:5`,
    operands,
    (s, q) => {
      const imm8 = s.let(i32.or(i32.shl(s.field('abc'), i32.const(5)), s.field('defgh')));
      const imm = s.let(expandImmediate(imm8, op, cmode));
      const { low, high } = read(s, 'Rd');
      write(s, q, { low: CHANGE[what](low, imm), high: CHANGE[what](high, imm) });
    },
  );

const doubles = define({
  name: 'fmov',
  encoding: '0 1 1 0111100000 abc:3 1111 0 1 defgh:5 Rd:5',
  operands: '{Vd.i},{imm8v}',
  meaning(s) {
    requireVectorAccess(s);
    const imm8 = s.let(i32.or(i32.shl(s.field('abc'), i32.const(5)), s.field('defgh')));
    const imm = s.let(expandImmediate(imm8, 1, 15));
    setVector(s, 'Rd', imm, imm);
  },
});

export const VECTOR_BITS: readonly ArmInstruction[] = [
  ...bitwise,
  ...counts,
  ...IMMEDIATES.flatMap(([name, op, cmodes, what, operands]) =>
    cmodes.map((cmode) => immediate(name, op, cmode, what, operands)),
  ),
  doubles,
];
