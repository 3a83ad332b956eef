import { CpuContext } from '../../engine/cpu.ts';
import type { AccessKind, CpuModel, Translation } from '../../engine/cpu-model.ts';
import type { Engine } from '../../engine/engine.ts';
import { CONTEXT, MAX_BUDGET } from '../../engine/layout.ts';
import type { RealMemory } from '../../machine/memory.ts';
import type { MachineClock, ScheduledCpu } from '../../machine/scheduler.ts';
import type { TraceSink } from '../../trace/events.ts';
import { MSR, PVR_POWER9_DD23 } from '../abi.ts';
import { type PowerMode, powerMode } from '../isa/mode.ts';
import { architectedRegisters } from './architected-registers.ts';
import { DEFAULT_TIMEBASE_RATE, type TimebaseRate, Timers } from './clock.ts';
import { Core, type EntryCause } from './core.ts';
import { mayTrace, traceStatus } from './debug.ts';
import { type ExceptionLines, takeException, wakeReason } from './exceptions.ts';
import { deliverFault } from './fault.ts';
import { Mmu } from './mmu.ts';
import { type Level, legalMsr } from './msr.ts';
import { NATIVE_INSTRUCTIONS, NativeLevels, type NativeSeat } from './native-levels.ts';
import { gpr, setGpr } from './registers.ts';
import { RESET_VECTOR, resetRegisters } from './reset.ts';
import { currentInstruction } from './storage-instructions.ts';
import { SystemInstructions } from './system-instructions.ts';

/** What a CPU asks of the others. */
export interface PowerPeers {
  /** Every CPU forgets its cached translations (`PowerCpu.flushTranslations`), the one that asks too. */
  invalidateTranslations(): void;
  /** The CPU with this PIR gets a hypervisor doorbell (`lines.hypervisorDoorbell`). */
  ringDoorbell(pir: number): void;
}

/** What a CPU is built from. */
export interface PowerCpuOptions {
  readonly memory: RealMemory;
  /** Executes the instructions; shared by all CPUs of a machine. */
  readonly engine: Engine<PowerMode>;
  readonly clock: MachineClock;
  /** Position in the machine, and PIR. */
  readonly index: number;
  readonly trace?: TraceSink | null;
  /** The Secure Memory Facility is there. */
  readonly secureMemory: boolean;
  /** Default: a POWER9 Nimbus DD2.3. */
  readonly pvr?: bigint;
  /** Default: one tick per instruction. */
  readonly timebase?: TimebaseRate;
  /** 64 random bits for `darn`. */
  readonly random: () => bigint;
  readonly peers: PowerPeers;
  readonly native?: { readonly hypervisor?: NativeSeat; readonly ultravisor?: NativeSeat };
  /** `attn` at this real address, in hypervisor real mode, is a call of the machine; execution goes on behind it. */
  readonly attention?: { readonly address: bigint; readonly call: (cpu: PowerCpu) => void };
  /** A level gained control: by an interrupt, by a return instruction, by waking up, or at power-on. */
  readonly onLevelEnter?: (cpu: PowerCpu, level: Level, cause: EntryCause, nia: bigint) => void;
}

/** PSSCR[EC]: `stop` ends with a system reset instead of going on behind it (ISA 3.0B, Book III 3.3.2). */
const PSSCR_EC = 0x100000n;

/** What a CPU does. */
type Activity = 'running' | 'waiting' | 'stopped';

/**
 * One POWER9 thread with the Protected Execution Facility: the CPU model that the engine asks, and the run loop around the engine that takes
 * interrupts and lets native levels run.
 */
export class PowerCpu implements CpuModel, ScheduledCpu {
  readonly context: CpuContext<PowerMode>;
  readonly core: Core;
  /** Interrupt inputs: set by interrupt controllers and other CPUs. */
  readonly lines: ExceptionLines = {
    external: false,
    virtualization: false,
    systemReset: false,
    hypervisorDoorbell: false,
  };
  readonly #options: PowerCpuOptions;
  readonly #engine: Engine<PowerMode>;
  readonly #clock: MachineClock;
  readonly #mmu: Mmu;
  readonly #timers: Timers;
  readonly #system: SystemInstructions;
  readonly #native: NativeLevels;
  /** Instructions that `Engine.run` was given, while it runs. */
  #budget = 0;
  /** Instructions of native code that the clock has not counted yet. */
  #debt = 0;
  /** Native code has run and its stub has not: no interrupt comes between the two. */
  #atStub = false;
  #activity: Activity = 'stopped';
  /** The wait ends with a system reset, and only for what LPCR[PECE] lets through. */
  #wakesByReset = false;
  #sliceEnds = false;

  constructor(options: PowerCpuOptions) {
    const { memory, engine, clock, index, trace = null, timebase = DEFAULT_TIMEBASE_RATE } = options;
    this.#options = options;
    this.#engine = engine;
    this.#clock = clock;
    this.context = new CpuContext(memory.store, this, powerMode(0));
    engine.add(this.context);
    this.#mmu = new Mmu(memory);
    const now = (): bigint => this.now;
    this.#timers = new Timers(now, timebase);
    this.core = new Core({
      context: this.context,
      mmu: this.#mmu,
      timers: this.#timers,
      index,
      clock: now,
      trace,
      isNative: (level) => this.#native.standsAt(level),
      entered: (level, cause, nia) => this.#entered(level, cause, nia),
    });
    this.#native = new NativeLevels(this.core, memory, options.native ?? {}, {
      invalidateTranslations: () => options.peers.invalidateTranslations(),
      ringDoorbell: (pir) => this.#ringDoorbell(pir),
      clearDoorbell: () => {
        this.lines.hypervisorDoorbell = false;
      },
    });
    this.#system = new SystemInstructions(this.core, {
      lines: this.lines,
      random: options.random,
      invalidateEverywhere: () => options.peers.invalidateTranslations(),
      ringDoorbell: (pir) => this.#ringDoorbell(pir),
      attention: () => this.#attention(),
      nativePending: () => this.#native.pending,
      beginWait: (stop) => this.#beginWait(stop),
      deliverFault: () => this.deliverFault(),
    });
  }

  /** Instructions executed by the machine up to and with the one at hand. */
  get now(): bigint {
    if (this.#budget === 0) return this.#clock.stamp;
    const left = this.context.store.i32[(this.context.base + CONTEXT.budget) >>> 2] as number;
    return this.#clock.stamp + BigInt(this.#budget - left);
  }

  get index(): number {
    return this.core.index;
  }

  get level(): Level {
    return this.core.level;
  }

  /** A general register. */
  gpr(n: number): bigint {
    return gpr(this.context, n);
  }

  setGpr(n: number, value: bigint): void {
    setGpr(this.context, n, value);
  }

  /**
   * Resets and starts the CPU (`resetRegisters`); general registers stay as they are.
   * @param nia where the first level starts; default the reset vector
   */
  powerOn(nia: bigint = RESET_VECTOR): void {
    const { pvr = PVR_POWER9_DD23, secureMemory } = this.#options;
    this.place(resetRegisters(this.core, { pvr, secureMemory }), nia);
  }

  /** Starts the CPU in this state, with all registers as they are: what a service processor could do. */
  place(msr: bigint, nia: bigint): void {
    this.#activity = 'running';
    this.#atStub = false;
    this.#native.forget();
    this.core.boot(legalMsr(msr), nia);
  }

  /** All registers that software at hypervisor privilege (S=0) can read, by name. */
  architectedRegisters(): Record<string, bigint> {
    return architectedRegisters(this.core);
  }

  /** Forgets all cached translations of this CPU. */
  flushTranslations(): void {
    this.context.tlb.flush();
  }

  /** Ends `run` after the instruction or native handler at hand, so that the machine looks at what happened. */
  endSlice(): void {
    this.#sliceEnds = true;
    this.context.stopRequested = true;
  }

  get waiting(): boolean {
    return this.#activity !== 'running';
  }

  /** Checkstopped, or not started: nothing but `powerOn` makes it run again. */
  get stopped(): boolean {
    return this.#activity === 'stopped';
  }

  get deadline(): number | null {
    if (this.#activity === 'stopped') return null;
    const deadline = this.#timers.nextDeadline();
    return deadline === null ? null : Number(deadline);
  }

  run(budget: number): number {
    const start = this.#clock.now;
    const end = start + budget;
    this.#sliceEnds = false;
    while (this.#clock.now < end && !this.#sliceEnds) {
      if (this.#debt > 0) this.#payDebt(end);
      else if (!this.settle()) break;
      else if (this.#debt === 0) this.#execute(end - this.#clock.now);
    }
    return this.#clock.now - start;
  }

  /**
   * What happens between two instructions: the CPU wakes up, takes an interrupt, and native code that has control runs. `run` does this.
   * @returns whether there is an instruction to execute
   */
  settle(): boolean {
    if (this.#activity === 'waiting') this.#tryWake();
    if (this.#activity !== 'running') return false;
    if (!this.#native.pending && !this.#atStub) takeException(this.core, this.lines);
    if (this.#native.pending) {
      this.#native.run();
      this.#atStub = true;
      this.#debt += NATIVE_INSTRUCTIONS;
    }
    return true;
  }

  #payDebt(end: number): void {
    const paid = Math.min(this.#debt, end - this.#clock.now);
    this.#debt -= paid;
    this.#clock.advance(paid);
  }

  #execute(left: number): void {
    const due = this.deadline;
    const most = due === null ? left : Math.min(left, Math.max(1, due - this.#clock.now));
    this.#atStub = false;
    if (mayTrace(this.core)) this.#traceOne();
    else this.#engineRun(Math.min(most, MAX_BUDGET));
  }

  #engineRun(budget: number): void {
    this.#budget = budget;
    const executed = this.#engine.run(this.context, budget);
    this.#budget = 0;
    this.#clock.advance(executed);
  }

  /** One instruction, and the trace interrupt if it completed: neither interrupted, nor a return, nor at rest. */
  #traceOne(): void {
    const { core } = this;
    const { transfers } = core;
    const status = traceStatus(core, () => currentInstruction(core));
    this.#engineRun(1);
    if (status !== null && core.transfers === transfers && this.#activity === 'running')
      core.interrupt('trace', status);
  }

  #entered(level: Level, cause: EntryCause, nia: bigint): void {
    this.#options.onLevelEnter?.(this, level, cause, nia);
    if (!this.#native.standsAt(level)) return;
    this.#native.enter(cause, nia);
    this.context.stopRequested = true;
  }

  /** Rings another CPU, and gives it its turn: what is so urgent is not to wait for the end of a slice. */
  #ringDoorbell(pir: number): void {
    this.#options.peers.ringDoorbell(pir);
    this.endSlice();
  }

  #beginWait(stop: boolean): void {
    this.#activity = 'waiting';
    this.#wakesByReset = stop && (this.core.raw('PSSCR') & PSSCR_EC) !== 0n;
    this.context.stopRequested = true;
  }

  #tryWake(): void {
    const reason = wakeReason(this.core, this.lines, this.#wakesByReset);
    if (reason === undefined) return;
    this.#activity = 'running';
    if (this.#wakesByReset) this.core.interrupt('systemReset', reason);
    else if (!takeException(this.core, this.lines) && this.#native.standsAt(this.core.level)) {
      this.core.noticeEntry('return', this.context.pc);
    }
  }

  #attention(): boolean {
    const { attention } = this.#options;
    const { level, msr } = this.core;
    if (attention === undefined || level.privilege !== 'hypervisor' || (msr & MSR.IR) !== 0n) return false;
    if (this.context.pc !== attention.address) return false;
    attention.call(this);
    return true;
  }

  /** A machine check with MSR[ME]=0. */
  #checkstop(): void {
    const { core } = this;
    this.#activity = 'stopped';
    this.context.stopRequested = true;
    const text = `checkstop: machine check with ME=0 in ${core.level.name}`;
    core.trace?.emit({ type: 'note', at: this.now, cpu: core.index, text });
  }

  translate(high: number, low: number, access: AccessKind, _space: number, size: number, result: Translation): boolean {
    if (!this.#mmu.translate(high, low, access, size, result)) return false;
    return access === 'fetch' || !this.core.dataWatch.armed || this.#unwatched(high, low, access, size, result);
  }

  /** @returns false where the watchpoint matches; its page is not cached */
  #unwatched(high: number, low: number, access: AccessKind, size: number, result: Translation): boolean {
    const { core } = this;
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    if (core.dataWatch.touchesPage(address)) result.cacheable = false;
    return core.dataWatch.matches(core, address, size, access) ? this.#mmu.watched() : true;
  }

  probe(high: number, low: number, result: Translation): boolean {
    return this.#mmu.probe(high, low, result);
  }

  deliverFault(): void {
    if (!deliverFault(this.core, this.#mmu.fault)) this.#checkstop();
  }

  trap(cause: number, argument: number): void {
    this.#system.trap(cause, argument);
  }

  undefinedInstruction(head: number): void {
    this.#system.emulationAssistance(head);
  }

  helper(helper: number, a: number, b: number): boolean {
    return this.#system.execute(helper, a, b);
  }
}
