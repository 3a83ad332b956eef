import { CpuContext } from '../../../src/engine/cpu.ts';
import type { AccessKind, CpuModel, Translation } from '../../../src/engine/cpu-model.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { PAGE_SIZE } from '../../../src/engine/layout.ts';
import { Store } from '../../../src/engine/store.ts';
import { HELPER, TRAP } from '../../../src/powerpc/isa/helpers.ts';
import { powerIsa } from '../../../src/powerpc/isa/index.ts';
import { type PowerMode, powerMode } from '../../../src/powerpc/isa/mode.ts';
import { layout } from '../../../src/powerpc/isa/state.ts';

/** Addresses that are mapped one after the other, at no offset. */
export interface FlatRange {
  readonly start: bigint;
  readonly bytes: number;
}

/** How a run ended: Linux's signal for a trap, or where `sc` was met. */
export type FlatEnd =
  | { readonly kind: 'sc' }
  | { readonly kind: 'signal'; readonly signal: number; readonly text: string }
  | { readonly kind: 'helper'; readonly helper: number };

const SIGNAL = { ill: 4, trap: 5, bus: 7, fpe: 8, segv: 11 } as const;
const SIGNAL_OF_TRAP = new Map<number, number>([
  [TRAP.trap, SIGNAL.trap],
  [TRAP.alignment, SIGNAL.bus],
  [TRAP.floatingPoint, SIGNAL.fpe],
  // Where a repair finds an enabled exception.
  [TRAP.softFloat, SIGNAL.fpe],
]);

/** What a test puts behind a helper number; returns as `CpuModel.helper` does. */
export type FlatHelper = (
  context: CpuContext<PowerMode>,
  a: number,
  b: number,
  end: (how: FlatEnd) => false,
) => boolean;

/** What a test does about a trap instead of ending: returns false to end nevertheless. */
export type FlatRepair = (context: CpuContext<PowerMode>, argument: number) => boolean;

/** A CPU model for instruction tests: ranges of mapped addresses, no privilege, and a stop at everything out of the ordinary. */
export class FlatModel implements CpuModel {
  context!: CpuContext<PowerMode>;
  end: FlatEnd | null = null;
  readonly helpers = new Map<number, FlatHelper>();
  /** By trap cause. */
  readonly repairs = new Map<number, FlatRepair>();
  readonly ranges: { readonly start: bigint; readonly bytes: number; readonly host: number }[] = [];

  translate(
    high: number,
    low: number,
    _access: AccessKind,
    _space: number,
    _size: number,
    result: Translation,
  ): boolean {
    const host = this.hostOf((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
    if (host === null) return false;
    result.host = host;
    result.writable = true;
    result.cacheable = true;
    return true;
  }

  probe(high: number, low: number, result: Translation): boolean {
    return this.translate(high, low, 'fetch', 0, 4, result);
  }

  hostOf(address: bigint): number | null {
    for (const { start, bytes, host } of this.ranges) {
      if (address >= start && address < start + BigInt(bytes)) return host + Number(address - start);
    }
    return null;
  }

  deliverFault(): void {
    this.#stop({ kind: 'signal', signal: SIGNAL.segv, text: 'fault' });
  }

  trap(cause: number, argument: number): void {
    if (this.repairs.get(cause)?.(this.context, argument) === true) return;
    this.#stop({ kind: 'signal', signal: SIGNAL_OF_TRAP.get(cause) ?? SIGNAL.ill, text: `trap ${cause}` });
  }

  undefinedInstruction(head: number): void {
    this.#stop({ kind: 'signal', signal: SIGNAL.ill, text: `undefined ${head.toString(16)}` });
  }

  helper(helper: number, a: number, b: number): boolean {
    const known = this.helpers.get(helper);
    if (known !== undefined) {
      return known(this.context, a, b, (how) => {
        this.#stop(how);
        return false;
      });
    }
    this.#stop(helper === HELPER.sc ? { kind: 'sc' } : { kind: 'helper', helper });
    return false;
  }

  #stop(end: FlatEnd): void {
    this.end = end;
    this.context.stopRequested = true;
  }
}

/** One CPU over flat memory. */
export class FlatMachine {
  readonly store: Store;
  readonly engine: Engine<PowerMode>;
  readonly model = new FlatModel();
  readonly context: CpuContext<PowerMode>;

  constructor(options: { mode: number; translate: boolean; hotThreshold?: number; ranges: readonly FlatRange[] }) {
    const memory = options.ranges.reduce((sum, { bytes }) => sum + bytes + PAGE_SIZE, 0);
    this.store = new Store(65536 * 2 + Engine.bytes + Engine.bytesPerContext + memory);
    this.engine = new Engine(this.store, powerIsa, layout, options);
    for (const { start, bytes } of options.ranges) {
      this.model.ranges.push({ start, bytes, host: this.store.reserve(bytes, PAGE_SIZE) });
    }
    this.context = new CpuContext(this.store, this.model, powerMode(options.mode));
    this.model.context = this.context;
    this.engine.add(this.context);
  }

  /** The bytes from an address on, live. */
  memory(address: bigint, length: number): Uint8Array {
    const host = this.model.hostOf(address);
    if (host === null) throw new Error(`nothing is mapped at 0x${address.toString(16)}`);
    return this.store.bytes.subarray(host, host + length);
  }

  /** Writes bytes and lets the engine know. */
  write(address: bigint, bytes: Uint8Array): void {
    this.memory(address, bytes.length).set(bytes);
    this.store.written(this.model.hostOf(address) as number, bytes.length);
  }

  /** Runs from `pc` until something out of the ordinary happens. @returns null where the budget ran out first */
  run(pc: bigint, budget = 1000): FlatEnd | null {
    this.context.pc = pc;
    this.model.end = null;
    this.engine.run(this.context, budget);
    return this.model.end;
  }
}
