import { i32, i64, select } from '../../wasm/expr.ts';
import {
  type D,
  define,
  fromWord,
  low,
  mask64,
  type PowerInstruction,
  putReg,
  recordIfRc,
  reg,
  type S,
  setCarry,
  sext,
  type W,
} from './common.ts';

/** Fixed-point rotate and shift instructions (Power ISA 3.0B, book I, 3.3.14). */

const rs = (s: S): D => reg(s, 'RS');
const rb = (s: S): D => reg(s, 'RB');
const THIRTY_TWO = i32.const(32);

/** ROTL32: the low word rotated, in both halves of the result. */
function rotateWord(s: S, by: W): D {
  const word = s.let(i32.rotl(low(rs(s)), by));
  const single = fromWord(word);
  return i64.or(single, i64.shl(single, i64.const(32)));
}

/** MASK(MB+32, ME+32): bits of the low word, or all but some of them where it wraps. */
function wordMask(s: S): D {
  return mask64(i32.add(s.field('MB'), THIRTY_TWO), i32.add(s.field('ME'), THIRTY_TWO));
}

/** Rotated and masked. Where the mask is known not to wrap, the upper half is 0 and need not be made. */
function rotateAndMask(s: S, by: W): D {
  const begin = s.known(s.field('MB'));
  const end = s.known(s.field('ME'));
  if (begin !== undefined && end !== undefined && begin <= end) {
    return i64.and(fromWord(i32.rotl(low(rs(s)), by)), wordMask(s));
  }
  return i64.and(rotateWord(s, by), wordMask(s));
}

const WORD: readonly PowerInstruction[] = [
  define({
    name: 'rlwinm',
    encoding: '010101 RS:5 RA:5 SH:5 MB:5 ME:5 Rc:1',
    operands: '{RA},{RS},{SH},{MB},{ME}',
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RA', rotateAndMask(s, s.field('SH')))),
  }),
  define({
    name: 'rlwnm',
    encoding: '010111 RS:5 RA:5 RB:5 MB:5 ME:5 Rc:1',
    operands: '{RA},{RS},{RB},{MB},{ME}',
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RA', rotateAndMask(s, i32.and(low(rb(s)), i32.const(31))))),
  }),
  define({
    name: 'rlwimi',
    encoding: '010100 RS:5 RA:5 SH:5 MB:5 ME:5 Rc:1',
    operands: '{RA},{RS},{SH},{MB},{ME}',
    split: ['Rc'],
    meaning(s) {
      const mask = s.let(wordMask(s));
      const inserted = i64.and(rotateWord(s, s.field('SH')), mask);
      recordIfRc(s, putReg(s, 'RA', i64.or(inserted, i64.and(reg(s, 'RA'), i64.not(mask)))));
    },
  }),
];

/** The 6-bit shift of MD and XS forms: its highest bit stands last. */
const shift6 = (s: S): W => i32.or(s.field('sh'), i32.shl(s.field('sh5'), i32.const(5)));
/** The 6-bit mask bound of MD and MDS forms, likewise. */
const bound6 = (s: S): W => i32.or(s.field('m'), i32.shl(s.field('m5'), i32.const(5)));
const SIXTY_THREE = i32.const(63);
const ZERO = i32.const(0);

function doubleImmediate(
  name: string,
  xo: string,
  bound: 'mb' | 'me',
  meaning: (s: S, rotated: D) => D,
): PowerInstruction {
  return define({
    name,
    encoding: `011110 RS:5 RA:5 sh:5 m:5 m5:1 ${xo} sh5:1 Rc:1`,
    operands: `{RA},{RS},{sh},{${bound}}`,
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RA', meaning(s, i64.rotl(rs(s), i64.extendU(shift6(s)))))),
  });
}

function doubleRegister(name: string, xo: string, bound: 'mb' | 'me', mask: (s: S) => D): PowerInstruction {
  return define({
    name,
    encoding: `011110 RS:5 RA:5 RB:5 m:5 m5:1 ${xo} Rc:1`,
    operands: `{RA},{RS},{RB},{${bound}}`,
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RA', i64.and(i64.rotl(rs(s), rb(s)), mask(s)))),
  });
}

const leftMask = (s: S): D => mask64(bound6(s), SIXTY_THREE);
const rightMask = (s: S): D => mask64(ZERO, bound6(s));
const insertMask = (s: S): D => mask64(bound6(s), i32.sub(SIXTY_THREE, shift6(s)));

const DOUBLE: readonly PowerInstruction[] = [
  doubleImmediate('rldicl', '000', 'mb', (s, rotated) => i64.and(rotated, leftMask(s))),
  doubleImmediate('rldicr', '001', 'me', (s, rotated) => i64.and(rotated, rightMask(s))),
  doubleImmediate('rldic', '010', 'mb', (s, rotated) => i64.and(rotated, insertMask(s))),
  doubleImmediate('rldimi', '011', 'mb', (s, rotated) => {
    const mask = s.let(insertMask(s));
    return i64.or(i64.and(rotated, mask), i64.and(reg(s, 'RA'), i64.not(mask)));
  }),
  doubleRegister('rldcl', '1000', 'mb', leftMask),
  doubleRegister('rldcr', '1001', 'me', rightMask),
];

/** Arithmetic right shifts set CA where a negative number lost ones. */
function shiftRightAlgebraic(s: S, value: D, by: D): void {
  const v = s.let(value);
  const n = s.let(by);
  const result = s.let(i64.shrS(v, n));
  const inexact = i32.and(i64.ltS(v, i64.const(0)), i64.ne(i64.shl(result, n), v));
  const carry = s.let(inexact);
  putReg(s, 'RA', result);
  setCarry(s, carry, carry);
  recordIfRc(s, result);
}

const ALGEBRAIC: readonly PowerInstruction[] = [
  define({
    name: 'srawi',
    encoding: '011111 RS:5 RA:5 SH:5 1100111000 Rc:1',
    operands: '{RA},{RS},{SH}',
    split: ['Rc'],
    meaning: (s) => shiftRightAlgebraic(s, sext(rs(s)), i64.extendU(s.field('SH'))),
  }),
  define({
    name: 'sraw',
    encoding: '011111 RS:5 RA:5 RB:5 1100011000 Rc:1',
    operands: '{RA},{RS},{RB}',
    split: ['Rc'],
    // A word shifted by 32 to 63 is all sign: the same as the sign-extended word shifted by that much.
    meaning: (s) => shiftRightAlgebraic(s, sext(rs(s)), i64.and(rb(s), i64.const(63))),
  }),
  define({
    name: 'sradi',
    encoding: '011111 RS:5 RA:5 sh:5 110011101 sh5:1 Rc:1',
    operands: '{RA},{RS},{sh}',
    split: ['Rc'],
    meaning: (s) => shiftRightAlgebraic(s, rs(s), i64.extendU(shift6(s))),
  }),
  define({
    name: 'srad',
    encoding: '011111 RS:5 RA:5 RB:5 1100011010 Rc:1',
    operands: '{RA},{RS},{RB}',
    split: ['Rc'],
    meaning(s) {
      const v = s.let(rs(s));
      const n = s.let(i64.and(rb(s), i64.const(127)));
      const far = s.let(i64.gtU(n, i64.const(63)));
      const result = s.let(i64.shrS(v, select(far, i64.const(63), n)));
      const lost = i32.or(far, i64.ne(i64.shl(result, n), v));
      const carry = s.let(i32.and(i64.ltS(v, i64.const(0)), lost));
      putReg(s, 'RA', result);
      setCarry(s, carry, carry);
      recordIfRc(s, result);
    },
  }),
  define({
    name: 'extswsli',
    encoding: '011111 RS:5 RA:5 sh:5 110111101 sh5:1 Rc:1',
    operands: '{RA},{RS},{sh}',
    split: ['Rc'],
    meaning: (s) => recordIfRc(s, putReg(s, 'RA', i64.shl(sext(rs(s)), i64.extendU(shift6(s))))),
  }),
];

export const FIXED_ROTATE: readonly PowerInstruction[] = [...WORD, ...DOUBLE, ...ALGEBRAIC];
