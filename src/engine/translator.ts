import { i32, i64, localGet } from '../wasm/expr.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { I32, I64 } from '../wasm/types.ts';
import type { CpuContext } from './cpu.ts';
import type { Translation } from './cpu-model.ts';
import { analyse } from './flow.ts';
import type { InstructionSet } from './instruction.ts';
import { CODE, CONTEXT, EXIT, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, REGION_HASH, REGION_LEFT } from './layout.ts';
import { discoverRegion, type Region } from './region.ts';
import { emitRegion, REGION_IMPORTS } from './region-emitter.ts';
import type { Mode } from './semantics.ts';
import type { StateLayout } from './state.ts';
import type { Store } from './store.ts';

/**
 * Regions alive at a time. Node 20 and 22 copy the whole imported table into every instance, so a larger table makes each region dearer
 * (`docs/engine.md`).
 */
const MAX_REGIONS = 4096;

/** Guest calls nested in WebAssembly calls before the stack is unwound. */
const MAX_DEPTH = 200;

/** Granularity in which writes to a page with translated code are told from writes to the code. */
const LINE_SHIFT = 6;

/** How much was translated since the engine was made. */
export interface TranslatorStatistics {
  readonly regions: number;
  /** Guest instructions in them. */
  readonly instructions: number;
  /** WebAssembly bytes. */
  readonly bytes: number;
  /** Regions dropped because their bytes changed or the table was full. */
  readonly dropped: number;
}

interface CachedRegion {
  /** Position in the table. */
  readonly index: number;
  readonly entry: bigint;
  readonly pages: Region['pages'];
  /** Instructions that must be left in the budget to enter. */
  readonly bound: number;
}

/** Turns hot code into WebAssembly functions and keeps them as long as their bytes and their mapping are what they were made from. */
export class Translator<M extends Mode> {
  readonly #store: Store;
  readonly #isa: InstructionSet<M>;
  readonly #layout: StateLayout;
  readonly #imports: WebAssembly.Imports;
  readonly #table: WebAssembly.Table;
  readonly #enter: (context: number, region: number) => number;
  /** By entry, mode and the host page of the entry. */
  readonly #regions = new Map<string, CachedRegion>();
  readonly #byIndex: (CachedRegion | undefined)[] = [];
  /** Regions that depend on a page of the store. */
  readonly #onPage = new Map<number, Set<string>>();
  /** Lines of each page that translated instructions lie on. */
  readonly #lines = new Map<number, Uint8Array>();
  #freeIndexes: number[] = [];
  readonly #translation: Translation = { host: 0, writable: false, cacheable: false };
  #statistics = { regions: 0, instructions: 0, bytes: 0, dropped: 0 };

  constructor(store: Store, isa: InstructionSet<M>, layout: StateLayout, imports: Record<string, unknown>) {
    this.#store = store;
    this.#isa = isa;
    this.#layout = layout;
    this.#table = new WebAssembly.Table({ element: 'anyfunc', initial: MAX_REGIONS, maximum: MAX_REGIONS });
    this.#imports = { engine: { ...imports, [REGION_IMPORTS.table]: this.#table } } as WebAssembly.Imports;
    this.#enter = buildTrampoline(store.wasmPages, this.#imports);
  }

  get statistics(): TranslatorStatistics {
    return { ...this.#statistics };
  }

  /**
   * Runs translated code from the context's pc on.
   * @returns the `EXIT`, or undefined where there is none or the budget is too small for it
   */
  run(context: CpuContext<M>): number | undefined {
    const { i32: words } = this.#store;
    const low = words[(context.base + CONTEXT.pc) >> 2] as number;
    const entry = this.#hashEntry(context, low) >> 2;
    const region = this.#byIndex[words[entry + REGION_HASH.region / 4] as number];
    if (
      region === undefined ||
      words[entry] !== low ||
      words[entry + 1] !== words[((context.base + CONTEXT.pc) >> 2) + 1] ||
      (words[(context.base + CONTEXT.budget) >> 2] as number) < region.bound
    ) {
      return undefined;
    }
    return this.#enter(context.base, region.index);
  }

  /** Translates the code at the context's pc, or finds what was translated before, and makes it known to the interpreter. */
  translate(context: CpuContext<M>, contexts: readonly CpuContext<M>[]): void {
    const { pc } = context;
    const hostPage = this.#hostPage(context, pc);
    if (hostPage === null) return;
    const key = `${pc}:${context.mode.key}:${hostPage}`;
    const known = this.#regions.get(key);
    const region =
      known !== undefined && this.#stillMapped(context, known) ? known : this.#make(context, pc, key, contexts);
    if (region === null) return;
    const { view } = this.#store;
    const entry = this.#hashEntry(context, Number(BigInt.asIntN(32, pc)));
    view.setBigUint64(entry + REGION_HASH.address, pc, true);
    view.setInt32(entry + REGION_HASH.region, region.index, true);
  }

  /** Whether translated code depends on some of the bytes; they lie on one page. */
  dependsOn(host: number, length: number): boolean {
    const lines = this.#lines.get(host >>> PAGE_SHIFT);
    if (lines === undefined) return false;
    const last = (host & PAGE_MASK) + length - 1;
    for (let line = (host & PAGE_MASK) >>> LINE_SHIFT; line <= last >>> LINE_SHIFT; line++) {
      if (lines[line] !== 0) return true;
    }
    return false;
  }

  /** Bytes changed, all on one page: drops what was made from them. */
  codeChanged(from: number, to: number, contexts: readonly CpuContext<M>[]): void {
    if (!this.dependsOn(from, to - from)) return;
    const page = from >>> PAGE_SHIFT;
    for (const key of [...(this.#onPage.get(page) ?? [])]) this.#drop(key);
    this.#lines.delete(page);
    for (const c of contexts) c.tlb.forgetRegions();
  }

  #make(context: CpuContext<M>, pc: bigint, key: string, contexts: readonly CpuContext<M>[]): CachedRegion | null {
    const region = discoverRegion(context, this.#isa, pc);
    if (region === null) return null;
    const flow = analyse(region);
    const bytes = emitRegion(region, flow, this.#layout, this.#store.wasmPages);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), this.#imports);
    if (this.#regions.has(key)) this.#drop(key);
    const index = this.#newIndex(contexts);
    this.#table.set(index, instance.exports.region as (...args: never[]) => unknown);
    const cached = { index, entry: pc, pages: region.pages, bound: flow.blocks[0]?.bound ?? 1 };
    this.#regions.set(key, cached);
    this.#byIndex[index] = cached;
    this.#guard(region, key, contexts);
    this.#statistics.regions++;
    this.#statistics.instructions += region.instructionCount;
    this.#statistics.bytes += bytes.length;
    return cached;
  }

  /** Makes sure that writes to the region's code are noticed. */
  #guard(region: Region, key: string, contexts: readonly CpuContext<M>[]): void {
    const { hasCode } = this.#store;
    let fresh = false;
    const hosts = new Map<bigint, number>();
    for (const { virtualPage, hostPage } of region.pages) {
      hosts.set(virtualPage, hostPage);
      fresh ||= hasCode[hostPage] === 0;
      hasCode[hostPage] = (hasCode[hostPage] as number) | CODE.translated;
      let keys = this.#onPage.get(hostPage);
      if (keys === undefined) {
        keys = new Set();
        this.#onPage.set(hostPage, keys);
      }
      keys.add(key);
    }
    for (const block of region.blocks) {
      for (const { pc, length } of block.instructions) {
        const hostPage = hosts.get(pc >> BigInt(PAGE_SHIFT)) as number;
        let lines = this.#lines.get(hostPage);
        if (lines === undefined) {
          lines = new Uint8Array(PAGE_SIZE >> LINE_SHIFT);
          this.#lines.set(hostPage, lines);
        }
        const at = Number(pc & BigInt(PAGE_MASK));
        lines[at >>> LINE_SHIFT] = 1;
        lines[(at + length - 1) >>> LINE_SHIFT] = 1;
      }
    }
    if (fresh) for (const c of contexts) c.tlb.flushData();
  }

  #drop(key: string): void {
    const region = this.#regions.get(key);
    if (region === undefined) return;
    this.#regions.delete(key);
    this.#byIndex[region.index] = undefined;
    this.#table.set(region.index, null);
    this.#freeIndexes.push(region.index);
    for (const { hostPage } of region.pages) this.#onPage.get(hostPage)?.delete(key);
    this.#statistics.dropped++;
  }

  #newIndex(contexts: readonly CpuContext<M>[]): number {
    const free = this.#freeIndexes.pop();
    if (free !== undefined) return free;
    if (this.#byIndex.length < MAX_REGIONS) return this.#byIndex.push(undefined) - 1;
    for (const key of [...this.#regions.keys()]) this.#drop(key);
    this.#lines.clear();
    for (const c of contexts) c.tlb.forgetRegions();
    return this.#freeIndexes.pop() as number;
  }

  #stillMapped(context: CpuContext<M>, region: CachedRegion): boolean {
    return region.pages.every(
      ({ virtualPage, hostPage }) => this.#hostPage(context, virtualPage << BigInt(PAGE_SHIFT)) === hostPage,
    );
  }

  #hostPage(context: CpuContext<M>, address: bigint): number | null {
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    const t = this.#translation;
    const ok = context.model.translate(high, low, 'fetch', 0, this.#isa.alignment, t);
    return ok && t.cacheable ? t.host >>> PAGE_SHIFT : null;
  }

  #hashEntry(context: CpuContext<M>, low: number): number {
    const hash = this.#store.i32[(context.base + CONTEXT.regionHash) >> 2] as number;
    const index = (low << (REGION_HASH.entryShift - 2)) & ((REGION_HASH.entries - 1) << REGION_HASH.entryShift);
    return hash + index;
  }
}

/** A function that enters a region from TypeScript, so that no 64-bit value crosses the border. */
function buildTrampoline(wasmPages: number, imports: WebAssembly.Imports): (context: number, region: number) => number {
  const m = new ModuleBuilder();
  m.importMemory('engine', REGION_IMPORTS.memory, wasmPages, wasmPages);
  m.importTable('engine', REGION_IMPORTS.table);
  const b = new FunctionBuilder([I32, I32], [I32]);
  const context = localGet(I32, 0);
  const next = b.local(I64);
  b.callIndirect(m.type([I32, I32], [I64]), [context, i32.const(MAX_DEPTH)], localGet(I32, 1));
  b.popTo(next);
  b.if(i64.eq(localGet(I64, next), i64.const(REGION_LEFT)), () => b.return(i32.load(context, CONTEXT.regionExit)));
  b.store64(context, localGet(I64, next), CONTEXT.pc);
  b.push(i32.const(EXIT.none));
  m.function(b, 'enter');
  const instance = new WebAssembly.Instance(new WebAssembly.Module(m.finish()), imports);
  return instance.exports.enter as (context: number, region: number) => number;
}
