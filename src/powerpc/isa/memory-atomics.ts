import { i32, i64, select } from '../../wasm/expr.ts';
import { aligned } from './atomics.ts';
import {
  type D,
  define,
  effective,
  type PowerInstruction,
  ra0,
  reg,
  type S,
  setReg,
  sext,
  type W,
  zext,
} from './common.ts';
import { TRAP } from './helpers.ts';
import { gpr } from './state.ts';

/**
 * Atomic memory operations (Power ISA 3.0B, book II, 4.5): hardware has the nest do them, here one CPU executes at a time. That an operand
 * pair lies in one aligned block of 32 bytes is not asked for, as in QEMU.
 */

/** Functions by number. Those from 16 up take more than one operand. */
const FC = { add: 0, xor: 1, or: 2, and: 3, maxU: 4, maxS: 5, minU: 6, minS: 7, swap: 8 } as const;
const FETCH = { compareNotEqual: 16, incrementBounded: 24, incrementEqual: 25, decrementBounded: 28 } as const;
const STORE_TWIN = 24;

interface Width {
  readonly bytes: 4 | 8;
  /** The operand's own bits as an unsigned and as a signed number. */
  readonly unsigned: (v: D) => D;
  readonly signed: (v: D) => D;
}

const WORD: Width = { bytes: 4, unsigned: zext, signed: sext };
const DOUBLEWORD: Width = { bytes: 8, unsigned: (v) => v, signed: (v) => v };

const is = (s: S, number: number): W => i32.eq(s.field('FC'), i32.const(number));
const isAny = (s: S, numbers: readonly number[]): W => numbers.map((n) => is(s, n)).reduce((a, b) => i32.or(a, b));

/** What memory gets, of those functions that take one operand. */
function combined(s: S, { signed, unsigned }: Width, memory: D, operand: D): D {
  const [a, b] = [signed(memory), signed(operand)];
  const [c, d] = [unsigned(memory), unsigned(operand)];
  const rows: readonly (readonly [number, D])[] = [
    [FC.xor, i64.xor(memory, operand)],
    [FC.or, i64.or(memory, operand)],
    [FC.and, i64.and(memory, operand)],
    [FC.maxU, select(i64.gtU(c, d), memory, operand)],
    [FC.maxS, select(i64.gtS(a, b), memory, operand)],
    [FC.minU, select(i64.ltU(c, d), memory, operand)],
    [FC.minS, select(i64.ltS(a, b), memory, operand)],
    [FC.swap, operand],
  ];
  return rows.reduce((otherwise, [number, value]) => select(is(s, number), value, otherwise), i64.add(memory, operand));
}

/** Traps for functions that are none, and gives the address, which must be aligned. */
function begin(s: S, functions: readonly number[], { bytes }: Width): D {
  s.if(i32.eqz(isAny(s, functions)), () => s.trap(TRAP.illegal));
  const ea = effective(s, ra0(s), i64.const(0));
  aligned(s, ea, bytes);
  return ea;
}

/** A register behind the one that a field names. */
function following(s: S, field: string, distance: number): D {
  const number = i32.and(i32.add(s.field(field), i32.const(distance)), i32.const(31));
  return s.let(s.getAt(gpr, number));
}

function load(name: string, xo: string, width: Width): PowerInstruction {
  const { bytes, unsigned } = width;
  return define({
    name,
    encoding: `011111 RT:5 RA:5 FC:5 ${xo} 0`,
    operands: '{RT},{RA},{FC}',
    meaning(s) {
      const ea = begin(s, [...Object.values(FC), ...Object.values(FETCH)], width);
      const memory = s.load(ea, bytes);
      // The other half of a pair; where the function has none, the same again.
      const above = i64.extendS(i32.mul(isAny(s, [FETCH.incrementBounded, FETCH.incrementEqual]), i32.const(bytes)));
      const below = i64.extendS(i32.mul(is(s, FETCH.decrementBounded), i32.const(bytes)));
      const bound = s.load(effective(s, ea, i64.sub(above, below)), bytes);
      const operand = following(s, 'RT', 1);
      const replacement = following(s, 'RT', 2);
      const equal = s.let(i64.eq(memory, bound));
      const holds = s.let(i32.xor(equal, i32.eqz(is(s, FETCH.incrementEqual))));
      const counts = s.let(isAny(s, [FETCH.incrementBounded, FETCH.incrementEqual, FETCH.decrementBounded]));
      const step = select(is(s, FETCH.decrementBounded), i64.const(-1n), i64.const(1));
      const counted = select(holds, i64.add(memory, step), memory);
      const different = i64.ne(memory, unsigned(operand));
      const exchanged = select(different, replacement, memory);
      const single = combined(s, width, memory, operand);
      const result = select(counts, counted, select(is(s, FETCH.compareNotEqual), exchanged, single));
      s.store(ea, bytes, s.let(result));
      const failed = i32.and(counts, i32.eqz(holds));
      setReg(s, 'RT', select(failed, i64.const(-(1n << BigInt(8 * bytes - 1))), memory));
    },
  });
}

function store(name: string, xo: string, width: Width): PowerInstruction {
  const { bytes } = width;
  return define({
    name,
    encoding: `011111 RS:5 RA:5 FC:5 ${xo} 0`,
    operands: '{RS},{RA},{FC}',
    meaning(s) {
      const ea = begin(s, [...Object.values(FC).filter((n) => n !== FC.swap), STORE_TWIN], width);
      const memory = s.load(ea, bytes);
      const twin = s.let(is(s, STORE_TWIN));
      const second = effective(s, ea, i64.extendS(i32.mul(twin, i32.const(bytes))));
      const other = s.load(second, bytes);
      const operand = reg(s, 'RS');
      const equal = i64.eq(memory, other);
      const result = s.let(select(twin, select(equal, operand, memory), combined(s, width, memory, operand)));
      const otherResult = s.let(select(equal, operand, other));
      // The second goes first: if it lies on another page and faults, nothing is stored.
      s.if(twin, () => s.store(second, bytes, otherResult));
      s.store(ea, bytes, result);
    },
  });
}

export const MEMORY_ATOMICS: readonly PowerInstruction[] = [
  load('lwat', '1001000110', WORD),
  load('ldat', '1001100110', DOUBLEWORD),
  store('stwat', '1011000110', WORD),
  store('stdat', '1011100110', DOUBLEWORD),
];
