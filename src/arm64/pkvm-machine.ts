import type { CryptoProvider } from '../crypto/provider.ts';
import type { ConsoleBackend } from '../devices/console.ts';
import type { DiskBackend } from '../devices/disk.ts';
import { GicV3 } from '../devices/gicv3.ts';
import { MmioBus } from '../devices/mmio.ts';
import { Engine } from '../engine/engine.ts';
import type { ImageFile } from '../image/image-file.ts';
import { HostView } from '../machine/host-view.ts';
import { HypervisorView, type HypervisorViewOptions } from '../machine/hypervisor-view.ts';
import { makeStore } from '../machine/make-store.ts';
import { RealMemory, type RegionSpec } from '../machine/memory.ts';
import { RandomSource } from '../machine/random.ts';
import { type MachineOutcome, type MachineStatistics, pagesReadBy } from '../machine/run-report.ts';
import type { RunWatch } from '../machine/run-watch.ts';
import { MachineClock, runMachine, startOfSchedule } from '../machine/scheduler.ts';
import { type Agent, OptionError, type RealAddress } from '../machine/types.ts';
import type { TraceSink } from '../trace/events.ts';
import { ARM_PAGE_SIZE, affinityOf, type PkvmProfile } from './abi.ts';
import { architectedRegisters } from './cpu/architected-registers.ts';
import { ArmCpu } from './cpu/arm-cpu.ts';
import type { EntryCause } from './cpu/core.ts';
import { GicCpuInterface } from './cpu/gic-cpu-interface.ts';
import type { RegisterPort } from './cpu/port.ts';
import { Stage2Check } from './cpu/stage2-check.ts';
import { Firmware, startAtEl2 } from './el3-firmware.ts';
import { PAGE_STATE } from './hyp/hyp-page.ts';
import { Hypervisor } from './hyp/hypervisor.ts';
import { poolPages } from './hyp/pkvm.ts';
import { armIsa } from './isa/index.ts';
import type { ArmMode } from './isa/mode.ts';
import { layout } from './isa/state.ts';
import type { Attack } from './kvm/hostile/attack.ts';
import { Hostile } from './kvm/hostile/hostile.ts';
import { Kvm } from './kvm/kvm.ts';
import type { KvmHooks } from './kvm/state.ts';
import { watchRun } from './run-watch.ts';
import { KvmGuest } from './vmm/kvm-guest.ts';
import { DISTRIBUTOR, RAM_BASE, REDISTRIBUTOR_BYTES, REDISTRIBUTORS } from './vmm/layout.ts';

/** A guest of KVM's. */
export interface PkvmGuestOptions {
  readonly name: string;
  readonly image: ImageFile;
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  /** Bytes, a multiple of 64 KiB. */
  readonly memory: number;
  readonly cpus: number;
  readonly console: ConsoleBackend;
  /** A virtio block device. */
  readonly disk?: DiskBackend;
}

/** A machine with EL2 below which KVM runs guests. */
export interface PkvmMachineOptions {
  readonly guests: readonly PkvmGuestOptions[];
  /** The guests are protected VMs. */
  readonly protected: boolean;
  readonly profile: PkvmProfile;
  readonly interpret: boolean;
  readonly seed: string;
  readonly seedOverrides?: ReadonlyMap<string, string>;
  readonly crypto: CryptoProvider;
  readonly trace: TraceSink | null;
  /** Ticks of the system counter that a vCPU runs before the next one does; 10 ms by default. */
  readonly timeSlice?: bigint;
  /** What the host does differently. */
  readonly hooks?: KvmHooks;
  /** Watch what the host can learn. */
  readonly watch?: HypervisorViewOptions;
  /** The host is hostile in this way, in place of `hooks`. */
  readonly attack?: Attack;
  /** The two frames that it attacks, counted from the beginning of guest memory; default: the last two that the victim has touched. */
  readonly attackTargets?: readonly [number, number];
}

/** Purposes of the machine's random streams. */
export const PKVM_RANDOM_STREAM = {
  deviceTree: (guest: number): string => `device tree seeds ${guest}`,
  /** Firmware's random numbers, which guests get through the hyp or through their host. */
  trng: 'trng',
} as const;

const MIB = 1 << 20;
const REGION_ALIGN = 0x1_0000;
/** The hyp's code and the host's stubs, a page each; the host is entered behind its own. */
const HYP_TEXT = RAM_BASE as RealAddress;
const HOST_STUBS = (RAM_BASE + ARM_PAGE_SIZE) as RealAddress;
const HOST_ENTRY = BigInt(RAM_BASE + 2 * ARM_PAGE_SIZE);
const POOL_BASE = (RAM_BASE + REGION_ALIGN) as RealAddress;
/** The host's own memory beside tables of guests. */
const HOST_MEMORY = 2 * MIB;
const HOST_SPIS = 32;
/** 10 ms of 62.5 MHz; and less where guests that are used against each other have to run at the same time. */
const TIME_SLICE = 625_000n;
const SHORT_TIME_SLICE = 1_000n;
const MOST_CPUS = 16;

const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/** Where everything lies in RAM: text, the hyp's pool, the host's own memory, then the guests', each on 2 MiB. */
interface Plan {
  readonly bytes: number;
  readonly pool: { readonly base: RealAddress; readonly bytes: number };
  readonly host: { readonly base: RealAddress; readonly bytes: number };
  readonly guests: readonly RealAddress[];
}

function planMemory(guests: readonly PkvmGuestOptions[], cpus: number): Plan {
  const guestBytes = guests.reduce((sum, { memory }) => sum + alignUp(memory, 2 * MIB), 0);
  // A table page for each 2 MiB of a guest, and a margin for upper levels and lists.
  const hostBytes = HOST_MEMORY + guests.length * 64 * ARM_PAGE_SIZE + alignUp(guestBytes / 256, REGION_ALIGN);
  const most = guestBytes + hostBytes + 64 * MIB;
  const poolBytes = alignUp(poolPages([{ base: HYP_TEXT, size: most }], cpus) * ARM_PAGE_SIZE, REGION_ALIGN);
  const host = POOL_BASE + poolBytes;
  let next = alignUp(host + hostBytes, 2 * MIB);
  const places = guests.map(({ memory }) => {
    const place = next as RealAddress;
    next += alignUp(memory, 2 * MIB);
    return place;
  });
  return {
    bytes: next - RAM_BASE,
    pool: { base: POOL_BASE, bytes: poolBytes },
    host: { base: host as RealAddress, bytes: hostBytes },
    guests: places,
  };
}

/**
 * A machine with EL2 as pKVM leaves it: the hyp at EL2, our KVM as its deprivileged host at EL1, and guests that it runs through the hyp. Firmware at EL3
 * has PSCI and random numbers.
 */
export class PkvmMachine {
  readonly clock = new MachineClock();
  readonly memory: RealMemory;
  readonly engine: Engine<ArmMode>;
  readonly cpus: readonly ArmCpu[];
  readonly hyp: Hypervisor;
  readonly kvm: Kvm;
  readonly guests: readonly KvmGuest[];
  /** What the host could learn; null unless watched. */
  readonly view: HypervisorView | null;
  /** null unless the host is hostile. */
  readonly hostile: Hostile | null;
  readonly #gic: GicV3;
  readonly #watch: RunWatch;
  readonly #options: PkvmMachineOptions;
  /** EL3: what the hyp lets through of the host's calls, and its own for guests. */
  readonly #firmware: Firmware;
  readonly #schedule = startOfSchedule();
  readonly #devices = new MmioBus();
  #hostEntries = 0;
  readonly #views: HostView[] = [];

  /**
   * @throws ImageError for an image that cannot be placed
   * @throws OptionError for an option that cannot be granted
   */
  constructor(options: PkvmMachineOptions) {
    this.#options = options;
    const { guests, crypto, profile } = options;
    const cpus = Math.max(1, ...guests.map((guest) => guest.cpus));
    if (cpus > MOST_CPUS) throw new OptionError('--cpus', `a machine with EL2 has at most ${MOST_CPUS}`);
    if (profile === 'L') {
      throw new OptionError('--pkvm-profile', 'profile L has page tables and transitions, but no VMs of its own yet');
    }
    const plan = planMemory(guests, cpus);
    const regions: RegionSpec[] = [{ name: 'ram', base: HYP_TEXT, size: plan.bytes, secure: false }];
    const store = makeStore(regions, Engine.bytes + cpus * (Engine.bytesPerContext + 4096) + 65536);
    this.engine = new Engine(store, armIsa, layout, { translate: !options.interpret });
    this.memory = new RealMemory(store, regions);
    this.#watch = watchRun(options.trace);
    const visibility = { pageBytes: ARM_PAGE_SIZE, visible: (page: number) => this.#isVisible(page) };
    this.view = options.watch === undefined ? null : new HypervisorView(this.memory, crypto, options.watch, visibility);
    const random = new RandomSource(crypto, options.seed, options.seedOverrides);
    this.#firmware = new Firmware({
      cpus: () => this.cpus,
      entropy: random.stream(PKVM_RANDOM_STREAM.trng),
      start: startAtEl2,
      // The host is ours, and ends when its guests have ended.
      systemOff: () => {},
      systemReset: () => {},
    });
    const affinities = Array.from({ length: cpus }, (_, index) => affinityOf(index));
    this.#gic = new GicV3({ affinities, spis: HOST_SPIS });
    this.#devices.add({ ...DISTRIBUTOR, device: this.#gic.distributor });
    this.#devices.add({
      base: REDISTRIBUTORS.base,
      size: cpus * REDISTRIBUTOR_BYTES,
      device: this.#gic.redistributors,
    });
    this.hyp = new Hypervisor({
      view: this.#viewOf('ultravisor'),
      profile,
      memory: [{ base: HYP_TEXT, size: plan.bytes }],
      text: { start: HYP_TEXT, count: 1 },
      cpus,
      host: { entry: HOST_ENTRY, x0: 0n },
      trace: this.#watch,
    });
    const { attack, attackTargets = null } = options;
    this.hostile = attack === undefined ? null : new Hostile(attack, this.#viewOf('device'), attackTargets);
    const hooks = this.hostile ?? options.hooks;
    this.kvm = new Kvm({
      view: this.#viewOf('hypervisor'),
      memory: plan.host,
      devices: this.#devices,
      layout: {
        entry: HOST_ENTRY,
        pool: plan.pool,
        gic: {
          distributor: DISTRIBUTOR.base,
          redistributors: REDISTRIBUTORS.base,
          stride: REDISTRIBUTOR_BYTES,
        },
        cpus,
        timeSlice: options.timeSlice ?? (options.attack?.accomplice === true ? SHORT_TIME_SLICE : TIME_SLICE),
      },
      profile,
      trace: this.#watch,
      ...(hooks && { hooks }),
    });
    this.cpus = affinities.map((_, index) => this.#makeCpu(index));
    this.#closeToHost();
    this.guests = guests.map((guest, index) => {
      const seeds = random.stream(PKVM_RANDOM_STREAM.deviceTree(index));
      const place = plan.guests[index] as RealAddress;
      const more = { host: place, isProtected: options.protected, random: seeds, disk: guest.disk ?? null };
      const views = [this.#viewOf('vmm'), this.#viewOf('device')] as const;
      return new KvmGuest(this.kvm, ...views, { ...guest, ...more }, () => this.clock.now);
    });
    const [first] = this.cpus;
    if (first !== undefined) startAtEl2(first, BigInt(HYP_TEXT), 0n);
  }

  /**
   * Runs until the guests have ended or the clock reaches `limit` instructions.
   * @returns how it ended; `limit` can be run on
   */
  run(limit: number = Number.MAX_SAFE_INTEGER): MachineOutcome {
    const end = runMachine(this.cpus, this.clock, () => this.kvm.finished, limit, this.#schedule);
    if (end === 'limit') return { kind: 'limit', detail: `${limit} instructions` };
    if (end === 'deadlock') return { kind: 'crashed', detail: 'every CPU waits, and nothing is due' };
    const ends = this.kvm.vms.map((vm) => vm.end);
    const worst = ends.find((vmEnd) => vmEnd !== null && vmEnd.kind !== 'poweroff');
    return worst ?? ends[0] ?? { kind: 'crashed', detail: 'there is no guest' };
  }

  /** By VM: the last state in which it could execute. */
  vmStates(): MachineStatistics['vmStates'] {
    return Object.fromEntries(this.kvm.vms.map(({ name, isProtected }) => [name, isProtected ? 'secure' : 'normal']));
  }

  /** Counts since the start. */
  statistics(): MachineStatistics {
    const { exits, calls } = this.kvm.statistics;
    return {
      exits,
      calls,
      pages: this.#watch.pages,
      vmStates: this.vmStates(),
      esmFailures: [],
      hypervisorEntries: this.#hostEntries,
      refused: this.#watch.refused,
      pagesRead: pagesReadBy(this.#views),
    };
  }

  #viewOf(agent: Agent): HostView {
    // Without full isolation devices are not held back (arm64-pkvm.md 1.2 T6).
    const unchecked = agent === 'ultravisor' || (agent === 'device' && this.#options.profile !== 'I');
    const view = new HostView(this.memory, { agent, secure: unchecked }, this.#watch, () => this.clock.stamp);
    this.#views.push(view);
    return view;
  }

  /** What native host code and devices reach goes through the host's stage 2: what is not mapped there is mapped or refused, as an abort would be. */
  #closeToHost(): void {
    const check = new Stage2Check(this.memory);
    this.memory.guard = (address, length, write) => {
      const registers = this.hyp.hostStage2;
      if (registers === null) return true;
      for (let page = address - (address % ARM_PAGE_SIZE); page < address + length; page += ARM_PAGE_SIZE) {
        const allowed = check.allows(registers, page, write);
        if (!allowed && !(this.hyp.touch(page) && check.allows(registers, page, write))) return false;
      }
      return true;
    };
  }

  #makeCpu(index: number): ArmCpu {
    const everyCpu = (action: (cpu: ArmCpu) => void): void => {
      for (const cpu of this.cpus) action(cpu);
    };
    return new ArmCpu({
      memory: this.memory,
      engine: this.engine,
      clock: this.clock,
      index,
      trace: this.#options.trace,
      gic: (core) => new GicCpuInterface(core, this.#gic),
      conduit: 'smc',
      firmware: (cpu) => this.#firmware.call(cpu),
      native: {
        hyp: { level: this.hyp, stubPage: HYP_TEXT, boot: (port: RegisterPort) => this.hyp.boot(port) },
        host: { level: this.kvm, stubPage: HOST_STUBS },
      },
      devices: {
        covers: (address, size) => this.#devices.covers(address, size),
        read: (address, size) => this.#devices.read(address, size),
        write: (address, size, value) => this.#devices.write(address, size, value),
        deadline: null,
      },
      peers: {
        invalidateTranslations: () => everyCpu((cpu) => cpu.flushTranslations()),
        sendEvent: () => everyCpu((cpu) => cpu.registerEvent()),
      },
      onLevelEnter: (cpu, level, cause, nia) => this.#entered(cpu, level, cause, nia),
    });
  }

  /** The host gets control. */
  #entered(cpu: ArmCpu, level: number, cause: EntryCause, nia: bigint): void {
    if (level !== 1 || cpu.core.vmid !== 0) return;
    this.#hostEntries += 1;
    if (this.view === null) return;
    const registers = architectedRegisters(cpu.core);
    this.view.observe({ clock: Number(cpu.now), cpu: cpu.index, cause, nia, registers });
  }

  /** Whether the host may read a page: it owns it, or somebody shared it. */
  #isVisible(page: number): boolean {
    const pages = this.hyp.hostStage2 === null ? undefined : this.hyp.pkvm?.pages;
    return pages === undefined || page === HYP_TEXT || pages.hostState(page) !== PAGE_STATE.noPage;
  }
}
