import type { CryptoProvider } from '../crypto/provider.ts';
import type { ConsoleBackend } from '../devices/console.ts';
import type { DiskBackend } from '../devices/disk.ts';
import { GicV3 } from '../devices/gicv3.ts';
import { Engine } from '../engine/engine.ts';
import type { ImageFile } from '../image/image-file.ts';
import { HostView } from '../machine/host-view.ts';
import { makeStore } from '../machine/make-store.ts';
import { RealMemory, type RegionSpec } from '../machine/memory.ts';
import { RandomSource } from '../machine/random.ts';
import type { MachineOutcome, MachineStatistics } from '../machine/run-report.ts';
import { MachineClock, runMachine, startOfSchedule } from '../machine/scheduler.ts';
import { OptionError, type RealAddress } from '../machine/types.ts';
import type { TraceSink } from '../trace/events.ts';
import { affinityOf, PSTATE, SPSR_MODE } from './abi.ts';
import { ArmCpu } from './cpu/arm-cpu.ts';
import { GicCpuInterface } from './cpu/gic-cpu-interface.ts';
import { Firmware } from './el3-firmware.ts';
import { armIsa } from './isa/index.ts';
import type { ArmMode } from './isa/mode.ts';
import { layout } from './isa/state.ts';
import { GuestDma } from './vmm/guest-dma.ts';
import { DISTRIBUTOR, MOST_CPUS, RAM_BASE, REDISTRIBUTOR_BYTES, REDISTRIBUTORS, SPI_COUNT } from './vmm/layout.ts';
import { Virt } from './vmm/virt.ts';

/** The one guest of a plain machine. */
export interface ArmGuestOptions {
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

/** A `virt` machine. */
export interface ArmMachineOptions {
  readonly guest: ArmGuestOptions;
  /** Interpret everything. */
  readonly interpret: boolean;
  readonly seed: string;
  /** Seeds of single random streams, by purpose. */
  readonly seedOverrides?: ReadonlyMap<string, string>;
  readonly crypto: CryptoProvider;
  readonly trace: TraceSink | null;
}

/** Purposes of the machine's random streams. */
export const ARM_RANDOM_STREAM = { deviceTree: 'device tree seeds' } as const;

/** EL1 with everything masked: how firmware starts a PE. */
const AT_EL1 = PSTATE.DAIF | SPSR_MODE.EL1h;

/**
 * QEMU's `virt` as it is without `virtualization=on`: PEs that have no EL2, whose HVC calls the machine's own PSCI firmware. One guest has all of it.
 */
export class ArmMachine {
  readonly clock = new MachineClock();
  readonly memory: RealMemory;
  readonly engine: Engine<ArmMode>;
  readonly cpus: readonly ArmCpu[];
  readonly gic: GicV3;
  readonly virt: Virt;
  readonly #name: string;
  readonly #schedule = startOfSchedule();
  readonly #calls: Record<string, number> = {};
  readonly #firmware = new Firmware({
    cpus: () => this.cpus,
    // QEMU's has none.
    entropy: null,
    start: startAt,
    systemOff: () => this.#finish({ kind: 'poweroff', detail: 'PSCI SYSTEM_OFF' }),
    systemReset: () => {
      this.#resetDue = true;
      this.#stopAll();
    },
  });
  #end: MachineOutcome | null = null;
  #resetDue = false;

  /**
   * @throws ImageError for an image that cannot be placed
   * @throws OptionError for an option that cannot be granted
   */
  constructor(options: ArmMachineOptions) {
    const { guest, crypto, trace } = options;
    this.#name = guest.name;
    if (guest.cpus > MOST_CPUS) throw new OptionError('--cpus', `virt has at most ${MOST_CPUS}`);
    const regions: RegionSpec[] = [{ name: 'ram', base: RAM_BASE as RealAddress, size: guest.memory, secure: false }];
    const store = makeStore(regions, Engine.bytes + guest.cpus * (Engine.bytesPerContext + 4096) + 65536);
    this.engine = new Engine(store, armIsa, layout, { translate: !options.interpret });
    this.memory = new RealMemory(store, regions);
    const random = new RandomSource(crypto, options.seed, options.seedOverrides);
    const view = new HostView(this.memory, { agent: 'vmm', secure: false }, trace, () => this.clock.stamp);
    this.gic = new GicV3({
      affinities: Array.from({ length: guest.cpus }, (_, index) => affinityOf(index)),
      spis: SPI_COUNT,
    });
    const device = new HostView(this.memory, { agent: 'device', secure: false }, trace, () => this.clock.stamp);
    const end = BigInt(RAM_BASE + guest.memory);
    const dma = new GuestDma(device, (page) => (page < end ? (Number(page) as RealAddress) : undefined));
    const disk = guest.disk === undefined ? null : { backend: guest.disk, memory: dma, platformAccess: false };
    this.virt = new Virt(
      view,
      { ...guest, disk, conduit: 'hvc', random: random.stream(ARM_RANDOM_STREAM.deviceTree) },
      this.gic,
      () => this.clock.now,
    );
    this.virt.bus.add({ ...DISTRIBUTOR, device: this.gic.distributor });
    this.virt.bus.add({
      base: REDISTRIBUTORS.base,
      size: guest.cpus * REDISTRIBUTOR_BYTES,
      device: this.gic.redistributors,
    });
    this.cpus = Array.from({ length: guest.cpus }, (_, index) => this.#makeCpu(index, trace));
    this.#start();
  }

  /**
   * Runs until the guest has ended or the clock reaches `limit` instructions.
   * @returns how it ended; `limit` can be run on
   */
  run(limit: number = Number.MAX_SAFE_INTEGER): MachineOutcome {
    const end = runMachine(this.cpus, this.clock, () => this.#look(), limit, this.#schedule);
    if (end === 'limit') return { kind: 'limit', detail: `${limit} instructions` };
    if (end === 'deadlock') return { kind: 'crashed', detail: 'every CPU waits, and nothing is due' };
    return this.#end ?? { kind: 'crashed', detail: 'every CPU is off' };
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
    if (this.#resetDue) {
      this.#resetDue = false;
      this.gic.reset();
      this.virt.reset();
      this.#start();
    }
    return this.#end !== null || this.cpus.every((cpu) => cpu.stopped);
  }

  /** Loads memory and starts the first PE. */
  #start(): void {
    this.virt.load();
    const [first] = this.cpus;
    const { entry, argument } = this.virt.kernel;
    for (const cpu of this.cpus) cpu.powerOff();
    if (first !== undefined) startAt(first, entry, argument);
  }

  #makeCpu(index: number, trace: TraceSink | null): ArmCpu {
    const { virt } = this;
    return new ArmCpu({
      memory: this.memory,
      engine: this.engine,
      clock: this.clock,
      index,
      trace,
      gic: (core) => {
        const gic = new GicCpuInterface(core, this.gic);
        return {
          access: (...access) => gic.access(...access),
          update: (...parts) => {
            virt.poll();
            gic.update(...parts);
          },
        };
      },
      conduit: 'hvc',
      firmware: (cpu) => this.#callFirmware(cpu),
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
    });
  }

  #callFirmware(cpu: ArmCpu): void {
    const id = Number(cpu.x(0) & 0xffffffffn);
    const name = `0x${id.toString(16)}`;
    this.#calls[name] = (this.#calls[name] ?? 0) + 1;
    this.#firmware.call(cpu);
  }

  #finish(end: MachineOutcome): void {
    this.#end = end;
    this.#stopAll();
  }

  #stopAll(): void {
    for (const cpu of this.cpus) {
      cpu.powerOff();
      cpu.endSlice();
    }
  }
}

/** Starts a PE at EL1 as after a reset. */
function startAt(cpu: ArmCpu, entry: bigint, argument: bigint): void {
  cpu.reset();
  cpu.setX(0, argument);
  cpu.place(AT_EL1, entry);
}
