import { exponent } from '../../float/error-free.ts';
import { f64, i32, i64, select } from '../../wasm/expr.ts';
import { type D, define, instructionWord, type PowerInstruction, type S, type W } from './common.ts';
import * as fast from './float-fast.ts';
import { HELPER, TRAP } from './helpers.ts';
import { requireFloatingPoint } from './load-store.ts';
import { cr, fpr, fpscr } from './state.ts';

/** Floating point instructions other than loads and stores (Power ISA 3.0B, book I, 4.6.5 to 4.6.10). */

const HIGH = i64.const(0xffffffff00000000n);
const LOW = i64.const(0xffffffffn);
const SIGN = i64.const(1n << 63n);
const source = (s: S, field: string): D => s.getAt(fpr, s.field(field));

/** X form that moves bits and looks at nothing else; with Rc=1 the helper would have nothing to do but CR1, which `record` copies. */
function move(name: string, encoding: string, operands: string, meaning: (s: S) => D): PowerInstruction {
  return define({
    name,
    encoding,
    operands,
    meaning(s) {
      requireFloatingPoint(s);
      s.setAt(fpr, s.field('FRT'), meaning(s));
      s.if(s.field('Rc'), () => recordStatus(s));
    },
  });
}

/** CR1 from FX, FEX, VX and OX. */
function recordStatus(s: S): void {
  const top = s.let(i32.wrap(i64.shrU(s.get(fpscr), i64.const(28))));
  [4, 5, 6, 7].forEach((bit, i) => {
    s.set(cr.slots[bit] as (typeof cr.slots)[number], i32.and(i32.shrU(top, i32.const(3 - i)), i32.const(1)));
  });
}

const MOVES: readonly PowerInstruction[] = [
  move('fmr', '111111 FRT:5 00000 FRB:5 0001001000 Rc:1', '{FRT},{FRB}', (s) => source(s, 'FRB')),
  move('fneg', '111111 FRT:5 00000 FRB:5 0000101000 Rc:1', '{FRT},{FRB}', (s) => i64.xor(source(s, 'FRB'), SIGN)),
  move('fabs', '111111 FRT:5 00000 FRB:5 0100001000 Rc:1', '{FRT},{FRB}', (s) =>
    i64.and(source(s, 'FRB'), i64.not(SIGN)),
  ),
  move('fnabs', '111111 FRT:5 00000 FRB:5 0010001000 Rc:1', '{FRT},{FRB}', (s) => i64.or(source(s, 'FRB'), SIGN)),
  move('fcpsgn', '111111 FRT:5 FRA:5 FRB:5 0000001000 Rc:1', '{FRT},{FRA},{FRB}', (s) =>
    i64.or(i64.and(source(s, 'FRA'), SIGN), i64.and(source(s, 'FRB'), i64.not(SIGN))),
  ),
  move('fsel', '111111 FRT:5 FRA:5 FRB:5 FRC:5 10111 Rc:1', '{FRT},{FRA},{FRC},{FRB}', (s) =>
    // Not less than zero and no NaN: what a comparison with 0 says, minus zero included.
    select(f64.ge(f64.reinterpretI64(source(s, 'FRA')), f64.const(0)), source(s, 'FRC'), source(s, 'FRB')),
  ),
];

const MERGES: readonly PowerInstruction[] = [
  ['fmrgew', '1111000110', (a: D, b: D) => i64.or(i64.and(a, HIGH), i64.shrU(b, i64.const(32)))] as const,
  ['fmrgow', '1101000110', (a: D, b: D) => i64.or(i64.shl(a, i64.const(32)), i64.and(b, LOW))] as const,
].map(([name, xo, meaning]) =>
  define({
    name,
    encoding: `111111 FRT:5 FRA:5 FRB:5 ${xo} 0`,
    operands: '{FRT},{FRA},{FRB}',
    meaning(s) {
      requireFloatingPoint(s);
      s.setAt(fpr, s.field('FRT'), meaning(source(s, 'FRA'), source(s, 'FRB')));
    },
  }),
);

/** Done in TypeScript by `executeFloat`. */
function soft(name: string, encoding: string, operands: string): PowerInstruction {
  return define({
    name,
    encoding,
    operands,
    meaning(s) {
      requireFloatingPoint(s);
      s.helper(HELPER.float, instructionWord(s));
    },
  });
}

/** A forms: the fields they have, in the order of the encoding, others being 0. */
const ARITHMETIC: readonly (readonly [name: string, xo: string, fields: string])[] = [
  ['fdiv', '10010', 'AB'],
  ['fsub', '10100', 'AB'],
  ['fadd', '10101', 'AB'],
  ['fsqrt', '10110', 'B'],
  ['fre', '11000', 'B'],
  ['fmul', '11001', 'AC'],
  ['frsqrte', '11010', 'B'],
  ['fmsub', '11100', 'ABC'],
  ['fmadd', '11101', 'ABC'],
  ['fnmsub', '11110', 'ABC'],
  ['fnmadd', '11111', 'ABC'],
];

function arithmetic([name, xo, fields]: (typeof ARITHMETIC)[number]): PowerInstruction[] {
  const part = (letter: string): string => (fields.includes(letter) ? `FR${letter}:5` : '00000');
  const operands = ['T', 'A', 'C', 'B'].filter((letter) => letter === 'T' || fields.includes(letter));
  return [false, true].map((single) =>
    define({
      name: single ? `${name}s` : name,
      encoding: `${single ? '111011' : '111111'} FRT:5 ${part('A')} ${part('B')} ${part('C')} ${xo} Rc:1`,
      operands: operands.map((letter) => `{FR${letter}}`).join(),
      meaning(s) {
        requireFloatingPoint(s);
        fast.arithmetic(s, name, single);
      },
    }),
  );
}

/** Conversions with a fast path. */
const FAST_CONVERSIONS: Readonly<Record<string, (s: S) => void>> = {
  frsp: fast.roundToSingle,
  fctidz: (s) => fast.truncate(s, 64),
  fctiwz: (s) => fast.truncate(s, 32),
  fcfid: (s) => fast.fromInteger(s, true, false),
  fcfids: (s) => fast.fromInteger(s, true, true),
  fcfidu: (s) => fast.fromInteger(s, false, false),
  fcfidus: (s) => fast.fromInteger(s, false, true),
};

const CONVERSIONS: readonly (readonly [name: string, opcode: string, xo: string])[] = [
  ['frsp', '111111', '0000001100'],
  ['fctiw', '111111', '0000001110'],
  ['fctiwz', '111111', '0000001111'],
  ['fctiwu', '111111', '0010001110'],
  ['fctiwuz', '111111', '0010001111'],
  ['fctid', '111111', '1100101110'],
  ['fctidz', '111111', '1100101111'],
  ['fctidu', '111111', '1110101110'],
  ['fctiduz', '111111', '1110101111'],
  ['fcfid', '111111', '1101001110'],
  ['fcfidu', '111111', '1111001110'],
  ['fcfids', '111011', '1101001110'],
  ['fcfidus', '111011', '1111001110'],
  ['frin', '111111', '0110001000'],
  ['friz', '111111', '0110101000'],
  ['frip', '111111', '0111001000'],
  ['frim', '111111', '0111101000'],
];

const STATUS: readonly PowerInstruction[] = [
  soft('mffs', '111111 FRT:5 00000 00000 1001000111 Rc:1', '{FRT}'),
  soft('mffsce', '111111 FRT:5 00001 00000 1001000111 0', '{FRT}'),
  soft('mffscdrn', '111111 FRT:5 10100 FRB:5 1001000111 0', '{FRT},{FRB}'),
  soft('mffscdrni', '111111 FRT:5 10101 00 DRM:3 1001000111 0', '{FRT},{DRM}'),
  soft('mffscrn', '111111 FRT:5 10110 FRB:5 1001000111 0', '{FRT},{FRB}'),
  soft('mffscrni', '111111 FRT:5 10111 000 RM:2 1001000111 0', '{FRT},{RM}'),
  soft('mffsl', '111111 FRT:5 11000 00000 1001000111 0', '{FRT}'),
  soft('mtfsf', '111111 L:1 FLM:8 W:1 FRB:5 1011000111 Rc:1', '{FLM},{FRB},{L},{W}'),
  soft('mtfsfi', '111111 BF:3 00 0000 W:1 U:4 0 0010000110 Rc:1', '{BF},{U},{W}'),
  soft('mtfsb0', '111111 BT:5 00000 00000 0001000110 Rc:1', '{BT}'),
  soft('mtfsb1', '111111 BT:5 00000 00000 0000100110 Rc:1', '{BT}'),
  soft('mcrfs', '111111 BF:3 00 BFA:3 00 00000 0001000000 0', '{BF},{BFA}'),
];

/** Sets CR field BF of a software division or square root test (4.6.6.1): 1 || fg || fe || 0. */
function setTest(s: S, fg: W, fe: W): void {
  const base = s.let(i32.shl(s.field('BF'), i32.const(2)));
  const flags = [i32.const(1), s.let(fg), s.let(fe), i32.const(0)];
  flags.forEach((flag, i) => {
    s.setAt(cr, i32.add(base, i32.const(i)), flag);
  });
}

const within = (v: D, lowest: number, highest: number): W =>
  i64.leU(i64.sub(v, i64.const(lowest)), i64.const(highest - lowest));

const TESTS: readonly PowerInstruction[] = [
  define({
    name: 'ftdiv',
    encoding: '111111 BF:3 00 FRA:5 FRB:5 0010000000 0',
    operands: '{BF},{FRA},{FRB}',
    meaning(s) {
      requireFloatingPoint(s);
      const a = s.let(source(s, 'FRA'));
      const b = s.let(source(s, 'FRB'));
      const ea = s.let(exponent(a));
      const eb = s.let(exponent(b));
      const zeroB = i64.eqz(i64.shl(b, i64.const(1)));
      const zeroA = i64.eqz(i64.shl(a, i64.const(1)));
      const infinite = (v: D): W => i64.eq(i64.shl(v, i64.const(1)), i64.const(0x7ffn << 53n));
      const denormalB = i64.eqz(eb);
      const special = i32.or(i64.eq(ea, i64.const(0x7ff)), i64.eq(eb, i64.const(0x7ff)));
      // Exponents of a, of b and of the quotient that keep a Newton iteration in range.
      const difference = s.let(i64.sub(ea, eb));
      const badB = i32.eqz(within(eb, 2, 2043));
      const badQuotient = i32.or(
        i64.geS(difference, i64.const(1023)),
        i32.or(i64.leS(difference, i64.const(-1021)), i64.leS(ea, i64.const(53))),
      );
      const fe = i32.or(special, i32.or(zeroB, i32.or(badB, i32.and(i32.eqz(zeroA), badQuotient))));
      const fg = i32.or(i32.or(infinite(a), infinite(b)), denormalB);
      setTest(s, fg, fe);
    },
  }),
  define({
    name: 'ftsqrt',
    encoding: '111111 BF:3 00 00000 FRB:5 0010100000 0',
    operands: '{BF},{FRB}',
    meaning(s) {
      requireFloatingPoint(s);
      const b = s.let(source(s, 'FRB'));
      const eb = s.let(exponent(b));
      const infinite = i64.eq(i64.shl(b, i64.const(1)), i64.const(0x7ffn << 53n));
      const isZero = i64.eqz(i64.shl(b, i64.const(1)));
      const special = i32.or(i64.eq(eb, i64.const(0x7ff)), i32.or(isZero, i64.ltS(b, i64.const(0))));
      setTest(s, i32.or(infinite, i64.eqz(eb)), i32.or(special, i64.leU(eb, i64.const(53))));
    },
  }),
];

/** Without NaNs both comparisons do the same (4.6.8). */
function comparison(name: string, xo: string): PowerInstruction {
  return define({
    name,
    encoding: `111111 BF:3 00 FRA:5 FRB:5 ${xo} 0`,
    operands: '{BF},{FRA},{FRB}',
    meaning(s) {
      requireFloatingPoint(s);
      const a = s.let(f64.reinterpretI64(source(s, 'FRA')));
      const b = s.let(f64.reinterpretI64(source(s, 'FRB')));
      const unordered = i32.or(f64.ne(a, a), f64.ne(b, b));
      s.if(unordered, () => s.trap(TRAP.softFloat, instructionWord(s)));
      const [lt, gt, eq] = [s.let(f64.lt(a, b)), s.let(f64.gt(a, b)), s.let(f64.eq(a, b))];
      const base = s.let(i32.shl(s.field('BF'), i32.const(2)));
      [lt, gt, eq, i32.const(0)].forEach((flag, i) => {
        s.setAt(cr, i32.add(base, i32.const(i)), flag);
      });
      const condition = [15, 14, 13].map((position, i) => i32.shl([lt, gt, eq][i] as W, i32.const(position)));
      const code = i64.extendU(condition.reduce((x, y) => i32.or(x, y)));
      s.set(fpscr, i64.or(i64.and(s.get(fpscr), i64.const(~0xf000n)), code));
    },
  });
}

export const FLOAT: readonly PowerInstruction[] = [
  ...MOVES,
  ...MERGES,
  ...ARITHMETIC.flatMap(arithmetic),
  ...CONVERSIONS.map(([name, opcode, xo]) =>
    define({
      name,
      encoding: `${opcode} FRT:5 00000 FRB:5 ${xo} Rc:1`,
      operands: '{FRT},{FRB}',
      meaning(s) {
        requireFloatingPoint(s);
        const quick = FAST_CONVERSIONS[name];
        if (quick === undefined) s.helper(HELPER.float, instructionWord(s));
        else quick(s);
      },
    }),
  ),
  comparison('fcmpu', '0000000000'),
  comparison('fcmpo', '0000100000'),
  ...TESTS,
  ...STATUS,
];
