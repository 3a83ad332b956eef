import type { AccessSize } from '../../engine/ir.ts';
import type { SlotFile } from '../../engine/state.ts';
import { byteSwap32, byteSwap64, i32, i64 } from '../../wasm/expr.ts';
import type { I64 } from '../../wasm/types.ts';
import { PGM } from '../abi.ts';
import {
  address,
  byHelper,
  type D,
  define,
  gr,
  gr32,
  high,
  load,
  low,
  odd,
  requireEven,
  type S,
  type S390Instruction,
  setGr,
  setGr32,
  setGrHigh,
  store,
  type W,
  withLow,
  zext,
} from './common.ts';
import { setConditions } from './condition.ts';
import type { Format } from './formats.ts';
import { TRAP } from './helpers.ts';
import { ar, gpr } from './state.ts';

/** Loads and stores of several registers, of parts of one, and in reverse byte order (Principles of Operation, chapter 7). */

const PAGE = 4096;

/** Leaves an instruction that stores in pieces to `perform` where its storage lies on two pages: only one of them might fault. */
export function requireOnePage(s: S, at: D, bytes: number | W): void {
  const inPage = i32.and(low(at), i32.const(PAGE - 1));
  const most = typeof bytes === 'number' ? i32.const(PAGE - bytes) : i32.sub(i32.const(PAGE), bytes);
  s.if(i32.gtU(inPage, most), () => s.trap(TRAP.perform));
}

/** What LM, STM and the like do with one register. */
interface Kind {
  readonly file: SlotFile<I64>;
  readonly size: 4 | 8;
  /** The value that is stored. */
  readonly out: (register: D) => D;
  /** The register with what was loaded in it. */
  readonly into: (register: D, loaded: D) => D;
}

const LOW: Kind = { file: gpr, size: 4, out: (r) => r, into: (r, v) => withLow(r, low(v)) };
const HIGH: Kind = {
  file: gpr,
  size: 4,
  out: (r) => i64.shrU(r, i64.const(32)),
  into: (r, v) => i64.or(i64.shl(v, i64.const(32)), zext(low(r))),
};
const WHOLE: Kind = { file: gpr, size: 8, out: (r) => r, into: (_, v) => v };
const ACCESS: Kind = { file: ar, size: 4, out: (r) => r, into: (_, v) => v };

/** Those that interpreters meet often: they are worth a chain of sixteen accesses there. */
const FREQUENT = /^l?(st)?mg?$/;

/** Number of the i-th register from R1 on; behind 15 comes 0. */
const nth = (s: S, i: number): W => i32.and(i32.add(s.field('R1'), i32.const(i)), i32.const(15));

/** Runs `body` for each register from R1 to R3; where the fields are not known, on condition. */
function forEach(s: S, last: W, body: (i: number) => void): void {
  for (let i = 0; i < 16; i++) s.if(i32.geU(last, i32.const(i)), () => body(i));
}

function multiple(
  name: string,
  opcode: string,
  format: Format,
  direction: 'load' | 'store',
  { file, size, out, into }: Kind,
): S390Instruction {
  return define({
    name,
    opcode,
    format,
    ...(file === ar && { operands: '{A1},{A3},{S2}' }),
    meaning(s) {
      const last = s.let(i32.and(i32.sub(s.field('R3'), s.field('R1')), i32.const(15)));
      if (s.known(last) === undefined && !FREQUENT.test(name)) return byHelper(s);
      const at = address(s, 2);
      if (file === ar) s.if(i32.and(low(at), i32.const(3)), () => s.trap(PGM.SPECIFICATION));
      const place = (i: number): D => placeOf(s, at, i * size);
      if (direction === 'store') {
        requireOnePage(s, at, i32.mul(i32.add(last, i32.const(1)), i32.const(size)));
        forEach(s, last, (i) => store(s, place(i), size, out(s.getAt(file, nth(s, i)))));
        return;
      }
      const loaded: D[] = [];
      forEach(s, last, (i) => {
        loaded[i] = load(s, place(i), size);
      });
      forEach(s, last, (i) => s.setAt(file, nth(s, i), into(s.getAt(file, nth(s, i)), loaded[i] as D)));
    },
  });
}

/** An address some bytes behind another one, in the mode. */
export function placeOf(s: S, at: D, distance: number): D {
  if (distance === 0) return at;
  const sum = i64.add(at, i64.const(distance));
  const { addressBits } = s.mode;
  return addressBits === 64 ? sum : i64.and(sum, i64.const((1n << BigInt(addressBits)) - 1n));
}

/** Pieces of 1, 2, 4 and 8 bytes that make up a length up to 8. */
export function piecesOf(bytes: number): readonly { readonly at: number; readonly size: AccessSize }[] {
  const pieces: { at: number; size: AccessSize }[] = [];
  for (let at = 0; at < bytes; ) {
    const size = ([8, 4, 2, 1] as const).find((n) => n <= bytes - at) as AccessSize;
    pieces.push({ at, size });
    at += size;
  }
  return pieces;
}

/** Loads 1 to 8 bytes as a number. */
export function loadBytes(s: S, at: D, bytes: number): D {
  let value: D = i64.const(0);
  for (const piece of piecesOf(bytes)) {
    const part = load(s, placeOf(s, at, piece.at), piece.size);
    value = piece.at === 0 ? part : i64.or(i64.shl(value, i64.const(8 * piece.size)), part);
  }
  return s.let(value);
}

/** Stores the low 1 to 8 bytes of a number. */
export function storeBytes(s: S, at: D, bytes: number, value: D): void {
  const pieces = piecesOf(bytes);
  if (pieces.length > 1) requireOnePage(s, at, bytes);
  for (const piece of pieces) {
    const behind = bytes - piece.at - piece.size;
    store(s, placeOf(s, at, piece.at), piece.size, i64.shrU(value, i64.const(8 * behind)));
  }
}

/** Bytes of a word that a mask selects, as positions from the lowest one, the leftmost first. */
export function selectedBytes(mask: number): number[] {
  return [3, 2, 1, 0].filter((position) => ((mask >> position) & 1) !== 0);
}

/** Bytes of a word under a mask, next to each other. */
export function gather(word: W, mask: number): W {
  const positions = selectedBytes(mask);
  return positions.reduce<W>((sum, position, i) => {
    const byte = i32.and(i32.shrU(word, i32.const(8 * position)), i32.const(0xff));
    return i32.or(sum, i32.shl(byte, i32.const(8 * (positions.length - 1 - i))));
  }, i32.const(0));
}

/** The word with bytes under a mask replaced by neighbouring ones of another. */
function scatter(word: W, bytes: W, mask: number): W {
  const positions = selectedBytes(mask);
  return positions.reduce<W>((sum, position, i) => {
    const byte = i32.and(i32.shrU(bytes, i32.const(8 * (positions.length - 1 - i))), i32.const(0xff));
    return i32.or(i32.and(sum, i32.const(~(0xff << (8 * position)))), i32.shl(byte, i32.const(8 * position)));
  }, word);
}

/** Insert characters under mask. */
function insertUnderMask(name: string, opcode: string, format: 'RSm' | 'RSYm', half: 'low' | 'high'): S390Instruction {
  return define({
    name,
    opcode,
    format,
    split: ['M3'],
    meaning(s) {
      const mask = s.split('M3');
      const count = selectedBytes(mask).length;
      const at = address(s, 2);
      // With an empty mask there is still an access to one byte.
      const bytes = s.let(low(loadBytes(s, at, count || 1)));
      const old = half === 'low' ? gr32(s, 'R1') : high(gr(s, 'R1'));
      const result = s.let(mask === 15 ? bytes : scatter(old, bytes, mask));
      if (half === 'low') setGr32(s, 'R1', result);
      else setGrHigh(s, 'R1', result);
      if (count === 0) return setConditions(s, [i32.const(1), i32.const(0), i32.const(0), i32.const(0)]);
      const top = i32.shl(bytes, i32.const(32 - 8 * count));
      setConditions(s, [i32.eqz(top), i32.ltS(top, i32.const(0)), i32.gtS(top, i32.const(0)), i32.const(0)]);
    },
  });
}

/** Store characters under mask. */
function storeUnderMask(name: string, opcode: string, format: 'RSm' | 'RSYm', half: 'low' | 'high'): S390Instruction {
  return define({
    name,
    opcode,
    format,
    split: ['M3'],
    meaning(s) {
      const mask = s.split('M3');
      const count = selectedBytes(mask).length;
      if (count === 0) return;
      const word = s.let(half === 'low' ? gr32(s, 'R1') : high(gr(s, 'R1')));
      storeBytes(s, address(s, 2), count, zext(mask === 15 ? word : gather(word, mask)));
    },
  });
}

function quadword(s: S): D {
  requireEven(s, 'R1');
  const at = address(s, 2);
  s.if(i32.and(low(at), i32.const(15)), () => s.trap(PGM.SPECIFICATION));
  return at;
}

/** Traps with a data exception where what is loaded is 0. */
function loadAndTrap(
  name: string,
  opcode: string,
  bits: 32 | 64,
  set: (s: S, v: D) => void,
  mask = -1n,
): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RXY',
    meaning(s) {
      const v = s.let(i64.and(load(s, address(s, 2), bits === 32 ? 4 : 8), i64.const(mask)));
      set(s, v);
      s.if(i64.eqz(v), () => s.trap(PGM.DATA, i32.const(0xff)));
    },
  });
}

export const MULTIPLE: readonly S390Instruction[] = [
  multiple('lm', '98', 'RS', 'load', LOW),
  multiple('lmy', 'EB98', 'RSY', 'load', LOW),
  multiple('lmg', 'EB04', 'RSY', 'load', WHOLE),
  multiple('lmh', 'EB96', 'RSY', 'load', HIGH),
  multiple('stm', '90', 'RS', 'store', LOW),
  multiple('stmy', 'EB90', 'RSY', 'store', LOW),
  multiple('stmg', 'EB24', 'RSY', 'store', WHOLE),
  multiple('stmh', 'EB26', 'RSY', 'store', HIGH),
  multiple('lam', '9A', 'RS', 'load', ACCESS),
  multiple('lamy', 'EB9A', 'RSY', 'load', ACCESS),
  multiple('stam', '9B', 'RS', 'store', ACCESS),
  multiple('stamy', 'EB9B', 'RSY', 'store', ACCESS),
  insertUnderMask('icm', 'BF', 'RSm', 'low'),
  insertUnderMask('icmy', 'EB81', 'RSYm', 'low'),
  insertUnderMask('icmh', 'EB80', 'RSYm', 'high'),
  storeUnderMask('stcm', 'BE', 'RSm', 'low'),
  storeUnderMask('stcmy', 'EB2D', 'RSYm', 'low'),
  storeUnderMask('stcmh', 'EB2C', 'RSYm', 'high'),
  define({
    name: 'lpq',
    opcode: 'E38F',
    format: 'RXY',
    meaning(s) {
      const at = quadword(s);
      const [upper, lower] = [load(s, at, 8), load(s, placeOf(s, at, 8), 8)];
      setGr(s, 'R1', upper);
      s.setAt(gpr, odd(s, 'R1'), lower);
    },
  }),
  define({
    name: 'stpq',
    opcode: 'E38E',
    format: 'RXY',
    meaning(s) {
      const at = quadword(s);
      store(s, at, 8, gr(s, 'R1'));
      store(s, placeOf(s, at, 8), 8, s.getAt(gpr, odd(s, 'R1')));
    },
  }),
  define({
    name: 'lrvr',
    opcode: 'B91F',
    format: 'RRE',
    meaning: (s) => setGr32(s, 'R1', byteSwap32(s.let(gr32(s, 'R2')))),
  }),
  define({
    name: 'lrvgr',
    opcode: 'B90F',
    format: 'RRE',
    meaning: (s) => setGr(s, 'R1', byteSwap64(s.let(gr(s, 'R2')))),
  }),
  define({
    name: 'lrv',
    opcode: 'E31E',
    format: 'RXY',
    meaning: (s) => setGr32(s, 'R1', low(load(s, address(s, 2), 4, { bigEndian: false }))),
  }),
  define({
    name: 'lrvg',
    opcode: 'E30F',
    format: 'RXY',
    meaning: (s) => setGr(s, 'R1', load(s, address(s, 2), 8, { bigEndian: false })),
  }),
  define({
    name: 'lrvh',
    opcode: 'E31F',
    format: 'RXY',
    meaning(s) {
      const v = low(load(s, address(s, 2), 2, { bigEndian: false }));
      setGr32(s, 'R1', i32.or(i32.and(gr32(s, 'R1'), i32.const(0xffff0000 | 0)), v));
    },
  }),
  ...(
    [
      ['strv', 'E33E', 4],
      ['strvg', 'E32F', 8],
      ['strvh', 'E33F', 2],
    ] as const
  ).map(([name, opcode, size]) =>
    define({
      name,
      opcode,
      format: 'RXY',
      meaning: (s) => store(s, address(s, 2), size, gr(s, 'R1'), { bigEndian: false }),
    }),
  ),
  loadAndTrap('lat', 'E39F', 32, (s, v) => setGr32(s, 'R1', low(v))),
  loadAndTrap('lgat', 'E385', 64, (s, v) => setGr(s, 'R1', v)),
  loadAndTrap('lfhat', 'E3C8', 32, (s, v) => setGrHigh(s, 'R1', low(v))),
  loadAndTrap('llgfat', 'E39D', 32, (s, v) => setGr(s, 'R1', v)),
  loadAndTrap('llgtat', 'E39C', 32, (s, v) => setGr(s, 'R1', v), 0x7fffffffn),
  define({
    name: 'lzrf',
    opcode: 'E33B',
    format: 'RXY',
    meaning: (s) => setGr32(s, 'R1', i32.and(low(load(s, address(s, 2), 4)), i32.const(~0xff))),
  }),
  define({
    name: 'lzrg',
    opcode: 'E32A',
    format: 'RXY',
    meaning: (s) => setGr(s, 'R1', i64.and(load(s, address(s, 2), 8), i64.const(~0xffn))),
  }),
  define({
    name: 'llzrgf',
    opcode: 'E33A',
    format: 'RXY',
    meaning: (s) => setGr(s, 'R1', i64.and(load(s, address(s, 2), 4), i64.const(~0xffn))),
  }),
  define({
    name: 'ear',
    opcode: 'B24F',
    format: 'RRE',
    operands: '{R1},{A2}',
    meaning: (s) => setGr32(s, 'R1', low(s.getAt(ar, s.field('R2')))),
  }),
  define({
    name: 'sar',
    opcode: 'B24E',
    format: 'RRE',
    operands: '{A1},{R2}',
    meaning: (s) => s.setAt(ar, s.field('R1'), zext(gr32(s, 'R2'))),
  }),
  define({
    name: 'cpya',
    opcode: 'B24D',
    format: 'RRE',
    operands: '{A1},{A2}',
    meaning: (s) => s.setAt(ar, s.field('R1'), s.getAt(ar, s.field('R2'))),
  }),
];
