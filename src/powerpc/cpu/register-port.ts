import type { RealAddress } from '../../machine/types.ts';
import { MSR, SPR } from '../abi.ts';
import type { Core } from './core.ts';
import { PrivilegeRefused, type RegisterPort, STUB_BYTES } from './port.ts';
import { cr, fpr, fprs, fpscr, gpr, setCr, setFpr, setFprs, setFpscr, setGpr } from './registers.ts';
import { readSpr, SPR_NUMBERS, writeSpr } from './spr.ts';
import { judgeSpr } from './spr-access.ts';

/** EA bit 0 keeps HRMOR and URMOR out of a real-mode address (2.4). */
const NO_OFFSET = 1n << 63n;

/** Bytes that a level's stub page takes: the stubs in both byte orders, big-endian first. */
export const STUB_PAGE_BYTES = 2 * STUB_BYTES;

/** What a port does to other CPUs. */
export interface PortPeers {
  invalidateTranslations(): void;
  ringDoorbell(pir: number): void;
  clearDoorbell(): void;
}

/** The registers of a CPU for native code at the level in control. Using it after having left the level is a mistake of ours and throws. */
export class LevelPort implements RegisterPort {
  readonly #core: Core;
  readonly #stubs: RealAddress;
  readonly #peers: PortPeers;
  #inControl = false;
  /** Accesses that were granted under `#smfctrl`, by number: 1 to read, 2 to write. */
  readonly #granted = new Uint8Array(SPR_NUMBERS);
  /** SMFCTRL decides, and nothing else that can change: a native level's privilege is its own, and FSCR and HFSCR do not bind it. */
  #smfctrl = -1n;

  constructor(core: Core, stubs: RealAddress, peers: PortPeers) {
    this.#core = core;
    this.#stubs = stubs;
    this.#peers = peers;
  }

  /** Runs `handler` while the level is in control. */
  during<T>(handler: () => T): T {
    this.#inControl = true;
    this.#judgeAnew();
    try {
      return handler();
    } finally {
      this.#inControl = false;
    }
  }

  get cpu(): number {
    return this.#core.index;
  }

  get stubPage(): bigint {
    const littleEndian = (this.#live.msr & MSR.LE) !== 0n;
    return NO_OFFSET | BigInt(this.#stubs + (littleEndian ? STUB_BYTES : 0));
  }

  get clock(): bigint {
    return this.#core.clock();
  }

  gpr(n: number): bigint {
    return gpr(this.#live.context, n);
  }

  setGpr(n: number, value: bigint): void {
    setGpr(this.#live.context, n, value);
  }

  fpr(n: number): bigint {
    return fpr(this.#live.context, n);
  }

  setFpr(n: number, bits: bigint): void {
    setFpr(this.#live.context, n, bits);
  }

  fprs(): BigUint64Array {
    return fprs(this.#live.context);
  }

  setFprs(bits: BigUint64Array): void {
    setFprs(this.#live.context, bits);
  }

  fpscr(): bigint {
    return fpscr(this.#live.context);
  }

  setFpscr(value: bigint): void {
    setFpscr(this.#live.context, value);
  }

  cr(): number {
    return cr(this.#live.context);
  }

  setCr(value: number): void {
    setCr(this.#live.context, value);
  }

  msr(): bigint {
    return this.#live.msr;
  }

  spr(n: number): bigint {
    this.#check(n, false);
    return readSpr(this.#live, n);
  }

  setSpr(n: number, value: bigint): void {
    this.#check(n, true);
    writeSpr(this.#live, n, BigInt.asUintN(64, value));
    if (n === SPR.SMFCTRL) this.#judgeAnew();
  }

  invalidateTranslations(_lpid?: number): void {
    this.#peers.invalidateTranslations();
  }

  sendDoorbell(pir: number): void {
    if (!this.#live.level.hypervisor) throw new Error(`no doorbell from ${this.#live.level.name}`);
    this.#peers.ringDoorbell(pir);
  }

  clearDoorbell(): void {
    if (!this.#live.level.hypervisor) throw new Error(`no doorbell of ${this.#live.level.name}`);
    this.#peers.clearDoorbell();
  }

  get #live(): Core {
    if (!this.#inControl) throw new Error('native code uses a CPU that it has left');
    return this.#core;
  }

  /** Forgets what was granted, if it depended on something that is different now. */
  #judgeAnew(): void {
    const smfctrl = this.#core.raw('SMFCTRL');
    if (smfctrl === this.#smfctrl) return;
    this.#smfctrl = smfctrl;
    this.#granted.fill(0);
  }

  /** @throws PrivilegeRefused where the instruction would raise an interrupt, RangeError where it would do nothing */
  #check(n: number, write: boolean): void {
    const core = this.#live;
    const bit = write ? 2 : 1;
    if (((this.#granted[n] as number) & bit) !== 0) return;
    const guards = { smfctrl: core.raw('SMFCTRL'), fscr: core.raw('FSCR'), hfscr: core.raw('HFSCR') };
    const { kind } = judgeSpr(n, write, core.level, guards);
    if (kind === 'granted') {
      if (core.level.hypervisor && n < SPR_NUMBERS) this.#granted[n] |= bit;
      return;
    }
    if (kind === 'no-op') throw new RangeError(`SPR ${n} cannot be ${write ? 'written' : 'read'}`);
    const refused = new PrivilegeRefused(n, write);
    const text = `${core.level.name}: ${refused.message}`;
    core.trace?.emit({ type: 'note', at: core.clock(), cpu: core.index, text });
    throw refused;
  }
}
