import type { CryptoProvider } from '../crypto/provider.ts';
import { Engine } from '../engine/engine.ts';
import { SeHost } from '../image/se/host.ts';
import { HostView } from '../machine/host-view.ts';
import { makeStore } from '../machine/make-store.ts';
import { RealMemory, type RegionSpec } from '../machine/memory.ts';
import type { RandomBytes } from '../machine/random.ts';
import { type MachineOutcome, type MachineStatistics, pagesReadBy } from '../machine/run-report.ts';
import type { RunWatch } from '../machine/run-watch.ts';
import { MachineClock, runMachine, startOfSchedule } from '../machine/scheduler.ts';
import type { RealAddress } from '../machine/types.ts';
import type { TraceSink } from '../trace/events.ts';
import { LOWCORE, PSW } from './abi.ts';
import { facilityList } from './cpu/control-registers.ts';
import { ENTRIES } from './cpu/host-port.ts';
import type { Platform, Services } from './cpu/port.ts';
import { S390Cpu } from './cpu/s390-cpu.ts';
import { StorageKeys } from './cpu/storage-keys.ts';
import { TodClock } from './cpu/timers.ts';
import { s390Isa } from './isa/index.ts';
import type { S390Mode } from './isa/mode.ts';
import { layout } from './isa/state.ts';
import { GuestMemory } from './kvm/guest-memory.ts';
import { Kvm } from './kvm/kvm.ts';
import type { KvmHooks } from './kvm/state.ts';
import type { UserSpace } from './kvm/user-space.ts';
import type { Vm } from './kvm/vm.ts';
import { CPU_FACILITIES, MACHINE_TYPE } from './machine.ts';
import { watchRun } from './run-watch.ts';
import { Ultravisor } from './ultravisor/ultravisor.ts';

/** A virtual machine to be run. */
export interface S390GuestOptions {
  readonly name: string;
  /** Bytes, a multiple of 1 MiB. */
  readonly memory: number;
  readonly cpus: number;
  /** Makes the devices. `memory` is guest storage as they reach it. */
  readonly makeUserSpace: (platform: Platform, memory: GuestMemory, clock: () => number) => UserSpace;
}

/** Purpose of the random numbers that the Ultravisor draws. */
export const ULTRAVISOR_RANDOM_STREAM = 'ultravisor';

/** What the Ultravisor of a machine is made with. */
export interface UltravisorKit {
  readonly crypto: CryptoProvider;
  /** The machine's private host key, P-521: 66 bytes. */
  readonly hostKey: Uint8Array;
  /** Handles, and keys of pages that leave secure storage. */
  readonly random: RandomBytes;
}

/** An LPAR whose host is our KVM. */
export interface S390HostMachineOptions {
  readonly guests: readonly S390GuestOptions[];
  /** Physical CPUs. */
  readonly cpus: number;
  readonly interpret: boolean;
  readonly trace: TraceSink | null;
  /** null where the machine has no Ultravisor. */
  readonly ultravisor: UltravisorKit | null;
  readonly hooks?: KvmHooks;
}

/** Prefix areas of the host's CPUs, one after the other from 0 on. */
const PREFIX_AREAS = 0;
/** What KVM has beside the guests' own storage: tables, state descriptions, what it donates. */
const HOST_STORAGE = 16 << 20;
/** Storage above 2 GiB, for the Ultravisor (1.2). */
const HIGH_STORAGE = { base: 0x8000_0000, size: 4 << 20 } as const;
const MIB = 1 << 20;

const NOTHING: Services = {
  instructions: new Map(),
  diagnose: new Map(),
  interruptions: { due: () => false, take: () => null },
  poll: () => {},
  deadline: null,
  virtualMachine: null,
};

/** CPUs with SIE, our KVM as the host in native code, and below it, where there is one, the Ultravisor. */
export class S390HostMachine {
  readonly clock = new MachineClock();
  readonly memory: RealMemory;
  readonly engine: Engine<S390Mode>;
  readonly cpus: readonly S390Cpu[];
  readonly kvm: Kvm;
  readonly vms: readonly Vm[];
  readonly ultravisor: Ultravisor | null;
  readonly #watch: RunWatch;
  readonly #views: HostView[] = [];
  readonly #userSpaces: UserSpace[] = [];
  readonly #schedule = startOfSchedule();

  /** @throws RangeError if memory or CPUs do not allow the guests */
  constructor(options: S390HostMachineOptions) {
    const { guests, cpus } = options;
    this.#watch = watchRun(options.trace);
    const trace = this.#watch;
    const low = HOST_STORAGE + guests.reduce((sum, { memory }) => sum + memory, 0);
    const regions: RegionSpec[] = [
      { name: 'ram', base: 0 as RealAddress, size: Math.ceil(low / MIB) * MIB, secure: false },
      { name: 'high', base: HIGH_STORAGE.base as RealAddress, size: HIGH_STORAGE.size, secure: false },
    ];
    const store = makeStore(regions, Engine.bytes + cpus * (Engine.bytesPerContext + 4096) + 65536);
    this.engine = new Engine(store, s390Isa, layout, { translate: !options.interpret });
    this.memory = new RealMemory(store, regions);
    const keys = new StorageKeys(store);
    const tod = new TodClock(() => this.clock.stamp);
    const prefixes = Array.from({ length: cpus }, (_, n) => (PREFIX_AREAS + n * LOWCORE.SIZE) as RealAddress);
    this.ultravisor = options.ultravisor === null ? null : this.#makeUltravisor(options.ultravisor, prefixes, tod);
    const view = new HostView(this.memory, { agent: 'hypervisor', secure: false }, trace, () => this.clock.stamp);
    this.#views.push(view);
    const firstFree = prefixes.length * LOWCORE.SIZE;
    this.kvm = new Kvm({
      view,
      storage: [
        { base: firstFree as RealAddress, size: low - firstFree },
        { base: HIGH_STORAGE.base as RealAddress, size: HIGH_STORAGE.size },
      ],
      prefixes,
      ultravisor: this.ultravisor !== null,
      trace,
      tod: () => tod.value,
      kick: () => {
        for (const cpu of this.cpus) cpu.emergency(cpu.index);
      },
      ...(options.hooks && { hooks: options.hooks }),
    });
    const names = this.ultravisor === null ? CPU_FACILITIES : [...CPU_FACILITIES, 'ULTRAVISOR_CALL' as const];
    this.cpus = prefixes.map(
      (prefix, index) =>
        new S390Cpu({
          memory: this.memory,
          engine: this.engine,
          clock: this.clock,
          tod,
          keys,
          index,
          trace,
          facilities: facilityList(names),
          identification: (BigInt(index) << 32n) | (MACHINE_TYPE << 16n),
          peers: { flushTranslations: () => this.#flushTranslations(), find: (address) => this.cpus[address] },
          services: () => this.#services,
          seat: () => this.ultravisor,
          native: this.kvm,
          prefix,
          disabledWait: (cpu) => cpu.stop(),
          stuck: (cpu) => {
            throw new Error(`CPU ${cpu.index}: the host cannot take a program interruption`);
          },
        }),
    );
    const guestFacilities = this.ultravisor === null ? CPU_FACILITIES : [...CPU_FACILITIES, 'UNPACK' as const];
    this.vms = guests.map(({ name, memory, cpus: vcpus, makeUserSpace }) =>
      this.kvm.createVm({ name, memory, vcpus, facilities: facilityList(guestFacilities) }, (vm, platform) => {
        const user = makeUserSpace(platform, new GuestMemory(this.kvm.guests, vm), () => this.clock.now);
        this.#userSpaces.push(user);
        return user;
      }),
    );
    this.cpus[0]?.place(PSW.EA | PSW.BA, BigInt(ENTRIES.restart));
  }

  /**
   * Runs until all guests have ended or the clock reaches `limit` instructions.
   * @returns how it ended; `limit` can be run on
   */
  run(limit: number = Number.MAX_SAFE_INTEGER): MachineOutcome {
    const end = runMachine(this.cpus, this.clock, () => this.#look(), limit, this.#schedule);
    if (end === 'limit') return { kind: 'limit', detail: `${limit} instructions` };
    if (end === 'deadlock' && !this.kvm.finished) {
      return { kind: 'crashed', detail: 'every CPU waits, and nothing is due' };
    }
    const ends = this.vms.map((vm) => vm.end);
    const worst = ends.find((one) => one !== null && one.kind !== 'poweroff');
    return worst ?? ends[0] ?? { kind: 'crashed', detail: 'no guest ever ran' };
  }

  /** By VM: the last state in which it could execute. */
  vmStates(): MachineStatistics['vmStates'] {
    return Object.fromEntries(this.vms.map((vm) => [vm.name, vm.wasSecure ? 'secure' : 'normal']));
  }

  /** Counts since the start. */
  statistics(): MachineStatistics {
    const { exits, calls, protectFailures } = this.kvm.statistics;
    return {
      exits,
      calls,
      pages: this.#watch.pages,
      vmStates: this.vmStates(),
      esmFailures: protectFailures,
      hypervisorEntries: this.kvm.entries,
      refused: this.#watch.refused,
      pagesRead: pagesReadBy(this.#views),
    };
  }

  #makeUltravisor(
    { crypto, hostKey, random }: UltravisorKit,
    prefixes: readonly RealAddress[],
    tod: TodClock,
  ): Ultravisor {
    return new Ultravisor({
      memory: this.memory,
      hardware: {
        flushTranslations: () => this.#flushTranslations(),
        operatingCpus: () => this.cpus.filter((cpu) => !cpu.stopped).length,
        prefixes: () => prefixes,
        tod: () => tod.value,
        translate: (asce, address) => (this.cpus[0] as S390Cpu).translateHost(asce, address),
      },
      crypto,
      se: new SeHost(crypto, hostKey),
      random,
      trace: this.#watch,
      clock: () => this.clock.stamp,
      facilities: facilityList(CPU_FACILITIES),
    });
  }

  #flushTranslations(): void {
    for (const cpu of this.cpus) cpu.core.flushTranslations();
  }

  /** The other CPUs are started when the first has set up what only one may (INIT_UV, 2.7). */
  #look(): boolean {
    if (this.kvm.booted) {
      for (const cpu of this.cpus) if (cpu.stopped) cpu.place(PSW.EA | PSW.BA, BigInt(ENTRIES.restart));
    }
    return this.kvm.finished;
  }

  /** The host has no devices of its own; its guests' are looked after here. */
  get #services(): Services {
    const users = this.#userSpaces;
    return {
      ...NOTHING,
      poll: () => {
        for (const user of users) user.services.poll();
      },
      get deadline() {
        const times = users.map((user) => user.services.deadline).filter((time) => time !== null);
        return times.length === 0 ? null : Math.min(...times);
      },
    };
  }
}
