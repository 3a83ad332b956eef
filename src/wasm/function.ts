import { ByteWriter } from './bytes.ts';
import { CallExpr, type Expr, isConst, localGet, ShuffleExpr } from './expr.ts';
import { OP } from './opcode.ts';
import type { I32, ValType } from './types.ts';

const BLOCK_VOID = 0x40;

/** Whether a branch is expected to be taken; emitted as a branch hint (WebAssembly branch hinting proposal). */
export type Hint = 'likely' | 'unlikely';

/** A label of structured control flow: the depth at which its block was opened. */
export interface Label {
  readonly depth: number;
}

/**
 * Builds one function body: statements in order, with structured control flow by callbacks.
 * Temporaries made inside `scope` are free for reuse when the scope ends.
 */
export class FunctionBuilder {
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
  readonly code = new ByteWriter();
  /** Byte positions in `code` of hinted branches, with the hint's value. */
  readonly hints: [position: number, likely: 0 | 1][] = [];
  readonly #locals: ValType[] = [];
  #free = new Map<ValType, number[]>();
  /** Every temporary ever made. */
  readonly #temps: [ValType, number][] = [];
  #scope: [ValType, number][] = [];
  #depth = 0;
  #lowerLeaf: (leaf: Expr, into: FunctionBuilder) => void;

  /**
   * @param lowerLeaf emits code for expression leaves with a negative `op`, which belong to the layer above.
   */
  constructor(
    params: readonly ValType[],
    results: readonly ValType[],
    lowerLeaf: (leaf: Expr, into: FunctionBuilder) => void = refuseLeaf,
  ) {
    this.params = params;
    this.results = results;
    this.#lowerLeaf = lowerLeaf;
  }

  /** A new local that lives for the whole function. */
  local(type: ValType): number {
    this.#locals.push(type);
    return this.params.length + this.#locals.length - 1;
  }

  /** A local that is free for reuse when the current scope ends. */
  temp(type: ValType): number {
    let index = this.#free.get(type)?.pop();
    if (index === undefined) {
      index = this.local(type);
      this.#temps.push([type, index]);
    }
    this.#scope.push([type, index]);
    return index;
  }

  /** Runs `body`, then frees the temporaries it made. */
  scope(body: () => void): void {
    const outer = this.#scope;
    this.#scope = [];
    body();
    for (const [type, index] of this.#scope) this.#release(type, index);
    this.#scope = outer;
  }

  /**
   * Emits a path that leaves the function or jumps away: it may reuse every temporary that is in use here but those to `keep`, and what follows here may
   * not rely on values it left.
   */
  fork(path: () => void, keep: ReadonlySet<number> = new Set()): void {
    const outerScope = this.#scope;
    const outerFree = this.#free;
    const known = this.#temps.length;
    this.#scope = [];
    this.#free = new Map();
    for (const [type, index] of this.#temps) if (!keep.has(index)) this.#release(type, index);
    path();
    this.#scope = outerScope;
    this.#free = outerFree;
    for (const [type, index] of this.#temps.slice(known)) this.#release(type, index);
  }

  /** Evaluates now; the result may be used any number of times within the current scope. */
  let<T extends ValType>(e: Expr<T>): Expr<T> {
    if (isConst(e)) return e;
    const index = this.temp(e.type);
    this.set(index, e);
    return localGet(e.type, index);
  }

  /** Emits code that leaves the value of `e` on the stack. */
  push(e: Expr): void {
    const { code } = this;
    const { op } = e;
    if (op < 0) return this.#lowerLeaf(e, this);
    if (op === OP.local_get) {
      code.byte(op);
      code.u32(e.imm as number);
      return;
    }
    if (op === OP.i32_const) {
      code.byte(op);
      code.s32(e.imm as number);
      return;
    }
    if (op === OP.i64_const) {
      code.byte(op);
      code.s64(e.imm as bigint);
      return;
    }
    if (op === OP.f64_const) {
      code.byte(op);
      code.f64(e.imm as number);
      return;
    }
    if (e instanceof CallExpr) {
      for (const a of e.args) this.push(a);
      code.byte(op);
      code.u32(e.imm as number);
      return;
    }
    if (e.a) this.push(e.a);
    if (e.b) this.push(e.b);
    if (e.c) this.push(e.c);
    this.#opcode(op);
    if ((op >= OP.i32_load && op <= OP.i64_load32_u) || op === OP.v128_load) {
      code.byte(0);
      code.u32(e.offset);
    } else if (e instanceof ShuffleExpr) {
      code.append(e.lanes);
    } else if (op === OP.i64x2_extract_lane) {
      code.byte(e.imm as number);
    }
  }

  set(local: number, e: Expr): void {
    if (e.op === OP.local_get && e.imm === local) return;
    this.push(e);
    this.code.byte(OP.local_set);
    this.code.u32(local);
  }

  /** Stores with the given opcode; `offset` is the constant part of the address in bytes. */
  store(op: number, address: Expr<I32>, value: Expr, offset = 0): void {
    this.push(address);
    this.push(value);
    this.#opcode(op);
    this.code.byte(0);
    this.code.u32(offset);
  }

  store64(address: Expr<I32>, value: Expr, offset = 0): void {
    this.store(OP.i64_store, address, value, offset);
  }

  store32(address: Expr<I32>, value: Expr, offset = 0): void {
    this.store(OP.i32_store, address, value, offset);
  }

  store8(address: Expr<I32>, value: Expr, offset = 0): void {
    this.store(OP.i32_store8, address, value, offset);
  }

  store128(address: Expr<I32>, value: Expr, offset = 0): void {
    this.store(OP.v128_store, address, value, offset);
  }

  block(body: (label: Label) => void): void {
    this.#open(OP.block, body);
  }

  loop(body: (label: Label) => void): void {
    this.#open(OP.loop, body);
  }

  /** `condition` non-zero runs `then`, else `otherwise`. Constants are decided here. */
  if(condition: Expr<I32>, then: () => void, otherwise?: () => void, hint?: Hint): void {
    if (condition.op === OP.i32_const) {
      if (condition.imm !== 0) then();
      else otherwise?.();
      return;
    }
    this.push(condition);
    if (hint !== undefined) this.hints.push([this.code.length, hint === 'likely' ? 1 : 0]);
    this.code.byte(OP.if);
    this.code.byte(BLOCK_VOID);
    this.#depth++;
    then();
    if (otherwise !== undefined) {
      this.code.byte(OP.else);
      otherwise();
    }
    this.#depth--;
    this.code.byte(OP.end);
  }

  br(label: Label): void {
    this.code.byte(OP.br);
    this.code.u32(this.#depth - label.depth);
  }

  brIf(condition: Expr<I32>, label: Label, hint?: Hint): void {
    this.push(condition);
    if (hint !== undefined) this.hints.push([this.code.length, hint === 'likely' ? 1 : 0]);
    this.code.byte(OP.br_if);
    this.code.u32(this.#depth - label.depth);
  }

  /** Jumps to `labels[selector]`, or to `otherwise` when the selector is out of range. */
  brTable(selector: Expr<I32>, labels: readonly Label[], otherwise: Label): void {
    this.push(selector);
    this.code.byte(OP.br_table);
    this.code.u32(labels.length);
    for (const label of labels) this.code.u32(this.#depth - label.depth);
    this.code.u32(this.#depth - otherwise.depth);
  }

  /** Opens `count` nested blocks at once; the first label is the innermost. Close each with `closeBlock`. */
  openBlocks(count: number): Label[] {
    const labels: Label[] = [];
    for (let i = 0; i < count; i++) {
      this.code.byte(OP.block);
      this.code.byte(BLOCK_VOID);
      this.#depth++;
      labels.unshift({ depth: this.#depth });
    }
    return labels;
  }

  closeBlock(): void {
    this.#depth--;
    this.code.byte(OP.end);
  }

  /** Calls a function for its effect; its results, if any, must be dropped by `drop`. */
  callStatement(functionIndex: number, args: readonly Expr[]): void {
    for (const a of args) this.push(a);
    this.code.byte(OP.call);
    this.code.u32(functionIndex);
  }

  /** Calls through table 0; leaves the results on the stack. */
  callIndirect(typeIndex: number, args: readonly Expr[], selector: Expr<I32>): void {
    for (const a of args) this.push(a);
    this.push(selector);
    this.code.byte(OP.call_indirect);
    this.code.u32(typeIndex);
    this.code.byte(0);
  }

  /** Leaves the function by a call through table 0. */
  returnCallIndirect(typeIndex: number, args: readonly Expr[], selector: Expr<I32>): void {
    for (const a of args) this.push(a);
    this.push(selector);
    this.code.byte(OP.return_call_indirect);
    this.code.u32(typeIndex);
    this.code.byte(0);
  }

  /** Moves the value on top of the stack to a local. */
  popTo(local: number): void {
    this.code.byte(OP.local_set);
    this.code.u32(local);
  }

  return(value?: Expr): void {
    if (value !== undefined) this.push(value);
    this.code.byte(OP.return);
  }

  unreachable(): void {
    this.code.byte(OP.unreachable);
  }

  /** The body as the code section holds it, and its hints moved to where the code lies in it. */
  finish(): { body: Uint8Array; hints: [number, 0 | 1][] } {
    const out = new ByteWriter();
    const runs: [count: number, type: ValType][] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last !== undefined && last[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    out.u32(runs.length);
    for (const [count, type] of runs) {
      out.u32(count);
      out.byte(type);
    }
    const start = out.length;
    out.append(this.code.view());
    out.byte(OP.end);
    return { body: out.finish(), hints: this.hints.map(([at, likely]) => [at + start, likely]) };
  }

  #release(type: ValType, index: number): void {
    const free = this.#free.get(type);
    if (free === undefined) this.#free.set(type, [index]);
    else free.push(index);
  }

  #open(op: number, body: (label: Label) => void): void {
    this.code.byte(op);
    this.code.byte(BLOCK_VOID);
    this.#depth++;
    body({ depth: this.#depth });
    this.#depth--;
    this.code.byte(OP.end);
  }

  #opcode(op: number): void {
    if (op > 0xff) {
      this.code.byte(op >> 8);
      this.code.u32(op & 0xff);
    } else {
      this.code.byte(op);
    }
  }
}

function refuseLeaf(leaf: Expr): void {
  throw new Error(`expression leaf ${leaf.op} has no lowering in this function`);
}
