import { readVirtual, writeVirtual } from './access.ts';
import type { CpuContext } from './cpu.ts';
import type { AccessKind, Translation } from './cpu-model.ts';
import { DecodeCache } from './decode-cache.ts';
import type { InstructionSet } from './instruction.ts';
import { buildInterpreter, HandlerTable, INTERPRETER_IMPORTS } from './interpreter.ts';
import { CODE, CONTEXT, EXIT, HELPER_RESULT, MAX_BUDGET, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, SLOT } from './layout.ts';
import { REGION_IMPORTS, STORE_NEEDS_INTERPRETER } from './region-emitter.ts';
import type { Mode } from './semantics.ts';
import { following } from './specialize.ts';
import type { StateLayout } from './state.ts';
import type { Store } from './store.ts';
import { TranslationCache } from './tlb.ts';
import { Translator, type TranslatorStatistics } from './translator.ts';

/** How an engine runs code. */
export interface EngineOptions {
  /** Translate hot code; otherwise everything is interpreted. */
  readonly translate: boolean;
  /** Passes of a loop head or call target before it is translated. */
  readonly hotThreshold?: number;
}

/** A built interpreter. */
interface Interpreter {
  readonly run: (context: number) => number;
  /** Decode slots that it has handlers for. */
  readonly slots: ReadonlySet<number>;
  /** How often it was built. */
  readonly builds: number;
}

/** Times that an interpreter grows by what lies on one more page; then it gets a handler for everything. */
const MAX_GROWTHS = 6;

const DEFAULT_HOT_THRESHOLD = 1000;

/**
 * Runs the code of one instruction set on any number of CPU contexts of one store. It knows nothing of privilege, tables or devices: those are
 * the context's `CpuModel`.
 */
export class Engine<M extends Mode> {
  /** Bytes of the store that an engine takes beside its contexts. */
  static readonly bytes = DecodeCache.bytes + 65536;
  /** Bytes of the store that each context takes. */
  static readonly bytesPerContext = CONTEXT.end * 2 + TranslationCache.bytes;
  readonly store: Store;
  readonly isa: InstructionSet<M>;
  readonly #layout: StateLayout;
  readonly #options: Required<EngineOptions>;
  readonly #table: HandlerTable<M>;
  readonly #interpreters = new Map<number, Interpreter>();
  readonly #decoded: DecodeCache;
  readonly #contexts: CpuContext<M>[] = [];
  readonly #translation: Translation = { host: 0, writable: false, cacheable: false };
  readonly #imports: WebAssembly.Imports;
  readonly #translator: Translator<M> | null;
  #current: CpuContext<M> | null = null;
  /** A fetch faulted: no instruction was charged. */
  #fetchFault = false;

  constructor(store: Store, isa: InstructionSet<M>, layout: StateLayout, options: EngineOptions) {
    this.store = store;
    this.isa = isa;
    this.#layout = layout;
    this.#options = { hotThreshold: DEFAULT_HOT_THRESHOLD, ...options };
    this.#table = new HandlerTable(isa);
    this.#decoded = new DecodeCache(store, () => this.#flushAll());
    const imports = {
      [INTERPRETER_IMPORTS.memory]: store.memory,
      [INTERPRETER_IMPORTS.load]: this.#slowLoad,
      [INTERPRETER_IMPORTS.store]: this.#slowStore,
      [INTERPRETER_IMPORTS.fetch]: this.#slowFetch,
      [INTERPRETER_IMPORTS.decode]: this.#decode,
      [INTERPRETER_IMPORTS.crossing]: this.#crossing,
      [INTERPRETER_IMPORTS.execute]: this.#prepareExecute,
      [INTERPRETER_IMPORTS.helper]: this.#runHelper,
      [REGION_IMPORTS.store]: this.#regionStore,
    };
    this.#imports = { engine: imports };
    this.#translator = options.translate
      ? new Translator(store, isa, layout, imports, this.#contexts, this.#options.hotThreshold)
      : null;
    store.watchCode({
      codeChanged: (from, to) => {
        this.#decoded.codeChanged(from, to);
        this.#translator?.codeChanged(from, to);
      },
    });
  }

  /** How much was translated; zeros where nothing is. */
  get statistics(): TranslatorStatistics {
    return this.#translator?.statistics ?? { regions: 0, instructions: 0, bytes: 0, dropped: 0 };
  }

  /** Lets the engine know a context, so that changes of code reach its caches. */
  add(context: CpuContext<M>): void {
    this.#contexts.push(context);
  }

  /**
   * Runs a context until the budget is used up or its model sets `stopRequested`. A trap, and an attempt at an instruction that faults, count
   * like an instruction, so that every run ends.
   * @param budget instructions, 1 to `MAX_BUDGET`
   * @returns instructions executed
   */
  run(context: CpuContext<M>, budget: number): number {
    if (!(budget >= 1 && budget <= MAX_BUDGET)) throw new RangeError(`a run cannot have ${budget} instructions`);
    const { i32 } = this.store;
    const budgetAt = (context.base + CONTEXT.budget) >>> 2;
    i32[budgetAt] = budget;
    context.stopRequested = false;
    this.#current = context;
    // A region whose first instruction is for the interpreter leaves where it was entered: it must not be entered again at once.
    let stuck = false;
    for (let left = budget; left > 0 && !context.stopRequested; left = i32[budgetAt] as number) {
      if (context.tlb.linearPending) context.tlb.applyLinear();
      const translated: number | undefined = stuck ? undefined : this.#translator?.run(context);
      const exit = translated ?? this.#interpreter(context.mode).run(context.base);
      stuck = translated === EXIT.none && i32[budgetAt] === left;
      this.#handleExit(context, exit, budgetAt);
    }
    this.#current = null;
    return budget - (i32[budgetAt] as number);
  }

  #handleExit(context: CpuContext<M>, exit: number, budgetAt: number): void {
    const { i32 } = this.store;
    switch (exit) {
      case EXIT.none:
      case EXIT.budget:
      case EXIT.helper:
        return;
      case EXIT.unbuilt:
        this.#growInterpreter(context.mode, i32[(context.base + CONTEXT.exitArgument) >>> 2] as number);
        return;
      case EXIT.hot:
        this.#translator?.translate(context);
        return;
      case EXIT.fault:
        if (this.#fetchFault) {
          this.#fetchFault = false;
          i32[budgetAt] = (i32[budgetAt] as number) - 1;
        }
        context.model.deliverFault();
        return;
      case EXIT.trap:
        context.model.trap(
          i32[(context.base + CONTEXT.exit) >>> 2] as number,
          i32[(context.base + CONTEXT.exitArgument) >>> 2] as number,
        );
        return;
      case EXIT.undefined:
        this.#reportUndefined(context);
        return;
      default:
        throw new Error(`generated code returned with unknown exit ${exit}`);
    }
  }

  #reportUndefined(context: CpuContext<M>): void {
    // Where the bytes lie, rather than what lies at pc: they may have been executed from elsewhere or lie on two pages.
    const host = (this.store.i32[(context.base + CONTEXT.exitArgument) >>> 2] as number) >>> 0;
    const bytes = this.store.bytes.subarray(host, host + 6);
    const length = this.isa.lengthOf(this.#words(bytes, context.mode)[0] >>> 16);
    const [head, tail] = this.#words(bytes.subarray(0, length), context.mode);
    context.model.undefinedInstruction(head, tail);
  }

  /** The mode's interpreter; a new one has no handlers. */
  #interpreter(mode: M): Interpreter {
    return this.#interpreters.get(mode.key) ?? this.#build(mode, new Set(), 0);
  }

  /** An instruction has no handler: everything on its page gets one, or everything at all if that has happened often. */
  #growInterpreter(mode: M, host: number): void {
    const { slots, builds } = this.#interpreter(mode);
    const all = this.#table.handlers.map((_, i) => SLOT.firstHandler + i);
    const more = builds > MAX_GROWTHS ? all : [...slots, ...this.#slotsOnPage(host & ~PAGE_MASK, mode)];
    this.#build(mode, new Set(more), builds);
  }

  #build(mode: M, slots: ReadonlySet<number>, builds: number): Interpreter {
    const bytes = buildInterpreter(this.#table, this.#layout, mode, this.store.wasmPages, {
      translate: this.#options.translate,
      hotThreshold: this.#options.hotThreshold,
      only: slots,
    });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), this.#imports);
    const built = { run: instance.exports.run as Interpreter['run'], slots, builds: builds + 1 };
    this.#interpreters.set(mode.key, built);
    return built;
  }

  /** Decode slots of everything on a page of the store that could be an instruction. */
  #slotsOnPage(page: number, mode: M): Set<number> {
    const slots = new Set<number>();
    for (let at = 0; at < PAGE_SIZE; at += this.isa.alignment) {
      const start = (page >>> 0) + at;
      const bytes = this.store.bytes.subarray(start, start + Math.min(6, PAGE_SIZE - at));
      slots.add(this.#table.slotOf(...this.#words(bytes, mode)));
    }
    return slots;
  }

  #flushAll(): void {
    for (const c of this.#contexts) c.tlb.flush();
  }

  #running(): CpuContext<M> {
    if (this.#current === null) throw new Error('generated code runs without a context');
    return this.#current;
  }

  readonly #slowLoad = (sizeAndSpace: number): number => {
    const context = this.#running();
    const at = (context.base + CONTEXT.accessAddress) >>> 2;
    const low = this.store.i32[at] as number;
    const high = this.store.i32[at + 1] as number;
    const size = sizeAndSpace & 0xff;
    const space = sizeAndSpace >> 8;
    if ((low & PAGE_MASK) + size > PAGE_SIZE) {
      const bytes = readVirtual(context, high, low, size, space);
      if (bytes === null) return 0;
      this.store.bytes.set(bytes, context.base + CONTEXT.bounce);
      return context.base + CONTEXT.bounce;
    }
    if (!this.#translate(context, high, low, 'load', space, size)) return 0;
    return this.#translation.host;
  };

  readonly #slowStore = (sizeAndSpace: number): number => {
    const context = this.#running();
    const at = (context.base + CONTEXT.accessAddress) >>> 2;
    const low = this.store.i32[at] as number;
    const high = this.store.i32[at + 1] as number;
    const { bytes } = this.store;
    const size = sizeAndSpace & 0xff;
    const space = sizeAndSpace >> 8;
    const bounce = context.base + CONTEXT.bounce;
    if ((low & PAGE_MASK) + size > PAGE_SIZE) {
      return Number(writeVirtual(context, high, low, bytes.slice(bounce, bounce + size), space));
    }
    if (!this.#translate(context, high, low, 'store', space, size)) return 0;
    const { host } = this.#translation;
    bytes.copyWithin(host, bounce, bounce + size);
    this.store.written(host, size);
    return 1;
  };

  /** A store from translated code: one that would change translated code is left to the interpreter, between two regions. */
  readonly #regionStore = (sizeAndSpace: number): number => {
    const context = this.#running();
    const at = (context.base + CONTEXT.accessAddress) >>> 2;
    const low = this.store.i32[at] as number;
    const high = this.store.i32[at + 1] as number;
    const size = sizeAndSpace & 0xff;
    if ((low & PAGE_MASK) + size > PAGE_SIZE) return STORE_NEEDS_INTERPRETER;
    if (!this.#translate(context, high, low, 'store', sizeAndSpace >> 8, size)) return 0;
    const { host } = this.#translation;
    const code = (this.store.hasCode[host >>> PAGE_SHIFT] as number) & CODE.translated;
    if (code !== 0 && this.#translator?.dependsOn(host, size) === true) return STORE_NEEDS_INTERPRETER;
    const bounce = context.base + CONTEXT.bounce;
    this.store.bytes.copyWithin(host, bounce, bounce + size);
    this.store.written(host, size);
    return 1;
  };

  /** Asks the model and remembers the answer in the space's TLB. */
  #translate(
    context: CpuContext<M>,
    high: number,
    low: number,
    access: AccessKind,
    space: number,
    size: number,
  ): boolean {
    const t = this.#translation;
    if (!context.model.translate(high, low, access, space, size, t)) return false;
    if (t.cacheable) {
      const tlb = this.store.i32[(context.base + CONTEXT.dataTlb + 4 * space) >>> 2] as number;
      const write = (t.writable || access === 'store') && this.store.hasCode[t.host >>> PAGE_SHIFT] === 0;
      context.tlb.fillData(tlb, high, low, t.host, write);
    }
    return true;
  }

  readonly #slowFetch = (low: number, high: number): number => {
    const context = this.#running();
    const t = this.#translation;
    const size = Math.min(this.isa.alignment, PAGE_SIZE - (low & PAGE_MASK));
    if (!context.model.translate(high, low, 'fetch', 0, size, t)) {
      this.#fetchFault = true;
      return 0;
    }
    if (low % this.isa.alignment !== 0)
      throw new Error(`the CPU model let a fetch at 0x${context.pc.toString(16)} pass`);
    const { i32 } = this.store;
    const hostPage = t.host >>> PAGE_SHIFT;
    const fresh = this.store.hasCode[hostPage] === 0;
    const delta = this.#decoded.deltaFor(hostPage, context.mode.instructionsBigEndian);
    if (fresh) for (const c of this.#contexts) c.tlb.flushData();
    if (t.cacheable) {
      const tlb = i32[(context.base + CONTEXT.instructionTlb) >>> 2] as number;
      context.tlb.fillInstruction(tlb, high, low, t.host, delta);
    }
    i32[(context.base + CONTEXT.fetchDelta) >>> 2] = delta;
    return t.host;
  };

  readonly #decode = (host: number, slotAt: number): void => {
    const { mode } = this.#running();
    const left = PAGE_SIZE - (host & PAGE_MASK);
    const at = host >>> 0;
    const bytes = this.store.bytes.subarray(at, at + Math.min(6, left));
    const [head, tail] = this.#words(bytes, mode);
    const slot = this.isa.lengthOf(head >>> 16) > left ? SLOT.crossing : this.#table.slotOf(head, tail);
    this.store.u16[slotAt >>> 1] = slot;
  };

  readonly #crossing = (low: number, high: number): number => {
    const context = this.#running();
    const first = readVirtual(context, high, low, 2, 0, 'fetch');
    const length = first === null ? 0 : this.isa.lengthOf(this.#words(first, context.mode)[0] >>> 16);
    const bytes = first === null ? null : readVirtual(context, high, low, length, 0, 'fetch');
    if (bytes === null) {
      this.#fetchFault = true;
      return 0;
    }
    this.store.bytes.set(bytes, context.base + CONTEXT.executeText);
    const pc = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    this.#fillBuffer(context, following(context.mode, pc, length));
    return 1;
  };

  readonly #prepareExecute = (executeLength: number): void => {
    const context = this.#running();
    const { view } = this.store;
    const at = context.base + CONTEXT.executeText;
    const text = view.getBigUint64(at, true);
    if (context.mode.instructionsBigEndian) {
      view.setBigUint64(at, text, false);
    } else {
      view.setUint32(at, Number(text >> 32n), true);
      view.setUint32(at + 4, Number(text & 0xffffffffn), true);
    }
    this.#fillBuffer(context, following(context.mode, context.pc, executeLength));
    // Two that execute each other would never end, and both together count as one instruction.
    const slot = (context.base + CONTEXT.executeSlots) >>> 1;
    if (this.#table.executing.has(this.store.u16[slot] as number)) this.store.u16[slot] = SLOT.undefined;
  };

  /** Decodes the instruction in the execute buffer; behind it execution returns to `next`. */
  #fillBuffer(context: CpuContext<M>, next: bigint): void {
    const { bytes, u16, u64 } = this.store;
    const text = context.base + CONTEXT.executeText;
    const [head, tail] = this.#words(bytes.subarray(text, text + 6), context.mode);
    const slots = (context.base + CONTEXT.executeSlots) >>> 1;
    u16[slots] = this.#table.slotOf(head, tail);
    u16[slots + (this.isa.lengthOf(head >>> 16) >>> 1)] = SLOT.executeEnd;
    u64[(context.base + CONTEXT.executeReturn) >>> 3] = next;
  }

  readonly #runHelper = (helper: number, a: number, b: number): number => {
    const context = this.#running();
    const { mode } = context;
    if (!context.model.helper(helper, a, b)) return HELPER_RESULT.moved;
    return context.stopRequested || context.mode !== mode ? HELPER_RESULT.stop : HELPER_RESULT.goOn;
  };

  /** Head and tail of an instruction from up to six of its bytes in memory order; missing bytes count as 0. */
  #words(bytes: Uint8Array, mode: Mode): [head: number, tail: number] {
    const at = (i: number): number => bytes[i] ?? 0;
    if (mode.instructionsBigEndian) {
      return [((at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3)) >>> 0, (at(4) << 8) | at(5)];
    }
    return [((at(3) << 24) | (at(2) << 16) | (at(1) << 8) | at(0)) >>> 0, (at(5) << 8) | at(4)];
  }
}
