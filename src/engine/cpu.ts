import type { CpuModel } from './cpu-model.ts';
import { CONTEXT, MAX_SPACES } from './layout.ts';
import type { Mode } from './semantics.ts';
import type { Slot } from './state.ts';
import type { Store } from './store.ts';
import { TranslationCache } from './tlb.ts';

/**
 * One CPU context as TypeScript sees it: its registers in the store, its mode and its TLBs. The architecture's CPU model owns it; generated
 * code works on the same bytes.
 */
export class CpuContext<M extends Mode = Mode> {
  readonly store: Store;
  /** Host address of the context. */
  readonly base: number;
  readonly model: CpuModel;
  readonly tlb: TranslationCache;
  /** The mode that code runs in; the model sets it whenever it changes. */
  mode: M;
  /** Set to make the run loop return after the instruction at hand, e.g. because a native level takes over. */
  stopRequested = false;

  constructor(store: Store, model: CpuModel, mode: M) {
    this.store = store;
    this.model = model;
    this.mode = mode;
    this.base = store.reserve(CONTEXT.end, CONTEXT.end);
    this.tlb = new TranslationCache(store);
    this.selectFetchSpace('');
    for (let space = 0; space < MAX_SPACES; space++) this.selectDataSpace(space, '');
  }

  /** Address of the next instruction, unsigned. */
  get pc(): bigint {
    return this.store.u64[(this.base + CONTEXT.pc) >>> 3] as bigint;
  }

  set pc(value: bigint) {
    this.store.u64[(this.base + CONTEXT.pc) >>> 3] = value;
  }

  /** A 64-bit register, unsigned. */
  get64(slot: Slot): bigint {
    return this.store.u64[(this.base + slot.offset) >>> 3] as bigint;
  }

  set64(slot: Slot, value: bigint): void {
    this.store.u64[(this.base + slot.offset) >>> 3] = value;
  }

  /** An 8- or 32-bit register, unsigned. */
  get32(slot: Slot): number {
    const at = this.base + slot.offset;
    return slot.width === 8 ? (this.store.bytes[at] as number) : (this.store.i32[at >>> 2] as number) >>> 0;
  }

  set32(slot: Slot, value: number): void {
    const at = this.base + slot.offset;
    if (slot.width === 8) this.store.bytes[at] = value;
    else this.store.i32[at >>> 2] = value;
  }

  /**
   * Makes a data address space use the TLB of `key`. Two selections with equal keys share cached translations, so a key must name everything
   * that a translation depends on (table roots, privilege, translation on or off).
   */
  selectDataSpace(space: number, key: string): void {
    const { i32 } = this.store;
    const first = (this.base + CONTEXT.dataTlb) >>> 2;
    const others = (at: number): boolean =>
      i32.subarray(first, first + MAX_SPACES).some((used, other) => other !== space && used >>> 0 === at);
    i32[first + space] = this.tlb.data(key, others);
  }

  /** The same for instruction fetch. This key must name the mode, too: decoded and translated code depends on it. */
  selectFetchSpace(key: string): void {
    const { tlb, hash } = this.tlb.instruction(key);
    this.store.i32[(this.base + CONTEXT.instructionTlb) >>> 2] = tlb;
    this.store.i32[(this.base + CONTEXT.regionHash) >>> 2] = hash;
  }
}
