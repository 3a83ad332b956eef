import { Expr } from '../wasm/expr.ts';
import type { I32, I64, ValType } from '../wasm/types.ts';
import type { Slot, SlotFile } from './state.ts';

/** Leaves of engine expressions (negative opcodes of `Expr`). */
export const LEAF = {
  /** A register: `imm` is the slot's index, `offset` the version it was read at. */
  slot: -1,
  /** A register chosen at run time: `a` is its number, `imm` the file's position, `offset` the version. */
  file: -2,
  /** A value named by `let`, `load` or `phi`: `imm` is its number. */
  temp: -3,
  /** Address of this instruction. */
  pc: -4,
  /** Address of the instruction that follows in storage. */
  nextPc: -5,
  /** The instruction's first four bytes as a number (interpreter only). */
  head: -6,
  /** Bytes 4 and 5 of the instruction as a number (interpreter only). */
  tail: -7,
} as const;

/** Size of a memory access in bytes. */
export type AccessSize = 1 | 2 | 4 | 8;

/** Where a jump's target comes from; the translator treats each in its own way. */
export type JumpKind = 'direct' | 'indirect' | 'return';

/** What an instruction does, in order. Expressions inside are free of side effects. */
export type Statement =
  | { readonly kind: 'let'; readonly temp: Expr; readonly value: Expr }
  | { readonly kind: 'set'; readonly slot: Slot; readonly value: Expr }
  | { readonly kind: 'setAt'; readonly file: SlotFile; readonly index: Expr<I32>; readonly value: Expr }
  | {
      readonly kind: 'load';
      readonly temp: Expr<I64>;
      readonly address: Expr<I64>;
      readonly size: AccessSize;
      readonly signed: boolean;
      readonly bigEndian: boolean;
      readonly space: number;
    }
  | {
      readonly kind: 'store';
      readonly address: Expr<I64>;
      readonly size: AccessSize;
      readonly value: Expr<I64>;
      readonly bigEndian: boolean;
      readonly space: number;
    }
  | {
      readonly kind: 'if';
      readonly condition: Expr<I32>;
      readonly whenTrue: readonly Statement[];
      readonly whenFalse: readonly Statement[];
    }
  | {
      readonly kind: 'jump';
      /** null: always. */
      readonly condition: Expr<I32> | null;
      readonly target: Expr<I64>;
      readonly how: JumpKind;
      /** The next instruction's address was put where a `return` jump will find it. */
      readonly call: boolean;
    }
  | { readonly kind: 'trap'; readonly cause: number; readonly argument: Expr<I32> }
  | { readonly kind: 'helper'; readonly helper: number; readonly a: Expr<I32>; readonly b: Expr<I32> }
  | { readonly kind: 'execute'; readonly text: Expr<I64> };

/** A leaf that stands for a value of the engine. */
export function leaf<T extends ValType>(
  type: T,
  op: number,
  imm: number,
  offset = 0,
  a: Expr<I32> | null = null,
): Expr<T> {
  return new Expr(type, op, a, null, null, imm, offset);
}
