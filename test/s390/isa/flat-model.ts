import { CpuContext } from '../../../src/engine/cpu.ts';
import type { AccessKind, CpuModel, Translation } from '../../../src/engine/cpu-model.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { PAGE_SIZE } from '../../../src/engine/layout.ts';
import { Store } from '../../../src/engine/store.ts';
import { CR0, PGM, PSW } from '../../../src/s390/abi.ts';
import { CONTROL } from '../../../src/s390/isa/control-helpers.ts';
import { HELPER, TRAP } from '../../../src/s390/isa/helpers.ts';
import { s390Isa } from '../../../src/s390/isa/index.ts';
import { modeOf, type S390Mode } from '../../../src/s390/isa/mode.ts';
import { instructionText, type Performed, perform } from '../../../src/s390/isa/perform.ts';
import { fpc, gpr, layout, setPswMask } from '../../../src/s390/isa/state.ts';

/** Addresses that are mapped one after the other, at no offset. */
export interface FlatRange {
  readonly start: bigint;
  readonly bytes: number;
  readonly readOnly?: boolean;
}

/** How a run ended. */
export type FlatEnd =
  | { readonly kind: 'svc'; readonly number: number }
  /** A program interruption; `next` is what the old PSW says of a suppressed or completed instruction. */
  | { readonly kind: 'program'; readonly code: number; readonly dataException: number; readonly next: bigint }
  | { readonly kind: 'fault'; readonly access: AccessKind; readonly address: bigint }
  | { readonly kind: 'helper'; readonly helper: number };

/** PSW mask of a problem-state program in 64-bit mode. */
export const PROBLEM_PSW = PSW.PROBLEM | PSW.EA | PSW.BA | PSW.DAT;

/** A CPU model for instruction tests: ranges of mapped addresses, no privilege, and a stop at everything out of the ordinary. */
export class FlatModel implements CpuModel {
  context!: CpuContext<S390Mode>;
  end: FlatEnd | null = null;
  readonly ranges: (FlatRange & { readonly host: number })[] = [];
  #fault: { access: AccessKind; address: bigint } | null = null;

  translate(
    high: number,
    low: number,
    access: AccessKind,
    _space: number,
    _size: number,
    result: Translation,
  ): boolean {
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    const range = this.rangeOf(address);
    const odd = access === 'fetch' && (low & 1) !== 0;
    if (range === undefined || odd || (access === 'store' && range.readOnly === true)) {
      this.#fault = { access, address };
      return false;
    }
    result.host = range.host + Number(address - range.start);
    result.writable = range.readOnly !== true;
    result.cacheable = true;
    return true;
  }

  probe(high: number, low: number, result: Translation): boolean {
    const kept = this.#fault;
    const found = this.translate(high, low, 'fetch', 0, 2, result);
    this.#fault = kept;
    return found;
  }

  rangeOf(address: bigint): (FlatRange & { readonly host: number }) | undefined {
    return this.ranges.find(({ start, bytes }) => address >= start && address < start + BigInt(bytes));
  }

  deliverFault(): void {
    if (this.#fault === null) throw new Error('no fault to deliver');
    const { access, address } = this.#fault;
    if (access === 'fetch' && (address & 1n) === 1n) this.#program(PGM.SPECIFICATION, 0, address);
    else this.#stop({ kind: 'fault', access, address });
  }

  trap(cause: number, argument: number): void {
    const { head, tail, length } = instructionText(this.context);
    const next = this.context.pc + BigInt(length);
    if (cause === TRAP.perform) {
      if (this.#finish(perform(this.context, head, tail), next)) this.context.pc = next;
    } else {
      this.#program(cause, argument, next);
    }
  }

  undefinedInstruction(): void {
    this.#program(PGM.OPERATION, 0, this.context.pc);
  }

  helper(helper: number, a: number, b: number): boolean {
    if (helper === HELPER.perform) return this.#finish(perform(this.context, a, b), null);
    this.#stop(helper === CONTROL.svc ? { kind: 'svc', number: (a >>> 16) & 0xff } : { kind: 'helper', helper });
    return false;
  }

  #finish(performed: Performed, next: bigint | null): boolean {
    if (performed === 'done') return true;
    if (performed === 'fault') this.deliverFault();
    else if (performed !== 'again') {
      const { code, dataException } = performed;
      this.#program(code, dataException, next ?? this.context.pc + BigInt(instructionText(this.context).length));
    }
    return false;
  }

  #program(code: number, dataException: number, next: bigint): void {
    // With the AFP-register control on, as here, a data exception leaves its code in the FPC too.
    if (code === PGM.DATA) this.context.set32(fpc, (this.context.get32(fpc) & ~0xff00) | (dataException << 8));
    this.#stop({ kind: 'program', code, dataException, next });
  }

  #stop(end: FlatEnd): void {
    this.end = end;
    this.context.stopRequested = true;
  }
}

export interface FlatOptions {
  readonly translate: boolean;
  readonly hotThreshold?: number;
  readonly ranges: readonly FlatRange[];
  /** First doubleword of the PSW. */
  readonly psw?: bigint;
  readonly cr0?: bigint;
}

/** One CPU over flat memory. */
export class FlatMachine {
  readonly store: Store;
  readonly engine: Engine<S390Mode>;
  readonly model = new FlatModel();
  readonly context: CpuContext<S390Mode>;

  constructor(options: FlatOptions) {
    const { psw = PROBLEM_PSW, cr0 = CR0.AFP } = options;
    const memory = options.ranges.reduce((sum, { bytes }) => sum + bytes + PAGE_SIZE, 0);
    this.store = new Store(65536 * 2 + Engine.bytes + Engine.bytesPerContext + memory);
    this.engine = new Engine(this.store, s390Isa, layout, options);
    for (const range of options.ranges) {
      this.model.ranges.push({ ...range, host: this.store.reserve(range.bytes, PAGE_SIZE) });
    }
    this.context = new CpuContext(this.store, this.model, modeOf(psw, cr0));
    this.model.context = this.context;
    setPswMask(this.context, psw);
    this.engine.add(this.context);
  }

  gpr(n: number): bigint {
    return this.context.get64(gpr.slots[n]);
  }

  setGpr(n: number, value: bigint): void {
    this.context.set64(gpr.slots[n], BigInt.asUintN(64, value));
  }

  /** The bytes from an address on, live. */
  memory(address: bigint, length: number): Uint8Array {
    const range = this.model.rangeOf(address);
    if (range === undefined) throw new Error(`nothing is mapped at 0x${address.toString(16)}`);
    const at = range.host + Number(address - range.start);
    return this.store.bytes.subarray(at, at + length);
  }

  /** Writes bytes and lets the engine know. */
  write(address: bigint, bytes: ArrayLike<number>): void {
    const memory = this.memory(address, bytes.length);
    memory.set(bytes);
    this.store.written(memory.byteOffset, bytes.length);
  }

  /** Runs from `pc` until something out of the ordinary happens. @returns null where the budget ran out first */
  run(pc: bigint, budget = 1000): FlatEnd | null {
    this.context.pc = pc;
    this.model.end = null;
    this.engine.run(this.context, budget);
    return this.model.end;
  }
}
