import type { CryptoProvider } from '../crypto/provider.ts';
import type { ConsoleBackend } from '../devices/console.ts';
import { GicV3 } from '../devices/gicv3.ts';
import { Engine } from '../engine/engine.ts';
import { ImageError } from '../image/error.ts';
import type { ImageFile } from '../image/image-file.ts';
import { HostView } from '../machine/host-view.ts';
import { makeStore } from '../machine/make-store.ts';
import { RealMemory, type RegionSpec } from '../machine/memory.ts';
import { RandomSource } from '../machine/random.ts';
import type { MachineOutcome, MachineStatistics, ReportedVmState } from '../machine/run-report.ts';
import type { RunWatch } from '../machine/run-watch.ts';
import { MachineClock, runMachine, startOfSchedule } from '../machine/scheduler.ts';
import { type Agent, OptionError, type RealAddress } from '../machine/types.ts';
import type { TraceEvent, TraceSink } from '../trace/events.ts';
import { ARM_PAGE_SIZE, affinityOf, type PkvmProfile, VM_HANDLE } from './abi.ts';
import { ArmCpu } from './cpu/arm-cpu.ts';
import { GicCpuInterface } from './cpu/gic-cpu-interface.ts';
import type { RegisterPort } from './cpu/port.ts';
import { Firmware, startAtEl2 } from './el3-firmware.ts';
import { Hypervisor } from './hyp/hypervisor.ts';
import { armIsa } from './isa/index.ts';
import type { ArmMode } from './isa/mode.ts';
import { layout } from './isa/state.ts';
import { watchRun } from './run-watch.ts';
import { DISTRIBUTOR, MOST_CPUS, RAM_BASE, REDISTRIBUTOR_BYTES, REDISTRIBUTORS, SPI_COUNT } from './vmm/layout.ts';
import { Virt } from './vmm/virt.ts';

/** A host in machine code, and the machine below it. */
export interface ArmHostOptions {
  readonly image: ImageFile;
  /** What it is to run; the device tree says where it lies. */
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  /** Bytes that the host has, a multiple of 64 KiB. */
  readonly memory: number;
  readonly cpus: number;
  readonly console: ConsoleBackend;
  readonly profile: PkvmProfile;
  readonly interpret: boolean;
  readonly seed: string;
  readonly seedOverrides?: ReadonlyMap<string, string>;
  readonly crypto: CryptoProvider;
  readonly trace: TraceSink | null;
}

/** The hyp's code lies behind the host's memory, in a region's worth that the device tree does not tell of. */
const HYP_TEXT_BYTES = 0x1_0000;

/** Counts the host's calls, those of protected guests, and what VMs there were. */
class HostWatch implements TraceSink {
  readonly calls: Record<string, number> = {};
  readonly vmStates: Record<string, ReportedVmState> = {};
  readonly #next: TraceSink;
  readonly #isProtected: (handle: number) => boolean;

  constructor(next: TraceSink, isProtected: (handle: number) => boolean) {
    this.#next = next;
    this.#isProtected = isProtected;
  }

  emit(event: TraceEvent): void {
    if (event.type === 'call') this.calls[event.name] = (this.calls[event.name] ?? 0) + 1;
    if (event.type === 'vm-state' && event.to === 'CREATED')
      this.vmStates[`vm${event.vm - VM_HANDLE.first}`] = this.#isProtected(event.vm) ? 'secure' : 'normal';
    this.#next.emit(event);
  }
}

/**
 * A machine whose host is machine code: the hyp at EL2, and at EL1 whatever the image is. It is entered as Linux leaves itself for pKVM: the hyp's vectors are in
 * place, nothing is initialised, MMU off, everything masked, X0 the device tree. The host makes all calls itself (arm64-pkvm.md 8.1); PSCI is
 * called by SMC. Devices are those of `virt` without disks.
 */
export class ArmHostMachine {
  readonly clock = new MachineClock();
  readonly memory: RealMemory;
  readonly engine: Engine<ArmMode>;
  readonly cpus: readonly ArmCpu[];
  readonly hyp: Hypervisor;
  readonly virt: Virt;
  readonly #gic: GicV3;
  readonly #run: RunWatch;
  readonly #watch: HostWatch;
  readonly #options: ArmHostOptions;
  readonly #stubPage: RealAddress;
  readonly #firmware: Firmware;
  readonly #schedule = startOfSchedule();
  #end: MachineOutcome | null = null;
  #hostEntries = 0;

  /**
   * @throws ImageError for an image that cannot be placed
   * @throws OptionError for an option that cannot be granted
   */
  constructor(options: ArmHostOptions) {
    const { memory, cpus, crypto, profile, seed, seedOverrides } = options;
    this.#options = options;
    if (cpus > MOST_CPUS) throw new OptionError('--cpus', `virt has at most ${MOST_CPUS}`);
    if (profile === 'L') {
      throw new OptionError('--pkvm-profile', 'profile L has page tables and transitions, but no VMs of its own yet');
    }
    const bytes = memory + HYP_TEXT_BYTES;
    this.#stubPage = (RAM_BASE + memory) as RealAddress;
    const regions: RegionSpec[] = [{ name: 'ram', base: RAM_BASE as RealAddress, size: bytes, secure: false }];
    const store = makeStore(regions, Engine.bytes + cpus * (Engine.bytesPerContext + 4096) + 65536);
    this.engine = new Engine(store, armIsa, layout, { translate: !options.interpret });
    this.memory = new RealMemory(store, regions);
    this.#run = watchRun(options.trace);
    this.#watch = new HostWatch(this.#run, (handle) => this.#isProtected(handle));
    const random = new RandomSource(crypto, seed, seedOverrides);
    const affinities = Array.from({ length: cpus }, (_, index) => affinityOf(index));
    this.#gic = new GicV3({ affinities, spis: SPI_COUNT });
    this.virt = new Virt(
      this.#viewOf('vmm'),
      { ...options, disk: null, conduit: 'smc', random: random.stream('device tree seeds') },
      this.#gic,
      () => this.clock.now,
    );
    this.virt.bus.add({ ...DISTRIBUTOR, device: this.#gic.distributor });
    this.virt.bus.add({
      base: REDISTRIBUTORS.base,
      size: cpus * REDISTRIBUTOR_BYTES,
      device: this.#gic.redistributors,
    });
    const { entry, tree } = this.virt.kernel;
    if (tree === null) {
      throw new ImageError(options.image.file, 'device tree', 'the image leaves no room for it at the start of RAM');
    }
    this.hyp = new Hypervisor({
      view: this.#viewOf('ultravisor'),
      profile,
      memory: [{ base: RAM_BASE as RealAddress, size: bytes }],
      text: { start: this.#stubPage, count: HYP_TEXT_BYTES / ARM_PAGE_SIZE },
      cpus,
      host: { entry, x0: BigInt(tree) },
      trace: this.#watch,
    });
    this.#firmware = new Firmware({
      cpus: () => this.cpus,
      entropy: random.stream('trng'),
      start: startAtEl2,
      systemOff: () => this.#finish({ kind: 'poweroff', detail: 'PSCI SYSTEM_OFF' }),
      // A hyp cannot begin anew with pages that belong to somebody.
      systemReset: () => this.#finish({ kind: 'stopped', detail: 'PSCI SYSTEM_RESET' }),
    });
    this.cpus = affinities.map((_, index) => this.#makeCpu(index));
    this.virt.load();
    const [first] = this.cpus;
    if (first !== undefined) startAtEl2(first, BigInt(this.#stubPage), 0n);
  }

  /**
   * Runs until the host has ended or the clock reaches `limit` instructions.
   * @returns how it ended; `limit` can be run on
   */
  run(limit: number = Number.MAX_SAFE_INTEGER): MachineOutcome {
    const end = runMachine(this.cpus, this.clock, () => this.#isOver(), limit, this.#schedule);
    if (end === 'limit') return { kind: 'limit', detail: `${limit} instructions` };
    if (end === 'deadlock') return { kind: 'crashed', detail: 'every CPU waits, and nothing is due' };
    return this.#end ?? { kind: 'crashed', detail: 'every CPU is off' };
  }

  /** By VM, in the order of their handles: protected or not. */
  vmStates(): MachineStatistics['vmStates'] {
    return this.#watch.vmStates;
  }

  /** Counts since the start. Exits are the host's own affair. */
  statistics(): MachineStatistics {
    return {
      exits: {},
      calls: this.#watch.calls,
      pages: this.#run.pages,
      vmStates: this.vmStates(),
      esmFailures: [],
      hypervisorEntries: this.#hostEntries,
      refused: this.#run.refused,
    };
  }

  #isOver(): boolean {
    return this.#end !== null || this.cpus.every((cpu) => cpu.stopped);
  }

  #isProtected(handle: number): boolean {
    return this.hyp.pkvm?.vms.find(BigInt(handle))?.isProtected ?? false;
  }

  #viewOf(agent: Agent): HostView {
    return new HostView(this.memory, { agent, secure: agent === 'ultravisor' }, this.#watch, () => this.clock.stamp);
  }

  #makeCpu(index: number): ArmCpu {
    const { virt } = this;
    return new ArmCpu({
      memory: this.memory,
      engine: this.engine,
      clock: this.clock,
      index,
      trace: this.#options.trace,
      gic: (core) => {
        const gic = new GicCpuInterface(core, this.#gic);
        return {
          access: (...access) => gic.access(...access),
          update: (...parts) => {
            virt.poll();
            gic.update(...parts);
          },
        };
      },
      conduit: 'smc',
      firmware: (cpu) => this.#firmware.call(cpu),
      native: {
        hyp: { level: this.hyp, stubPage: this.#stubPage, boot: (port: RegisterPort) => this.hyp.boot(port) },
      },
      devices: {
        covers: (address, size) => virt.bus.covers(address, size),
        read: (address, size) => virt.bus.read(address, size),
        write: (address, size, value) => virt.bus.write(address, size, value),
        get deadline() {
          return virt.deadline;
        },
      },
      peers: {
        invalidateTranslations: () => {
          for (const cpu of this.cpus) cpu.flushTranslations();
        },
        sendEvent: () => {
          for (const cpu of this.cpus) cpu.registerEvent();
        },
      },
      onLevelEnter: (cpu, level) => {
        if (level === 1 && cpu.core.vmid === 0) this.#hostEntries += 1;
      },
    });
  }

  #finish(end: MachineOutcome): void {
    this.#end = end;
    for (const cpu of this.cpus) {
      cpu.powerOff();
      cpu.endSlice();
    }
  }
}
