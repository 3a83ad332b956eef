import { Expr, i32 } from '../wasm/expr.ts';
import { OP } from '../wasm/opcode.ts';
import type { I32 } from '../wasm/types.ts';
import { LEAF } from './ir.ts';

/** A pending value is written out at each use: a longer one is computed at once. */
const MAX_NODES = 24;

/**
 * Flags that a block has set but whose values are not computed yet. Most flags of a comparison are never looked at, and the one that is becomes
 * part of the branch that follows. An expression may stay pending as long as the registers in it are not written.
 */
export class PendingFlags {
  #pending = new Map<number, Expr<I32>>();
  readonly #compute: (slot: number, value: Expr<I32>) => void;

  /** @param compute emits code that puts the value into the flag's local */
  constructor(compute: (slot: number, value: Expr<I32>) => void) {
    this.#compute = compute;
  }

  clear(): void {
    this.#pending = new Map();
  }

  /** What is pending now, to come back to after another path was emitted. */
  snapshot(): ReadonlyMap<number, Expr<I32>> {
    return new Map(this.#pending);
  }

  restore(snapshot: ReadonlyMap<number, Expr<I32>>): void {
    this.#pending = new Map(snapshot);
  }

  /** The flag's pending value, null where its local holds it. */
  value(slot: number): Expr<I32> | null {
    return this.#pending.get(slot) ?? null;
  }

  /** The flag gets a new value. */
  set(slot: number, value: Expr<I32>): void {
    const substituted = this.substitute(value) as Expr<I32>;
    this.#computeThoseThatRead(slot);
    // A value made from the flag's own old one cannot wait: there is only one local. Nor may values grow without end.
    if (reads(substituted, slot) || size(substituted) > MAX_NODES) {
      this.#pending.delete(slot);
      this.#compute(slot, substituted);
    } else {
      this.#pending.set(slot, substituted);
    }
  }

  /** A register is about to be written: pending values that read it must be computed first, and its own is void. */
  beforeWrite(slot: number): void {
    this.#computeThoseThatRead(slot);
    this.#pending.delete(slot);
  }

  /** Computes what is pending of a register, and what is made from it: it may be written. */
  compute(slot: number): void {
    this.#computeThoseThatRead(slot);
    const value = this.#pending.get(slot);
    if (value === undefined) return;
    this.#pending.delete(slot);
    this.#compute(slot, value);
  }

  /** Locals that pending values are made from. */
  locals(): Set<number> {
    const found = new Set<number>();
    for (const value of this.#pending.values()) collectLocals(value, found);
    return found;
  }

  /** Computes all pending values, or those of flags that are wanted; the others are dropped. */
  settle(wanted: (slot: number) => boolean = () => true): void {
    for (const [slot, value] of this.#pending) {
      if (wanted(slot)) this.#compute(slot, value);
    }
    this.#pending.clear();
  }

  /** The expression with pending values in place of the flags. */
  substitute(e: Expr): Expr {
    if (e.op === LEAF.slot) return this.#pending.get(e.imm as number) ?? e;
    if (e.a === null) return e;
    const a = this.substitute(e.a);
    const b = e.b && this.substitute(e.b);
    const c = e.c && this.substitute(e.c);
    if (a === e.a && b === e.b && c === e.c) return e;
    if (e.op === OP.i32_eqz) return i32.eqz(a as Expr<I32>);
    if (e.op === OP.i32_xor) return i32.xor(a as Expr<I32>, b as Expr<I32>);
    if (e.op === OP.i32_and) return i32.and(a as Expr<I32>, b as Expr<I32>);
    return new Expr(e.type, e.op, a, b, c, e.imm, e.offset);
  }

  #computeThoseThatRead(slot: number): void {
    for (const [flag, value] of this.#pending) {
      if (flag !== slot && reads(value, slot)) {
        this.#pending.delete(flag);
        this.#compute(flag, value);
      }
    }
  }
}

function reads(e: Expr, slot: number): boolean {
  if (e.op === LEAF.slot) return e.imm === slot;
  return (e.a !== null && reads(e.a, slot)) || (e.b !== null && reads(e.b, slot)) || (e.c !== null && reads(e.c, slot));
}

function size(e: Expr): number {
  return 1 + (e.a === null ? 0 : size(e.a)) + (e.b === null ? 0 : size(e.b)) + (e.c === null ? 0 : size(e.c));
}

function collectLocals(e: Expr, found: Set<number>): void {
  if (e.op === OP.local_get) found.add(e.imm as number);
  for (const x of [e.a, e.b, e.c]) if (x !== null) collectLocals(x, found);
}
