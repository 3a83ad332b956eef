import { CpuContext } from '../../engine/cpu.ts';
import type { AccessKind, CpuModel, Translation } from '../../engine/cpu-model.ts';
import type { Engine } from '../../engine/engine.ts';
import { CONTEXT } from '../../engine/layout.ts';
import type { RealMemory } from '../../machine/memory.ts';
import type { MachineClock, ScheduledCpu } from '../../machine/scheduler.ts';
import type { TraceSink } from '../../trace/events.ts';
import { EC, type ExceptionLevel } from '../abi.ts';
import { SPACE } from '../isa/address.ts';
import { type ArmMode, armMode } from '../isa/mode.ts';
import { x } from '../isa/state.ts';
import { Core, type EntryCause } from './core.ts';
import { DeviceAccess, type PhysicalDevices } from './device-access.ts';
import { defaultTarget, takeSynchronous, takeUndefined } from './exceptions.ts';
import { takeAbort } from './faults.ts';
import type { GicInterface } from './gic-interface.ts';
import { type InterruptLines, interruptStatus, takeInterrupt, wakes } from './interrupts.ts';
import { Mmu } from './mmu.ts';
import { NATIVE_INSTRUCTIONS, NativeLevels, type NativeSeats } from './native-levels.ts';
import { parOf } from './par.ts';
import { accessOf, type SystemAccess } from './register-access.ts';
import type { SystemRegister } from './register-table.ts';
import { SystemInstructions } from './system-instructions.ts';
import { type CounterRate, GenericTimer } from './timers.ts';

/** What a PE asks of the others. */
export interface ArmPeers {
  /** Every PE forgets its cached translations (`ArmCpu.flushTranslations`), the one that asks too. */
  invalidateTranslations(): void;
  /** Every PE that waits at WFE goes on (`ArmCpu.registerEvent`). */
  sendEvent(): void;
}

/** What a PE is built from. */
export interface ArmCpuOptions {
  readonly memory: RealMemory;
  /** Executes the instructions; shared by all PEs of a machine. */
  readonly engine: Engine<ArmMode>;
  readonly clock: MachineClock;
  /** Position in the machine, and affinity level 0 of MPIDR_EL1. */
  readonly index: number;
  readonly trace?: TraceSink | null;
  readonly counter?: CounterRate;
  readonly peers: ArmPeers;
  /** Makes the PE's CPU interface of the GIC; null where there is none. */
  readonly gic: ((core: Core) => GicInterface) | null;
  readonly native?: NativeSeats;
  /**
   * The machine's firmware, which reads and writes X0 to X17. The PE is already behind the instruction that called it: SMC that EL2 does not trap,
   * or with `conduit` `hvc` HVC, on a machine that has no EL2 of its own.
   */
  readonly firmware?: (cpu: ArmCpu) => void;
  readonly conduit?: 'hvc' | 'smc';
  /** What is in the physical address space beside RAM. */
  readonly devices?: PhysicalDevices;
  /** A level gained control: by an exception, by a return, by waking up, or at power-on. */
  readonly onLevelEnter?: (cpu: ArmCpu, level: ExceptionLevel, cause: EntryCause, pc: bigint) => void;
}

type Activity = 'running' | 'waiting' | 'stopped';

/** One AArch64 PE with EL0, EL1 and EL2: the CPU model that the engine asks, and the run loop around the engine that takes interrupts and lets native levels run. */
export class ArmCpu implements CpuModel, ScheduledCpu {
  readonly context: CpuContext<ArmMode>;
  readonly core: Core;
  readonly timer: GenericTimer;
  readonly lines: InterruptLines = { irq: false, fiq: false, virtualIrq: false, virtualFiq: false };
  readonly #options: ArmCpuOptions;
  readonly #clock: MachineClock;
  readonly #mmu: Mmu;
  /** Looks without leaving a trace in the other one's fault. */
  readonly #system: SystemInstructions;
  readonly #gic: GicInterface | null;
  readonly #native: NativeLevels;
  readonly #devices: DeviceAccess | null;
  #pcAlignment = false;
  /** Instructions that `Engine.run` was given, while it runs. */
  #budget = 0;
  /** Instructions of native code that the clock has not counted yet. */
  #debt = 0;
  /** Native code has run and its stub has not: no interrupt comes between the two. */
  #atStub = false;
  #activity: Activity = 'stopped';
  /** The event register (SEV, WFE). */
  #event = false;
  #sliceEnds = false;

  constructor(options: ArmCpuOptions) {
    const { memory, engine, clock, index, trace = null } = options;
    this.#options = options;
    this.#clock = clock;
    this.context = new CpuContext(memory.store, this, armMode(0));
    engine.add(this.context);
    this.#mmu = new Mmu(memory);
    this.#devices = options.devices === undefined ? null : new DeviceAccess(options.devices, memory.store);
    this.core = new Core({
      context: this.context,
      mmu: this.#mmu,
      index,
      clock: () => this.now,
      trace,
      entered: (level, cause, pc) => this.#entered(level, cause, pc),
    });
    this.timer = new GenericTimer(this.core, options.counter);
    this.#gic = options.gic === null ? null : options.gic(this.core);
    const parts = {
      timer: this.timer,
      interruptStatus: () => interruptStatus(this.core, this.lines),
      gicRegister: (register: SystemRegister, value: bigint | null) => this.#gicRegister(register, value),
    };
    const invalidate = (): void => options.peers.invalidateTranslations();
    this.#native = new NativeLevels(this.core, memory, options.native ?? {}, parts, invalidate);
    this.#system = new SystemInstructions(this.core, {
      ...parts,
      invalidateEverywhere: invalidate,
      beginWait: () => this.#beginWait(),
      sendEvent: () => options.peers.sendEvent(),
      takeEvent: () => this.#takeEvent(),
      conduit: options.conduit ?? 'smc',
      firmware: () => this.#firmware(),
      accessGic: (access, value) => this.#accessGic(access, value),
      deliverFault: () => this.deliverFault(),
      translateAddress: (access, address) => this.#translateAddress(access, address),
    });
    this.core.reset();
  }

  /** Instructions executed by the machine up to and with the one at hand. */
  get now(): bigint {
    if (this.#budget === 0) return this.#clock.stamp;
    const left = this.context.store.i32[(this.context.base + CONTEXT.budget) >> 2] as number;
    return this.#clock.stamp + BigInt(this.#budget - left);
  }

  get index(): number {
    return this.core.index;
  }

  /** A general register, X0 to X30. */
  x(n: number): bigint {
    return this.context.get64(x.slots[n] as (typeof x.slots)[number]);
  }

  setX(n: number, value: bigint): void {
    this.context.set64(x.slots[n] as (typeof x.slots)[number], value);
  }

  /** Starts the PE in this state (SPSR_ELx format) with all other registers as they are: what firmware does. */
  place(pstate: bigint, pc: bigint): void {
    this.#activity = 'running';
    this.#atStub = false;
    this.#native.forget();
    this.core.go(pstate, pc, 'boot');
  }

  /** All registers as after power-on; translations are forgotten. */
  reset(): void {
    for (let n = 0; n < 31; n++) this.setX(n, 0n);
    this.core.reset();
    this.flushTranslations();
  }

  /** Stops the PE for good, until `place`: PSCI CPU_OFF. */
  powerOff(): void {
    this.#activity = 'stopped';
    this.context.stopRequested = true;
  }

  /** Waits for an interrupt, as WFI does: PSCI CPU_SUSPEND. */
  suspend(): void {
    this.#beginWait();
  }

  /** Forgets all cached translations of this PE. */
  flushTranslations(): void {
    this.context.tlb.flush();
  }

  /** An event for WFE. */
  registerEvent(): void {
    this.#event = true;
  }

  /** Ends `run` after the instruction or native handler at hand, so that the machine looks at what happened. */
  endSlice(): void {
    this.#sliceEnds = true;
    this.context.stopRequested = true;
  }

  get waiting(): boolean {
    return this.#activity !== 'running';
  }

  get stopped(): boolean {
    return this.#activity === 'stopped';
  }

  get deadline(): number | null {
    if (this.#activity === 'stopped') return null;
    const timer = this.timer.nextDeadline();
    const device = this.#options.devices?.deadline ?? null;
    if (timer === null) return device;
    return device === null ? Number(timer) : Math.min(device, Number(timer));
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
   * What happens between two instructions: the PE wakes up, takes an interrupt, and native code that has control runs. `run` does this.
   * @returns whether there is an instruction to execute
   */
  settle(): boolean {
    this.#gic?.update(this.core, this.timer, this.lines);
    if (this.#activity === 'waiting') this.#tryWake();
    if (this.#activity !== 'running') return false;
    if (!this.#native.pending && !this.#atStub) takeInterrupt(this.core, this.lines);
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
    const budget = due === null ? left : Math.min(left, Math.max(1, due - this.#clock.now));
    this.#budget = budget;
    this.#atStub = false;
    const executed = this.#options.engine.run(this.context, budget);
    this.#budget = 0;
    const devices = this.#devices;
    if (devices?.storeDue !== true) {
      this.#clock.advance(executed);
      return;
    }
    // The attempt that faulted does not count: the instruction runs now.
    this.#clock.advance(executed - 1);
    devices.runAlone(() => {
      this.#budget = 1;
      const alone = this.#options.engine.run(this.context, 1);
      this.#budget = 0;
      this.#clock.advance(alone);
    });
  }

  #entered(level: ExceptionLevel, cause: EntryCause, pc: bigint): void {
    this.#options.onLevelEnter?.(this, level, cause, pc);
    // PSTATE, and with it what interrupts may do, has changed: the run loop looks at it.
    this.context.stopRequested = true;
    if (this.#native.here) this.#native.enter(cause, pc);
  }

  #beginWait(): void {
    this.#activity = 'waiting';
    this.context.stopRequested = true;
  }

  #takeEvent(): boolean {
    const registered = this.#event;
    this.#event = false;
    return registered;
  }

  #tryWake(): void {
    if (!wakes(this.core, this.lines) && !this.#takeEvent()) return;
    this.#activity = 'running';
    if (!takeInterrupt(this.core, this.lines) && this.#native.here) {
      this.#native.enter('return', this.context.pc);
      this.#options.onLevelEnter?.(this, this.core.level, 'return', this.context.pc);
    }
  }

  #firmware(): boolean {
    const { firmware } = this.#options;
    firmware?.(this);
    // Behind the stub that called, unless firmware put the PE somewhere else.
    if (firmware !== undefined && this.#native.here && !this.#native.pending) {
      this.#native.enter('return', this.context.pc);
      this.context.stopRequested = true;
    }
    return firmware !== undefined;
  }

  #accessGic(access: SystemAccess, value: bigint): bigint | null {
    const gic = this.#gic;
    // What the access changed may unmask or raise an interrupt.
    this.context.stopRequested = true;
    if (gic !== null) return gic.access(this.core, access, value);
    takeUndefined(this.core);
    return null;
  }

  /** As an MRS or MSR by native code, to the same register file. Without a GIC the registers are plain ones. */
  #gicRegister(register: SystemRegister, value: bigint | null): bigint | null {
    const { core } = this;
    if (this.#gic === null) {
      if (value !== null) core.setRegister(register.name, value);
      return core.register(register.name);
    }
    return this.#gic.access(core, accessOf(register, value === null), value ?? 0n);
  }

  #translateAddress(access: SystemAccess, address: bigint): void {
    this.core.setRegister('PAR_EL1', parOf(this.core, access, address));
  }

  translate(high: number, low: number, access: AccessKind, space: number, size: number, result: Translation): boolean {
    if (access === 'fetch' && (low & 3) !== 0) {
      this.#pcAlignment = true;
      return false;
    }
    if (space !== SPACE.unprivileged) return this.#translate(high, low, access, size, result);
    this.core.asUser();
    const found = this.#translate(high, low, access, size, result);
    this.core.asItself();
    return found;
  }

  #translate(high: number, low: number, access: AccessKind, size: number, result: Translation): boolean {
    if (this.#mmu.translate(high, low, access, size, result)) return true;
    const outside = this.#devices === null ? undefined : this.#mmu.outsideRam;
    return outside !== undefined && this.#devices?.translate(outside, access, size, result) === true;
  }

  probe(high: number, low: number, result: Translation): boolean {
    if ((low & 3) !== 0) return false;
    const saved = { ...this.#mmu.fault };
    const found = this.#mmu.translate(high, low, 'fetch', 4, result);
    Object.assign(this.#mmu.fault, saved);
    return found;
  }

  deliverFault(): void {
    if (this.#devices?.storeDue === true) {
      this.context.stopRequested = true;
      return;
    }
    if (this.#pcAlignment) {
      this.#pcAlignment = false;
      const { pc } = this.context;
      takeSynchronous(this.core, defaultTarget(this.core), { ec: EC.pcAlignment, far: pc });
      return;
    }
    takeAbort(this.core, { ...this.#mmu.fault }, this.#instructionAtHand());
  }

  /** The instruction at pc, null where it cannot be fetched. */
  #instructionAtHand(): number | null {
    const { fault } = this.#mmu;
    if (fault.access === 'fetch') return null;
    const result: Translation = { host: 0, writable: false, cacheable: false };
    const { pc } = this.context;
    const found = this.probe(Number(pc >> 32n) | 0, Number(pc & 0xffffffffn) | 0, result);
    return found ? this.context.store.view.getUint32(result.host, true) : null;
  }

  trap(cause: number, argument: number): void {
    this.#system.trap(cause, argument);
  }

  undefinedInstruction(): void {
    takeUndefined(this.core);
  }

  helper(helper: number, a: number): boolean {
    return this.#system.execute(helper, a);
  }
}
