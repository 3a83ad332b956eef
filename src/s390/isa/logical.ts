import type { Expr } from '../../wasm/expr.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import {
  address,
  type D,
  define,
  gr,
  gr32,
  immediate,
  load,
  low,
  odd,
  requireEven,
  type S,
  type S390Instruction,
  setGr,
  setGr32,
  store,
  type W,
  zext,
} from './common.ts';
import { setConditions, setZero } from './condition.ts';
import type { Format } from './formats.ts';
import { gpr } from './state.ts';
import { firstSource, operand, type Source, W32, W64, type Width } from './width.ts';

/** AND, OR, XOR, tests of bits and counts of bits (Principles of Operation, chapter 7). */

type Integer = I32 | I64;
type Name = 'and' | 'or' | 'xor';

type Row = readonly [name: string, opcode: string, format: Format, width: 32 | 64, source: Source];

function logical(operation: Name, rows: readonly Row[]): S390Instruction[] {
  return rows.map(([name, opcode, format, bits, source]) => {
    const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
      const b = operand(s, w, source);
      const result: Expr<T> = s.let(w.ops[operation](w.get(s, firstSource(s)), b));
      w.set(s, 'R1', result);
      setZero(s, w.ops.eqz(result));
    };
    return define({ name, opcode, format, meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64) });
  });
}

/** A byte of storage with an immediate. */
function byteOfStorage(operation: Name, name: string, opcode: string, format: 'SI' | 'SIY'): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      const at = address(s, 1);
      const result = s.let(i64[operation](load(s, at, 1), zext(s.field('I2'))));
      store(s, at, 1, result);
      setZero(s, i64.eqz(result));
    },
  });
}

/** A part of a register, by the bit position of its lowest bit, that an immediate of that width works on. */
interface Part {
  readonly shift: number;
  readonly bits: 16 | 32;
}

const PARTS: Readonly<Record<string, Part>> = {
  hh: { shift: 48, bits: 16 },
  hl: { shift: 32, bits: 16 },
  lh: { shift: 16, bits: 16 },
  ll: { shift: 0, bits: 16 },
  hf: { shift: 32, bits: 32 },
  lf: { shift: 0, bits: 32 },
};

const ones = ({ bits }: Part): bigint => (1n << BigInt(bits)) - 1n;
const inPlace = (v: D, { shift }: Part): D => i64.shl(v, i64.const(shift));
const immediateOf = (s: S, { bits }: Part): D => zext(bits === 16 ? s.field('I2') : immediate(s));
const formatOf = ({ bits }: Part): Format => (bits === 16 ? 'RI' : 'RIL');

/** A part of R1 with an immediate; the condition code is about the part alone. */
function partWithImmediate(operation: Name, name: string, opcode: string, part: Part): S390Instruction {
  return define({
    name,
    opcode,
    format: formatOf(part),
    meaning(s) {
      const placed = inPlace(immediateOf(s, part), part);
      const others = i64.const(~(ones(part) << BigInt(part.shift)));
      const b = operation === 'and' ? i64.or(placed, others) : placed;
      const result = s.let(i64[operation](gr(s, 'R1'), b));
      setGr(s, 'R1', result);
      setZero(s, i64.eqz(i64.and(result, i64.const(ones(part) << BigInt(part.shift)))));
    },
  });
}

const PART_OPCODES: readonly (readonly [operation: Name, stem: string, opcodes: Readonly<Record<string, string>>])[] = [
  ['and', 'ni', { hh: 'A54', hl: 'A55', lh: 'A56', ll: 'A57', hf: 'C0A', lf: 'C0B' }],
  ['or', 'oi', { hh: 'A58', hl: 'A59', lh: 'A5A', ll: 'A5B', hf: 'C0C', lf: 'C0D' }],
  ['xor', 'xi', { hf: 'C06', lf: 'C07' }],
];

/** Inserts a part of a register from an immediate, or loads it with zeros elsewhere. */
function insertPart(name: string, opcode: string, part: Part, clears: boolean): S390Instruction {
  return define({
    name,
    opcode,
    format: formatOf(part),
    meaning(s) {
      const placed = inPlace(immediateOf(s, part), part);
      const others = i64.const(~(ones(part) << BigInt(part.shift)));
      setGr(s, 'R1', clears ? placed : i64.or(i64.and(gr(s, 'R1'), others), placed));
    },
  });
}

/** Tests under a mask: 0 none (or no bit selected), 1 mixed, 3 all ones. */
function testStorage(name: string, opcode: string, format: 'SI' | 'SIY'): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      const mask = s.field('I2');
      const selected = s.let(i32.and(low(load(s, address(s, 1), 1)), mask));
      const none = i32.eqz(selected);
      const all = i32.and(i32.eq(selected, mask), i32.ne(mask, i32.const(0)));
      setConditions(s, [none, i32.eqz(i32.or(none, all)), i32.const(0), all]);
    },
  });
}

/** The same on a part of a register; mixed bits are 1 where the leftmost selected one is 0, else 2. */
function testPart(name: string, opcode: string, part: Part): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RI',
    meaning(s) {
      const mask = s.field('I2');
      const selected = s.let(i32.and(low(i64.shrU(gr(s, 'R1'), i64.const(part.shift))), mask));
      const none = i32.eqz(selected);
      const all = i32.and(i32.eq(selected, mask), i32.ne(mask, i32.const(0)));
      // The leftmost selected bit is 1 where the selected bits and the mask are equally long.
      const leftmost = i32.eq(i32.clz(selected), i32.clz(mask));
      const mixed = i32.and(i32.ne(selected, i32.const(0)), i32.ne(selected, mask));
      setConditions(s, [none, i32.and(mixed, i32.eqz(leftmost)), i32.and(mixed, leftmost), all]);
    },
  });
}

/** Find leftmost one: its position in R1, or 64, and R2 without it in the register behind. */
function findLeftmostOne(s: S): void {
  requireEven(s, 'R1');
  const v = s.let(gr(s, 'R2'));
  const position = s.let(i64.clz(v));
  const isZero = s.let(i64.eqz(v));
  const leftmost = i64.shrU(i64.const(1n << 63n), position);
  const without = s.let(i64.and(v, i64.not(leftmost)));
  setGr(s, 'R1', position);
  s.setAt(gpr, odd(s, 'R1'), s.select(isZero, i64.const(0), without));
  setConditions(s, [isZero, i32.const(0), i32.eqz(isZero), i32.const(0)]);
}

/** Counts the ones of each byte into that byte. */
function countBytes(s: S, v: D): D {
  const spread = (byte: number): D => i64.const(BigInt(byte) * 0x0101010101010101n);
  const pairs = s.let(i64.sub(v, i64.and(i64.shrU(v, i64.const(1)), spread(0x55))));
  const nibbles = s.let(i64.add(i64.and(pairs, spread(0x33)), i64.and(i64.shrU(pairs, i64.const(2)), spread(0x33))));
  return i64.and(i64.add(nibbles, i64.shrU(nibbles, i64.const(4))), spread(0x0f));
}

/** Inserts characters under a mask of four bits: chosen bytes of a word come from successive bytes of storage. */
const withByte = (word: W, byte: W, position: number): W =>
  i32.or(i32.and(word, i32.const(~(0xff << (8 * position)))), i32.shl(byte, i32.const(8 * position)));

export const LOGICAL: readonly S390Instruction[] = [
  ...logical('and', [
    ['nr', '14', 'RR', 32, 'r'],
    ['ngr', 'B980', 'RRE', 64, 'r'],
    ['nrk', 'B9F4', 'RRFa', 32, 'r'],
    ['ngrk', 'B9E4', 'RRFa', 64, 'r'],
    ['n', '54', 'RX', 32, 'm'],
    ['ny', 'E354', 'RXY', 32, 'm'],
    ['ng', 'E380', 'RXY', 64, 'm'],
  ]),
  ...logical('or', [
    ['or', '16', 'RR', 32, 'r'],
    ['ogr', 'B981', 'RRE', 64, 'r'],
    ['ork', 'B9F6', 'RRFa', 32, 'r'],
    ['ogrk', 'B9E6', 'RRFa', 64, 'r'],
    ['o', '56', 'RX', 32, 'm'],
    ['oy', 'E356', 'RXY', 32, 'm'],
    ['og', 'E381', 'RXY', 64, 'm'],
  ]),
  ...logical('xor', [
    ['xr', '17', 'RR', 32, 'r'],
    ['xgr', 'B982', 'RRE', 64, 'r'],
    ['xrk', 'B9F7', 'RRFa', 32, 'r'],
    ['xgrk', 'B9E7', 'RRFa', 64, 'r'],
    ['x', '57', 'RX', 32, 'm'],
    ['xy', 'E357', 'RXY', 32, 'm'],
    ['xg', 'E382', 'RXY', 64, 'm'],
  ]),
  byteOfStorage('and', 'ni', '94', 'SI'),
  byteOfStorage('and', 'niy', 'EB54', 'SIY'),
  byteOfStorage('or', 'oi', '96', 'SI'),
  byteOfStorage('or', 'oiy', 'EB56', 'SIY'),
  byteOfStorage('xor', 'xi', '97', 'SI'),
  byteOfStorage('xor', 'xiy', 'EB57', 'SIY'),
  ...PART_OPCODES.flatMap(([operation, stem, opcodes]) =>
    Object.entries(opcodes).map(([part, opcode]) =>
      partWithImmediate(operation, stem + part, opcode, PARTS[part] as Part),
    ),
  ),
  ...Object.entries({ hh: 'A50', hl: 'A51', lh: 'A52', ll: 'A53', hf: 'C08', lf: 'C09' }).map(([part, opcode]) =>
    insertPart(`ii${part}`, opcode, PARTS[part] as Part, false),
  ),
  ...Object.entries({ hh: 'A5C', hl: 'A5D', lh: 'A5E', ll: 'A5F', hf: 'C0E', lf: 'C0F' }).map(([part, opcode]) =>
    insertPart(`lli${part}`, opcode, PARTS[part] as Part, true),
  ),
  testStorage('tm', '91', 'SI'),
  testStorage('tmy', 'EB51', 'SIY'),
  testPart('tmlh', 'A70', PARTS.lh as Part),
  testPart('tmll', 'A71', PARTS.ll as Part),
  testPart('tmhh', 'A72', PARTS.hh as Part),
  testPart('tmhl', 'A73', PARTS.hl as Part),
  define({ name: 'flogr', opcode: 'B983', format: 'RRE', meaning: findLeftmostOne }),
  define({
    name: 'popcnt',
    opcode: 'B9E1',
    format: 'RRE',
    meaning(s) {
      const counts = s.let(countBytes(s, s.let(gr(s, 'R2'))));
      setGr(s, 'R1', counts);
      setZero(s, i64.eqz(counts));
    },
  }),
  ...(
    [
      ['ic', '43', 'RX'],
      ['icy', 'E373', 'RXY'],
    ] as const
  ).map(([name, opcode, format]) =>
    define({
      name,
      opcode,
      format,
      meaning(s) {
        const byte = low(load(s, address(s, 2), 1));
        setGr32(s, 'R1', withByte(gr32(s, 'R1'), byte, 0));
      },
    }),
  ),
];
