import { i32, i64, localGet } from '../wasm/expr.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { I32, I64 } from '../wasm/types.ts';
import type { CpuContext } from './cpu.ts';
import type { Translation } from './cpu-model.ts';
import { FlagRecipes } from './flag-recipes.ts';
import { analyse } from './flow.ts';
import type { InstructionSet } from './instruction.ts';
import {
  CODE,
  CONTEXT,
  EXIT,
  JUMP_RING,
  PAGE_MASK,
  PAGE_SHIFT,
  PAGE_SIZE,
  REGION_HASH,
  REGION_LEFT,
} from './layout.ts';
import { discoverRegion, type Region } from './region.ts';
import { emitRegion, REGION_IMPORTS, SETTLE_INDEX, someKept } from './region-emitter.ts';
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
const NO_REGION = -1;

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

/** Leaving for an address without a region this often makes a region for it. */
const HOT_EXITS = 100;

/** Each region that an address already lies in makes it wait this many times longer for one of its own. */
const COVERED_FACTOR = 8;

/** Targets of one indirect jump that become part of its region. */
const MAX_CASES = 16;

/** Heat of an address that cannot be translated. */
const NEVER = -(2 ** 30);

/** How often a region is made again because its indirect jumps went elsewhere. */
const MAX_REMAKES = 6;

interface CachedRegion {
  readonly key: string;
  /** Indirect jumps in it. */
  readonly jumps: readonly bigint[];
  /** Position in the table. */
  readonly index: number;
  readonly entry: bigint;
  /** Addresses of its blocks. */
  readonly starts: readonly bigint[];
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
  readonly #contexts: readonly CpuContext<M>[];
  readonly #hotThreshold: number;
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
  /** Where indirect jumps went: how often, by jump and target. */
  readonly #jumps = new Map<bigint, Map<bigint, number>>();
  #jumpsSeen = 0;
  /** Region of each indirect jump. */
  readonly #regionOfJump = new Map<bigint, string>();
  readonly #remakes = new Map<string, number>();
  /** In how many regions a block starts at an address. */
  readonly #covered = new Map<bigint, number>();
  /** Keys of entries that have waited. */
  readonly #waited = new Set<string>();
  readonly #recipes: FlagRecipes;
  /** Recipes that the function in the table knows. */
  #settled = -1;
  #ranRegion = false;
  readonly #translation: Translation = { host: 0, writable: false, cacheable: false };
  #statistics = { regions: 0, instructions: 0, bytes: 0, dropped: 0 };

  /** @param contexts all contexts of the engine, including those added later */
  constructor(
    store: Store,
    isa: InstructionSet<M>,
    layout: StateLayout,
    imports: Record<string, unknown>,
    contexts: readonly CpuContext<M>[],
    hotThreshold: number,
  ) {
    this.#contexts = contexts;
    this.#hotThreshold = hotThreshold;
    this.#store = store;
    this.#isa = isa;
    this.#layout = layout;
    this.#recipes = new FlagRecipes(layout);
    this.#byIndex[SETTLE_INDEX] = undefined;
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
    const pcAt = (context.base + CONTEXT.pc) >>> 2;
    const low = words[pcAt] as number;
    const entry = this.#hashEntry(context, low) >>> 2;
    const isHere = words[entry] === low && words[entry + 1] === words[pcAt + 1];
    const region = isHere ? this.#byIndex[words[entry + REGION_HASH.region / 4] as number] : undefined;
    if (region === undefined) {
      const hot = this.#ranRegion && this.#countExit(entry, isHere, low, words[pcAt + 1] as number);
      this.#ranRegion = false;
      return hot ? EXIT.hot : undefined;
    }
    if ((words[(context.base + CONTEXT.budget) >>> 2] as number) < region.bound) return undefined;
    this.#ranRegion = true;
    return this.#enter(context.base, region.index);
  }

  /** A region left for an address that has none. Returns whether that has happened often enough. */
  #countExit(entry: number, isHere: boolean, low: number, high: number): boolean {
    const { i32: words } = this.#store;
    const heatAt = entry + REGION_HASH.heat / 4;
    if (isHere) {
      words[heatAt] = (words[heatAt] as number) + 1;
      return (words[heatAt] as number) >= HOT_EXITS;
    }
    if (words[entry + REGION_HASH.region / 4] === NO_REGION) {
      words[entry] = low;
      words[entry + 1] = high;
      words[heatAt] = 0;
    }
    return false;
  }

  /**
   * Makes the code at the context's pc known to the interpreter: what was translated before if its mapping is still the same, else translated now
   * if it is hot enough.
   */
  translate(context: CpuContext<M>): void {
    this.#collectJumps(context);
    const hot = this.#heat(context) >= Math.min(this.#hotThreshold, HOT_EXITS);
    const pc = hot ? this.#entryFor(context.pc) : context.pc;
    const hostPage = this.#hostPage(context, pc);
    if (hostPage === null) return;
    const key = `${pc}:${context.mode.key}:${hostPage}`;
    const known = this.#regions.get(key);
    const mapped = known !== undefined && this.#stillMapped(context, known);
    if (!mapped && hot && pc === context.pc && this.#mustWait(context, pc, key)) return;
    const region = mapped ? known : hot ? this.#make(context, pc, key) : null;
    if (region === null) {
      if (hot) this.#setHeat(context, NEVER);
      return;
    }
    const { view } = this.#store;
    const entry = this.#hashEntry(context, Number(BigInt.asIntN(32, pc)));
    view.setBigUint64(entry + REGION_HASH.address, pc, true);
    view.setInt32(entry + REGION_HASH.region, region.index, true);
    view.setInt32(entry + REGION_HASH.heat, 0, true);
  }

  /**
   * Whether a hot address in the middle of regions is to be passed more often before it starts one. Callees without a region leave their callers
   * there while a program warms up; each would be made into the whole caller once more.
   */
  #mustWait(context: CpuContext<M>, pc: bigint, key: string): boolean {
    const covered = this.#covered.get(pc) ?? 0;
    if (covered === 0 || this.#waited.has(key)) return false;
    this.#waited.add(key);
    this.#setHeat(context, -HOT_EXITS * COVERED_FACTOR * covered);
    return true;
  }

  #heat(context: CpuContext<M>): number {
    return this.#store.i32[this.#heatAt(context)] as number;
  }

  #setHeat(context: CpuContext<M>, heat: number): void {
    this.#store.i32[this.#heatAt(context)] = heat;
  }

  #heatAt(context: CpuContext<M>): number {
    const low = this.#store.i32[(context.base + CONTEXT.pc) >>> 2] as number;
    return (this.#hashEntry(context, low) + REGION_HASH.heat) >>> 2;
  }

  /** Reads the notes of indirect jumps since the last time. */
  #collectJumps(context: CpuContext<M>): void {
    const { i32: words, u64 } = this.#store;
    const count = words[(context.base + CONTEXT.jumpCount) >>> 2] as number;
    for (let i = Math.max(this.#jumpsSeen, count - JUMP_RING); i < count; i++) {
      const at = (context.base + CONTEXT.jumpRing + ((i & (JUMP_RING - 1)) << 4)) >>> 3;
      const [jump, target] = [u64[at] as bigint, u64[at + 1] as bigint];
      const targets = this.#jumps.get(jump) ?? new Map<bigint, number>();
      targets.set(target, (targets.get(target) ?? 0) + 1);
      this.#jumps.set(jump, targets);
    }
    this.#jumpsSeen = count;
  }

  /**
   * Where to start a region for a hot address: at the address, unless it is the target of an indirect jump in a region; then that region is made
   * again with the target in it.
   */
  #entryFor(pc: bigint): bigint {
    for (const [jump, targets] of this.#jumps) {
      const key = targets.has(pc) ? this.#regionOfJump.get(jump) : undefined;
      const region = key === undefined ? undefined : this.#regions.get(key);
      if (region === undefined || key === undefined) continue;
      const remakes = this.#remakes.get(key) ?? 0;
      if (remakes === MAX_REMAKES) continue;
      this.#remakes.set(key, remakes + 1);
      this.#drop(key);
      return region.entry;
    }
    return pc;
  }

  #jumpTargets(pc: bigint): bigint[] {
    const targets = [...(this.#jumps.get(pc) ?? [])].sort((x, y) => y[1] - x[1]);
    return targets.slice(0, MAX_CASES).map(([target]) => target);
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
  codeChanged(from: number, to: number): void {
    if (!this.dependsOn(from, to - from)) return;
    const page = from >>> PAGE_SHIFT;
    for (const key of [...(this.#onPage.get(page) ?? [])]) this.#drop(key);
    this.#lines.delete(page);
  }

  #make(context: CpuContext<M>, pc: bigint, key: string): CachedRegion | null {
    const region = discoverRegion(context, this.#isa, pc, (jump) => this.#jumpTargets(jump));
    if (region === null) return null;
    const flow = analyse(region, this.#layout);
    const bytes = emitRegion(region, flow, this.#layout, this.#recipes, this.#store.wasmPages);
    this.#provideSettle();
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), this.#imports);
    if (this.#regions.has(key)) this.#drop(key);
    const index = this.#newIndex();
    this.#table.set(index, instance.exports.region as (...args: never[]) => unknown);
    const jumps = region.blocks.flatMap(({ end }) =>
      end.kind === 'jump' && end.how === 'indirect' && !end.call && end.known === null ? [end.pc] : [],
    );
    for (const jump of jumps) this.#regionOfJump.set(jump, key);
    const starts = [...new Set(region.blocks.map((b) => b.start))];
    for (const start of starts) this.#covered.set(start, (this.#covered.get(start) ?? 0) + 1);
    const cached = { key, jumps, index, entry: pc, starts, pages: region.pages, bound: flow.blocks[0]?.bound ?? 1 };
    this.#regions.set(key, cached);
    this.#byIndex[index] = cached;
    this.#guard(region, key);
    this.#statistics.regions++;
    this.#statistics.instructions += region.instructionCount;
    this.#statistics.bytes += bytes.length;
    return cached;
  }

  /** Puts a function into the table that knows all recipes of flags. */
  #provideSettle(): void {
    if (this.#recipes.count === this.#settled) return;
    this.#settled = this.#recipes.count;
    const module = new WebAssembly.Module(this.#recipes.buildSettle(this.#store.wasmPages));
    const { settle } = new WebAssembly.Instance(module, this.#imports).exports;
    this.#table.set(SETTLE_INDEX, settle as (...args: never[]) => unknown);
  }

  /** Makes sure that writes to the region's code are noticed. */
  #guard(region: Region, key: string): void {
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
    if (fresh) for (const c of this.#contexts) c.tlb.flushData();
  }

  #drop(key: string): void {
    const region = this.#regions.get(key);
    if (region === undefined) return;
    this.#regions.delete(key);
    this.#byIndex[region.index] = undefined;
    this.#table.set(region.index, null);
    this.#freeIndexes.push(region.index);
    for (const c of this.#contexts) c.tlb.forgetRegion(region.entry);
    for (const jump of region.jumps) this.#regionOfJump.delete(jump);
    for (const start of region.starts) this.#uncover(start);
    this.#waited.delete(key);
    for (const { hostPage } of region.pages) this.#onPage.get(hostPage)?.delete(key);
    this.#statistics.dropped++;
  }

  #uncover(start: bigint): void {
    const left = (this.#covered.get(start) ?? 0) - 1;
    if (left > 0) this.#covered.set(start, left);
    else this.#covered.delete(start);
  }

  #newIndex(): number {
    const free = this.#freeIndexes.pop();
    if (free !== undefined) return free;
    if (this.#byIndex.length < MAX_REGIONS) return this.#byIndex.push(undefined) - 1;
    for (const key of [...this.#regions.keys()]) this.#drop(key);
    this.#waited.clear();
    this.#lines.clear();
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
    const ok = context.model.probe(high, low, t);
    return ok && t.cacheable ? t.host >>> PAGE_SHIFT : null;
  }

  #hashEntry(context: CpuContext<M>, low: number): number {
    const hash = (this.#store.i32[(context.base + CONTEXT.regionHash) >>> 2] as number) >>> 0;
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
  b.if(someKept(context), () => b.callIndirect(m.type([I32], []), [context], i32.const(SETTLE_INDEX)));
  b.if(i64.eq(localGet(I64, next), i64.const(REGION_LEFT)), () => b.return(i32.load(context, CONTEXT.regionExit)));
  b.store64(context, localGet(I64, next), CONTEXT.pc);
  b.push(i32.const(EXIT.none));
  m.function(b, 'enter');
  const instance = new WebAssembly.Instance(new WebAssembly.Module(m.finish()), imports);
  return instance.exports.enter as (context: number, region: number) => number;
}
