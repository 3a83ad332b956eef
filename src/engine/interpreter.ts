import { type Expr, i32, i64, localGet, select } from '../wasm/expr.ts';
import { FunctionBuilder, type Label } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { OP } from '../wasm/opcode.ts';
import { I32, I64 } from '../wasm/types.ts';
import {
  type AccessExits,
  emitLoad,
  emitNoteJump,
  emitStore,
  high32,
  loadSlot,
  low32,
  SLOW_SIGNATURE,
  type SlowPaths,
  storeSlot,
} from './emit.ts';
import type { Instruction, InstructionSet } from './instruction.ts';
import { LEAF, type Statement } from './ir.ts';
import {
  CONTEXT,
  EXIT,
  HELPER_RESULT,
  INSTRUCTION_TLB,
  PAGE_MASK,
  PAGE_SHIFT,
  PAGE_SIZE,
  REGION_HASH,
  SLOT,
} from './layout.ts';
import type { Mode } from './semantics.ts';
import {
  type Meaning,
  runtimeMeaning,
  type SplitValues,
  splitCombinations,
  splitValuesOf,
  visitExpressions,
} from './specialize.ts';
import type { SlotFile, StateLayout } from './state.ts';

const EXECUTE_BYTES = 16;
const NO_REGION = -1;
/** Passes after which it is asked whether the target was translated before: regions outlive the TLB entries that they were found by. */
const RELINK_HEAT = 4;

/** The handlers of one instruction set: numbers for decode slots, alike in every mode. */
export class HandlerTable<M extends Mode> {
  readonly isa: InstructionSet<M>;
  readonly handlers: { readonly instruction: Instruction<M>; readonly values: SplitValues }[] = [];
  /** Slots of the handlers that execute another instruction; complete once an interpreter was built. */
  readonly executing = new Set<number>();
  readonly #numbers = new Map<Instruction<M>, Map<string, number>>();

  constructor(isa: InstructionSet<M>) {
    this.isa = isa;
    for (const instruction of isa.instructions) {
      const numbers = new Map<string, number>();
      this.#numbers.set(instruction, numbers);
      for (const values of splitCombinations(instruction)) {
        numbers.set(values.join(), SLOT.firstHandler + this.handlers.length);
        this.handlers.push({ instruction, values });
      }
    }
    const limit = 0x10000 - SLOT.firstHandler;
    if (this.handlers.length > limit)
      throw new Error(`${this.handlers.length} handlers, but only ${limit} decode slots`);
  }

  /** The decode slot of an instruction word, `SLOT.undefined` where it is none. */
  slotOf(head: number, tail: number): number {
    const instruction = this.isa.decode(head, tail);
    if (instruction === undefined) return SLOT.undefined;
    const word = instruction.pattern.length === 2 ? head >>> 16 : head;
    const number = this.#numbers.get(instruction)?.get(splitValuesOf(instruction, word, tail).join());
    if (number === undefined) throw new Error(`${instruction.name} has no handler for 0x${head.toString(16)}`);
    return number;
  }
}

/** How an interpreter is built. */
export interface InterpreterOptions {
  /** Look up translated regions and count passes on the way to one. */
  readonly translate: boolean;
  /** Passes of a loop head or call target before it is reported as hot. */
  readonly hotThreshold: number;
  /**
   * Decode slots to build handlers for; the others leave with `EXIT.unbuilt`. Default: all. Many modes are entered for a few instructions only, most
   * programs use few of all instructions, and a whole interpreter costs V8 seconds to optimise.
   */
  readonly only?: ReadonlySet<number>;
}

/** Imports of an interpreter module, all from module `engine`. */
export const INTERPRETER_IMPORTS = {
  memory: 'memory',
  load: 'load',
  store: 'store',
  /** (low, high) → host address of the instruction, 0 where the fetch faulted; sets `CONTEXT.fetchDelta`. */
  fetch: 'fetch',
  /** (host address, slot address): fills the decode slot. */
  decode: 'decode',
  /** (low, high) → 1 with the execute buffer filled from the two pages, 0 where the fetch faulted. */
  crossing: 'crossing',
  /** (length of the executing instruction): makes `CONTEXT.executeText` ready to be executed. */
  execute: 'execute',
  /** (helper, a, b) → one of `HELPER_RESULT`. */
  helper: 'helper',
} as const;

/**
 * Builds the interpreter of one mode: one function, a loop around a jump table over decode slots. It keeps the budget exactly, one
 * instruction at a time, and leaves with exact state at every trap.
 */
export function buildInterpreter<M extends Mode>(
  table: HandlerTable<M>,
  layout: StateLayout,
  mode: M,
  wasmPages: number,
  options: InterpreterOptions,
): Uint8Array<ArrayBuffer> {
  return new InterpreterBuilder(table, layout, mode, wasmPages, options).build();
}

/** Decode slots that always have a handler. */
const RESERVED_SLOTS = [SLOT.undecoded, SLOT.undefined, SLOT.crossing, SLOT.executeEnd, SLOT.pageEnd];

/** What an instruction takes from the distance of `hostPc` to `limit`; also how far most of them move `hostPc`, which then need not count. */
const CHARGE = 4;
const CHARGE_SHIFT = 2;

class InterpreterBuilder<M extends Mode> {
  readonly #table: HandlerTable<M>;
  readonly #layout: StateLayout;
  readonly #mode: M;
  readonly #options: InterpreterOptions;
  readonly #module = new ModuleBuilder();
  readonly #slow: SlowPaths;
  readonly #fetch: number;
  readonly #decode: number;
  readonly #crossing: number;
  readonly #execute: number;
  readonly #helper: number;
  readonly #b: FunctionBuilder;
  /** Whether instructions can run from the execute buffer, so that the next one does not follow in storage. */
  readonly #buffered: boolean;
  /** Address bits that an instruction on the page at hand has in common with its page; those of a misaligned one with none. */
  readonly #pageMask: number;
  readonly #context = localGet(I32, 0);
  readonly #nia: number;
  readonly #hostPc: number;
  readonly #pcDelta: number;
  readonly #slotDelta: number;
  /**
   * Where `hostPc` would be when the budget is used up, if all instructions were `CHARGE` bytes long: `CHARGE` times the budget, with the instruction at
   * hand in it, lies between the two. While no page is at hand it is that distance alone.
   */
  readonly #limit: number;
  readonly #exit: number;
  readonly #dataTlb: number;
  readonly #head: number;
  readonly #tail: number;
  #leaveAtNia: Label = { depth: 0 };
  #leaveHere: Label = { depth: 0 };
  #leaveCounted: Label = { depth: 0 };
  #usedUp: Label = { depth: 0 };
  #enter: Label = { depth: 0 };
  #dispatch: Label = { depth: 0 };
  /** Locals of the temporaries of the handler at hand. */
  #temps: number[] = [];
  /** Of the temporaries, those that are this far from the instruction at hand. */
  #distances = new Map<number, Expr<I32>>();
  #files: readonly SlotFile[] = [];
  #length = 0;

  constructor(table: HandlerTable<M>, layout: StateLayout, mode: M, wasmPages: number, options: InterpreterOptions) {
    this.#table = table;
    this.#layout = layout;
    this.#mode = mode;
    this.#options = options;
    this.#buffered = table.isa.alignment === 2;
    this.#pageMask = -PAGE_SIZE | (table.isa.alignment - 1);
    const m = this.#module;
    m.importMemory('engine', INTERPRETER_IMPORTS.memory, wasmPages, wasmPages);
    const { params, results } = SLOW_SIGNATURE;
    this.#slow = {
      load: m.importFunction('engine', INTERPRETER_IMPORTS.load, params, results),
      store: m.importFunction('engine', INTERPRETER_IMPORTS.store, params, results),
    };
    this.#fetch = m.importFunction('engine', INTERPRETER_IMPORTS.fetch, [I32, I32], [I32]);
    this.#decode = m.importFunction('engine', INTERPRETER_IMPORTS.decode, [I32, I32], []);
    this.#crossing = m.importFunction('engine', INTERPRETER_IMPORTS.crossing, [I32, I32], [I32]);
    this.#execute = m.importFunction('engine', INTERPRETER_IMPORTS.execute, [I32], []);
    this.#helper = m.importFunction('engine', INTERPRETER_IMPORTS.helper, [I32, I32, I32], [I32]);
    const b = new FunctionBuilder([I32], [I32], (leaf) => this.#lower(leaf));
    this.#b = b;
    this.#nia = b.local(I64);
    this.#hostPc = b.local(I32);
    this.#pcDelta = b.local(I64);
    this.#slotDelta = b.local(I32);
    this.#limit = b.local(I32);
    this.#exit = b.local(I32);
    this.#dataTlb = b.local(I32);
    this.#head = b.local(I32);
    this.#tail = b.local(I32);
  }

  build(): Uint8Array<ArrayBuffer> {
    const b = this.#b;
    b.block((leaveAtNia) => {
      this.#leaveAtNia = leaveAtNia;
      b.block((leaveHere) => {
        this.#leaveHere = leaveHere;
        b.block((leaveCounted) => {
          this.#leaveCounted = leaveCounted;
          b.block((usedUp) => {
            this.#usedUp = usedUp;
            this.#loadSelection();
            b.set(this.#nia, i64.load(this.#context, CONTEXT.pc));
            b.loop((enter) => {
              this.#enter = enter;
              this.#emitEnter();
              b.loop((dispatch) => {
                this.#dispatch = dispatch;
                this.#emitHandlers();
              });
            });
            b.unreachable();
          });
          b.set(this.#nia, this.#following(this.#pc()));
          b.set(this.#limit, i32.const(0));
          this.#leave(EXIT.budget, leaveAtNia);
        });
        b.set(this.#limit, i32.sub(localGet(I32, this.#limit), i32.const(CHARGE)));
      });
      b.set(this.#nia, this.#pc());
      b.set(this.#limit, this.#distance());
    });
    b.store64(this.#context, localGet(I64, this.#nia), CONTEXT.pc);
    b.store32(this.#context, i32.shrU(localGet(I32, this.#limit), i32.const(CHARGE_SHIFT)), CONTEXT.budget);
    b.push(localGet(I32, this.#exit));
    this.#module.function(b, 'run');
    return this.#module.finish();
  }

  /** The budget and the TLB in use, as TypeScript left them. */
  #loadSelection(): void {
    const b = this.#b;
    b.set(this.#limit, i32.shl(i32.load(this.#context, CONTEXT.budget), i32.const(CHARGE_SHIFT)));
    b.set(this.#dataTlb, i32.load(this.#context, CONTEXT.dataTlb));
  }

  /** Finds the page of `nia` in the instruction TLB and points the fetch at it. Something must be left of the budget. */
  #emitEnter(): void {
    const b = this.#b;
    const nia = localGet(I64, this.#nia);
    b.scope(() => {
      const index = i32.and(
        i32.shrU(low32(nia), i32.const(PAGE_SHIFT - INSTRUCTION_TLB.entryShift)),
        i32.const((INSTRUCTION_TLB.entries - 1) << INSTRUCTION_TLB.entryShift),
      );
      const entry = b.let(i32.add(i32.load(this.#context, CONTEXT.instructionTlb), index));
      b.if(
        i64.eq(i64.load(entry, INSTRUCTION_TLB.base), i64.and(nia, i64.const(this.#pageMask))),
        () => {
          b.set(this.#hostPc, i32.add(low32(nia), i32.load(entry, INSTRUCTION_TLB.addend)));
          b.set(this.#slotDelta, i32.load(entry, INSTRUCTION_TLB.delta));
        },
        () => {
          this.#tellFetch(nia, localGet(I32, this.#limit));
          b.callStatement(this.#fetch, [low32(nia), high32(nia)]);
          b.popTo(this.#hostPc);
          b.if(i32.eqz(localGet(I32, this.#hostPc)), () => this.#leave(EXIT.fault, this.#leaveAtNia));
          b.set(this.#slotDelta, i32.load(this.#context, CONTEXT.fetchDelta));
        },
        'likely',
      );
    });
    b.set(this.#pcDelta, i64.sub(nia, i64.extendU(localGet(I32, this.#hostPc))));
    b.set(this.#limit, i32.add(localGet(I32, this.#limit), localGet(I32, this.#hostPc)));
  }

  #emitHandlers(): void {
    const b = this.#b;
    const { only } = this.#options;
    const count = SLOT.firstHandler + this.#table.handlers.length;
    const all = Array.from({ length: count }, (_, number) => number);
    const built =
      only === undefined ? all : [...RESERVED_SLOTS, ...all.slice(SLOT.firstHandler).filter((n) => only.has(n))];
    const labels = b.openBlocks(built.length + 1);
    const unbuilt = labels[built.length] as Label;
    const labelOf = new Map(built.map((number, i) => [number, labels[i] as Label]));
    const slot = i32.load16U(i32.add(localGet(I32, this.#hostPc), localGet(I32, this.#slotDelta)));
    b.brTable(
      slot,
      all.map((number) => labelOf.get(number) ?? unbuilt),
      unbuilt,
    );
    for (const number of built) {
      b.closeBlock();
      b.scope(() => this.#emitSlot(number));
    }
    b.closeBlock();
    b.store32(this.#context, localGet(I32, this.#hostPc), CONTEXT.exitArgument);
    this.#leave(EXIT.unbuilt, this.#leaveHere);
  }

  #emitSlot(number: number): void {
    const b = this.#b;
    switch (number) {
      case SLOT.undecoded: {
        const hostPc = localGet(I32, this.#hostPc);
        this.#aside(() => {
          b.callStatement(this.#decode, [hostPc, i32.add(hostPc, localGet(I32, this.#slotDelta))]);
          b.br(this.#dispatch);
        });
        return;
      }
      case SLOT.undefined:
        b.store32(this.#context, localGet(I32, this.#hostPc), CONTEXT.exitArgument);
        this.#leave(EXIT.undefined, this.#leaveCounted);
        return;
      case SLOT.crossing: {
        const done = b.temp(I32);
        const pc = b.let(this.#pc());
        this.#aside(() => {
          this.#tellFetch(pc, this.#distance());
          b.callStatement(this.#crossing, [low32(pc), high32(pc)]);
          b.popTo(done);
          b.if(i32.eqz(localGet(I32, done)), () => this.#leave(EXIT.fault, this.#leaveHere));
          this.#runBuffer(pc);
        });
        return;
      }
      case SLOT.executeEnd:
        b.set(this.#nia, i64.load(this.#context, CONTEXT.executeReturn));
        b.set(this.#limit, this.#distance());
        b.br(this.#enter);
        return;
      case SLOT.pageEnd:
        b.set(this.#nia, this.#wrapped(this.#pc()));
        b.set(this.#limit, this.#distance());
        b.br(this.#enter);
        return;
      default: {
        const handler = this.#table.handlers[number - SLOT.firstHandler];
        if (handler === undefined) throw new Error(`no handler ${number}`);
        const { instruction, values } = handler;
        const meaning = runtimeMeaning(this.#mode, instruction, values);
        if (meaning.statements.at(-1)?.kind === 'execute') this.#table.executing.add(number);
        this.#emitHandler(instruction, meaning);
      }
    }
  }

  #emitHandler(instruction: Instruction<M>, meaning: Meaning): void {
    const b = this.#b;
    this.#temps = [];
    this.#distances.clear();
    this.#files = meaning.files;
    this.#length = instruction.pattern.length;
    this.#fetchWords(meaning.statements);
    const falls = this.#emitStatements(meaning.statements);
    if (!falls) return;
    b.set(this.#hostPc, i32.add(localGet(I32, this.#hostPc), i32.const(this.#length)));
    if (this.#length !== CHARGE) {
      b.set(this.#limit, i32.add(localGet(I32, this.#limit), i32.const(this.#length - CHARGE)));
    }
    this.#next();
  }

  /** Goes on with the instruction that `hostPc` has come to. */
  #next(): void {
    const b = this.#b;
    const limit = localGet(I32, this.#limit);
    b.brIf(i32.eq(localGet(I32, this.#hostPc), limit), this.#usedUp, 'unlikely');
    b.br(this.#dispatch);
  }

  /** Loads the instruction's own bytes, as far as the meaning looks at them. */
  #fetchWords(statements: readonly Statement[]): void {
    const b = this.#b;
    let head = false;
    let tail = false;
    visitExpressions(statements, (e) => {
      head ||= e.op === LEAF.head;
      tail ||= e.op === LEAF.tail;
    });
    const hostPc = localGet(I32, this.#hostPc);
    if (head) {
      const narrow = this.#length === 2;
      b.set(this.#head, narrow ? i32.load16U(hostPc) : i32.load(hostPc));
      this.#orderWord(this.#head, narrow);
    }
    if (tail) {
      b.set(this.#tail, i32.load16U(hostPc, 4));
      this.#orderWord(this.#tail, true);
    }
  }

  #orderWord(local: number, narrow: boolean): void {
    if (!this.#mode.instructionsBigEndian) return;
    const word = localGet(I32, local);
    const rotated = (by: number, mask: number): Expr<I32> => i32.and(i32.rotl(word, i32.const(by)), i32.const(mask));
    this.#b.set(
      local,
      narrow
        ? i32.or(i32.shrU(word, i32.const(8)), i32.and(i32.shl(word, i32.const(8)), i32.const(0xff00)))
        : i32.or(rotated(8, 0x00ff00ff), rotated(24, 0xff00ff00)),
    );
  }

  /** @returns whether control can reach what follows */
  #emitStatements(statements: readonly Statement[]): boolean {
    for (const s of statements) {
      if (!this.#emitStatement(s)) return false;
    }
    return true;
  }

  #emitStatement(s: Statement): boolean {
    const b = this.#b;
    const exits: AccessExits = {
      beforeSlow: () => this.#tellPlace(),
      fault: () => this.#leave(EXIT.fault, this.#leaveCounted),
    };
    const tlb = { context: this.#context, current: localGet(I32, this.#dataTlb), linear: null };
    switch (s.kind) {
      case 'let':
        this.#noteDistance(s.temp, s.value);
        b.set(this.#temp(s.temp), s.value);
        return true;
      case 'set':
        storeSlot(b, this.#context, s.slot, s.value);
        return true;
      case 'setAt': {
        const at = this.#fileAddress(s.file, s.index);
        b.store(s.file.width === 64 ? OP.i64_store : OP.i32_store8, at, s.value, s.file.offset);
        return true;
      }
      case 'load':
        b.set(this.#temp(s.temp), emitLoad(b, tlb, this.#slow, s, s.signed, exits));
        return true;
      case 'store':
        emitStore(b, tlb, this.#slow, s, s.value, exits);
        return true;
      case 'if':
        b.if(
          s.condition,
          () => void this.#emitStatements(s.whenTrue),
          s.whenFalse.length > 0 ? () => void this.#emitStatements(s.whenFalse) : undefined,
        );
        return true;
      case 'jump':
        return this.#emitJump(s);
      case 'trap':
        b.store32(this.#context, i32.const(s.cause), CONTEXT.exit);
        b.store32(this.#context, s.argument, CONTEXT.exitArgument);
        this.#leave(EXIT.trap, this.#leaveCounted);
        return false;
      case 'helper': {
        const next = b.let(this.#nextPc());
        const result = b.temp(I32);
        this.#aside(() => {
          this.#tellPlace();
          b.callStatement(this.#helper, [i32.const(s.helper), s.a, s.b]);
          b.popTo(result);
          b.if(i32.eqz(localGet(I32, result)), () => b.return(i32.const(EXIT.helper)));
          this.#loadSelection();
          b.set(this.#nia, next);
          const stops = i32.ne(localGet(I32, result), i32.const(HELPER_RESULT.goOn));
          b.if(i32.or(stops, i32.eqz(localGet(I32, this.#limit))), () => this.#leave(EXIT.none, this.#leaveAtNia));
          b.br(this.#enter);
        });
        return false;
      }
      case 'execute': {
        const pc = b.let(this.#pc());
        b.store64(this.#context, s.text, CONTEXT.executeText);
        this.#aside(() => {
          b.store64(this.#context, pc, CONTEXT.pc);
          b.callStatement(this.#execute, [i32.const(this.#length)]);
          this.#runBuffer(pc);
        });
        return false;
      }
    }
  }

  /** Puts pc and budget of the instruction at hand into the context, for whoever looks while it is not done. */
  #tellPlace(): void {
    this.#tellFetch(this.#pc(), this.#distance());
  }

  /** @param distance as `limit` without a page at hand */
  #tellFetch(pc: Expr<I64>, distance: Expr<I32>): void {
    const left = i32.shrU(i32.sub(distance, i32.const(CHARGE)), i32.const(CHARGE_SHIFT));
    this.#b.store64(this.#context, pc, CONTEXT.pc);
    this.#b.store32(this.#context, left, CONTEXT.budget);
  }

  #distance(): Expr<I32> {
    return i32.sub(localGet(I32, this.#limit), localGet(I32, this.#hostPc));
  }

  /** Remembers that a value is the address of the instruction at hand and a number: such a jump need not know where it is. */
  #noteDistance(temp: Expr, value: Expr): void {
    const { b } = value;
    if (value.op !== OP.i64_add || value.a?.op !== LEAF.pc || b?.op !== OP.i64_extend_i32_s) return;
    this.#distances.set(temp.imm as number, this.#b.let(b.a as Expr<I32>));
  }

  #emitJump(s: Extract<Statement, { kind: 'jump' }>): boolean {
    const b = this.#b;
    const distance = s.target.op === LEAF.temp ? this.#distances.get(s.target.imm as number) : undefined;
    const target = b.let(s.target);
    const condition = s.condition === null ? null : b.let(s.condition);
    const taken = (): void => {
      if (this.#options.translate && s.how === 'indirect') emitNoteJump(b, this.#context, this.#pc(), target);
      if (this.#options.translate && (s.how === 'direct' || s.call)) this.#countPass(target, s.call);
      this.#jumpOnPage(target, distance);
      b.set(this.#nia, target);
      b.set(this.#limit, i32.sub(this.#distance(), i32.const(CHARGE)));
      b.if(
        i32.eqz(localGet(I32, this.#limit)),
        () => this.#leave(EXIT.budget, this.#leaveAtNia),
        undefined,
        'unlikely',
      );
      b.br(this.#enter);
    };
    if (condition === null) {
      taken();
      return false;
    }
    b.if(condition, taken);
    return true;
  }

  /** Goes to a target on the page at hand, unless execution is not on any. @param distance to the target, if that is simpler to tell */
  #jumpOnPage(target: Expr<I64>, distance: Expr<I32> | undefined): void {
    const b = this.#b;
    const hostPc = localGet(I32, this.#hostPc);
    b.scope(() => {
      const page = i32.and(hostPc, i32.const(-PAGE_SIZE));
      const to = b.let(
        distance === undefined ? i32.or(page, i32.and(low32(target), i32.const(PAGE_MASK))) : i32.add(hostPc, distance),
      );
      const samePage =
        distance === undefined
          ? i64.eqz(i64.and(i64.xor(target, this.#pc()), i64.const(this.#pageMask)))
          : i32.eqz(i32.and(i32.xor(to, hostPc), i32.const(this.#pageMask)));
      b.if(
        this.#buffered ? i32.and(samePage, i32.eqz(this.#inBuffer())) : samePage,
        () => {
          const moved = distance ?? i32.sub(to, hostPc);
          b.set(this.#limit, i32.add(localGet(I32, this.#limit), i32.sub(moved, i32.const(CHARGE))));
          b.set(this.#hostPc, to);
          this.#next();
        },
        undefined,
        'likely',
      );
    });
  }

  /**
   * On a backward jump or a call: leaves to a translated region if the target has one, else counts the pass. Forward targets are not counted,
   * because entries in the middle of loops make regions irreducible.
   */
  #countPass(target: Expr<I64>, call: boolean): void {
    const b = this.#b;
    const count = (): void => {
      const index = i32.and(
        i32.shl(low32(target), i32.const(REGION_HASH.entryShift - 2)),
        i32.const((REGION_HASH.entries - 1) << REGION_HASH.entryShift),
      );
      const entry = b.let(i32.add(i32.load(this.#context, CONTEXT.regionHash), index));
      const region = b.let(i32.load(entry, REGION_HASH.region));
      b.if(
        i64.eq(i64.load(entry, REGION_HASH.address), target),
        () => {
          const leave = (exit: number): void => {
            b.set(this.#nia, target);
            b.set(this.#limit, i32.sub(this.#distance(), i32.const(CHARGE)));
            this.#leave(exit, this.#leaveAtNia);
          };
          b.if(i32.ne(region, i32.const(NO_REGION)), () => leave(EXIT.none));
          const heat = b.let(i32.add(i32.load(entry, REGION_HASH.heat), i32.const(1)));
          b.store32(entry, heat, REGION_HASH.heat);
          const isHot = i32.or(
            i32.eq(heat, i32.const(this.#options.hotThreshold)),
            i32.eq(heat, i32.const(RELINK_HEAT)),
          );
          b.if(isHot, () => leave(EXIT.hot), undefined, 'unlikely');
        },
        () => {
          // Two addresses share the entry. Whoever has a region keeps it until the other has come by often enough.
          const visits = b.let(i32.add(i32.load(entry, REGION_HASH.heat), i32.const(1)));
          const isFree = i32.eq(region, i32.const(NO_REGION));
          b.if(
            i32.or(isFree, i32.gtS(visits, i32.const(this.#options.hotThreshold))),
            () => {
              b.store64(entry, target, REGION_HASH.address);
              b.store32(entry, i32.const(NO_REGION), REGION_HASH.region);
              b.store32(entry, i32.const(0), REGION_HASH.heat);
            },
            () => b.store32(entry, visits, REGION_HASH.heat),
          );
        },
      );
    };
    if (call) count();
    else b.if(i64.leU(target, this.#pc()), count);
  }

  /** Goes on in the execute buffer, whose instruction stands for the one at `pc`. */
  #runBuffer(pc: Expr<I64>): void {
    const b = this.#b;
    b.set(this.#limit, this.#distance());
    b.set(this.#hostPc, i32.add(this.#context, i32.const(CONTEXT.executeText)));
    b.set(this.#limit, i32.add(localGet(I32, this.#limit), localGet(I32, this.#hostPc)));
    b.set(this.#slotDelta, i32.const(CONTEXT.executeSlots - CONTEXT.executeText));
    b.set(this.#pcDelta, i64.sub(pc, i64.extendU(localGet(I32, this.#hostPc))));
    b.br(this.#dispatch);
  }

  /**
   * Emits what calls out of the interpreter and does not come back here. It stands behind a condition that always holds and that the hint denies: a
   * call outside of unlikely code makes V8 keep everything that the interpreter knows in memory, in all handlers.
   */
  #aside(calls: () => void): void {
    this.#b.if(this.#context, calls, undefined, 'unlikely');
    this.#b.unreachable();
  }

  #leave(exit: number, where: Label): void {
    this.#b.set(this.#exit, i32.const(exit));
    this.#b.br(where);
  }

  #pc(): Expr<I64> {
    return i64.add(localGet(I64, this.#pcDelta), i64.extendU(localGet(I32, this.#hostPc)));
  }

  #inBuffer(): Expr<I32> {
    const start = i32.add(this.#context, i32.const(CONTEXT.executeText));
    return i32.ltU(i32.sub(localGet(I32, this.#hostPc), start), i32.const(EXECUTE_BYTES));
  }

  #nextPc(): Expr<I64> {
    return this.#following(i64.add(this.#pc(), i64.const(this.#length)));
  }

  /** Where execution goes on if it has come to `address` without a jump. */
  #following(address: Expr<I64>): Expr<I64> {
    const wrapped = this.#wrapped(address);
    return this.#buffered ? select(this.#inBuffer(), i64.load(this.#context, CONTEXT.executeReturn), wrapped) : wrapped;
  }

  #wrapped(address: Expr<I64>): Expr<I64> {
    const { addressBits = 64 } = this.#mode;
    return i64.and(address, i64.const(2n ** BigInt(addressBits) - 1n));
  }

  #temp(leaf: Expr): number {
    const number = leaf.imm as number;
    let local = this.#temps[number];
    if (local === undefined) {
      local = this.#b.temp(leaf.type);
      this.#temps[number] = local;
    }
    return local;
  }

  #fileAddress(file: SlotFile, index: Expr<I32>): Expr<I32> {
    return i32.add(this.#context, scaled(index, file.shift));
  }

  #lower(leaf: Expr): void {
    const b = this.#b;
    switch (leaf.op) {
      case LEAF.slot: {
        const slot = this.#layout.slots[leaf.imm as number];
        if (slot === undefined) throw new Error(`no slot ${leaf.imm}`);
        return b.push(loadSlot(this.#context, slot));
      }
      case LEAF.file: {
        const file = this.#files[leaf.imm as number];
        if (file === undefined) throw new Error(`no slot file ${leaf.imm}`);
        const at = this.#fileAddress(file, leaf.a as Expr<I32>);
        return b.push(file.width === 64 ? i64.load(at, file.offset) : i32.load8U(at, file.offset));
      }
      case LEAF.temp:
        return b.push(localGet(leaf.type, this.#temp(leaf)));
      case LEAF.pc:
        return b.push(this.#pc());
      case LEAF.nextPc:
        return b.push(this.#nextPc());
      case LEAF.head:
        return b.push(localGet(I32, this.#head));
      case LEAF.tail:
        return b.push(localGet(I32, this.#tail));
      default:
        throw new Error(`unknown leaf ${leaf.op}`);
    }
  }
}

/** `index << shift`, where the index is usually a field `(word >>> s) & mask`: one shift does for both. */
function scaled(index: Expr<I32>, shift: number): Expr<I32> {
  const { a, b } = index;
  if (index.op === OP.i32_and && a !== null && b !== null && b.op === OP.i32_const && shift > 0) {
    const mask = i32.const((b.imm as number) << shift);
    const inner = a as Expr<I32>;
    if (inner.op === OP.i32_shr_u && inner.b?.op === OP.i32_const) {
      const down = (inner.b.imm as number) - shift;
      const word = inner.a as Expr<I32>;
      return i32.and(down >= 0 ? i32.shrU(word, i32.const(down)) : i32.shl(word, i32.const(-down)), mask);
    }
    return i32.and(i32.shl(inner, i32.const(shift)), mask);
  }
  return i32.shl(index, i32.const(shift));
}
