import { Expr, i32, i64 } from '../wasm/expr.ts';
import { I32, I64, type ValType } from '../wasm/types.ts';
import type { Instruction } from './instruction.ts';
import { LEAF, leaf, type Statement } from './ir.ts';
import { extractField } from './pattern.ts';
import { type FieldSource, type Mode, Semantics } from './semantics.ts';
import type { SlotFile } from './state.ts';

/** An instruction's meaning as statements, with the slot files that its `LEAF.file` leaves refer to. */
export interface Meaning {
  readonly statements: readonly Statement[];
  readonly files: readonly SlotFile[];
}

/** One value for each entry of an instruction's `split` list. */
export type SplitValues = readonly number[];

/** Every combination of values that the instruction's split fields can take. */
export function splitCombinations<M extends Mode>(instruction: Instruction<M>): SplitValues[] {
  let combinations: number[][] = [[]];
  for (const split of instruction.split) {
    const count = split.endsWith('=0') ? 2 : 1 << instruction.field(split).width;
    combinations = combinations.flatMap((c) => Array.from({ length: count }, (_, v) => [...c, v]));
  }
  return combinations;
}

/** Which combination an instruction word belongs to. */
export function splitValuesOf<M extends Mode>(instruction: Instruction<M>, head: number, tail: number): SplitValues {
  return instruction.split.map((split) => {
    const zeroTest = split.endsWith('=0');
    const value = extractField(instruction.field(zeroTest ? split.slice(0, -2) : split), head, tail);
    return zeroTest ? Number(value === 0) : value;
  });
}

/** The meaning with run-time fields, for the interpreter's handler of one combination of split values. */
export function runtimeMeaning<M extends Mode>(mode: M, instruction: Instruction<M>, values: SplitValues): Meaning {
  const known = new Map<string, number>();
  instruction.split.forEach((split, i) => {
    const value = values[i] as number;
    if (!split.endsWith('=0')) known.set(split, value);
    else if (value === 1) known.set(split.slice(0, -2), 0);
  });
  const source: FieldSource = {
    field(name) {
      const field = instruction.field(name);
      const constant = known.get(name);
      if (constant !== undefined) return i32.const(constant);
      const word = leaf(I32, field.shift < 32 ? LEAF.head : LEAF.tail, 0);
      const shifted = i32.shrU(word, i32.const(field.shift & 31));
      return field.width === 32 ? shifted : i32.and(shifted, i32.const((1 << field.width) - 1));
    },
    pc: () => leaf(I64, LEAF.pc, 0),
    nextPc: () => leaf(I64, LEAF.nextPc, 0),
  };
  return speak(mode, instruction, source);
}

/** Address of what follows an instruction in storage. */
export function following(mode: Mode, pc: bigint, length: number): bigint {
  return BigInt.asUintN(mode.addressBits ?? 64, pc + BigInt(length));
}

/** The meaning of one instruction word at an address: all fields are constants. */
export function constantMeaning<M extends Mode>(
  mode: M,
  instruction: Instruction<M>,
  head: number,
  tail: number,
  pc: bigint,
): Meaning {
  const source: FieldSource = {
    field: (name) => i32.const(extractField(instruction.field(name), head, tail)),
    pc: () => i64.const(pc),
    nextPc: () => i64.const(following(mode, pc, instruction.pattern.length)),
  };
  return speak(mode, instruction, source);
}

function speak<M extends Mode>(mode: M, instruction: Instruction<M>, source: FieldSource): Meaning {
  let temps = 0;
  const files: SlotFile[] = [];
  const newTemp = <T extends ValType>(type: T): Expr<T> => leaf(type, LEAF.temp, temps++);
  const s = new Semantics(mode, instruction, source, newTemp, files);
  instruction.meaning(s);
  return { statements: s.statements, files };
}

/** Calls `visit` for every node of every expression in the statements. */
export function visitExpressions(statements: readonly Statement[], visit: (e: Expr) => void): void {
  const walk = (e: Expr): void => {
    visit(e);
    if (e.a) walk(e.a);
    if (e.b) walk(e.b);
    if (e.c) walk(e.c);
  };
  for (const s of statements) {
    for (const value of Object.values(s)) {
      if (value instanceof Expr) walk(value);
    }
    if (s.kind === 'if') {
      visitExpressions(s.whenTrue, visit);
      visitExpressions(s.whenFalse, visit);
    }
  }
}
