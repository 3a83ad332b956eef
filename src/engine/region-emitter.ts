import { Expr, i32, i64, localGet } from '../wasm/expr.ts';
import { FunctionBuilder, type Label } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { I32, I64 } from '../wasm/types.ts';
import type { BitSet } from './bit-set.ts';
import {
  emitLoad,
  emitNoteJump,
  emitStore,
  loadSlot,
  low32,
  SLOW_SIGNATURE,
  type SlowPaths,
  storeSlot,
} from './emit.ts';
import { type FlagRecipes, type KeptFlags, storeKept } from './flag-recipes.ts';
import { type BlockFlow, dirtyFlags, type Flow } from './flow.ts';
import { LEAF, type Statement } from './ir.ts';
import { CONTEXT, DATA_TLB, EXIT, MAX_FLAG_GROUPS, REGION_HASH, REGION_LEFT } from './layout.ts';
import { PendingFlags } from './pending-flags.ts';
import type { Block, BlockInstruction, JumpTerminator, Region, Terminator } from './region.ts';
import type { FlagGroup, Slot, StateLayout } from './state.ts';

/** Imports of a region module, all from module `engine`. */
export const REGION_IMPORTS = {
  memory: 'memory',
  /** Functions of all regions: (context, calls that may still be nested) → next address. */
  table: 'table',
  load: 'load',
  /** As the interpreter's, but answers 2 where the store would change translated code: nothing was stored. */
  store: 'regionStore',
} as const;

/** Answer of `regionStore` where the interpreter must do the store. */
export const STORE_NEEDS_INTERPRETER = 2;

/** Layout of `faultAt`: bytes into the block from bit 0, then instructions not executed, then the `EXIT`. */
const FAULT = { unexecuted: 14, exit: 27 } as const;

const NO_REGION = -1;

/** Where in the table the function lies that puts kept flags in their places (`FlagRecipes`): (context). */
export const SETTLE_INDEX = 0;

/** Non-zero where some group of flags is kept. */
export function someKept(context: Expr<I32>): Expr<I32> {
  let all: Expr<I64> = i64.const(0);
  for (let at = 0; at < MAX_FLAG_GROUPS; at += 8) all = i64.or(all, i64.load(context, CONTEXT.flagRecipes + at));
  return i32.eqz(i64.eqz(all));
}

/**
 * Builds the module of one region: one function with guest registers in locals and structured control flow. Its result is the address to go
 * on at, or `REGION_LEFT` where the context says why and where it left.
 */
export function emitRegion(
  region: Region,
  flow: Flow,
  layout: StateLayout,
  recipes: FlagRecipes,
  wasmPages: number,
): Uint8Array<ArrayBuffer> {
  return new RegionEmitter(region, flow, layout, recipes, wasmPages).emit();
}

class RegionEmitter {
  readonly #region: Region;
  readonly #flow: Flow;
  readonly #layout: StateLayout;
  readonly #recipes: FlagRecipes;
  readonly #module = new ModuleBuilder();
  readonly #slow: SlowPaths;
  readonly #regionType: number;
  readonly #settleType: number;
  readonly #b: FunctionBuilder;
  readonly #context = localGet(I32, 0);
  readonly #depth = localGet(I32, 1);
  readonly #budget: number;
  readonly #tlb: { readonly context: Expr<I32>; readonly current: Expr<I32>; readonly linear: Expr<I32> };
  /** Where and why the block is left in its middle; see `FAULT`. */
  readonly #faultAt: number;
  readonly #result: number;
  /** Next block in an irreducible region. */
  readonly #selector: number;
  /** Local of each register, by the region's number. */
  readonly #locals: number[];
  #temps = new Map<number, number>();
  readonly #flags: PendingFlags;
  #block: Block;
  #instruction = 0;
  /** Flags that are newer than memory at this place. */
  #dirtyFlags: BitSet;
  #faultLabel: Label = { depth: 0 };
  /** Labels of blocks that can be branched to from here. */
  readonly #labels = new Map<Block, Label>();

  constructor(region: Region, flow: Flow, layout: StateLayout, recipes: FlagRecipes, wasmPages: number) {
    this.#region = region;
    this.#flow = flow;
    this.#layout = layout;
    this.#recipes = recipes;
    this.#dirtyFlags = flow.registers.emptySet();
    this.#block = region.entry;
    const m = this.#module;
    m.importMemory('engine', REGION_IMPORTS.memory, wasmPages, wasmPages);
    m.importTable('engine', REGION_IMPORTS.table);
    const { params, results } = SLOW_SIGNATURE;
    this.#slow = {
      load: m.importFunction('engine', REGION_IMPORTS.load, params, results),
      store: m.importFunction('engine', REGION_IMPORTS.store, params, results),
    };
    this.#regionType = m.type([I32, I32], [I64]);
    this.#settleType = m.type([I32], []);
    const b = new FunctionBuilder([I32, I32], [I64], (leaf) => this.#lower(leaf));
    this.#b = b;
    this.#budget = b.local(I32);
    this.#tlb = { context: this.#context, current: localGet(I32, b.local(I32)), linear: localGet(I32, b.local(I32)) };
    this.#faultAt = b.local(I32);
    this.#result = b.local(I64);
    this.#selector = b.local(I32);
    this.#locals = flow.registers.slots.map((index) => b.local(this.#slot(index).type));
    this.#flags = new PendingFlags((slot, value) => b.set(this.#localOf(slot), value));
  }

  emit(): Uint8Array<ArrayBuffer> {
    const b = this.#b;
    const entry = this.#region.entry;
    b.set(this.#budget, i32.load(this.#context, CONTEXT.budget));
    b.if(
      i32.ltS(localGet(I32, this.#budget), i32.const(this.#flowOf(entry).bound)),
      () => b.return(i64.const(entry.start)),
      undefined,
      'unlikely',
    );
    const { current, linear } = this.#tlb;
    b.set(current.imm as number, i32.load(this.#context, CONTEXT.dataTlb));
    b.set(linear.imm as number, i32.load(current, DATA_TLB.linear));
    if (this.#flow.irreducible) this.#emitJumpTable();
    else {
      this.#reload(this.#flowOf(entry).liveIn);
      this.#emitTree(entry);
    }
    b.unreachable();
    this.#module.function(b, 'region');
    return this.#module.finish();
  }

  /** Emits a block and everything it dominates (Ramsey: Beyond Relooper). */
  #emitTree(block: Block): void {
    const b = this.#b;
    const merges = this.#flowOf(block)
      .children.map((n) => this.#region.blocks[n] as Block)
      .filter((c) => this.#flowOf(c).isMerge)
      .sort((x, y) => y.order - x.order);
    const within = (i: number): void => {
      const merge = merges[i];
      if (merge === undefined) {
        this.#emitBlock(block);
        return;
      }
      b.block((label) => {
        this.#labels.set(merge, label);
        within(i + 1);
      });
      this.#labels.delete(merge);
      this.#emitTree(merge);
    };
    if (!this.#flowOf(block).isLoopHead) return within(0);
    b.loop((label) => {
      this.#labels.set(block, label);
      within(0);
      this.#labels.delete(block);
    });
  }

  /** Irreducible control flow: a loop around a jump table over all blocks, every register in its local throughout. */
  #emitJumpTable(): void {
    const b = this.#b;
    const { blocks } = this.#region;
    const everything = this.#flow.registers.emptySet();
    for (const f of this.#flow.blocks) everything.addAll(f.liveIn);
    this.#reload(everything);
    b.loop((again) => {
      const labels = b.openBlocks(blocks.length);
      b.brTable(localGet(I32, this.#selector), labels.slice(0, -1), labels.at(-1) as Label);
      for (const block of blocks) {
        b.closeBlock();
        this.#labels.set(block, again);
        this.#emitBlock(block);
      }
    });
  }

  #emitBlock(block: Block): void {
    const b = this.#b;
    const flow = this.#flowOf(block);
    this.#block = block;
    // A block with one way in goes on with what was pending at the end of that.
    if (flow.joins) this.#flags.clear();
    const dirty = this.#dirtyFlags;
    this.#dirtyFlags = this.#flow.registers.emptySet();
    for (const n of flow.dirtyIn) if (this.#flow.flags.has(n)) this.#dirtyFlags.add(n);
    const outer = this.#temps;
    this.#temps = new Map();
    b.scope(() => {
      const count = block.instructions.length;
      if (count > 0) b.set(this.#budget, i32.sub(localGet(I32, this.#budget), i32.const(count)));
      if (flow.canFault) this.#emitGuarded(block, flow);
      else this.#emitInstructions(block);
      if (block.end.kind !== 'trap') this.#emitEnd(block, block.end);
    });
    this.#temps = outer;
    this.#dirtyFlags = dirty;
  }

  /** The block's instructions, with one place where all its faults leave from. */
  #emitGuarded(block: Block, flow: BlockFlow): void {
    const b = this.#b;
    b.block((done) => {
      b.block((fault) => {
        this.#faultLabel = fault;
        this.#emitInstructions(block);
        if (block.end.kind !== 'trap') b.br(done);
      });
      const dirty = this.#flow.registers.emptySet();
      dirty.addAll(flow.dirtyIn);
      dirty.addAll(flow.beforeFault);
      for (const n of dirty) if (!this.#flow.flags.has(n)) this.#store(n);
      const at = localGet(I32, this.#faultAt);
      const part = (shift: number, width: number): Expr<I32> =>
        i32.and(i32.shrU(at, i32.const(shift)), i32.const((1 << width) - 1));
      const offset = i64.extendU(part(0, FAULT.unexecuted));
      b.store64(this.#context, i64.add(i64.const(block.start), offset), CONTEXT.pc);
      const refund = part(FAULT.unexecuted, FAULT.exit - FAULT.unexecuted);
      b.store32(this.#context, i32.add(localGet(I32, this.#budget), refund), CONTEXT.budget);
      b.store32(this.#context, i32.shrU(at, i32.const(FAULT.exit)), CONTEXT.regionExit);
      b.return(i64.const(REGION_LEFT));
    });
  }

  #emitInstructions(block: Block): void {
    block.instructions.forEach((instruction, i) => {
      this.#instruction = i;
      this.#temps = new Map();
      for (const s of instruction.statements) this.#emitStatement(s, false);
    });
  }

  #emitStatement(s: Statement, conditional: boolean): void {
    const b = this.#b;
    switch (s.kind) {
      case 'let':
        // What is pending of flags is put in here rather than when they are read, so that the whole folds: a branch is made of one comparison then.
        b.set(this.#temp(s.temp), this.#inFlags(s.value));
        return;
      case 'set':
        if (s.slot.width === 8) this.#noteFlag(s.slot.index);
        if (s.slot.width === 8 && !conditional) {
          this.#flags.set(s.slot.index, this.#resolveTemps(s.value) as Expr<I32>);
        } else {
          this.#flags.beforeWrite(s.slot.index);
          b.set(this.#localOf(s.slot.index), s.value);
        }
        return;
      case 'load':
        this.#markFault(EXIT.fault);
        b.set(
          this.#temp(s.temp),
          emitLoad(b, this.#tlb, this.#slow, s, s.signed, {
            beforeSlow: () => this.#tellPlace(),
            fault: () => this.#fault(),
          }),
        );
        return;
      case 'store':
        this.#markFault(EXIT.fault);
        emitStore(b, this.#tlb, this.#slow, s, s.value, {
          beforeSlow: () => this.#tellPlace(),
          fault: () => this.#fault(),
          afterSlow: (answer) => {
            b.if(
              i32.eq(answer, i32.const(STORE_NEEDS_INTERPRETER)),
              () => {
                this.#markFault(EXIT.none);
                this.#fault();
              },
              undefined,
              'unlikely',
            );
          },
        });
        return;
      case 'trap':
        b.store32(this.#context, i32.const(s.cause), CONTEXT.exit);
        b.store32(this.#context, s.argument, CONTEXT.exitArgument);
        this.#markFault(EXIT.trap);
        this.#fault();
        return;
      case 'if':
        for (const slot of writtenSlots([...s.whenTrue, ...s.whenFalse])) this.#flags.compute(slot);
        b.if(
          this.#inFlags(s.condition),
          () => {
            for (const x of s.whenTrue) this.#emitStatement(x, true);
          },
          s.whenFalse.length === 0
            ? undefined
            : () => {
                for (const x of s.whenFalse) this.#emitStatement(x, true);
              },
        );
        return;
      default:
        throw new Error(`a ${s.kind} statement cannot stand inside a translated block`);
    }
  }

  /** Puts pc and budget of the instruction at hand into the context, for whoever looks while it is not done. */
  #tellPlace(): void {
    const { instructions } = this.#block;
    const at = instructions[this.#instruction] as BlockInstruction;
    const unexecuted = i32.const(instructions.length - this.#instruction - 1);
    this.#b.store64(this.#context, i64.const(at.pc), CONTEXT.pc);
    this.#b.store32(this.#context, i32.add(localGet(I32, this.#budget), unexecuted), CONTEXT.budget);
  }

  /** A flag is newer than memory from now on, and with it its group. */
  #noteFlag(slotIndex: number): void {
    const { registers } = this.#flow;
    const group = this.#layout.groupOf(slotIndex);
    if (group === undefined) this.#dirtyFlags.add(registers.of(slotIndex));
    else for (const { index } of group.slots) this.#dirtyFlags.add(registers.of(index));
  }

  /** Leaves the block in its middle. */
  #fault(): void {
    this.#storeFlags(this.#dirtyFlags);
    this.#b.br(this.#faultLabel);
  }

  /** Notes where in the block an access stands, for the case that it faults; registers must then be in their locals, flags may be pending. */
  #markFault(exit: number): void {
    const { instructions, start } = this.#block;
    const at = instructions[this.#instruction];
    if (at === undefined) throw new Error('no instruction is being emitted');
    const unexecuted = instructions.length - this.#instruction - (exit === EXIT.none ? 0 : 1);
    const where = Number(at.pc - start) | (unexecuted << FAULT.unexecuted) | (exit << FAULT.exit);
    this.#b.set(this.#faultAt, i32.const(where));
  }

  #emitEnd(block: Block, end: Exclude<Terminator, { kind: 'trap' }>): void {
    if (end.kind === 'stop') return this.#leave(block, i64.const(end.next));
    if (end.kind === 'fall') return this.#goTo(block, end.next);
    const b = this.#b;
    const target = end.known === null ? b.let(this.#inFlags(end.target)) : i64.const(end.known);
    const taken = (): void => {
      if (end.call) this.#emitCall(block, end, target);
      else if (end.known !== null) this.#goTo(block, end.known);
      else if (end.how === 'return') this.#emitReturn(block, target);
      else this.#jumpIndirect(block, end, target);
    };
    if (end.condition === null) return taken();
    b.if(this.#inFlags(end.condition), taken, () => this.#goTo(block, end.next));
  }

  /** Control goes from `block` to the address, which may be a block of this region. */
  #goTo(block: Block, address: bigint): void {
    const to = block.successors.find((s) => s.start === address && s.copy === block.copy);
    if (to === undefined) this.#tailCall(block, i64.const(address));
    else this.#goToBlock(block, to);
  }

  #goToBlock(block: Block, to: Block): void {
    const b = this.#b;
    const from = this.#flowOf(block);
    const flow = this.#flowOf(to);
    const pending = this.#flags.snapshot();
    if (flow.joins) {
      const down = dirtyFlags(this.#flow, from);
      this.#storeAll(down);
      this.#flags.settle((slot) => flow.liveIn.has(this.#flow.registers.of(slot)));
      if (to.order <= block.order) {
        const dirty = this.#flow.registers.emptySet();
        dirty.addDifference(from.dirtyOut, down);
        b.if(
          i32.ltS(localGet(I32, this.#budget), i32.const(flow.bound)),
          () => {
            this.#storeAll(dirty);
            this.#storeBudget();
            b.return(i64.const(to.start));
          },
          undefined,
          'unlikely',
        );
      }
    }
    this.#enterBlock(block, to);
    this.#flags.restore(pending);
  }

  #enterBlock(block: Block, to: Block): void {
    const b = this.#b;
    if (this.#flow.irreducible) {
      b.set(this.#selector, i32.const(to.order));
      b.br(this.#labels.get(this.#region.entry) as Label);
      return;
    }
    if (to.order <= block.order || this.#flowOf(to).isMerge) {
      const label = this.#labels.get(to);
      if (label === undefined) throw new Error('a structured branch has no label');
      b.br(label);
      return;
    }
    const state = { block: this.#block, temps: this.#temps, flags: this.#flags.snapshot() };
    b.fork(() => this.#emitTree(to), this.#flags.locals());
    this.#block = state.block;
    this.#temps = state.temps;
    this.#flags.restore(state.flags);
  }

  /** Tries the targets that were seen before; others leave the region and are noted. */
  #jumpIndirect(block: Block, end: JumpTerminator, target: Expr<I64>): void {
    const b = this.#b;
    for (const known of end.cases) {
      if (block.successors.some((s) => s.start === known && s.copy === block.copy)) {
        b.if(i64.eq(target, i64.const(known)), () => this.#goTo(block, known));
      }
    }
    if (end.how === 'indirect') emitNoteJump(b, this.#context, i64.const(end.pc), target);
    this.#tailCall(block, target);
  }

  /** An inlined callee goes on behind its call, if that is where it returns to. */
  #emitReturn(block: Block, target: Expr<I64>): void {
    const { returnTo } = block;
    if (returnTo === null) return this.#leave(block, target);
    this.#b.if(
      i64.eq(target, i64.const(returnTo.start)),
      () => this.#goToBlock(block, returnTo),
      () => this.#leave(block, target),
      'likely',
    );
  }

  /** Leaves the region for good with everything in memory. */
  #leave(block: Block, next: Expr<I64>): void {
    this.#spill(block);
    this.#b.return(next);
  }

  /** Goes to the region at `target` if there is one, in place of this one; else leaves. */
  #tailCall(block: Block, target: Expr<I64>): void {
    const b = this.#b;
    this.#spill(block);
    const entry = this.#hashEntry(target);
    this.#ifRegion(entry, target, (index) =>
      b.returnCallIndirect(this.#regionType, [this.#context, this.#depth], index),
    );
    b.return(target);
  }

  /** Goes to an inlined callee, else calls. */
  #emitCall(block: Block, end: JumpTerminator, target: Expr<I64>): void {
    for (const call of block.inlined) {
      if (end.known !== null) return this.#goToBlock(block, call.entry);
      this.#b.if(i64.eq(target, i64.const(call.target)), () => this.#goToBlock(block, call.entry));
    }
    this.#callRegion(block, end, target);
  }

  /** Calls the region at `target`; a return to the address behind the call goes on in this region. */
  #callRegion(block: Block, end: JumpTerminator, target: Expr<I64>): void {
    const b = this.#b;
    const { continuation } = block;
    if (continuation === null) return this.#tailCall(block, target);
    this.#spill(block);
    const entry = this.#hashEntry(target);
    b.if(i32.eqz(this.#depth), () => b.return(target), undefined, 'unlikely');
    const called = (index: Expr<I32>): void => {
      b.callIndirect(this.#regionType, [this.#context, i32.sub(this.#depth, i32.const(1))], index);
      b.popTo(this.#result);
    };
    b.set(this.#result, target);
    this.#ifRegion(entry, target, called);
    const result = localGet(I64, this.#result);
    b.if(i64.ne(result, i64.const(end.next)), () => b.return(result), undefined, 'unlikely');
    b.set(this.#budget, i32.load(this.#context, CONTEXT.budget));
    const flow = this.#flowOf(continuation);
    b.if(i32.ltS(localGet(I32, this.#budget), i32.const(flow.bound)), () => b.return(result), undefined, 'unlikely');
    const pending = this.#flags.snapshot();
    this.#flags.clear();
    this.#reload(this.#flow.irreducible ? this.#allLive() : flow.liveIn);
    this.#enterBlock(block, continuation);
    this.#flags.restore(pending);
  }

  #allLive(): BitSet {
    const all = this.#flow.registers.emptySet();
    for (const f of this.#flow.blocks) all.addAll(f.liveIn);
    return all;
  }

  #hashEntry(target: Expr<I64>): Expr<I32> {
    const b = this.#b;
    const index = i32.and(
      i32.shl(low32(target), i32.const(REGION_HASH.entryShift - 2)),
      i32.const((REGION_HASH.entries - 1) << REGION_HASH.entryShift),
    );
    return b.let(i32.add(i32.load(this.#context, CONTEXT.regionHash), index));
  }

  #ifRegion(entry: Expr<I32>, target: Expr<I64>, then: (index: Expr<I32>) => void): void {
    const b = this.#b;
    b.if(i64.eq(i64.load(entry, REGION_HASH.address), target), () => {
      const index = b.let(i32.load(entry, REGION_HASH.region));
      b.if(i32.ne(index, i32.const(NO_REGION)), () => then(index));
    });
  }

  /** Writes to memory what is newer in locals, and the budget. */
  #spill(block: Block): void {
    this.#storeAll(this.#flowOf(block).dirtyOut);
    this.#storeBudget();
  }

  #storeBudget(): void {
    this.#b.store32(this.#context, localGet(I32, this.#budget), CONTEXT.budget);
  }

  /** Writes registers to memory. */
  #storeAll(set: BitSet): void {
    for (const n of set) if (!this.#flow.flags.has(n)) this.#store(n);
    this.#storeFlags(set);
  }

  #store(n: number): void {
    const slot = this.#slot(this.#slotIndex(n));
    storeSlot(
      this.#b,
      this.#context,
      slot,
      this.#flags.value(slot.index) ?? localGet(slot.type, this.#locals[n] as number),
    );
  }

  /** Writes the flags of a set to memory, group by group: what they are made of, where that is known. */
  #storeFlags(set: BitSet): void {
    const stored = new Set<FlagGroup>();
    for (const n of set) {
      if (!this.#flow.flags.has(n)) continue;
      const group = this.#layout.groupOf(this.#slotIndex(n));
      if (group === undefined) this.#store(n);
      else if (!stored.has(group)) {
        stored.add(group);
        this.#storeGroup(group);
      }
    }
  }

  #storeGroup({ number, slots }: FlagGroup): void {
    const kept = this.#keptFlags(slots);
    if (kept !== null) return storeKept(this.#b, this.#context, number, kept);
    for (const { index } of slots) this.#store(this.#flow.registers.of(index));
    this.#b.store8(this.#context, i32.const(0), CONTEXT.flagRecipes + number);
  }

  #keptFlags(slots: FlagGroup['slots']): KeptFlags | null {
    if (this.#flow.writesSeldom) return null;
    const values = slots.flatMap(({ index }) => this.#flags.value(index) ?? []);
    return values.length === slots.length ? this.#recipes.keep(values) : null;
  }

  /** Loads registers from memory; flags must be in their places for that, or where this region changes what recipes read. */
  #reload(set: BitSet): void {
    const b = this.#b;
    const wantsFlags = [...set].some((n) => this.#layout.groupOf(this.#slotIndex(n)) !== undefined);
    if (wantsFlags || this.#flow.writesSeldom) {
      b.if(
        someKept(this.#context),
        () => b.callIndirect(this.#settleType, [this.#context], i32.const(SETTLE_INDEX)),
        undefined,
        'unlikely',
      );
    }
    for (const n of set) this.#load(n);
  }

  #load(n: number): void {
    this.#b.set(this.#locals[n] as number, loadSlot(this.#context, this.#slot(this.#slotIndex(n))));
  }

  #flowOf(block: Block): BlockFlow {
    return this.#flow.blocks[block.order] as BlockFlow;
  }

  #slotIndex(n: number): number {
    return this.#flow.registers.slots[n] as number;
  }

  #slot(index: number): Slot {
    return this.#layout.slots[index] as Slot;
  }

  #localOf(slotIndex: number): number {
    return this.#locals[this.#flow.registers.of(slotIndex)] as number;
  }

  #temp(leaf: Expr): number {
    const number = leaf.imm as number;
    let local = this.#temps.get(number);
    if (local === undefined) {
      local = this.#b.temp(leaf.type);
      this.#temps.set(number, local);
    }
    return local;
  }

  /** The expression with temporaries replaced by their locals, so that it may outlive the instruction. */
  #resolveTemps(e: Expr): Expr {
    if (e.op === LEAF.temp) return localGet(e.type, this.#temp(e));
    if (e.a === null) return e;
    const a = this.#resolveTemps(e.a);
    const b = e.b && this.#resolveTemps(e.b);
    const c = e.c && this.#resolveTemps(e.c);
    return a === e.a && b === e.b && c === e.c ? e : new Expr(e.type, e.op, a, b, c, e.imm, e.offset);
  }

  #inFlags<E extends Expr>(e: E): E {
    return this.#flags.substitute(e) as E;
  }

  #lower(leaf: Expr): void {
    const b = this.#b;
    if (leaf.op === LEAF.slot) {
      const pending = this.#flags.value(leaf.imm as number);
      b.push(pending ?? localGet(leaf.type, this.#localOf(leaf.imm as number)));
      return;
    }
    if (leaf.op === LEAF.temp) {
      b.push(localGet(leaf.type, this.#temp(leaf)));
      return;
    }
    throw new Error(`leaf ${leaf.op} cannot stand in a region`);
  }
}

function writtenSlots(statements: readonly Statement[]): number[] {
  return statements.flatMap((s) => {
    if (s.kind === 'set') return [s.slot.index];
    return s.kind === 'if' ? writtenSlots([...s.whenTrue, ...s.whenFalse]) : [];
  });
}
