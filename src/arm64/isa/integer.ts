import { i32, i64, select } from '../../wasm/expr.ts';
import { setAddFlags, setSubtractFlags } from './add-subtract.ts';
import {
  type ArmInstruction,
  cut,
  type D,
  define,
  holds,
  low,
  operand,
  reg,
  type S,
  setNzcv,
  setReg,
  sext,
  shifted,
  type W,
  zext,
} from './common.ts';

/** Multiplication, division, shifts, bit counts and conditional operations (Arm ARM, C6.2). */

type Binary = (s: S, wide: boolean, a: D, b: D) => D;

const twoSources = (name: string, opcode: string, operation: Binary): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 0 0 11010110 Rm:5 ${opcode} Rn:5 Rd:5`,
    operands: '{Rd},{Rn},{Rm}',
    split: ['sf'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      setReg(s, 'Rd', operation(s, wide, operand(s, 'Rn', wide), operand(s, 'Rm', wide)));
    },
  });

/** Division by 0 gives 0; the most negative number divided by −1 gives itself. WebAssembly traps in both cases. */
const divide: Readonly<Record<'udiv' | 'sdiv', Binary>> = {
  udiv(s, _wide, a, b) {
    const divisor = s.let(b);
    const none = s.let(i64.eqz(divisor));
    const safe = select(none, i64.const(1), divisor);
    return select(none, i64.const(0), i64.divU(a, safe));
  },
  sdiv(s, wide, a, b) {
    const dividend = s.let(wide ? a : sext(a));
    const divisor = s.let(wide ? b : sext(b));
    const none = s.let(i64.eqz(divisor));
    const minus = s.let(i64.eq(divisor, i64.const(-1n)));
    const safe = select(i32.or(none, minus), i64.const(1), divisor);
    const quotient = select(minus, i64.neg(dividend), i64.divS(dividend, safe));
    return cut(wide, select(none, i64.const(0), quotient));
  },
};

const shift =
  (type: number): Binary =>
  (s, wide, a, b) =>
    shifted(wide, type, a, s.let(i32.and(low(b), i32.const(wide ? 63 : 31))));

/** Bit-by-bit polynomial division, for CRC-32 and CRC-32C; a byte at a time through no table. */
function crcStep(s: S, crc: W, polynomial: number): W {
  let value = crc;
  for (let bit = 0; bit < 8; bit++) {
    const current = s.let(value);
    const carry = i32.sub(i32.const(0), i32.and(current, i32.const(1)));
    value = i32.xor(i32.shrU(current, i32.const(1)), i32.and(carry, i32.const(polynomial)));
  }
  return s.let(value);
}

const crc = (name: string, polynomial: number, variant: string): readonly ArmInstruction[] =>
  [1, 2, 4, 8].map((bytes, i) =>
    define({
      name: `${name}${'bhwx'[i]}`,
      encoding: `${bytes === 8 ? 1 : 0} 0 0 11010110 Rm:5 010 ${variant} ${['00', '01', '10', '11'][i]} Rn:5 Rd:5`,
      operands: bytes === 8 ? '{Wd},{Wn},{Xm}' : '{Wd},{Wn},{Wm}',
      meaning(s) {
        const data = s.let(reg(s, 'Rm'));
        let value = s.let(low(reg(s, 'Rn')));
        for (let at = 0; at < bytes; at++) {
          const byte = i32.and(low(i64.shrU(data, i64.const(8 * at))), i32.const(0xff));
          value = crcStep(s, i32.xor(value, byte), polynomial);
        }
        setReg(s, 'Rd', i64.extendU(value));
      },
    }),
  );

type Unary = (s: S, wide: boolean, value: D) => D;

const oneSource = (name: string, opcode: string, operation: Unary): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 1 0 11010110 00000 ${opcode} Rn:5 Rd:5`,
    operands: '{Rd},{Rn}',
    split: ['sf'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      setReg(s, 'Rd', operation(s, wide, operand(s, 'Rn', wide)));
    },
  });

/** Exchanges neighbouring groups of `bits` bits. */
function swapGroups(s: S, value: D, bits: number, mask: bigint): D {
  const named = s.let(value);
  const by = i64.const(bits);
  const upper = i64.shl(i64.and(named, i64.const(mask)), by);
  return i64.or(upper, i64.and(i64.shrU(named, by), i64.const(mask)));
}

const GROUPS: readonly (readonly [number, bigint])[] = [
  [1, 0x5555555555555555n],
  [2, 0x3333333333333333n],
  [4, 0x0f0f0f0f0f0f0f0fn],
  [8, 0x00ff00ff00ff00ffn],
  [16, 0x0000ffff0000ffffn],
];
const swaps = (s: S, value: D, from: number, to: number): D =>
  GROUPS.filter(([bits]) => bits >= from && bits < to).reduce((v, [bits, mask]) => swapGroups(s, v, bits, mask), value);

function reversed(s: S, wide: boolean, value: D, from: number): D {
  const words = swaps(s, value, from, 32);
  return wide ? i64.rotl(words, i64.const(32)) : words;
}

const leading = (wide: boolean, value: D): D => (wide ? i64.clz(value) : i64.extendU(i32.clz(low(value))));

const ONE_SOURCE: readonly ArmInstruction[] = [
  oneSource('rbit', '000000', (s, wide, value) => reversed(s, wide, value, 1)),
  oneSource('rev16', '000001', (s, _wide, value) => swaps(s, value, 8, 16)),
  oneSource('clz', '000100', (_, wide, value) => leading(wide, value)),
  oneSource('cls', '000101', (s, wide, value) => {
    const named = s.let(wide ? value : sext(value));
    // Bits that differ from the one above them; the lowest one stops the count.
    const changes = i64.or(i64.shl(i64.xor(named, i64.shrS(named, i64.const(1))), i64.const(1)), i64.const(1));
    return wide ? i64.clz(changes) : i64.extendU(i32.clz(low(changes)));
  }),
  define({
    name: 'rev',
    encoding: '0 1 0 11010110 00000 000010 Rn:5 Rd:5',
    operands: '{Wd},{Wn}',
    meaning: (s) => setReg(s, 'Rd', reversed(s, false, operand(s, 'Rn', false), 8)),
  }),
  define({
    name: 'rev32',
    encoding: '1 1 0 11010110 00000 000010 Rn:5 Rd:5',
    operands: '{Xd},{Xn}',
    meaning: (s) => setReg(s, 'Rd', swaps(s, operand(s, 'Rn', true), 8, 32)),
  }),
  define({
    name: 'rev',
    encoding: '1 1 0 11010110 00000 000011 Rn:5 Rd:5',
    operands: '{Xd},{Xn}',
    meaning: (s) => setReg(s, 'Rd', reversed(s, true, operand(s, 'Rn', true), 8)),
  }),
];

const multiplyAdd = (name: string, o0: 0 | 1): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 00 11011 000 Rm:5 ${o0} Ra:5 Rn:5 Rd:5`,
    operands: '{Rd},{Rn},{Rm},{Ra}',
    split: ['sf'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const product = i64.mul(reg(s, 'Rn'), reg(s, 'Rm'));
      const combine = o0 === 0 ? i64.add : i64.sub;
      setReg(s, 'Rd', cut(wide, combine(reg(s, 'Ra'), product)));
    },
  });

const multiplyLong = (name: string, unsigned: 0 | 1, o0: 0 | 1): ArmInstruction =>
  define({
    name,
    encoding: `1 00 11011 ${unsigned} 01 Rm:5 ${o0} Ra:5 Rn:5 Rd:5`,
    operands: '{Xd},{Wn},{Wm},{Xa}',
    meaning(s) {
      const widen = unsigned ? zext : sext;
      const product = i64.mul(widen(reg(s, 'Rn')), widen(reg(s, 'Rm')));
      const combine = o0 === 0 ? i64.add : i64.sub;
      setReg(s, 'Rd', combine(reg(s, 'Ra'), product));
    },
  });

/** The upper 64 bits of the unsigned product, from four products of halves. */
function upperProduct(s: S, left: D, right: D): D {
  const shift32 = i64.const(32);
  const [ah, al] = [s.let(i64.shrU(left, shift32)), s.let(zext(left))];
  const [bh, bl] = [s.let(i64.shrU(right, shift32)), s.let(zext(right))];
  const cross = s.let(i64.add(i64.mul(ah, bl), i64.shrU(i64.mul(al, bl), shift32)));
  const middle = s.let(i64.add(i64.mul(al, bh), zext(cross)));
  return i64.add(i64.add(i64.mul(ah, bh), i64.shrU(cross, shift32)), i64.shrU(middle, shift32));
}

const multiplyHigh = (name: string, unsigned: 0 | 1): ArmInstruction =>
  define({
    name,
    encoding: `1 00 11011 ${unsigned} 10 Rm:5 0 .5 Rn:5 Rd:5`,
    operands: '{Xd},{Xn},{Xm}',
    meaning(s) {
      const a = s.let(reg(s, 'Rn'));
      const b = s.let(reg(s, 'Rm'));
      const product = s.let(upperProduct(s, a, b));
      if (unsigned) return setReg(s, 'Rd', product);
      const minus = (sign: D, other: D): D => i64.and(i64.shrS(sign, i64.const(63)), other);
      setReg(s, 'Rd', i64.sub(i64.sub(product, minus(a, b)), minus(b, a)));
    },
  });

const conditionalSelect = (name: string, op: 0 | 1, op2: 0 | 1, other: (value: D) => D): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 ${op} 0 11010100 Rm:5 cond:4 0 ${op2} Rn:5 Rd:5`,
    operands: '{Rd},{Rn},{Rm},{cond}',
    split: ['sf'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const second = cut(wide, other(operand(s, 'Rm', wide)));
      setReg(s, 'Rd', select(holds(s, 'cond'), operand(s, 'Rn', wide), second));
    },
  });

const conditionalCompare = (name: string, op: 0 | 1, immediate: 0 | 1): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 ${op} 1 11010010 ${immediate ? 'imm5' : 'Rm'}:5 cond:4 ${immediate} 0 Rn:5 0 nzcv:4`,
    operands: `{Rn},{${immediate ? 'imm5' : 'Rm'}},{nzcv},{cond}`,
    split: ['sf'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const a = s.let(operand(s, 'Rn', wide));
      const b = s.let(immediate ? i64.extendU(s.field('imm5')) : operand(s, 'Rm', wide));
      const compare = s.let(holds(s, 'cond'));
      const result = s.let(cut(wide, op === 0 ? i64.add(a, b) : i64.sub(a, b)));
      s.if(
        compare,
        () => (op === 0 ? setAddFlags : setSubtractFlags)(s, wide, a, b, result),
        () => setNzcv(s, s.field('nzcv')),
      );
    },
  });

export const INTEGER: readonly ArmInstruction[] = [
  twoSources('udiv', '000010', divide.udiv),
  twoSources('sdiv', '000011', divide.sdiv),
  twoSources('lslv', '001000', shift(0)),
  twoSources('lsrv', '001001', shift(1)),
  twoSources('asrv', '001010', shift(2)),
  twoSources('rorv', '001011', shift(3)),
  ...crc('crc32', 0xedb88320 | 0, '0'),
  ...crc('crc32c', 0x82f63b78 | 0, '1'),
  ...ONE_SOURCE,
  multiplyAdd('madd', 0),
  multiplyAdd('msub', 1),
  multiplyLong('smaddl', 0, 0),
  multiplyLong('smsubl', 0, 1),
  multiplyLong('umaddl', 1, 0),
  multiplyLong('umsubl', 1, 1),
  multiplyHigh('smulh', 0),
  multiplyHigh('umulh', 1),
  conditionalSelect('csel', 0, 0, (value) => value),
  conditionalSelect('csinc', 0, 1, (value) => i64.add(value, i64.const(1))),
  conditionalSelect('csinv', 1, 0, i64.not),
  conditionalSelect('csneg', 1, 1, i64.neg),
  conditionalCompare('ccmn', 0, 0),
  conditionalCompare('ccmp', 1, 0),
  conditionalCompare('ccmn', 0, 1),
  conditionalCompare('ccmp', 1, 1),
];
