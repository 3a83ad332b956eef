import { i32, i64, select } from '../../wasm/expr.ts';
import {
  bit,
  type D,
  define,
  fromWord,
  instructionWord,
  low,
  type PowerInstruction,
  putReg,
  ra0,
  record,
  recordIfRc,
  reg,
  type S,
  setCarry,
  setOverflow,
  setReg,
  sext,
  simm,
  type W,
  zext,
} from './common.ts';
import { HELPER } from './helpers.ts';
import { ca, ov, ov32 } from './state.ts';

/** Fixed-point arithmetic (Power ISA 3.0B, book I, 3.3.9). */

const MIN_64 = i64.const(-(1n << 63n));
const MIN_32 = i32.const(0x80000000 | 0);
const ZERO = i64.const(0);

/** Sum with carry in: result, carries out of bit 0 and bit 32, signed overflows of both widths. */
interface Sum {
  readonly result: D;
  readonly carry: W;
  readonly carry32: W;
  readonly overflow: W;
  readonly overflow32: W;
}

function addWithCarry(s: S, x: D, y: D, carryIn: W): Sum {
  const a = s.let(x);
  const b = s.let(y);
  const partial = s.let(i64.add(a, b));
  const result = s.let(i64.add(partial, bit(carryIn)));
  const carry64 = i32.or(i64.ltU(partial, a), i64.ltU(result, partial));
  // Bit 31 (IBM numbering) of a ^ b ^ result is the carry into it, which is the carry out of the low word.
  const carry32 = i32.and(low(i64.shrU(i64.xor(i64.xor(a, b), result), i64.const(32))), i32.const(1));
  const signs = s.let(i64.and(i64.xor(a, result), i64.xor(b, result)));
  const overflow64 = low(i64.shrU(signs, i64.const(63)));
  const overflow32 = i32.and(low(i64.shrU(signs, i64.const(31))), i32.const(1));
  return s.mode.sixtyFour
    ? { result, carry: carry64, carry32, overflow: overflow64, overflow32 }
    : { result, carry: carry32, carry32, overflow: overflow32, overflow32 };
}

type Operands = (s: S) => readonly [a: D, b: D, carryIn: W];

const ra = (s: S): D => reg(s, 'RA');
const rb = (s: S): D => reg(s, 'RB');
const one = i32.const(1);
const zero = i32.const(0);
const carryIn = (s: S): W => s.get(ca);
const MINUS_ONE = i64.const(-1n);

/** Name, extended opcode, operands of the addition, whether CA is written, whether RB is an operand. */
const ADDITIONS: readonly (readonly [string, string, Operands, boolean, boolean])[] = [
  ['add', '100001010', (s) => [ra(s), rb(s), zero], false, true],
  ['addc', '000001010', (s) => [ra(s), rb(s), zero], true, true],
  ['adde', '010001010', (s) => [ra(s), rb(s), carryIn(s)], true, true],
  ['addme', '011101010', (s) => [ra(s), MINUS_ONE, carryIn(s)], true, false],
  ['addze', '011001010', (s) => [ra(s), ZERO, carryIn(s)], true, false],
  ['subf', '000101000', (s) => [i64.not(ra(s)), rb(s), one], false, true],
  ['subfc', '000001000', (s) => [i64.not(ra(s)), rb(s), one], true, true],
  ['subfe', '010001000', (s) => [i64.not(ra(s)), rb(s), carryIn(s)], true, true],
  ['subfme', '011101000', (s) => [i64.not(ra(s)), MINUS_ONE, carryIn(s)], true, false],
  ['subfze', '011001000', (s) => [i64.not(ra(s)), ZERO, carryIn(s)], true, false],
  ['neg', '001101000', (s) => [i64.not(ra(s)), ZERO, one], false, false],
];

/** Additions without flags need no carry arithmetic. */
const PLAIN: Readonly<Record<string, (s: S) => D>> = {
  add: (s) => i64.add(ra(s), rb(s)),
  subf: (s) => i64.sub(rb(s), ra(s)),
  neg: (s) => i64.neg(ra(s)),
};

/** One definition without overflow and one with it, which is rare and gets no handlers of its own for Rc. */
function addition([name, xo, operands, writesCarry, hasRb]: (typeof ADDITIONS)[number]): PowerInstruction[] {
  return [false, true].map((overflows) =>
    define({
      name: overflows ? `${name}o` : name,
      encoding: `011111 RT:5 RA:5 ${hasRb ? 'RB:5' : '00000'} ${overflows ? 1 : 0} ${xo} Rc:1`,
      operands: hasRb ? '{RT},{RA},{RB}' : '{RT},{RA}',
      split: overflows ? [] : ['Rc'],
      meaning(s) {
        const plain = PLAIN[name];
        if (plain !== undefined && !overflows) {
          recordIfRc(s, putReg(s, 'RT', plain(s)));
          return;
        }
        const sum = addWithCarry(s, ...operands(s));
        setReg(s, 'RT', sum.result);
        if (writesCarry) setCarry(s, sum.carry, sum.carry32);
        if (overflows) setOverflow(s, sum.overflow, sum.overflow32);
        recordIfRc(s, sum.result);
      },
    }),
  );
}

/** addic, addic., subfic: immediate forms that write CA. */
function immediateCarry(name: string, opcode: string, recorded: boolean, operands: Operands): PowerInstruction {
  return define({
    name,
    encoding: `${opcode} RT:5 RA:5 SI:16`,
    operands: '{RT},{RA},{SI}',
    meaning(s) {
      const sum = addWithCarry(s, ...operands(s));
      setReg(s, 'RT', sum.result);
      setCarry(s, sum.carry, sum.carry32);
      if (recorded) record(s, sum.result);
    },
  });
}

/** High doubleword of the unsigned 128-bit product. */
export function multiplyHighUnsigned(s: S, x: D, y: D): D {
  const a = s.let(x);
  const b = s.let(y);
  const [al, ah] = [s.let(zext(a)), s.let(i64.shrU(a, i64.const(32)))];
  const [bl, bh] = [s.let(zext(b)), s.let(i64.shrU(b, i64.const(32)))];
  const middle = s.let(i64.add(i64.mul(ah, bl), i64.shrU(i64.mul(al, bl), i64.const(32))));
  const lower = s.let(i64.add(i64.mul(al, bh), zext(middle)));
  return i64.add(i64.add(i64.mul(ah, bh), i64.shrU(middle, i64.const(32))), i64.shrU(lower, i64.const(32)));
}

/** High doubleword of the signed 128-bit product. */
export function multiplyHighSigned(s: S, x: D, y: D): D {
  const a = s.let(x);
  const b = s.let(y);
  const unsigned = multiplyHighUnsigned(s, a, b);
  const correction = (sign: D, other: D): D => i64.and(i64.shrS(sign, i64.const(63)), other);
  return i64.sub(i64.sub(unsigned, correction(a, b)), correction(b, a));
}

function xo(name: string, xoBits: string, meaning: (s: S) => D): PowerInstruction {
  return define({
    name,
    encoding: `011111 RT:5 RA:5 RB:5 0 ${xoBits} Rc:1`,
    operands: '{RT},{RA},{RB}',
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RT', meaning(s))),
  });
}

/** An XO form, and the same with overflow, which is rare and gets no handlers of its own for Rc. */
function xoOverflow(
  name: string,
  xoBits: string,
  meaning: (s: S) => { readonly result: D; readonly overflow: () => readonly [W, W] },
): PowerInstruction[] {
  return [false, true].map((overflows) =>
    define({
      name: overflows ? `${name}o` : name,
      encoding: `011111 RT:5 RA:5 RB:5 ${overflows ? 1 : 0} ${xoBits} Rc:1`,
      operands: '{RT},{RA},{RB}',
      split: overflows ? [] : ['Rc'],
      meaning(s) {
        const { result, overflow } = meaning(s);
        const named = s.let(result);
        const flags = overflows ? overflow().map((flag) => s.let(flag)) : null;
        setReg(s, 'RT', named);
        if (flags !== null) setOverflow(s, flags[0] as W, flags[1] as W);
        recordIfRc(s, named);
      },
    }),
  );
}

const MULTIPLICATIONS: readonly PowerInstruction[] = [
  define({
    name: 'mulli',
    encoding: '000111 RT:5 RA:5 SI:16',
    operands: '{RT},{RA},{SI}',
    meaning: (s) => setReg(s, 'RT', i64.mul(ra(s), simm(s, 'SI'))),
  }),
  xo('mulhw', '001001011', (s) => zext(i64.shrU(i64.mul(sext(ra(s)), sext(rb(s))), i64.const(32)))),
  xo('mulhwu', '000001011', (s) => i64.shrU(i64.mul(zext(ra(s)), zext(rb(s))), i64.const(32))),
  xo('mulhd', '001001001', (s) => multiplyHighSigned(s, ra(s), rb(s))),
  xo('mulhdu', '000001001', (s) => multiplyHighUnsigned(s, ra(s), rb(s))),
  ...xoOverflow('mullw', '011101011', (s) => {
    const result = s.let(i64.mul(sext(ra(s)), sext(rb(s))));
    const lost = (): W => i64.ne(result, sext(result));
    return { result, overflow: () => [lost(), lost()] };
  }),
  ...xoOverflow('mulld', '011101001', (s) => {
    const a = s.let(ra(s));
    const b = s.let(rb(s));
    const result = s.let(i64.mul(a, b));
    const lost = (): W => i64.ne(multiplyHighSigned(s, a, b), i64.shrS(result, i64.const(63)));
    return {
      result,
      overflow: () => {
        const o = s.let(lost());
        return [o, o];
      },
    };
  }),
];

/**
 * Division. Where the quotient is undefined (division by 0, or the most negative number by −1) it is that of a division by 1, as QEMU gives it,
 * and the overflow is set.
 */
function quotient32(s: S, dividend: W, divisor: W, signed: boolean): { result: D; undefined: W } {
  const n = s.let(dividend);
  const d = s.let(divisor);
  const byZero = i32.eqz(d);
  const bad = s.let(signed ? i32.or(byZero, i32.and(i32.eq(n, MIN_32), i32.eq(d, i32.const(-1)))) : byZero);
  const safe = select(bad, i32.const(1), d);
  return { result: fromWord(signed ? i32.divS(n, safe) : i32.divU(n, safe)), undefined: bad };
}

function quotient64(s: S, dividend: D, divisor: D, signed: boolean): { result: D; undefined: W } {
  const n = s.let(dividend);
  const d = s.let(divisor);
  const byZero = i64.eqz(d);
  const bad = s.let(signed ? i32.or(byZero, i32.and(i64.eq(n, MIN_64), i64.eq(d, MINUS_ONE))) : byZero);
  const safe = select(bad, i64.const(1), d);
  return { result: signed ? i64.divS(n, safe) : i64.divU(n, safe), undefined: bad };
}

function division(name: string, xoBits: string, divide: (s: S) => { result: D; undefined: W }): PowerInstruction[] {
  return xoOverflow(name, xoBits, (s) => {
    const q = divide(s);
    return { result: q.result, overflow: () => [q.undefined, q.undefined] };
  });
}

/**
 * (RA) shifted left by 32, divided by (RB), with overflow where the quotient does not fit a word. The upper word is undefined: the quotient's
 * own, as in QEMU.
 */
function extendedWord(s: S, signed: boolean): { result: D; undefined: W } {
  const n = s.let(i64.shl(ra(s), i64.const(32)));
  const d = signed ? sext(rb(s)) : zext(rb(s));
  const q = quotient64(s, n, d, signed);
  const value = s.let(q.result);
  const fits = signed ? i64.eq(value, sext(value)) : i64.eqz(i64.shrU(value, i64.const(32)));
  const bad = s.let(i32.or(q.undefined, i32.eqz(fits)));
  return { result: select(bad, ZERO, value), undefined: bad };
}

/** A division of 128 bits by 64 is too long for generated code; `divideExtended` does it. */
function extendedDouble(name: string, xoBits: string): PowerInstruction {
  return define({
    name,
    encoding: `011111 RT:5 RA:5 RB:5 OE:1 ${xoBits} Rc:1`,
    operands: '{RT},{RA},{RB}',
    meaning: (s) => s.helper(HELPER.divideExtended, instructionWord(s)),
  });
}

const DIVISIONS: readonly PowerInstruction[] = [
  ...division('divw', '111101011', (s) => quotient32(s, low(ra(s)), low(rb(s)), true)),
  ...division('divwu', '111001011', (s) => quotient32(s, low(ra(s)), low(rb(s)), false)),
  ...division('divd', '111101001', (s) => quotient64(s, ra(s), rb(s), true)),
  ...division('divdu', '111001001', (s) => quotient64(s, ra(s), rb(s), false)),
  ...division('divwe', '110101011', (s) => extendedWord(s, true)),
  ...division('divweu', '110001011', (s) => extendedWord(s, false)),
  extendedDouble('divde', '110101001'),
  extendedDouble('divdeu', '110001001'),
];

function modulo(name: string, xoBits: string, meaning: (s: S) => D): PowerInstruction {
  return define({
    name,
    encoding: `011111 RT:5 RA:5 RB:5 ${xoBits} 0`,
    operands: '{RT},{RA},{RB}',
    meaning: (s) => setReg(s, 'RT', meaning(s)),
  });
}

function remainder64(s: S, dividend: D, divisor: D, signed: boolean): D {
  const n = s.let(dividend);
  const d = s.let(divisor);
  const byZero = i64.eqz(d);
  const bad = s.let(signed ? i32.or(byZero, i32.and(i64.eq(n, MIN_64), i64.eq(d, MINUS_ONE))) : byZero);
  const safe = s.let(select(bad, i64.const(1), d));
  return select(bad, ZERO, signed ? i64.remS(n, safe) : i64.remU(n, safe));
}

const MODULOS: readonly PowerInstruction[] = [
  modulo('modsd', '1100001001', (s) => remainder64(s, ra(s), rb(s), true)),
  modulo('modud', '0100001001', (s) => remainder64(s, ra(s), rb(s), false)),
  modulo('modsw', '1100001011', (s) => remainder64(s, sext(ra(s)), sext(rb(s)), true)),
  modulo('moduw', '0100001011', (s) => remainder64(s, zext(ra(s)), zext(rb(s)), false)),
];

/** A 6 in each nibble that the sum of (RA) and (RB) carries nothing out of (3.3.9, Add and Generate Sixes). */
const SIXES = define({
  name: 'addg6s',
  encoding: '011111 RT:5 RA:5 RB:5 0 001001010 0',
  operands: '{RT},{RA},{RB}',
  meaning(s) {
    const a = s.let(ra(s));
    const b = s.let(rb(s));
    const sum = s.let(i64.add(a, b));
    const carried = i64.and(i64.shrU(i64.xor(i64.xor(a, b), sum), i64.const(4)), i64.const(0x0111111111111111n));
    const top = i64.shl(bit(i64.ltU(sum, a)), i64.const(60));
    const none = i64.xor(i64.or(carried, top), i64.const(0x1111111111111111n));
    setReg(s, 'RT', i64.mul(none, i64.const(6)));
  },
});

function multiplyAdd(name: string, xoBits: string, meaning: (s: S, a: D, b: D, c: D) => D): PowerInstruction {
  return define({
    name,
    encoding: `000100 RT:5 RA:5 RB:5 RC:5 ${xoBits}`,
    operands: '{RT},{RA},{RB},{RC}',
    meaning: (s) => setReg(s, 'RT', meaning(s, s.let(ra(s)), s.let(rb(s)), s.let(reg(s, 'RC')))),
  });
}

/** High half of product + addend: the product's high half, the addend's extension, and the carry between the low halves. */
function highSum(s: S, high: D, a: D, b: D, c: D, extension: D): D {
  const lower = i64.mul(a, b);
  const carry = bit(i64.ltU(i64.add(lower, c), c));
  return i64.add(i64.add(s.let(high), extension), carry);
}

const MULTIPLY_ADDS: readonly PowerInstruction[] = [
  multiplyAdd('maddhd', '110000', (s, a, b, c) =>
    highSum(s, multiplyHighSigned(s, a, b), a, b, c, i64.shrS(c, i64.const(63))),
  ),
  multiplyAdd('maddhdu', '110001', (s, a, b, c) => highSum(s, multiplyHighUnsigned(s, a, b), a, b, c, ZERO)),
  multiplyAdd('maddld', '110011', (_s, a, b, c) => i64.add(i64.mul(a, b), c)),
];

const IMMEDIATES: readonly PowerInstruction[] = [
  define({
    name: 'addi',
    encoding: '001110 RT:5 RA:5 SI:16',
    operands: '{RT},{RA},{SI}',
    split: ['RA=0'],
    meaning: (s) => setReg(s, 'RT', i64.add(ra0(s), simm(s, 'SI'))),
  }),
  define({
    name: 'addis',
    encoding: '001111 RT:5 RA:5 SI:16',
    operands: '{RT},{RA},{SI}',
    split: ['RA=0'],
    meaning: (s) => setReg(s, 'RT', i64.add(ra0(s), i64.shl(simm(s, 'SI'), i64.const(16)))),
  }),
  define({
    name: 'addpcis',
    encoding: '010011 RT:5 d1:5 d0:10 00010 d2:1',
    operands: '{RT},{D}',
    meaning(s) {
      const d = i32.or(i32.shl(s.signedField('d0'), i32.const(6)), i32.or(i32.shl(s.field('d1'), one), s.field('d2')));
      setReg(s, 'RT', i64.add(s.nextPc(), i64.extendS(i32.shl(d, i32.const(16)))));
    },
  }),
  immediateCarry('addic', '001100', false, (s) => [ra(s), simm(s, 'SI'), zero]),
  immediateCarry('addic.', '001101', true, (s) => [ra(s), simm(s, 'SI'), zero]),
  immediateCarry('subfic', '001000', false, (s) => [i64.not(ra(s)), simm(s, 'SI'), one]),
  define({
    name: 'addex',
    encoding: '011111 RT:5 RA:5 RB:5 00 10101010 0',
    operands: '{RT},{RA},{RB},0',
    meaning(s) {
      const sum = addWithCarry(s, ra(s), rb(s), s.get(ov));
      setReg(s, 'RT', sum.result);
      s.set(ov, sum.carry);
      s.set(ov32, sum.carry32);
    },
  }),
];

export const FIXED_ARITHMETIC: readonly PowerInstruction[] = [
  ...IMMEDIATES,
  ...ADDITIONS.flatMap(addition),
  ...MULTIPLICATIONS,
  ...DIVISIONS,
  ...MODULOS,
  ...MULTIPLY_ADDS,
  SIXES,
];
