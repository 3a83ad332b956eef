import type { RealMemory } from '../../machine/memory.ts';
import type { RealAddress } from '../../machine/types.ts';
import { CPUFLAG, CR0, EXTERNAL, ICPT, ICTL, PGM, PSW, SD, SDF } from '../abi.ts';
import { halves } from '../isa/work.ts';
import type { MachineStorage } from './absolute-storage.ts';
import type { ControlAnswer, ControlWork } from './control-work.ts';
import type { Core } from './core.ts';
import { Dat } from './dat.ts';
import type { GuestState } from './guest-state.ts';
import { StateDescription } from './sie-description.ts';
import { GuestStorage, HOST_EXCEPTION } from './sie-storage.ts';
import { Timers, type TodClock } from './timers.ts';
import type {
  GuestAnswer,
  GuestEvent,
  GuestPort,
  SecureConfiguration,
  SecureCpu,
  UltravisorSeat,
} from './ultravisor-port.ts';
import { SIE_INSTRUCTIONS } from './ultravisor-port.ts';

/** A host interruption that SIE ends with because of an access of the guest's. */
export interface HostException {
  readonly code: number;
  readonly teid: bigint;
}

/** A guest that SIE runs, and the host that waits for it. */
export interface RunningGuest {
  readonly description: StateDescription;
  readonly storage: GuestStorage;
  /** Registers of the host when it issued SIE; the PSW is at the instruction. */
  readonly host: GuestState;
  /** Address behind SIE. */
  readonly behind: bigint;
  readonly hostTimers: Timers;
  readonly hostFacilities: Uint8Array;
  /** Of a protected guest. */
  readonly secure: SecureCpu | null;
}

/** What SIE is built from. */
export interface SieParts {
  readonly memory: RealMemory;
  readonly machineStorage: MachineStorage;
  readonly tod: TodClock;
  readonly seat: () => UltravisorSeat | null;
  /** The Ultravisor's way to the guest in the CPU. */
  readonly port: (secure: SecureCpu) => GuestPort;
  /** The CPU itself was asked to do an instruction that was an event. */
  readonly interpret: (work: ControlWork) => ControlAnswer;
}

/** TEID bits (3.3): fetch or store, and of secure-storage exceptions that the address is valid. */
const TEID = { FETCH: 0x800n, STORE: 0x400n, BIT_61: 0x04n } as const;

/** LCTL and LCTLG: the bit of a control register in `SD.LCTL`. */
const LCTL_NAMES: ReadonlySet<string> = new Set(['lctl', 'lctlg']);

/** Names of secure configurations, for what keeps translations apart. */
const configurations = new WeakMap<SecureConfiguration, number>();
let configurationCount = 0;

/**
 * START INTERPRETIVE EXECUTION (s390-pv.md, 4): the guest runs on the same CPU, with its own registers, timers and absolute storage, until something is the host's
 * business. A format-4 state description is the Ultravisor's: it gives the registers and says what the host is to see.
 */
export class Sie {
  readonly #core: Core;
  readonly #parts: SieParts;
  readonly #dat: Dat;
  #guest: RunningGuest | null = null;
  /** Masks as the Ultravisor was told last: machine-check mask and control registers 0, 6 and 14. */
  #masks: readonly bigint[] = [];

  constructor(core: Core, parts: SieParts) {
    this.#core = core;
    this.#parts = parts;
    this.#dat = new Dat(parts.machineStorage, parts.memory.store.view);
  }

  /** The guest that runs; null where the CPU executes the host. */
  get guest(): RunningGuest | null {
    return this.#guest;
  }

  /** The instruction: its operand is the absolute address of a state description. */
  start(work: ControlWork): ControlAnswer {
    const core = this.#core;
    const address = Number(work.address(2)) as RealAddress;
    if (address % SD.SIZE !== 0) return { program: PGM.SPECIFICATION };
    if (core.mmu.locate(address, SD.SIZE, 'store') < 0) return { program: core.mmu.fault.code };
    const description = StateDescription.find(this.#parts.memory, address);
    if (description === null) return { program: PGM.ADDRESSING };
    const behind = BigInt.asUintN(64, core.context.pc + BigInt(work.length));
    const format = description.u8(SD.SDF);
    if (format === SDF.secure) return this.#startSecure(description, behind);
    if (format !== SDF.normal || description.u64(SD.MSO) > description.u64(SD.MSL)) {
      validity(description, 0);
      return 'done';
    }
    this.#enter(description, behind, null, normalState(core, description));
    return 'moved';
  }

  #startSecure(description: StateDescription, behind: bigint): ControlAnswer {
    const core = this.#core;
    const seat = this.#parts.seat();
    if (seat === null) {
      validity(description, 0);
      return 'done';
    }
    const secure = seat.enter({
      cpu: core.index,
      stateDescription: description.address,
      asce: core.cr(1),
      tod: core.timers.tod.value,
    });
    if (secure === 'leave') return 'done';
    this.#enter(description, behind, secure, secure.state);
    this.#masks = this.#currentMasks();
    return this.#apply(seat.resume(this.#parts.port(secure)), null);
  }

  #enter(description: StateDescription, behind: bigint, secure: SecureCpu | null, state: GuestState): void {
    const core = this.#core;
    const [high, low] = halves(core.cr(1));
    const origin = secure === null ? description.u64(SD.MSO) : secure.origin;
    const limit = secure === null ? (description.u64(SD.MSL) | 0xfffffn) - origin : secure.limit;
    this.#dat.controls.enhanced = core.mmu.dat.controls.enhanced;
    const storage = new GuestStorage(
      this.#parts.machineStorage,
      {
        origin: Number(origin),
        limit: Number(limit),
        asce: { high, low },
        configuration: secure?.configuration ?? null,
      },
      this.#dat,
      this.#parts.seat(),
      (address, size) => {
        const region = this.#parts.memory.find(address, size);
        return region === undefined ? -1 : region.host + (address - region.base);
      },
    );
    this.#guest = {
      description,
      storage,
      host: core.captureState(),
      behind,
      hostTimers: core.timers,
      hostFacilities: core.facilities,
      secure,
    };
    const timers = new Timers(this.#parts.tod);
    timers.epoch = secure === null ? description.u64(SD.EPOCH) : secure.epoch;
    timers.clockComparator = state.clockComparator;
    timers.cpuTimer = state.cpuTimer;
    timers.todProgrammable = state.todProgrammable;
    core.timers = timers;
    core.facilities = secure === null ? this.#facilities(description) : secure.facilities;
    core.cpuAddress = description.u16(SD.CPU_ADDRESS);
    core.world = `${high}.${low}.${origin}.${limit}.${secure === null ? 'normal' : nameOf(secure.configuration)}`;
    core.watchMasks = secure !== null;
    core.useStorage(storage);
    core.loadState(state);
    core.context.stopRequested = true;
  }

  /** A normal guest's facilities are a list of the host's; without one they are the CPU's. */
  #facilities(description: StateDescription): Uint8Array {
    const address = (description.u32(SD.FACILITY_LIST) & 0x7ffffff8) as RealAddress;
    const bytes = this.#core.facilities.length;
    const region = address === 0 ? undefined : this.#parts.memory.find(address, bytes);
    if (region === undefined) return this.#core.facilities;
    const at = region.host + (address - region.base);
    return this.#parts.memory.store.bytes.slice(at, at + bytes);
  }

  /**
   * SIE ends, and the host goes on: behind the instruction, or, where an interruption of the host's ends it, at it.
   */
  leave(where: 'behind' | 'at'): void {
    const guest = this.#require();
    const core = this.#core;
    const state = core.captureState();
    this.#guest = null;
    if (guest.secure === null) storeNormal(guest.description, state);
    else Object.assign(guest.secure.state, state);
    core.timers = guest.hostTimers;
    core.facilities = guest.hostFacilities;
    core.cpuAddress = core.index;
    core.world = '';
    core.watchMasks = false;
    core.useStorage(this.#parts.machineStorage);
    const { host } = guest;
    // What SIE does not change hands with is still the guest's: the host's software looks after it.
    const shared = guest.secure === null ? { fpr: state.fpr, ar: state.ar, fpc: state.fpc } : {};
    const gr = guest.secure === null ? [...state.gr.slice(0, 14), ...host.gr.slice(14)] : host.gr;
    core.loadState({ ...host, ...shared, gr, pswAddress: where === 'behind' ? guest.behind : host.pswAddress });
    core.context.stopRequested = true;
  }

  /** An interruption of the host's ends SIE: nothing is told to the host but what the state description has. */
  interrupted(): void {
    const { secure } = this.#require();
    if (secure !== null) this.#parts.seat()?.interrupted(this.#parts.port(secure));
    this.leave('at');
  }

  /** The last refusal of guest storage that was the host's business ends SIE. @returns the host's interruption */
  hostException(): HostException {
    const { code, page, store } = this.#require().storage.exception;
    const isSecure = code >= PGM.SECURE_STORAGE_ACCESS && code <= PGM.SECURE_STORAGE_VIOLATION;
    const teid = BigInt(page) | (store ? TEID.STORE : TEID.FETCH) | (isSecure ? TEID.BIT_61 : 0n);
    this.interrupted();
    return { code, teid };
  }

  /** Whether the guest's prefix area can be used for an interruption: if not, it is the host's business first. */
  get canInterrupt(): boolean {
    const { storage } = this.#require();
    const { prefix } = this.#core;
    return [0, 0x1000].every(
      (offset) => storage.locate(prefix + offset, SD.SIZE, true) >= 0 || storage.code !== HOST_EXCEPTION,
    );
  }

  /**
   * A control instruction of the guest's, privilege checked.
   * @returns null where SIE interprets it
   */
  intercept(work: ControlWork): ControlAnswer | null {
    const { secure, description } = this.#require();
    if (work.name === 'sie') return { program: PGM.OPERATION };
    if (secure !== null) return SIE_INSTRUCTIONS.has(work.name) ? this.#secureInstruction(work, secure) : null;
    const asked = interceptsLoad(work, description.u16(SD.LCTL)) || interceptsPsw(work, description.u32(SD.ICTL));
    if (!SIE_INSTRUCTIONS.has(work.name) && !asked) return null;
    description.setU16(SD.IPA, work.head >>> 16);
    description.setU32(SD.IPB, ((work.head & 0xffff) << 16) | work.tail);
    this.#core.setAddress(BigInt.asUintN(64, this.#core.context.pc + BigInt(work.length)));
    this.#end(ICPT.INSTRUCTION);
    return 'moved';
  }

  #secureInstruction(work: ControlWork, secure: SecureCpu): ControlAnswer {
    const { name, head, tail, length } = work;
    return this.#event(secure, { kind: 'instruction', name, head, tail, length }, work);
  }

  /** The guest's PSW says wait, and none of its timers interrupts it. */
  wait(): ControlAnswer {
    const { secure } = this.#require();
    if (secure !== null) return this.#event(secure, { kind: 'wait' }, null);
    this.#end(ICPT.WAIT);
    return 'moved';
  }

  /** The guest cannot take a program interruption. */
  programLoop(): ControlAnswer {
    const { secure } = this.#require();
    if (secure !== null) return this.#event(secure, { kind: 'program-loop' }, null);
    this.#end(ICPT.PROGRAM);
    return 'moved';
  }

  /** A timer interrupts the guest again and again. */
  externalLoop(code: number): ControlAnswer {
    const { secure, description } = this.#require();
    if (secure !== null) return this.#event(secure, { kind: 'external-loop', code }, null);
    description.setU16(SD.EXTERNAL_CODE, code);
    this.#end(ICPT.EXTERNAL);
    return 'moved';
  }

  /** What the host or the Ultravisor is to hear before the next instruction. @returns null for nothing */
  look(): ControlAnswer | null {
    const guest = this.#require();
    const { secure, description } = guest;
    const flags = description.u32(SD.CPUFLAGS);
    const request = this.#request(flags);
    if (request !== null) {
      if (secure !== null) return this.#event(secure, { kind: 'request', request }, null);
      this.#end({ stop: ICPT.STOP, external: ICPT.EXTERNAL_REQUEST, io: ICPT.IO_REQUEST }[request]);
      return 'moved';
    }
    if (secure === null) return null;
    const masks = this.#currentMasks();
    const psw = masks[0] !== this.#masks[0];
    const control = masks.some((mask, n) => n > 0 && mask !== this.#masks[n]);
    this.#masks = masks;
    return psw || control ? this.#event(secure, { kind: 'mask', psw, control }, null) : null;
  }

  #request(flags: number): 'stop' | 'external' | 'io' | null {
    if ((flags & CPUFLAG.STOP_INT) !== 0) return 'stop';
    if ((flags & CPUFLAG.EXT_INT) !== 0 && this.#core.pswHas(PSW.EXTERNAL)) return 'external';
    return (flags & CPUFLAG.IO_INT) !== 0 && this.#core.pswHas(PSW.IO) ? 'io' : null;
  }

  #currentMasks(): readonly bigint[] {
    const core = this.#core;
    return [core.pswMask & PSW.MACHINE_CHECK, core.cr(0), core.cr(6), core.cr(14)];
  }

  #event(secure: SecureCpu, event: GuestEvent, work: ControlWork | null): ControlAnswer {
    const seat = this.#parts.seat();
    if (seat === null) throw new Error('a protected guest without an Ultravisor');
    return this.#apply(seat.event(this.#parts.port(secure), event), work);
  }

  #apply(answer: GuestAnswer, work: ControlWork | null): ControlAnswer {
    this.#core.context.stopRequested = true;
    switch (answer) {
      case 'continue':
        return 'moved';
      case 'leave':
        this.leave('behind');
        return 'moved';
      case 'fault':
        return 'fault';
      case 'interpret':
        if (work === null) throw new Error('the Ultravisor has SIE interpret what is no instruction');
        return this.#parts.interpret(work);
      default:
        return answer;
    }
  }

  #end(code: number): void {
    this.#require().description.setU8(SD.ICPTCODE, code);
    this.leave('behind');
  }

  #require(): RunningGuest {
    if (this.#guest === null) throw new Error('SIE runs no guest');
    return this.#guest;
  }
}

/** Codes of the guest's own timers, with the bits of CR0 that open for them. */
export const TIMER_INTERRUPTIONS = [
  { code: EXTERNAL.CLOCK_COMPARATOR, bit: Number(CR0.CLOCK_COMPARATOR) },
  { code: EXTERNAL.CPU_TIMER, bit: Number(CR0.CPU_TIMER) },
] as const;

function nameOf(configuration: SecureConfiguration): string {
  const known = configurations.get(configuration);
  if (known !== undefined) return `secure ${known}`;
  configurationCount += 1;
  configurations.set(configuration, configurationCount);
  return `secure ${configurationCount}`;
}

function interceptsLoad(work: ControlWork, lctl: number): boolean {
  if (lctl === 0 || !LCTL_NAMES.has(work.name)) return false;
  const first = work.field('R1');
  const count = ((work.field('R3') - first) & 15) + 1;
  return Array.from({ length: count }, (_, n) => 0x8000 >> ((first + n) & 15)).some((bit) => (lctl & bit) !== 0);
}

const interceptsPsw = (work: ControlWork, ictl: number): boolean =>
  (ictl & ICTL.LPSW) !== 0 && (work.name === 'lpsw' || work.name === 'lpswe');

function validity(description: StateDescription, reason: number): void {
  description.setU8(SD.ICPTCODE, ICPT.VALIDITY);
  description.setU32(SD.IPB, reason << 16);
}

/** Registers of a normal guest: partly in the state description, partly those that the host has loaded. */
function normalState(core: Core, description: StateDescription): GuestState {
  const host = core.captureState();
  return {
    ...host,
    pswMask: description.u64(SD.PSW),
    pswAddress: description.u64(SD.PSW + 8),
    gr: [...host.gr.slice(0, 14), description.u64(SD.GR14), description.u64(SD.GR15)],
    cr: Array.from({ length: 16 }, (_, n) => description.u64(SD.CR + 8 * n)),
    prefix: description.u32(SD.PREFIX) & 0x7fffe000,
    cpuTimer: description.u64(SD.CPU_TIMER),
    clockComparator: description.u64(SD.CLOCK_COMPARATOR),
    todProgrammable: description.u32(SD.TOD_PROGRAMMABLE) & 0xffff,
  };
}

function storeNormal(description: StateDescription, state: GuestState): void {
  description.setU64(SD.PSW, state.pswMask);
  description.setU64(SD.PSW + 8, state.pswAddress);
  description.setU64(SD.GR14, state.gr[14] as bigint);
  description.setU64(SD.GR15, state.gr[15] as bigint);
  for (const [n, value] of state.cr.entries()) description.setU64(SD.CR + 8 * n, value);
  description.setU64(SD.CPU_TIMER, state.cpuTimer);
  description.setU64(SD.CLOCK_COMPARATOR, state.clockComparator);
  description.setU32(SD.TOD_PROGRAMMABLE, state.todProgrammable);
}
