import { PSW } from '../abi.ts';
import { getCc } from '../isa/state.ts';
import type { Core } from './core.ts';
import { ENTRIES, type NativeLevel, type RegisterPort, STUBS } from './host-port.ts';

/** What the machine clock is charged for one run of a native handler, whatever it does. */
export const NATIVE_INSTRUCTIONS = 100;

/** What the port asks of the machine. */
export interface HostPeers {
  flushTranslations(): void;
  /** An emergency signal from this CPU to another. */
  signal(cpu: number): void;
}

const HOST_PSW = PSW.EA | PSW.BA;

/** Where control comes to native code: behind a stub, or at an entry. */
const NATIVE: ReadonlySet<number> = new Set([...Object.values(ENTRIES), STUBS.sie.address + 4, STUBS.uvc.address + 4]);

/** Native code in the host's place on one CPU (design, "Who executes what"). */
export class NativeHost {
  readonly #core: Core;
  readonly #level: NativeLevel;
  readonly #port: RegisterPort;

  constructor(core: Core, level: NativeLevel, peers: HostPeers) {
    this.#core = core;
    this.#level = level;
    this.#port = new HostRegisters(core, peers);
  }

  /** Whether native code has control and did not run yet. The host's PSW is in the CPU. */
  get pending(): boolean {
    return this.isEntry(this.#core.context.pc) && !this.#core.pswHas(PSW.WAIT);
  }

  /** Whether native code gets control where the PSW points to `address`. */
  isEntry(address: bigint): boolean {
    return address < 0x1000n && NATIVE.has(Number(address));
  }

  /** Runs the handler, to completion, and leaves the CPU at the stub that it goes out through. */
  run(): void {
    const stub = this.#level.enter(this.#port, Number(this.#core.context.pc));
    const { address, enabled } = STUBS[stub];
    this.#core.setPsw(enabled ? HOST_PSW | PSW.EXTERNAL | PSW.IO : HOST_PSW, BigInt(address));
  }
}

class HostRegisters implements RegisterPort {
  readonly #core: Core;
  readonly #peers: HostPeers;

  constructor(core: Core, peers: HostPeers) {
    this.#core = core;
    this.#peers = peers;
  }

  get cpu(): number {
    return this.#core.index;
  }

  get clock(): bigint {
    return this.#core.clock();
  }

  gr(n: number): bigint {
    return this.#core.gr(n);
  }

  setGr(n: number, value: bigint): void {
    this.#core.setGr(n, value);
  }

  fpr(n: number): bigint {
    return this.#core.fpr(n);
  }

  setFpr(n: number, bits: bigint): void {
    this.#core.setFpr(n, bits);
  }

  ar(n: number): number {
    return this.#core.ar(n);
  }

  setAr(n: number, value: number): void {
    this.#core.setAr(n, value);
  }

  cr(n: number): bigint {
    return this.#core.cr(n);
  }

  setCr(n: number, value: bigint): void {
    this.#core.setCr(n, value);
  }

  fpc(): number {
    return this.#core.fpc;
  }

  setFpc(value: number): void {
    this.#core.fpc = value;
  }

  cc(): number {
    return getCc(this.#core.context);
  }

  prefix(): number {
    return this.#core.prefix;
  }

  tod(): bigint {
    return this.#core.timers.tod.value;
  }

  cpuTimer(): bigint {
    return this.#core.timers.cpuTimer;
  }

  setCpuTimer(value: bigint): void {
    this.#core.timers.cpuTimer = value;
  }

  clockComparator(): bigint {
    return this.#core.timers.clockComparator;
  }

  setClockComparator(value: bigint): void {
    this.#core.timers.clockComparator = value;
  }

  invalidateTranslations(): void {
    this.#peers.flushTranslations();
  }

  signal(cpu: number): void {
    this.#peers.signal(cpu);
  }
}
