import { CallExpr, type Expr, i32, i64, isConst, select } from '../wasm/expr.ts';
import { type I32, I64, type ValType } from '../wasm/types.ts';
import { type AccessSize, type JumpKind, LEAF, leaf, type Statement } from './ir.ts';
import type { Field } from './pattern.ts';
import type { Slot, SlotFile } from './state.ts';

/** How a load or store reaches memory. */
export interface AccessOptions {
  /** Sign-extend the loaded value. Default: zero-extend. */
  readonly signed?: boolean;
  /** Byte order of this access. Default: the mode's data byte order. */
  readonly bigEndian?: boolean;
  /** Address space, 0 to 7. Default 0, the current one. */
  readonly space?: number;
}

/** Gives the fields of the instruction at hand: numbers in the translator, run-time values in the interpreter. */
export interface FieldSource {
  /** The unsigned field as an i32 expression. */
  field(name: string): Expr<I32>;
  /** Address of the instruction. */
  pc(): Expr<I64>;
  /** Address of the instruction that follows in storage. */
  nextPc(): Expr<I64>;
}

/** What the semantics of an instruction need to know of its encoding. */
export interface Encoded {
  readonly name: string;
  field(name: string): Field;
}

export type AddressBits = 24 | 31 | 32 | 64;

/** Parts of a CPU mode that translated code depends on, known when code is generated. */
export interface Mode {
  /** The mode as a small number; equal keys mean equal code. */
  readonly key: number;
  /** Byte order of instructions. */
  readonly instructionsBigEndian: boolean;
  /** Byte order of data accesses that do not name their own. */
  readonly dataBigEndian: boolean;
  /** Width of addresses; default 64. Behind the last one comes 0, for what follows in storage and for accesses that reach beyond it. */
  readonly addressBits?: AddressBits;
}

/** Statements that only the end of an instruction may be. */
const LAST: ReadonlySet<Statement['kind']> = new Set(['jump', 'helper', 'execute']);

/**
 * The language in which an instruction says what it does. The same calls serve the interpreter, where fields are run-time values, and
 * the translator, where they are constants and expressions fold.
 *
 * Rules for a definition:
 * - Everything that can fault or trap comes before the first write of a register that the instruction also reads, so that a
 *   fault leaves the state of before the instruction.
 * - An expression read from a register stands for its value at that point only while the register is not written; `let` keeps it. A stale
 *   expression is found when it is used and throws: it is a mistake in the definition.
 * - Conditions on constants are decided at once, so a definition may use ordinary `if` on `known(field)` values.
 */
export class Semantics<M extends Mode = Mode> {
  readonly mode: M;
  readonly instruction: Encoded;
  /** What was said so far. */
  readonly statements: Statement[] = [];
  readonly #fields: FieldSource;
  readonly #newTemp: <T extends ValType>(type: T) => Expr<T>;
  readonly #files: SlotFile[];
  /** Bumped at each write; shared by all branches of the instruction. */
  readonly #slotVersions = new Map<number, number>();
  readonly #fileVersions = new Map<SlotFile, number>();
  #target: Statement[];

  /**
   * @param newTemp makes a fresh temporary leaf.
   * @param files filled with the slot files used; a `LEAF.file` leaf refers to a position in it.
   */
  constructor(
    mode: M,
    instruction: Encoded,
    fields: FieldSource,
    newTemp: <T extends ValType>(type: T) => Expr<T>,
    files: SlotFile[],
  ) {
    this.mode = mode;
    this.instruction = instruction;
    this.#fields = fields;
    this.#newTemp = newTemp;
    this.#files = files;
    this.#target = this.statements;
  }

  /** An unsigned field of the instruction. */
  field(name: string): Expr<I32> {
    return this.#fields.field(name);
  }

  /** A field as a signed number, sign-extended from its own width. */
  signedField(name: string): Expr<I32> {
    const width = this.instruction.field(name).width;
    const up = i32.const(32 - width);
    return i32.shrS(i32.shl(this.field(name), up), up);
  }

  /** The number an expression is known to be now, else undefined. */
  known(e: Expr<I32>): number | undefined {
    return isConst(e) ? (e.imm as number) : undefined;
  }

  /**
   * A field that the definition listed under `split`: its value is always a known number.
   * @throws Error if the field was not split: a mistake in the definition.
   */
  split(name: string): number {
    const value = this.known(this.field(name));
    if (value === undefined) throw new Error(`${this.instruction.name}: field ${name} must be split`);
    return value;
  }

  /** Address of this instruction. */
  pc(): Expr<I64> {
    return this.#fields.pc();
  }

  /** Address of the instruction that follows in storage (after an EXECUTE: the one after the EXECUTE). */
  nextPc(): Expr<I64> {
    return this.#fields.nextPc();
  }

  /** Current value of a register. */
  get<T extends ValType>(slot: Slot<T>): Expr<T> {
    return leaf(slot.type, LEAF.slot, slot.index, this.#slotVersions.get(slot.index) ?? 0);
  }

  /** Current value of register `index` of a file. The index must be in range. */
  getAt<T extends ValType>(file: SlotFile<T>, index: Expr<I32>): Expr<T> {
    const number = this.known(index);
    if (number !== undefined) return this.get(file.slots[number] as Slot<T>);
    let position = this.#files.indexOf(file);
    if (position < 0) position = this.#files.push(file) - 1;
    return leaf(file.type, LEAF.file, position, this.#fileVersions.get(file) ?? 0, index);
  }

  set<T extends ValType>(slot: Slot<T>, value: Expr<T>): void {
    this.#check(value);
    this.#say({ kind: 'set', slot, value });
    this.#slotVersions.set(slot.index, (this.#slotVersions.get(slot.index) ?? 0) + 1);
    for (const file of this.#files) {
      if (file.slots.some((s) => s.index === slot.index)) this.#bump(file);
    }
  }

  setAt<T extends ValType>(file: SlotFile<T>, index: Expr<I32>, value: Expr<T>): void {
    const number = this.known(index);
    if (number !== undefined) return this.set(file.slots[number] as Slot<T>, value);
    this.#check(value);
    this.#check(index);
    this.#say({ kind: 'setAt', file, index, value });
    this.#bump(file);
    for (const s of file.slots) this.#slotVersions.set(s.index, (this.#slotVersions.get(s.index) ?? 0) + 1);
  }

  /** Evaluates now and gives the value a name that later writes do not change. Constants stay constants. */
  let<T extends ValType>(value: Expr<T>): Expr<T> {
    if (isConst(value) || value.op === LEAF.temp) return value;
    this.#check(value);
    const temp = this.#newTemp(value.type);
    this.#say({ kind: 'let', temp, value });
    return temp;
  }

  /** Loads `size` bytes; a fault leaves the instruction undone. The result is an i64, zero- or sign-extended. */
  load(address: Expr<I64>, size: AccessSize, options: AccessOptions = {}): Expr<I64> {
    this.#check(address);
    const temp = this.#newTemp(I64);
    this.#say({
      kind: 'load',
      temp,
      address: this.let(address),
      size,
      signed: options.signed ?? false,
      bigEndian: options.bigEndian ?? this.mode.dataBigEndian,
      space: options.space ?? 0,
    });
    return temp;
  }

  /** Stores the low `size` bytes of `value`; a fault leaves the instruction undone. */
  store(address: Expr<I64>, size: AccessSize, value: Expr<I64>, options: AccessOptions = {}): void {
    this.#check(address);
    this.#check(value);
    this.#say({
      kind: 'store',
      address: this.let(address),
      size,
      value,
      bigEndian: options.bigEndian ?? this.mode.dataBigEndian,
      space: options.space ?? 0,
    });
  }

  /** Runs `then` where `condition` is non-zero, else `otherwise`. Jumps, helpers and executed instructions may not stand inside. */
  if(condition: Expr<I32>, then: () => void, otherwise: () => void = () => {}): void {
    const decided = this.known(condition);
    if (decided !== undefined) {
      if (decided !== 0) then();
      else otherwise();
      return;
    }
    this.#check(condition);
    const outer = this.#target;
    const first: Statement[] = [];
    const second: Statement[] = [];
    this.#target = first;
    then();
    this.#target = second;
    otherwise();
    this.#target = outer;
    this.#say({ kind: 'if', condition, whenTrue: first, whenFalse: second });
  }

  /** `a` where `condition` is non-zero, else `b`; both are evaluated. */
  select<T extends ValType>(condition: Expr<I32>, a: Expr<T>, b: Expr<T>): Expr<T> {
    return select(condition, a, b);
  }

  /** Goes to `target`; the last statement of an instruction. A conditional jump falls through where `condition` is 0. */
  jump(
    target: Expr<I64>,
    options: { readonly condition?: Expr<I32> | null; readonly how: JumpKind; readonly call?: boolean },
  ): void {
    this.#check(target);
    const condition = options.condition ?? null;
    if (condition !== null) this.#check(condition);
    if (condition !== null && isConst(condition)) {
      if (condition.imm === 0) return;
      this.#say({ kind: 'jump', condition: null, target, how: options.how, call: options.call ?? false });
      return;
    }
    this.#say({ kind: 'jump', condition, target, how: options.how, call: options.call ?? false });
  }

  /** Leaves the instruction undone and reports `cause`, a number of the architecture's, with an argument. */
  trap(cause: number, argument: Expr<I32> = i32.const(0)): void {
    this.#check(argument);
    this.#say({ kind: 'trap', cause, argument });
  }

  /**
   * Lets TypeScript do the work, with exact architected state in the context; the last statement of an instruction. The helper says
   * whether execution goes on behind the instruction or wherever the context's pc now points.
   */
  helper(helper: number, a: Expr<I32> = i32.const(0), b: Expr<I32> = i32.const(0)): void {
    this.#check(a);
    this.#check(b);
    this.#say({ kind: 'helper', helper, a, b });
  }

  /**
   * Executes an instruction that does not lie in memory at `pc`; the last statement of an instruction. `text` holds its bytes, the
   * first in the most significant byte. Both together count as one instruction, at this instruction's address. One that executes
   * another in turn counts as undefined here: a definition that wants another answer must look at the text itself.
   */
  execute(text: Expr<I64>): void {
    this.#check(text);
    this.#say({ kind: 'execute', text });
  }

  /** @throws Error where the rules on last statements are broken: the interpreter would not notice, but no region can hold such code */
  #say(statement: Statement): void {
    const last = this.statements.at(-1);
    if (last !== undefined && LAST.has(last.kind)) {
      throw new Error(`${this.instruction.name}: a ${statement.kind} follows a ${last.kind}`);
    }
    if (LAST.has(statement.kind) && this.#target !== this.statements) {
      throw new Error(`${this.instruction.name}: a ${statement.kind} stands inside an if`);
    }
    this.#target.push(statement);
  }

  #bump(file: SlotFile): void {
    this.#fileVersions.set(file, (this.#fileVersions.get(file) ?? 0) + 1);
  }

  #check(e: Expr): void {
    if (e.op === LEAF.slot && (this.#slotVersions.get(e.imm as number) ?? 0) !== e.offset) {
      throw new Error(`${this.instruction.name}: a register's value is used after the register was written`);
    }
    if (e.op === LEAF.file) {
      const file = this.#files[e.imm as number] as SlotFile;
      if ((this.#fileVersions.get(file) ?? 0) !== e.offset) {
        throw new Error(`${this.instruction.name}: a ${file.name} value is used after a ${file.name} was written`);
      }
    }
    if (e.a) this.#check(e.a);
    if (e.b) this.#check(e.b);
    if (e.c) this.#check(e.c);
    if (e instanceof CallExpr) for (const x of e.args) this.#check(x);
  }
}

/** Shorthand for 64-bit constants in definitions. */
export const c64 = i64.const;
/** Shorthand for 32-bit constants in definitions. */
export const c32 = i32.const;
