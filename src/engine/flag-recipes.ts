import { Expr, i32, i64, isConst, localGet } from '../wasm/expr.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { OP } from '../wasm/opcode.ts';
import { I32, I64 } from '../wasm/types.ts';
import { loadSlot } from './emit.ts';
import { LEAF } from './ir.ts';
import { CONTEXT, FLAG_OPERANDS, MAX_FLAG_GROUPS } from './layout.ts';
import type { FlagGroup, StateLayout } from './state.ts';

/** Recipes have numbers of one byte; 0 is none. */
const MAX_RECIPES = 255;
/** From so many on a new recipe takes its constants as operands: code that compares with many numbers needs few recipes then. */
const RECIPES_WITH_CONSTANTS = 128;

/** How to make the flags of a group from operands that were kept for it. */
export interface KeptFlags {
  readonly recipe: number;
  /** At most `FLAG_OPERANDS.most`. */
  readonly operands: readonly Expr[];
}

interface Recipe {
  /** For each flag of the group its value, with `localGet` of `OPERAND` onwards for the operands. */
  readonly values: readonly Expr[];
}

/** Locals of the function that carries out a recipe: context, address of the group's first flag, address of its operands, then the operands. */
const OPERAND = 4;

/**
 * Most flags that a comparison sets are never looked at, but they have to be there whenever code is left. Regions keep what the comparison compared instead,
 * and the number of a recipe; whoever needs flags in their places calls `settle`.
 */
export class FlagRecipes {
  readonly #layout: StateLayout;
  readonly #recipes: Recipe[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(layout: StateLayout) {
    this.#layout = layout;
  }

  /** How many there are; `buildSettle` knows as many as there were when it was called. */
  get count(): number {
    return this.#recipes.length;
  }

  /**
   * The recipe for flags with these values, and its operands.
   * @param values one for each flag of a group, over constants, locals and registers that are seldom written
   * @returns null where there is none, or none can be made
   */
  keep(values: readonly Expr[]): KeptFlags | null {
    const whole = abstract(values, this.#layout, false);
    if (whole === null) return null;
    const known = this.#numbers.get(whole.key);
    if (known !== undefined) return { recipe: known, operands: whole.operands };
    const chosen = this.#recipes.length < RECIPES_WITH_CONSTANTS ? whole : abstract(values, this.#layout, true);
    if (chosen === null) return null;
    const recipe = this.#numbers.get(chosen.key) ?? this.#add(chosen);
    return recipe === null ? null : { recipe, operands: chosen.operands };
  }

  #add({ key, values }: Abstract): number | null {
    if (this.#recipes.length === MAX_RECIPES) return null;
    const number = this.#recipes.push({ values });
    this.#numbers.set(key, number);
    return number;
  }

  /** A module with the function `settle`: (context). It puts the flags of every group in their places. */
  buildSettle(wasmPages: number): Uint8Array<ArrayBuffer> {
    const m = new ModuleBuilder();
    m.importMemory('engine', 'memory', wasmPages, wasmPages);
    const apply = m.function(this.#applyFunction());
    m.function(this.#settleFunction(apply), 'settle');
    return m.finish();
  }

  #settleFunction(apply: number): FunctionBuilder {
    const b = new FunctionBuilder([I32], []);
    const context = localGet(I32, 0);
    this.#layout.groups.forEach((group, number) => {
      const recipe = b.let(i32.load8U(context, CONTEXT.flagRecipes + number));
      b.if(recipe, () => {
        const first = i32.add(context, i32.const((group.slots[0] as FlagGroup['slots'][0]).offset));
        const operands = i32.add(context, i32.const(CONTEXT.flagOperands + number * FLAG_OPERANDS.bytes));
        b.callStatement(apply, [context, first, operands, recipe]);
      });
    });
    for (let at = 0; at < MAX_FLAG_GROUPS; at += 8) b.store64(context, i64.const(0), CONTEXT.flagRecipes + at);
    return b;
  }

  /** (context, address of the first flag, address of the operands, recipe) */
  #applyFunction(): FunctionBuilder {
    const b = new FunctionBuilder([I32, I32, I32, I32], [], (slot) =>
      b.push(loadSlot(localGet(I32, 0), this.#layout.slots[slot.imm as number] as FlagGroup['slots'][0])),
    );
    const operands = Array.from({ length: FLAG_OPERANDS.most }, () => b.local(I64));
    operands.forEach((local, i) => {
      b.set(local, i64.load(localGet(I32, 2), 8 * i));
    });
    const labels = b.openBlocks(this.#recipes.length + 1);
    b.brTable(localGet(I32, 3), labels, labels.at(-1) as (typeof labels)[0]);
    b.closeBlock();
    b.return();
    for (const { values } of this.#recipes) {
      b.closeBlock();
      values.forEach((value, i) => {
        b.store8(localGet(I32, 1), value, i);
      });
      b.return();
    }
    return b;
  }
}

/** Puts the operands of a group and the number of its recipe into the context. */
export function storeKept(b: FunctionBuilder, context: Expr<I32>, group: number, kept: KeptFlags): void {
  kept.operands.forEach((operand, i) => {
    const at = CONTEXT.flagOperands + group * FLAG_OPERANDS.bytes + 8 * i;
    if (operand.type === I32) b.store32(context, operand, at);
    else b.store64(context, operand, at);
  });
  b.store8(context, i32.const(kept.recipe), CONTEXT.flagRecipes + group);
}

interface Abstract {
  readonly key: string;
  readonly values: readonly Expr[];
  readonly operands: readonly Expr[];
}

/** Replaces operands of the values by numbers. */
function abstract(values: readonly Expr[], layout: StateLayout, constantsToo: boolean): Abstract | null {
  const operands: Expr[] = [];
  const names: string[] = [];
  const numberOf = (e: Expr): number => {
    const known = operands.findIndex((x) => x.op === e.op && x.type === e.type && x.imm === e.imm);
    return known < 0 ? operands.push(e) - 1 : known;
  };
  /** Null where the expression holds what no recipe can. */
  const visit = (e: Expr): Expr | null => {
    if (e.op === OP.local_get || (constantsToo && e.op === OP.i64_const)) {
      if (e.type !== I64 && e.type !== I32) return null;
      const number = numberOf(e);
      names.push(`operand ${number} ${e.type}`);
      const whole = localGet(I64, OPERAND + number);
      return e.type === I32 ? i32.wrap(whole) : whole;
    }
    if (isConst(e)) {
      names.push(`${e.op} ${e.imm}`);
      return e;
    }
    if (e.op === LEAF.slot) {
      if (!layout.isSeldomWritten(e.imm as number)) return null;
      names.push(`slot ${e.imm}`);
      return e;
    }
    // Calls, loads, vectors and floating point numbers do not come up in what flags are made of.
    if (e.a === null || !isIntegerOperation(e.op)) return null;
    names.push(`${e.op}(`);
    const a = visit(e.a);
    const b = e.b && visit(e.b);
    const c = e.c && visit(e.c);
    names.push(')');
    if (a === null || (e.b !== null && b === null) || (e.c !== null && c === null)) return null;
    return new Expr(e.type, e.op, a, b, c, e.imm, e.offset);
  };
  const replaced: Expr[] = [];
  for (const value of values) {
    const e = visit(value);
    if (e === null || operands.length > FLAG_OPERANDS.most) return null;
    replaced.push(e);
    names.push(';');
  }
  return { key: names.join(' '), values: replaced, operands };
}

function isIntegerOperation(op: number): boolean {
  if (op === OP.select) return true;
  if (op >= OP.i32_eqz && op <= OP.i64_ge_u) return true;
  if (op >= OP.i32_clz && op <= OP.i64_rotr) return true;
  return (
    op === OP.i32_wrap_i64 ||
    op === OP.i64_extend_i32_s ||
    op === OP.i64_extend_i32_u ||
    (op >= OP.i32_extend8_s && op <= OP.i64_extend32_s)
  );
}
