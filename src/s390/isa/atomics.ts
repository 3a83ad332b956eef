import type { Expr } from '../../wasm/expr.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { PGM } from '../abi.ts';
import { addLogical, addSigned, finish, type Operation } from './arithmetic.ts';
import {
  address,
  type D,
  define,
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
  withLow,
  zext,
} from './common.ts';
import { setZero } from './condition.ts';
import type { Format } from './formats.ts';
import { placeOf } from './multiple.ts';
import { gpr } from './state.ts';
import { W32, W64, type Width } from './width.ts';

/** Interlocked updates (Principles of Operation, chapter 7). One CPU runs at a time, so an instruction's accesses are interlocked as they are. */

type Integer = I32 | I64;

function alignedAddress(s: S, bytes: number): D {
  const at = address(s, 2);
  s.if(i32.and(low(at), i32.const(bytes - 1)), () => s.trap(PGM.SPECIFICATION));
  return at;
}

/** Compare and swap: stores R3 if storage still holds R1, else loads R1. */
function compareAndSwap(name: string, opcode: string, format: Format, bits: 32 | 64): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
    const at = alignedAddress(s, w.bytes);
    const old = s.let(w.from(load(s, at, w.bytes)));
    const same = s.let(w.ops.eq(old, w.get(s, 'R1')));
    s.if(
      same,
      () => store(s, at, w.bytes, w.toD(w.get(s, 'R3'))),
      () => {
        // A store of the same value: an operand that cannot be stored to faults in either case.
        store(s, at, w.bytes, w.toD(old));
        w.set(s, 'R1', old);
      },
    );
    setZero(s, same);
  };
  return define({ name, opcode, format, meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64) });
}

/** Halves of a double operand in registers: words in the low halves of a pair, or whole registers. */
interface Pair {
  readonly get: (s: S, number: W) => D;
  readonly set: (s: S, number: W, value: D) => void;
  readonly bytes: 4 | 8;
}

const WORDS: Pair = {
  get: (s, n) => zext(low(s.getAt(gpr, n))),
  set: (s, n, v) => s.setAt(gpr, n, withLow(s.getAt(gpr, n), low(v))),
  bytes: 4,
};
const DOUBLEWORDS: Pair = { get: (s, n) => s.getAt(gpr, n), set: (s, n, v) => s.setAt(gpr, n, v), bytes: 8 };

function compareDoubleAndSwap(name: string, opcode: string, format: Format, pair: Pair): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      requireEven(s, 'R1', 'R3');
      const { bytes } = pair;
      const at = alignedAddress(s, 2 * bytes);
      const behind = s.let(placeOf(s, at, bytes));
      const [first, second] = [load(s, at, bytes), load(s, behind, bytes)];
      const [r1, r3] = [s.field('R1'), s.field('R3')];
      const same = s.let(i32.and(i64.eq(first, pair.get(s, r1)), i64.eq(second, pair.get(s, odd(s, 'R1')))));
      s.if(
        same,
        () => {
          store(s, at, bytes, pair.get(s, r3));
          store(s, behind, bytes, pair.get(s, odd(s, 'R3')));
        },
        () => {
          store(s, at, bytes, first);
          pair.set(s, r1, first);
          pair.set(s, odd(s, 'R1'), second);
        },
      );
      setZero(s, same);
    },
  });
}

/** Load and add, and, or, exclusive or: R1 gets what storage had, storage the result with R3. */
function loadAnd(name: string, opcode: string, bits: 32 | 64, operation: Operation): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
    const at = alignedAddress(s, w.bytes);
    const old: Expr<T> = s.let(w.from(load(s, at, w.bytes)));
    const outcome = operation(s, w, old, s.let(w.get(s, 'R3')));
    store(s, at, w.bytes, w.toD(outcome.result));
    w.set(s, 'R1', old);
    finish(s, operation, outcome);
  };
  return define({
    name,
    opcode,
    format: 'RSY',
    meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64),
  });
}

const bitwise =
  (name: 'and' | 'or' | 'xor'): Operation =>
  (s, w, a, b) => {
    const result = s.let(w.ops[name](a, b));
    return { result, conditions: [w.ops.eqz(result), i32.eqz(w.ops.eqz(result)), i32.const(0), i32.const(0)] };
  };

/** Loads two operands as one would: no other CPU comes between. */
function loadPair(name: string, opcode: string, bytes: 4 | 8): S390Instruction {
  return define({
    name,
    opcode,
    format: 'SSFr',
    meaning(s) {
      requireEven(s, 'R3');
      const at = [address(s, 1), address(s, 2)] as const;
      for (const a of at) s.if(i32.and(low(a), i32.const(bytes - 1)), () => s.trap(PGM.SPECIFICATION));
      const [first, second] = at.map((a) => load(s, a, bytes)) as [D, D];
      if (bytes === 8) {
        setGr(s, 'R3', first);
        s.setAt(gpr, odd(s, 'R3'), second);
      } else {
        setGr32(s, 'R3', low(first));
        s.setAt(gpr, odd(s, 'R3'), withLow(s.getAt(gpr, odd(s, 'R3')), low(second)));
      }
      setZero(s, i32.const(1));
    },
  });
}

export const ATOMICS: readonly S390Instruction[] = [
  compareAndSwap('cs', 'BA', 'RS', 32),
  compareAndSwap('csy', 'EB14', 'RSY', 32),
  compareAndSwap('csg', 'EB30', 'RSY', 64),
  compareDoubleAndSwap('cds', 'BB', 'RS', WORDS),
  compareDoubleAndSwap('cdsy', 'EB31', 'RSY', WORDS),
  compareDoubleAndSwap('cdsg', 'EB3E', 'RSY', DOUBLEWORDS),
  loadAnd('laa', 'EBF8', 32, addSigned),
  loadAnd('laag', 'EBE8', 64, addSigned),
  loadAnd('laal', 'EBFA', 32, addLogical),
  loadAnd('laalg', 'EBEA', 64, addLogical),
  loadAnd('lan', 'EBF4', 32, bitwise('and')),
  loadAnd('lang', 'EBE4', 64, bitwise('and')),
  loadAnd('lao', 'EBF6', 32, bitwise('or')),
  loadAnd('laog', 'EBE6', 64, bitwise('or')),
  loadAnd('lax', 'EBF7', 32, bitwise('xor')),
  loadAnd('laxg', 'EBE7', 64, bitwise('xor')),
  loadPair('lpd', 'C84', 4),
  loadPair('lpdg', 'C85', 8),
];
