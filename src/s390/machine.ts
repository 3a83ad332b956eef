import { Engine } from '../engine/engine.ts';
import { HostView } from '../machine/host-view.ts';
import { makeStore } from '../machine/make-store.ts';
import { RealMemory, type RegionSpec } from '../machine/memory.ts';
import type { MachineOutcome, MachineStatistics } from '../machine/run-report.ts';
import { MachineClock, runMachine, startOfSchedule } from '../machine/scheduler.ts';
import type { RealAddress } from '../machine/types.ts';
import type { TraceSink } from '../trace/events.ts';
import { facilityList } from './cpu/control-registers.ts';
import type { CpuState, Platform } from './cpu/port.ts';
import { S390Cpu } from './cpu/s390-cpu.ts';
import { StorageKeys } from './cpu/storage-keys.ts';
import { TodClock } from './cpu/timers.ts';
import { s390Isa } from './isa/index.ts';
import type { S390Mode } from './isa/mode.ts';
import { layout } from './isa/state.ts';
import type { UserSpace } from './kvm/user-space.ts';
import { ALL_STOPPED } from './kvm/vm.ts';

/** What a machine that has no hypervisor is made of. */
export interface S390MachineOptions {
  readonly name: string;
  /** Bytes of storage, from absolute 0 on. */
  readonly memory: number;
  readonly cpus: number;
  /** Interpret everything. */
  readonly interpret: boolean;
  readonly trace: TraceSink | null;
  /** Makes what stands around the CPUs. `view` reaches storage with the rights of devices. */
  readonly makeUserSpace: (platform: Platform, view: HostView, clock: () => number) => UserSpace;
}

/** Facilities of our CPU, as STFLE tells them. */
export const CPU_FACILITIES = [
  'N3',
  'ZARCH_INSTALLED',
  'ZARCH_ACTIVE',
  'DAT_ENHANCEMENT',
  'IDTE_SEGMENT',
  'STORE_FACILITY_LIST_EXTENDED',
  'ENHANCED_DAT_1',
  'LONG_DISPLACEMENT',
  'EXTENDED_IMMEDIATE',
  'STORE_CLOCK_FAST',
  'MVCOS',
  'EXTRACT_CPU_TIME',
  'GENERAL_INSTRUCTIONS_EXTENSION',
  'EXECUTE_EXTENSIONS',
  'FLOATING_POINT_EXTENSION',
  'FPR_GR_TRANSFER',
  'DISTINCT_OPERANDS',
  'LOAD_STORE_ON_CONDITION_2',
  'MISCELLANEOUS_EXTENSIONS',
  'INTERLOCKED_ACCESS_2',
  'ENHANCED_DAT_2',
  'CZAM',
] as const;

/** What STIDP says: machine type 2964, which is the z13, and CPU numbers from 0 on. */
export const MACHINE_TYPE = 0x2964n;

/** A machine of CPUs without SIE: QEMU's `s390-ccw-virtio`, whose one guest has all of it. */
export class S390Machine {
  readonly clock = new MachineClock();
  readonly memory: RealMemory;
  readonly engine: Engine<S390Mode>;
  readonly cpus: readonly S390Cpu[];
  readonly userSpace: UserSpace;
  readonly #name: string;
  readonly #schedule = startOfSchedule();
  readonly #calls: Record<string, number> = {};
  #between: (() => void)[] = [];
  #end: MachineOutcome | null = null;

  constructor(options: S390MachineOptions) {
    const { name, memory, cpus, trace } = options;
    this.#name = name;
    const regions: RegionSpec[] = [{ name: 'ram', base: 0 as RealAddress, size: memory, secure: false }];
    const store = makeStore(regions, Engine.bytes + cpus * (Engine.bytesPerContext + 4096) + 65536);
    this.engine = new Engine(store, s390Isa, layout, { translate: !options.interpret });
    this.memory = new RealMemory(store, regions);
    const keys = new StorageKeys(store);
    const tod = new TodClock(() => this.clock.stamp);
    this.cpus = Array.from(
      { length: cpus },
      (_, index) =>
        new S390Cpu({
          memory: this.memory,
          engine: this.engine,
          clock: this.clock,
          tod,
          keys,
          index,
          trace,
          facilities: facilityList(CPU_FACILITIES),
          identification: (BigInt(index) << 32n) | (MACHINE_TYPE << 16n),
          peers: {
            flushTranslations: () => {
              for (const cpu of this.cpus) cpu.core.flushTranslations();
            },
            find: (address) => this.cpus[address],
          },
          services: () => this.userSpace.services,
          seat: () => null,
          disabledWait: (cpu) => this.userSpace.disabledWait(cpu.index, cpu.context.pc),
          stuck: (cpu) => this.#finish({ kind: 'crashed', detail: `CPU ${cpu.index}: the program new PSW is invalid` }),
        }),
    );
    const view = new HostView(this.memory, { agent: 'device', secure: false }, trace, () => this.clock.stamp);
    this.userSpace = options.makeUserSpace(this.#platform(tod), view, () => this.clock.now);
    const { mask, address } = this.userSpace.load();
    this.cpus[0]?.place(mask, address);
  }

  /**
   * Runs until the guest has ended or the clock reaches `limit` instructions.
   * @returns how it ended; `limit` can be run on
   */
  run(limit: number = Number.MAX_SAFE_INTEGER): MachineOutcome {
    const end = runMachine(this.cpus, this.clock, () => this.#look(), limit, this.#schedule);
    if (end === 'limit') return { kind: 'limit', detail: `${limit} instructions` };
    if (end === 'deadlock') return this.#end ?? { kind: 'crashed', detail: 'every CPU waits, and nothing is due' };
    return this.#end ?? ALL_STOPPED;
  }

  /** By VM: the last state in which it could execute. */
  vmStates(): MachineStatistics['vmStates'] {
    return { [this.#name]: 'normal' };
  }

  /** Counts since the start. */
  statistics(): MachineStatistics {
    return {
      exits: {},
      calls: this.#calls,
      pages: {},
      vmStates: this.vmStates(),
      esmFailures: [],
      hypervisorEntries: 0,
      refused: {},
    };
  }

  /** Between two slices. @returns whether the run is over */
  #look(): boolean {
    const due = this.#between;
    this.#between = [];
    for (const action of due) action();
    return this.#end !== null || this.cpus.every((cpu) => cpu.stopped);
  }

  #finish(end: MachineOutcome): void {
    this.#end ??= end;
    for (const cpu of this.cpus) {
      cpu.stop();
      cpu.endSlice();
    }
  }

  #platform(tod: TodClock): Platform {
    const cpu = (index: number): S390Cpu => {
      const found = this.cpus[index];
      if (found === undefined) throw new RangeError(`no CPU ${index}`);
      return found;
    };
    return {
      cpus: this.cpus.length,
      memory: this.memory.regions.reduce((sum, { size }) => sum + size, 0),
      tod: () => tod.value,
      notice: () => {
        for (const each of this.cpus) each.notice();
      },
      between: (action) => {
        this.#between.push(action);
        for (const each of this.cpus) each.endSlice();
      },
      state: (index): CpuState => cpu(index).state,
      stop: (index) => cpu(index).stop(),
      start: (index, mask, address) => cpu(index).place(mask, address),
      reset: (index, kind) => cpu(index).reset(kind),
      finish: (kind, detail) => this.#finish({ kind, detail }),
    };
  }
}
