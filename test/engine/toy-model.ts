import { readVirtual, writeVirtual } from '../../src/engine/access.ts';
import { CpuContext } from '../../src/engine/cpu.ts';
import type { AccessKind, CpuModel, Translation } from '../../src/engine/cpu-model.ts';
import { Engine } from '../../src/engine/engine.ts';
import { CONTEXT, PAGE_SHIFT, PAGE_SIZE } from '../../src/engine/layout.ts';
import { Store } from '../../src/engine/store.ts';
import { HELPER, oldPc, type Program, registers, type ToyMode, toyIsa, toyState, WIDE } from './toy-isa.ts';

/** A page of an address space: which page of the toy's RAM it is, and what it may be used for. */
export interface ToyPage {
  readonly ram: number;
  readonly write: boolean;
  readonly execute: boolean;
  /** The TLB must not keep it. */
  readonly slow?: boolean;
  /** A reference bit that is 0: the first translation clears this. */
  readonly unused?: boolean;
}

/** By number of the virtual page, one map for each address space. */
export type PageMaps = readonly [Map<number, ToyPage>, Map<number, ToyPage>];

/** Where execution goes on after a fault, a trap or bytes that are no instruction. */
export const VECTOR = { fault: 0x100, trap: 0x140, undefined: 0x180 } as const;

export const hex = (v: bigint | number): string => (v < 0 ? `-${hex(-v)}` : `0x${v.toString(16)}`);

export const faultText = (access: AccessKind, address: bigint, space: number, pc: bigint): string =>
  `${access} fault at ${hex(address)}${space === 0 ? '' : ` in space ${space}`}, pc ${hex(pc)}`;
export const trapText = (cause: number, argument: number, pc: bigint): string =>
  `trap ${cause} (${argument}), pc ${hex(pc)}`;
export const undefinedText = (head: number, tail: number, pc: bigint): string =>
  `undefined ${hex(head)} ${hex(tail)}, pc ${hex(pc)}`;

/** What a test puts behind `help n`: gets the operands, returns as `CpuModel.helper` does. */
export type ToyHelper = (a: number, b: number) => boolean;

/** A CPU model that keeps a diary. */
export class ToyModel implements CpuModel {
  readonly maps: PageMaps = [new Map(), new Map()];
  /** Faults, traps and undefined instructions, in order. */
  readonly events: string[] = [];
  readonly helpers: ToyHelper[] = [];
  /** Calls of `translate`: what missed the TLB. */
  readonly walks: string[] = [];
  /** What the context said about the instruction at hand at each of them. */
  readonly places: string[] = [];
  /** Whether an event ends the run, rather than only going to its vector. */
  stopAtEvents = true;
  context!: CpuContext<ToyMode>;
  readonly #machine: { readonly ram: number };
  #fault: { access: AccessKind; address: bigint; space: number } | null = null;

  constructor(machine: { readonly ram: number }) {
    this.#machine = machine;
  }

  translate(high: number, low: number, access: AccessKind, space: number, size: number, result: Translation): boolean {
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    const offset = Number(address & 0xfffn);
    if (offset + size > PAGE_SIZE) throw new Error(`${access} of ${size} bytes at ${hex(address)} leaves its page`);
    if (high !== (high | 0) || low !== (low | 0)) throw new Error('halves of addresses are not signed 32-bit numbers');
    this.walks.push(`${access} ${space}:${hex(address)}`);
    this.places.push(
      `pc ${hex(this.context.pc)}, ${this.context.store.i32[(this.context.base + CONTEXT.budget) >>> 2]} left`,
    );
    const page = this.maps[space].get(Number(address >> BigInt(PAGE_SHIFT)));
    const odd = access === 'fetch' && low % 2 !== 0;
    if (page === undefined || odd || (access === 'store' && !page.write) || (access === 'fetch' && !page.execute)) {
      this.#fault = { access, address, space };
      return false;
    }
    result.host = this.#machine.ram + page.ram * PAGE_SIZE + offset;
    if (page.unused === true) this.maps[space].set(Number(address >> BigInt(PAGE_SHIFT)), { ...page, unused: false });
    result.writable = page.write;
    result.cacheable = page.slow !== true;
    return true;
  }

  probe(high: number, low: number, result: Translation): boolean {
    const page = this.maps[0].get(Number(((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)) >> BigInt(PAGE_SHIFT)));
    if (page === undefined || !page.execute || page.unused === true) return false;
    result.host = this.#machine.ram + page.ram * PAGE_SIZE + (low & (PAGE_SIZE - 1));
    result.writable = false;
    result.cacheable = page.slow !== true;
    return true;
  }

  deliverFault(): void {
    if (this.#fault === null) throw new Error('no fault to deliver');
    const { access, address, space } = this.#fault;
    this.#fault = null;
    this.#event(faultText(access, address, space, this.context.pc), VECTOR.fault);
  }

  trap(cause: number, argument: number): void {
    this.#event(trapText(cause, argument, this.context.pc), VECTOR.trap);
  }

  undefinedInstruction(head: number, tail: number): void {
    this.#event(undefinedText(head, tail, this.context.pc), VECTOR.undefined);
  }

  helper(helper: number, a: number, b: number): boolean {
    if (helper === HELPER.move) return this.#move(a, b);
    const called = this.helpers[helper - HELPER.first];
    if (called === undefined) throw new Error(`no helper ${helper}`);
    return called(a, b);
  }

  #move(a: number, b: number): boolean {
    const length = ((a >>> 16) & 0xff) + 1;
    const [toHigh, toLow] = this.#operand(a & 0xffff);
    const [fromHigh, fromLow] = this.#operand(b);
    const bytes = readVirtual(this.context, fromHigh, fromLow, length);
    if (bytes !== null && writeVirtual(this.context, toHigh, toLow, bytes)) return true;
    this.deliverFault();
    return false;
  }

  /** Address of base and 12-bit displacement, in halves. */
  #operand(text: number): [high: number, low: number] {
    const base = text >>> 12;
    const start = base === 0 ? 0n : this.context.get64(registers.slots[base]);
    const sum = start + BigInt(text & 0xfff);
    const address = this.context.mode.narrow ? BigInt.asUintN(32, sum) : sum;
    return [Number(BigInt.asIntN(32, address >> 32n)), Number(BigInt.asIntN(32, address))];
  }

  #event(text: string, vector: number): void {
    this.events.push(text);
    this.context.set64(oldPc, this.context.pc);
    this.context.pc = BigInt(vector);
    if (this.stopAtEvents) this.context.stopRequested = true;
  }
}

export interface ToyOptions {
  readonly translate?: boolean;
  readonly ramPages?: number;
  readonly contexts?: number;
  readonly hotThreshold?: number;
  /** Bytes to take from the store before the CPU contexts: moves all host addresses up. */
  readonly belowContexts?: number;
  /** Bytes to take between the contexts and RAM. */
  readonly belowRam?: number;
}

/** One CPU of a toy machine. */
export class ToyCpu {
  readonly machine: ToyMachine;
  readonly model: ToyModel;
  readonly context: CpuContext<ToyMode>;

  constructor(machine: ToyMachine) {
    this.machine = machine;
    this.model = new ToyModel(machine);
    this.context = new CpuContext<ToyMode>(machine.store, this.model, WIDE);
    this.model.context = this.context;
    // As any model must: a TLB of its own for each address space.
    this.context.selectDataSpace(1, 'one');
    machine.engine.add(this.context);
  }

  /** Maps one page; by default page n of space 0 is page n of RAM, writable and executable. */
  map(page: number, options: Partial<ToyPage> & { space?: 0 | 1 } = {}): void {
    const { space = 0, ...rights } = options;
    this.model.maps[space].set(page, { ram: page, write: true, execute: true, ...rights });
  }

  /** Maps pages `first` to `last` one to one. */
  mapRange(first: number, last: number): void {
    for (let page = first; page <= last; page++) this.map(page);
  }

  get(n: number): bigint {
    return this.context.get64(registers.slots[n]);
  }

  set(n: number, value: bigint | number): void {
    this.context.set64(registers.slots[n], BigInt.asUintN(64, BigInt(value)));
  }

  /** Changes the mode as a model must: with a fetch space for each, because code that was translated in one is no code of the other. */
  set mode(mode: ToyMode) {
    this.context.mode = mode;
    this.context.selectFetchSpace(`mode ${mode.key}`);
  }

  get pc(): number {
    return Number(this.context.pc);
  }

  set pc(value: number) {
    this.context.pc = BigInt(value);
  }

  run(budget: number): number {
    return this.machine.engine.run(this.context, budget);
  }

  /** Clears all registers and the diary; caches stay. */
  reset(): void {
    for (const slot of toyState.slots) {
      if (slot.width === 64) this.context.set64(slot, 0n);
      else this.context.set32(slot, 0);
    }
    this.pc = 0;
    this.model.events.length = 0;
    this.model.walks.length = 0;
    this.model.places.length = 0;
  }

  /** All of the architected state but RAM. */
  state(): Record<string, bigint> {
    const values: Record<string, bigint> = { pc: this.context.pc };
    for (const slot of toyState.slots) {
      values[slot.name] = slot.width === 64 ? this.context.get64(slot) : BigInt(this.context.get32(slot));
    }
    return values;
  }
}

/** A store, an engine and CPUs that share RAM. */
export class ToyMachine {
  readonly store: Store;
  readonly engine: Engine<ToyMode>;
  readonly ram: number;
  readonly ramBytes: number;
  readonly cpus: ToyCpu[];

  constructor(options: ToyOptions = {}) {
    const {
      ramPages = 32,
      contexts = 1,
      belowContexts = 0,
      belowRam = 0,
      translate = false,
      hotThreshold = 2,
    } = options;
    this.ramBytes = ramPages * PAGE_SIZE;
    const { bytes, bytesPerContext } = Engine;
    const gaps = belowContexts + belowRam + 2 * PAGE_SIZE;
    this.store = new Store(65536 + gaps + bytes + contexts * bytesPerContext + this.ramBytes);
    this.engine = new Engine(this.store, toyIsa, toyState, { translate, hotThreshold });
    this.store.reserve(belowContexts, PAGE_SIZE);
    this.cpus = Array.from({ length: contexts }, () => new ToyCpu(this));
    this.store.reserve(belowRam, PAGE_SIZE);
    this.ram = this.store.reserve(this.ramBytes, PAGE_SIZE);
  }

  get cpu(): ToyCpu {
    return this.cpus[0] as ToyCpu;
  }

  /** The bytes of RAM, live. */
  get memory(): Uint8Array {
    return this.store.bytes.subarray(this.ram, this.ram + this.ramBytes);
  }

  /** Writes to RAM as a device or native software does, and says so. */
  write(address: number, bytes: ArrayLike<number>): void {
    this.memory.set(bytes, address);
    this.store.written(this.ram + address, bytes.length);
  }

  /** Puts a program into RAM at its origin and points the first CPU at it. */
  load(program: Program): void {
    this.write(program.origin, program.bytes);
    this.cpu.pc = program.origin;
  }

  read(address: number, length: number): number[] {
    return [...this.memory.slice(address, address + length)];
  }
}
