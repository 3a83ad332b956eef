import { i32, i64 } from '../../wasm/expr.ts';

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
  type S,
  type S390Instruction,
  store,
  type W,
} from './common.ts';
import { setComparison, setZero } from './condition.ts';
import { TRAP } from './helpers.ts';
import { gather, loadBytes, piecesOf, placeOf, requireOnePage, selectedBytes } from './multiple.ts';

/** Storage to storage (Principles of Operation, chapter 7). Short lengths that are known become loads and stores, the rest is `perform`'s. */

/** Longest operands that become loads and stores. */
const MOST_BYTES = 64;

/** Length of a format with one length field, if it is known and short. */
function shortLength(s: S): number | null {
  const code = s.known(s.field('L1'));
  return code !== undefined && code < MOST_BYTES ? code + 1 : null;
}

/** Loads of an operand in pieces. */
function pieces(s: S, at: D, bytes: number): D[] {
  return piecesOf(bytes).map((piece) => load(s, placeOf(s, at, piece.at), piece.size));
}

function storePieces(s: S, at: D, bytes: number, values: readonly D[]): void {
  piecesOf(bytes).forEach((piece, i) => {
    store(s, placeOf(s, at, piece.at), piece.size, values[i] as D);
  });
}

/** Leaves what stores into its own second operand before that is read to `perform`, which goes byte by byte. */
function requireApart(s: S, to: D, from: D, bytes: number): void {
  const distance = s.let(i64.sub(to, from));
  s.if(i64.ltU(i64.sub(distance, i64.const(1)), i64.const(bytes - 1)), () => s.trap(TRAP.perform));
}

type Operation = 'and' | 'or' | 'xor';

/** Both operands are written alike: the same base and displacement. */
function sameOperands(s: S): boolean {
  const known = (field: string): number | undefined => s.known(s.field(field));
  return known('B1') === known('B2') && known('D1') === known('D2') && known('B1') !== undefined;
}

const move = define({
  name: 'mvc',
  opcode: 'D2',
  format: 'SSa',
  meaning(s) {
    const bytes = shortLength(s);
    if (bytes === null) return byHelper(s);
    const [to, from] = [address(s, 1), address(s, 2)];
    if (piecesOf(bytes).length > 1) requireOnePage(s, to, bytes);
    if (bytes > 1) requireApart(s, to, from, bytes);
    storePieces(s, to, bytes, pieces(s, from, bytes));
  },
});

function combine(name: string, opcode: string, operation: Operation): S390Instruction {
  return define({
    name,
    opcode,
    format: 'SSa',
    meaning(s) {
      const bytes = shortLength(s);
      if (bytes === null) return byHelper(s);
      const to = address(s, 1);
      if (piecesOf(bytes).length > 1) requireOnePage(s, to, bytes);
      if (operation === 'xor' && sameOperands(s)) {
        storePieces(
          s,
          to,
          bytes,
          piecesOf(bytes).map(() => i64.const(0)),
        );
        return setZero(s, i32.const(1));
      }
      const from = address(s, 2);
      if (bytes > 1) requireApart(s, to, from, bytes);
      const second = pieces(s, from, bytes);
      const results = pieces(s, to, bytes).map((first, i) => s.let(i64[operation](first, second[i] as D)));
      storePieces(s, to, bytes, results);
      setZero(s, i64.eqz(s.let(results.reduce((x, y) => i64.or(x, y)))));
    },
  });
}

/** Compares from left to right: the first pieces that differ decide. */
const compare = define({
  name: 'clc',
  opcode: 'D5',
  format: 'SSa',
  meaning(s) {
    const bytes = shortLength(s);
    if (bytes === null) return byHelper(s);
    const first = pieces(s, address(s, 1), bytes);
    const second = pieces(s, address(s, 2), bytes);
    let [a, b] = [first.at(-1) as D, second.at(-1) as D];
    for (let i = first.length - 2; i >= 0; i--) {
      const [x, y] = [first[i] as D, second[i] as D];
      const differ = s.let(i64.ne(x, y));
      [a, b] = [s.let(s.select(differ, x, a)), s.let(s.select(differ, y, b))];
    }
    setComparison(s, i64.eq(a, b), i64.ltU(a, b), i64.gtU(a, b));
  },
});

/** Compare logical characters under mask. */
function compareUnderMask(name: string, opcode: string, format: 'RSm' | 'RSYm', half: 'low' | 'high'): S390Instruction {
  return define({
    name,
    opcode,
    format,
    split: ['M3'],
    meaning(s) {
      const mask = s.split('M3');
      const count = selectedBytes(mask).length;
      const storage = loadBytes(s, address(s, 2), count || 1);
      if (count === 0) return setComparison(s, i32.const(1), i32.const(0), i32.const(0));
      const word = s.let(half === 'low' ? gr32(s, 'R1') : high(gr(s, 'R1')));
      const a = s.let(mask === 15 ? word : gather(word, mask));
      const b: W = s.let(low(storage));
      setComparison(s, i32.eq(a, b), i32.ltU(a, b), i32.gtU(a, b));
    },
  });
}

/** Test and set: all ones, and the leftmost bit of before is the condition code. */
const testAndSet = define({
  name: 'ts',
  opcode: '93',
  format: 'S1',
  meaning(s) {
    const at = address(s, 1);
    const old = load(s, at, 1);
    store(s, at, 1, i64.const(0xff));
    setZero(s, i64.eqz(i64.and(old, i64.const(0x80))));
  },
});

export const STORAGE: readonly S390Instruction[] = [
  move,
  compare,
  combine('nc', 'D4', 'and'),
  combine('oc', 'D6', 'or'),
  combine('xc', 'D7', 'xor'),
  compareUnderMask('clm', 'BD', 'RSm', 'low'),
  compareUnderMask('clmy', 'EB21', 'RSYm', 'low'),
  compareUnderMask('clmh', 'EB20', 'RSYm', 'high'),
  testAndSet,
];
