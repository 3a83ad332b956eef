import { CpuContext } from '../../engine/cpu.ts';
import type { AccessKind, CpuModel, Translation } from '../../engine/cpu-model.ts';
import type { Engine } from '../../engine/engine.ts';
import { CONTEXT } from '../../engine/layout.ts';
import type { RealMemory } from '../../machine/memory.ts';
import type { MachineClock, ScheduledCpu } from '../../machine/scheduler.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import { CR0, EXTERNAL, LOWCORE, PGM, PSW } from '../abi.ts';
import { CONTROL } from '../isa/control-helpers.ts';
import { HELPER, TRAP } from '../isa/helpers.ts';
import { modeOf, type S390Mode } from '../isa/mode.ts';
import { instructionText, perform } from '../isa/perform.ts';
import { halves } from '../isa/work.ts';
import { HardwareAccess, MachineStorage } from './absolute-storage.ts';
import type { ControlAnswer } from './control-work.ts';
import { Controls } from './controls.ts';
import { Core, type CorePeers } from './core.ts';
import { CpuAccess } from './cpu-access.ts';
import { Dat } from './dat.ts';
import { GuestCpuPort } from './guest-port.ts';
import type { NativeLevel } from './host-port.ts';
import {
  externalInterruption,
  floatingInterruption,
  type Ilc,
  loadPsw,
  type ProgramDetails,
  programInterruption,
  restartInterruption,
  supervisorCall,
  type Taken,
} from './interruptions.ts';
import { Mmu } from './mmu.ts';
import { NATIVE_INSTRUCTIONS, NativeHost } from './native-host.ts';
import type { CpuState, InterruptionMasks, Services } from './port.ts';
import { isDisabledWait } from './psw.ts';
import { type RunningGuest, Sie, TIMER_INTERRUPTIONS } from './sie.ts';
import { HOST_EXCEPTION } from './sie-storage.ts';
import type { SignalTarget } from './sigp.ts';
import { storeStatus } from './status.ts';
import type { StorageKeys } from './storage-keys.ts';
import { storeClock } from './store-clock.ts';
import { Timers, type TodClock } from './timers.ts';
import type { UltravisorSeat } from './ultravisor-port.ts';

/** What a CPU is built from. */
export interface S390CpuOptions {
  readonly memory: RealMemory;
  /** Executes the instructions; shared by all CPUs of a machine. */
  readonly engine: Engine<S390Mode>;
  readonly clock: MachineClock;
  readonly tod: TodClock;
  readonly keys: StorageKeys;
  /** CPU address. */
  readonly index: number;
  readonly trace: TraceSink | null;
  readonly facilities: Uint8Array;
  readonly identification: bigint;
  readonly peers: CpuPeers;
  /** What stands around the CPUs. Asked when it is needed: it is made after them. */
  readonly services: () => Services;
  readonly seat: () => UltravisorSeat | null;
  /** Native code in the host's place. */
  readonly native?: NativeLevel;
  /** Prefix area to begin with; 0 by default. */
  readonly prefix?: number;
  /** A wait that nothing can end; the PSW has it. */
  readonly disabledWait: (cpu: S390Cpu) => void;
  /** The CPU cannot go on: no prefix area, or an invalid program new PSW. */
  readonly stuck: (cpu: S390Cpu) => void;
}

/** What a CPU asks of the others. */
export interface CpuPeers extends CorePeers {
  /** A CPU by its address. */
  find(address: number): S390Cpu | undefined;
}

/** One z/Architecture CPU: the model that the engine asks, and the run loop around the engine that takes interruptions. */
export class S390Cpu implements CpuModel, ScheduledCpu, SignalTarget {
  readonly context: CpuContext<S390Mode>;
  readonly core: Core;
  readonly machineStorage: MachineStorage;
  readonly #options: S390CpuOptions;
  readonly #mmu: Mmu;
  readonly #controls: Controls;
  readonly #access: CpuAccess;
  readonly #sie: Sie;
  readonly #native: NativeHost | null;
  #state: CpuState = 'stopped';
  #waiting = false;
  #restartPending = false;
  #externalCall: number | null = null;
  readonly #emergency = new Set<number>();
  /** Instructions that `Engine.run` was given, while it runs. */
  #budget = 0;
  /** Instructions of native code that the clock has not counted yet. */
  #debt = 0;
  #sliceEnds = false;

  constructor(options: S390CpuOptions) {
    const { memory, engine, keys, index, trace, peers } = options;
    this.#options = options;
    this.context = new CpuContext(memory.store, this, modeOf(0n, 0n));
    engine.add(this.context);
    this.machineStorage = new MachineStorage(memory, options.seat);
    this.#mmu = new Mmu(memory, keys, this.machineStorage);
    this.core = new Core({
      context: this.context,
      index,
      mmu: this.#mmu,
      hardware: new HardwareAccess(this.machineStorage, memory, keys),
      keys,
      timers: new Timers(options.tod),
      trace,
      clock: () => this.now,
      waitBegins: () => {
        this.#waiting = true;
        this.context.stopRequested = true;
      },
      peers,
      facilities: options.facilities,
      identification: options.identification,
    });
    this.core.initialReset();
    this.core.prefix = options.prefix ?? 0;
    this.#access = new CpuAccess(this.core);
    this.#controls = new Controls(this.core, {
      services: options.services,
      seat: options.seat,
      find: (address) => peers.find(address),
      sie: () => this.#sie,
      yield: () => this.endSlice(),
    });
    this.#sie = new Sie(this.core, {
      memory,
      machineStorage: this.machineStorage,
      tod: options.tod,
      seat: options.seat,
      port: (secure) => new GuestCpuPort(this.core, secure, () => this.#controls.again()),
      interpret: (work) => this.#controls.perform(work),
    });
    const { native } = options;
    this.#native =
      native === undefined
        ? null
        : new NativeHost(this.core, native, {
            flushTranslations: () => peers.flushTranslations(),
            signal: (cpu) => peers.find(cpu)?.emergency(index),
          });
  }

  get index(): number {
    return this.core.index;
  }

  /** Instructions executed by the machine up to and with the one at hand. */
  get now(): bigint {
    const { clock } = this.#options;
    if (this.#budget === 0) return clock.stamp;
    const left = this.context.store.i32[(this.context.base + CONTEXT.budget) >> 2] as number;
    return clock.stamp + BigInt(this.#budget - left);
  }

  get state(): CpuState {
    return this.#state;
  }

  get isRunning(): boolean {
    return this.#state === 'operating';
  }

  get hasExternalCall(): boolean {
    return this.#externalCall !== null;
  }

  externalCall(from: number): boolean {
    if (this.#externalCall !== null) return false;
    this.#externalCall = from;
    this.notice();
    return true;
  }

  emergency(from: number): void {
    this.#emergency.add(from);
    this.notice();
  }

  start(): void {
    this.#state = 'operating';
    this.core.timers.running = true;
    this.#waiting = (this.core.pswMask & PSW.WAIT) !== 0n;
  }

  stop(): void {
    if (this.#state !== 'check-stop') this.#state = 'stopped';
    this.core.timers.running = false;
    this.context.stopRequested = true;
  }

  restart(): void {
    this.#restartPending = true;
    this.start();
    this.notice();
  }

  /** Resets a CPU, which stops. */
  reset(kind: 'normal' | 'initial' | 'clear'): void {
    this.stop();
    this.#state = 'stopped';
    this.#restartPending = false;
    this.#externalCall = null;
    this.#emergency.clear();
    this.core.flushTranslations();
    if (kind === 'normal') return;
    this.core.initialReset();
    if (kind === 'clear') this.core.clearRegisters();
  }

  isPrefix(prefix: number): boolean {
    return [0, LOWCORE.SIZE / 2].every((offset) => this.#mmu.locate(prefix + offset, LOWCORE.SIZE / 2, 'store') >= 0);
  }

  setPrefix(prefix: number): void {
    this.core.prefix = prefix;
    this.core.flushTranslations();
  }

  storeStatus(address: number | null): boolean {
    const base = address ?? LOWCORE.SAVE_FPR;
    let done = address !== null || this.core.hardware.write(LOWCORE.ARCHITECTURE_MODE, Uint8Array.of(1));
    storeStatus(this.core, {
      write: (offset, bytes, value) => {
        const data = new Uint8Array(8);
        new DataView(data.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)));
        const at = base + offset - LOWCORE.SAVE_FPR;
        done &&= this.core.hardware.write(at, data.subarray(8 - bytes));
      },
    });
    return done;
  }

  /** Where the host's tables under an address-space-control element lead: no protection, no check of who owns a page, nothing remembered. */
  translateHost(asce: bigint, address: bigint): { readonly absolute: RealAddress } | { readonly code: number } {
    const [high, low] = halves(asce);
    const dat = new Dat(this.machineStorage, this.context.store.view);
    dat.controls.enhanced = true;
    return dat.translate({ high, low }, ...halves(address))
      ? { absolute: dat.address as RealAddress }
      : { code: dat.code };
  }

  /** Starts with this PSW, all else as it is. */
  place(mask: bigint, address: bigint): void {
    this.start();
    this.#taken(loadPsw(this.core, mask, address, 0));
  }

  /** Some interruption may be due: the CPU looks before its next instruction. */
  notice(): void {
    this.context.stopRequested = true;
  }

  /** Ends `run` after the instruction at hand, so that the machine looks at what happened. */
  endSlice(): void {
    this.#sliceEnds = true;
    this.context.stopRequested = true;
  }

  get stopped(): boolean {
    return this.#state !== 'operating';
  }

  get waiting(): boolean {
    return this.stopped || this.#waiting;
  }

  get deadline(): number | null {
    if (this.stopped) return null;
    const { guest } = this.#sie;
    const own = timersDue(this.core.timers, this.core.masks.external, this.core.cr(0));
    const host = guest === null ? null : timersDue(guest.hostTimers, hostMasks(guest).external, guest.host.cr[0] ?? 0n);
    const times = [own, host, this.#options.services().deadline].filter((time) => time !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  run(budget: number): number {
    const { clock } = this.#options;
    const start = clock.now;
    const end = start + budget;
    this.#sliceEnds = false;
    while (clock.now < end && !this.#sliceEnds) {
      if (this.#debt > 0) this.#payDebt(end);
      else if (!this.settle()) break;
      else if (this.#debt === 0) this.#execute(end - clock.now);
    }
    return clock.now - start;
  }

  #payDebt(end: number): void {
    const { clock } = this.#options;
    const paid = Math.min(this.#debt, end - clock.now);
    this.#debt -= paid;
    clock.advance(paid);
  }

  /**
   * What happens between two instructions: the CPU takes an interruption, or wakes up, and native code that has control runs.
   * @returns whether there is an instruction to execute
   */
  settle(): boolean {
    if (this.stopped) return false;
    const services = this.#options.services();
    services.poll();
    while (this.#sie.guest !== null) if (!this.#settleGuest(this.#sie.guest, services)) break;
    if (this.#sie.guest !== null) return !this.stopped;
    for (let taken = true; taken; ) taken = this.#takeInterruption(services);
    if (this.stopped) return false;
    if (this.#waiting && !this.core.pswHas(PSW.WAIT)) this.#waiting = false;
    if (this.#native?.pending === true) {
      this.#native.run();
      this.#debt += NATIVE_INSTRUCTIONS;
      return true;
    }
    if (!this.#waiting) return true;
    if (isDisabledWait(this.core.pswMask)) this.#options.disabledWait(this);
    return false;
  }

  /**
   * The same while SIE runs a guest.
   * @returns whether to look again: SIE has ended, or the guest has taken an interruption
   */
  #settleGuest(guest: RunningGuest, { interruptions }: Services): boolean {
    const masks = hostMasks(guest);
    const own = this.#ownExternal(masks.external, guest.hostTimers, guest.host.cr[0] ?? 0n, false);
    if (this.#restartPending || own !== null || interruptions.due(masks)) {
      this.#sie.interrupted();
      return true;
    }
    if (this.#timerInterruptsGuest()) return true;
    if (this.core.pswHas(PSW.WAIT)) {
      this.#answer(this.#sie.wait());
      return true;
    }
    this.#waiting = false;
    const heard = this.#sie.look();
    if (heard === null) return false;
    this.#answer(heard);
    return true;
  }

  /** A guest's timers interrupt it without the host. @returns whether something happened */
  #timerInterruptsGuest(): boolean {
    const { core } = this;
    const pending = this.#timerOf(core.masks.external);
    if (pending === null) return false;
    if (!this.#sie.canInterrupt) {
      this.#hostException();
      return true;
    }
    this.#taken(externalInterruption(core, pending.code));
    if (this.#sie.guest === null) return true;
    const again = this.#timerOf(core.masks.external);
    if (again?.code === pending.code) this.#answer(this.#sie.externalLoop(pending.code));
    return true;
  }

  #timerOf(open: number): { readonly code: number } | null {
    const { timers } = this.core;
    const due = TIMER_INTERRUPTIONS.find(({ code, bit }) => {
      if ((open & bit) === 0) return false;
      return code === EXTERNAL.CPU_TIMER
        ? timers.isTimerPending
        : timers.isComparatorPending(isSigned(this.core.cr(0)));
    });
    return due ?? null;
  }

  /** What an event of the guest's came to, outside of an instruction. */
  #answer(answer: ControlAnswer): void {
    if (answer === 'fault') this.deliverFault();
    else if (typeof answer === 'object' && 'program' in answer) this.#program(answer.program, this.#length);
  }

  /** SIE ends with an interruption of the host's, by an access of the guest's. */
  #hostException(): void {
    const { code, teid } = this.#sie.hostException();
    this.#program(code, 4, { teid });
  }

  /** Takes the one that comes first, if some is due (8.4). */
  #takeInterruption({ interruptions }: Services): boolean {
    const { core } = this;
    if (this.#restartPending) {
      this.#restartPending = false;
      this.#taken(restartInterruption(core));
      return true;
    }
    const { masks } = core;
    const check = interruptions.take({ machineCheck: masks.machineCheck, external: 0, io: 0 });
    if (check !== null) return this.#taken(floatingInterruption(core, check));
    const own = this.#ownExternal(masks.external, core.timers, core.cr(0), true);
    if (own !== null) return this.#taken(externalInterruption(core, own.code, own.from));
    const other = interruptions.take({ machineCheck: 0, external: masks.external, io: masks.io });
    return other !== null && this.#taken(floatingInterruption(core, other));
  }

  /**
   * External interruptions of this CPU alone, in the order in which they are presented.
   * @param takes whether it is taken off what is pending
   */
  #ownExternal(
    open: number,
    timers: Timers,
    cr0: bigint,
    takes: boolean,
  ): { readonly code: number; readonly from: number } | null {
    const isOpen = (bit: bigint): boolean => (open & Number(bit)) !== 0;
    const [source] = this.#emergency;
    if (source !== undefined && isOpen(CR0.EMERGENCY_SIGNAL)) {
      if (takes) this.#emergency.delete(source);
      return { code: EXTERNAL.EMERGENCY_SIGNAL, from: source };
    }
    if (this.#externalCall !== null && isOpen(CR0.EXTERNAL_CALL)) {
      const from = this.#externalCall;
      if (takes) this.#externalCall = null;
      return { code: EXTERNAL.EXTERNAL_CALL, from };
    }
    if (isOpen(CR0.CLOCK_COMPARATOR) && timers.isComparatorPending(isSigned(cr0))) {
      return { code: EXTERNAL.CLOCK_COMPARATOR, from: 0 };
    }
    if (isOpen(CR0.CPU_TIMER) && timers.isTimerPending) return { code: EXTERNAL.CPU_TIMER, from: 0 };
    return null;
  }

  #execute(left: number): void {
    const { clock, engine, tod } = this.#options;
    const due = this.deadline;
    const budget = due === null ? left : Math.min(left, Math.max(1, due - clock.now));
    this.#budget = budget;
    tod.running = this;
    const executed = engine.run(this.context, budget);
    tod.running = null;
    this.#budget = 0;
    clock.advance(executed);
  }

  #taken(taken: Taken): boolean {
    this.context.stopRequested = true;
    if (taken === 'taken') return true;
    if (this.#sie.guest !== null) {
      this.#answer(this.#sie.programLoop());
      return false;
    }
    this.#state = 'check-stop';
    this.#options.stuck(this);
    return false;
  }

  #program(code: number, ilc: Ilc, details?: ProgramDetails): void {
    if (this.#sie.guest !== null && !this.#sie.canInterrupt) {
      this.#hostException();
      return;
    }
    const { pc } = this.context;
    this.#taken(programInterruption(this.core, code, ilc, details));
    // A new PSW that leads to the same exception executes nothing, and the clock has to go on.
    if (this.context.pc === pc) this.#debt += 1;
  }

  translate(high: number, low: number, access: AccessKind, space: number, size: number, result: Translation): boolean {
    if (access === 'fetch' && (low & 1) !== 0) {
      this.#mmu.fault.code = PGM.SPECIFICATION;
      this.#mmu.fault.access = 'fetch';
      return false;
    }
    return this.#mmu.translate(high, low, access, space, size, result);
  }

  probe(high: number, low: number, result: Translation): boolean {
    return (low & 1) === 0 && this.#mmu.probe(high, low, result);
  }

  deliverFault(): void {
    const { code, access, teidHigh, teidLow } = this.#mmu.fault;
    if (code === HOST_EXCEPTION) {
      this.#hostException();
      return;
    }
    const teid = (BigInt(teidHigh >>> 0) << 32n) | BigInt(teidLow >>> 0);
    // Of an instruction that could not be fetched the length is not known: it counts as one of two bytes; an odd address has none.
    const odd = access === 'fetch' && code === PGM.SPECIFICATION;
    const ilc = odd ? 0 : access === 'fetch' ? 2 : instructionText(this.context).length;
    this.#program(code, ilc, code === PGM.ADDRESSING || odd ? {} : { teid });
  }

  trap(cause: number, argument: number): void {
    if (cause === TRAP.perform) {
      const { head, tail, length } = instructionText(this.context);
      this.#perform(head, tail, length);
      return;
    }
    this.#program(cause, instructionText(this.context).length, { dataException: argument });
  }

  undefinedInstruction(): void {
    this.#program(PGM.OPERATION, instructionText(this.context).length);
  }

  helper(helper: number, head: number, tail: number): boolean {
    const { selections } = this.core;
    const { stopRequested } = this.context;
    switch (helper) {
      case HELPER.perform:
        this.#perform(head, tail, this.#length);
        return false;
      case HELPER.storeClock:
        return this.#finish(storeClock(this.core, head, this.#access), selections, stopRequested);
      case CONTROL.svc:
        if (this.#sie.guest !== null && !this.#sie.canInterrupt) this.#hostException();
        else this.#taken(supervisorCall(this.core, (head >>> 16) & 0xff, this.#length));
        return false;
      case CONTROL.execute:
        return this.#finish(this.#controls.execute(head, tail), selections, stopRequested);
    }
    throw new Error(`no helper ${helper}`);
  }

  /** Length of what stands at the PSW. */
  get #length(): 2 | 4 | 6 {
    return instructionText(this.context).length;
  }

  #perform(head: number, tail: number, length: 2 | 4 | 6): void {
    const done = perform(this.context, head, tail);
    if (done === 'done') this.#advance(length);
    else if (done === 'fault') this.deliverFault();
    else if (done !== 'again') this.#program(done.code, length, { dataException: done.dataException });
  }

  /** @returns whether the engine can go on behind the instruction: nothing changed that it depends on */
  #finish(answer: ReturnType<Controls['execute']>, selections: number, stopRequested: boolean): boolean {
    if (answer === 'moved') return false;
    if (answer === 'fault') {
      this.deliverFault();
      return false;
    }
    if (typeof answer === 'object') {
      const length = this.#length;
      if ('program' in answer) this.#program(answer.program, length);
      else if ('monitor' in answer) this.#program(PGM.MONITOR_EVENT, length, { monitor: answer.monitor });
      else this.#taken(loadPsw(this.core, answer.psw.mask, answer.psw.address, answer.length));
      return false;
    }
    this.#controls.setCc(answer);
    if (this.#native?.isEntry(this.context.pc + BigInt(this.#length)) === true) this.notice();
    if (this.core.selections === selections && this.context.stopRequested === stopRequested) return true;
    this.#advance(this.#length);
    return false;
  }

  #advance(length: number): void {
    const bits = this.context.mode.addressBits;
    this.core.setAddress(BigInt.asUintN(bits, this.context.pc + BigInt(length)));
  }
}

const isSigned = (cr0: bigint): boolean => (cr0 & CR0.CLOCK_COMPARATOR_SIGN) !== 0n;

/** When a timer interrupts a program that is open for these external interruptions. */
function timersDue(timers: Timers, open: number, cr0: bigint): number | null {
  const comparator = (open & Number(CR0.CLOCK_COMPARATOR)) !== 0;
  const timer = (open & Number(CR0.CPU_TIMER)) !== 0;
  return timers.deadline(comparator, timer, isSigned(cr0));
}

/** What the host of a guest is open for. */
function hostMasks({ host }: RunningGuest): InterruptionMasks {
  const low = (n: number, bit: bigint): number =>
    (host.pswMask & bit) === 0n ? 0 : Number((host.cr[n] ?? 0n) & 0xffffffffn);
  return {
    machineCheck: low(14, PSW.MACHINE_CHECK),
    external: low(0, PSW.EXTERNAL),
    io: low(6, PSW.IO) >>> 24,
  };
}
