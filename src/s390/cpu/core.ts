import type { CpuContext } from '../../engine/cpu.ts';
import type { TraceSink } from '../../trace/events.ts';
import { CR0, CR14_RESET, PSW, PSW_AS_SHIFT, PSW_KEY_SHIFT } from '../abi.ts';
import { SPACE } from '../isa/helpers.ts';
import { modeOf, PSW_MODE_BITS, type S390Mode } from '../isa/mode.ts';
import { ar, cr, fpc, fpr, gpr, psw, pswMask, setPswMask } from '../isa/state.ts';
import { halves } from '../isa/work.ts';
import type { AbsoluteSpace, HardwareAccess } from './absolute-storage.ts';
import type { Asce } from './dat.ts';
import type { GuestState } from './guest-state.ts';
import type { Mmu } from './mmu.ts';
import type { InterruptionMasks } from './port.ts';
import type { StorageKeys } from './storage-keys.ts';
import type { Timers } from './timers.ts';

/** Parts of a CPU that its core works on. */
export interface CoreParts {
  readonly context: CpuContext<S390Mode>;
  /** CPU address. */
  readonly index: number;
  readonly mmu: Mmu;
  readonly hardware: HardwareAccess;
  readonly keys: StorageKeys;
  readonly timers: Timers;
  readonly trace: TraceSink | null;
  readonly clock: () => bigint;
  /** The wait bit has come into the PSW. */
  readonly waitBegins: () => void;
  readonly peers: CorePeers;
  /** The facility list, as STFLE stores it. */
  readonly facilities: Uint8Array;
  /** What STIDP stores. */
  readonly identification: bigint;
}

/** What a CPU asks of all the others. */
export interface CorePeers {
  /** Every CPU forgets its cached translations, the one that asks too. */
  flushTranslations(): void;
}

/** PSW bits that choose translations or code. */
const SELECTING = PSW_MODE_BITS | PSW.KEY;
const MASKS = PSW.IO | PSW.EXTERNAL | PSW.MACHINE_CHECK;
/** Bits of CR0 that translation and protection depend on. */
const CR0_TRANSLATION =
  CR0.LOW_ADDRESS_PROTECTION |
  CR0.FETCH_PROTECTION_OVERRIDE |
  CR0.STORAGE_PROTECTION_OVERRIDE |
  CR0.EDAT |
  CR0.EXECUTION_PROTECTION;
/** Control registers that say what interruptions the CPU is open for. */
const MASKING: ReadonlySet<number> = new Set([0, 6, 14]);

/**
 * The architected heart of one CPU: PSW, registers, prefix, and what selects translations. Every change of the PSW passes `setPsw` or `setMask`, every
 * change of a control register `setCr`.
 */
export class Core {
  readonly context: CpuContext<S390Mode>;
  readonly index: number;
  readonly mmu: Mmu;
  readonly hardware: HardwareAccess;
  readonly keys: StorageKeys;
  /** Those of the program at hand: a guest under SIE has its own. */
  timers: Timers;
  readonly trace: TraceSink | null;
  readonly clock: () => bigint;
  readonly peers: CorePeers;
  /** Of the program at hand. */
  facilities: Uint8Array;
  readonly identification: bigint;
  /** What keeps the translations of one world apart from another's: a guest under SIE has a name of its own. */
  world = '';
  /** What STAP stores: a guest under SIE has an address of its own. */
  cpuAddress: number;
  /** Every change of what the program is open for stops the run loop: somebody is to hear of it. */
  watchMasks = false;
  /** How often what selects code and translations has changed: whoever executed code before must look again. */
  selections = 0;
  readonly #waitBegins: () => void;
  /** TLB keys of the spaces, without the PSW key. */
  #spaceKeys = { primary: '', secondary: '', home: '', real: '' };

  constructor(parts: CoreParts) {
    this.context = parts.context;
    this.index = parts.index;
    this.cpuAddress = parts.index;
    this.mmu = parts.mmu;
    this.hardware = parts.hardware;
    this.keys = parts.keys;
    this.timers = parts.timers;
    this.trace = parts.trace;
    this.clock = parts.clock;
    this.peers = parts.peers;
    this.facilities = parts.facilities;
    this.identification = parts.identification;
    this.#waitBegins = parts.waitBegins;
  }

  gr(n: number): bigint {
    return this.context.get64(gpr.slots[n & 15] as (typeof gpr.slots)[number]);
  }

  setGr(n: number, value: bigint): void {
    this.context.set64(gpr.slots[n & 15] as (typeof gpr.slots)[number], BigInt.asUintN(64, value));
  }

  fpr(n: number): bigint {
    return this.context.get64(fpr.slots[n & 15] as (typeof fpr.slots)[number]);
  }

  setFpr(n: number, value: bigint): void {
    this.context.set64(fpr.slots[n & 15] as (typeof fpr.slots)[number], value);
  }

  ar(n: number): number {
    return Number(this.context.get64(ar.slots[n & 15] as (typeof ar.slots)[number]));
  }

  setAr(n: number, value: number): void {
    this.context.set64(ar.slots[n & 15] as (typeof ar.slots)[number], BigInt(value >>> 0));
  }

  get fpc(): number {
    return this.context.get32(fpc);
  }

  set fpc(value: number) {
    this.context.set32(fpc, value);
  }

  cr(n: number): bigint {
    return this.context.get64(cr.slots[n & 15] as (typeof cr.slots)[number]);
  }

  /** Sets a control register; what depends on it follows. */
  setCr(n: number, value: bigint): void {
    const before = this.cr(n);
    if (before === value) return;
    this.context.set64(cr.slots[n & 15] as (typeof cr.slots)[number], value);
    if (n === 0) {
      this.#selectMode();
      if (((before ^ value) & CR0_TRANSLATION) !== 0n) this.configure();
      else if (((before ^ value) & CR0.AFP) !== 0n) this.#selectFetch();
    } else if (n === 1 || n === 7 || n === 13) {
      this.configure();
    }
    if (MASKING.has(n)) this.context.stopRequested = true;
  }

  get prefix(): number {
    return this.mmu.state.prefix;
  }

  /** @param prefix a multiple of 8192 */
  set prefix(prefix: number) {
    if (this.mmu.state.prefix === prefix) return;
    this.mmu.state.prefix = prefix;
    this.configure();
  }

  /** First doubleword of the PSW with its condition code. */
  get pswMask(): bigint {
    return pswMask(this.context);
  }

  get isProblemState(): boolean {
    return (this.context.get64(psw) & PSW.PROBLEM) !== 0n;
  }

  /** Whether a bit of the PSW's first doubleword is on; not of the condition code. */
  pswHas(bit: bigint): boolean {
    return (this.context.get64(psw) & bit) !== 0n;
  }

  get key(): number {
    return Number((this.context.get64(psw) & PSW.KEY) >> PSW_KEY_SHIFT);
  }

  /** Sets the PSW. Early exceptions are the caller's business (`loadPsw` in `interruptions.ts`). */
  setPsw(mask: bigint, address: bigint): void {
    this.context.pc = address;
    this.setMask(mask);
  }

  /** Sets the first doubleword of the PSW, condition code and all. */
  setMask(mask: bigint): void {
    const before = this.context.get64(psw);
    setPswMask(this.context, mask);
    const changed = before ^ mask;
    if ((changed & SELECTING) !== 0n) this.#select();
    // What was masked may be due now: the run loop looks.
    if ((changed & MASKS & (this.watchMasks ? MASKS : mask)) !== 0n) this.context.stopRequested = true;
    if ((mask & PSW.WAIT) !== 0n) this.#waitBegins();
  }

  /** Sets the address only. */
  setAddress(address: bigint): void {
    this.context.pc = address;
  }

  /** What the CPU is open for at this moment. */
  get masks(): InterruptionMasks {
    const low = (n: number, bit: bigint): number => (this.pswHas(bit) ? Number(this.cr(n) & 0xffffffffn) : 0);
    return {
      machineCheck: low(14, PSW.MACHINE_CHECK),
      external: low(0, PSW.EXTERNAL),
      io: low(6, PSW.IO) >>> 24,
    };
  }

  /** PSW 0, all registers 0 but those with a reset value: an initial CPU reset. General, floating point and access registers stay. */
  initialReset(): void {
    this.timers.reset();
    this.fpc = 0;
    for (let n = 0; n < 16; n++) this.context.set64(cr.slots[n] as (typeof cr.slots)[number], 0n);
    this.context.set64(cr.slots[0], CR0.RESET);
    this.context.set64(cr.slots[14], CR14_RESET);
    this.mmu.state.prefix = 0;
    setPswMask(this.context, 0n);
    this.context.pc = 0n;
    this.configure();
  }

  /** The rest of the registers: a clear reset. */
  clearRegisters(): void {
    for (let n = 0; n < 16; n++) {
      this.setGr(n, 0n);
      this.setFpr(n, 0n);
      this.setAr(n, 0);
    }
  }

  /** Forgets all cached translations of this CPU. */
  flushTranslations(): void {
    this.context.tlb.flush();
  }

  /** Loads all registers at once: what SIE does. */
  loadState(state: GuestState): void {
    for (let n = 0; n < 16; n++) {
      this.setGr(n, state.gr[n] as bigint);
      this.setFpr(n, state.fpr[n] as bigint);
      this.setAr(n, state.ar[n] as number);
      this.context.set64(cr.slots[n] as (typeof cr.slots)[number], state.cr[n] as bigint);
    }
    this.fpc = state.fpc;
    this.mmu.state.prefix = state.prefix;
    this.configure();
    this.setPsw(state.pswMask, state.pswAddress);
  }

  /** All registers as plain data. */
  captureState(): GuestState {
    const each = <T>(read: (n: number) => T): T[] => Array.from({ length: 16 }, (_, n) => read(n));
    return {
      pswMask: this.pswMask,
      pswAddress: this.context.pc,
      gr: each((n) => this.gr(n)),
      fpr: each((n) => this.fpr(n)),
      ar: each((n) => this.ar(n)),
      cr: each((n) => this.cr(n)),
      fpc: this.fpc,
      prefix: this.prefix,
      cpuTimer: this.timers.cpuTimer,
      clockComparator: this.timers.clockComparator,
      todProgrammable: this.timers.todProgrammable,
    };
  }

  /** Puts another absolute storage under all that the CPU does. */
  useStorage(space: AbsoluteSpace): void {
    this.mmu.space = space;
    this.mmu.dat.space = space;
    this.hardware.space = space;
  }

  /** Brings the MMU and the TLB keys in step with control registers, prefix and world. */
  configure(): void {
    const { mmu } = this;
    const { state } = mmu;
    const cr0 = this.cr(0);
    state.primary = asceOf(this.cr(1));
    state.secondary = asceOf(this.cr(7));
    state.home = asceOf(this.cr(13));
    state.lowAddressProtection = (cr0 & CR0.LOW_ADDRESS_PROTECTION) !== 0n;
    state.fetchOverride = (cr0 & CR0.FETCH_PROTECTION_OVERRIDE) !== 0n;
    state.storageOverride = (cr0 & CR0.STORAGE_PROTECTION_OVERRIDE) !== 0n;
    mmu.dat.controls.enhanced = (cr0 & CR0.EDAT) !== 0n;
    mmu.dat.controls.executionProtection = (cr0 & CR0.EXECUTION_PROTECTION) !== 0n;
    const common = `${this.world}/${((cr0 & CR0_TRANSLATION) >> 20n).toString(16)}/${state.prefix.toString(16)}`;
    const keyOf = (n: number): string => `${this.cr(n).toString(16)}/${common}`;
    this.#spaceKeys = { primary: keyOf(1), secondary: keyOf(7), home: keyOf(13), real: `real/${common}` };
    this.#select();
  }

  #selectMode(): void {
    this.context.mode = modeOf(this.context.get64(psw), this.cr(0));
  }

  #select(): void {
    const { context, mmu } = this;
    this.selections += 1;
    const mask = context.get64(psw);
    const { state } = mmu;
    this.#selectMode();
    state.dat = (mask & PSW.DAT) !== 0n;
    state.addressSpace = Number((mask & PSW.AS) >> PSW_AS_SHIFT);
    state.key = this.key;
    const keys = this.#spaceKeys;
    const suffix = `/${state.key}`;
    context.selectDataSpace(SPACE.current, this.#currentKey(false) + suffix);
    context.selectDataSpace(SPACE.instruction, this.#currentKey(true) + suffix);
    context.selectDataSpace(SPACE.primary, keys.primary + suffix);
    context.selectDataSpace(SPACE.secondary, keys.secondary + suffix);
    context.selectDataSpace(SPACE.home, keys.home + suffix);
    context.selectDataSpace(SPACE.real, keys.real + suffix);
    this.#selectFetch();
  }

  #selectFetch(): void {
    this.selections += 1;
    this.context.selectFetchSpace(`${this.#currentKey(true)}/${this.mmu.state.key}/${this.context.mode.key}`);
  }

  #currentKey(fetch: boolean): string {
    const { dat, addressSpace } = this.mmu.state;
    const keys = this.#spaceKeys;
    if (!dat) return keys.real;
    if (addressSpace === 3) return keys.home;
    return addressSpace === 2 && !fetch ? keys.secondary : keys.primary;
  }
}

function asceOf(value: bigint): Asce {
  const [high, low] = halves(value);
  return { high, low };
}
