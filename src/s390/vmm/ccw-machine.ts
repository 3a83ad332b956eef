import type { ConsoleBackend } from '../../devices/console.ts';
import type { DeviceMemory } from '../../devices/device-memory.ts';
import type { DiskBackend } from '../../devices/disk.ts';
import { VirtioCore } from '../../devices/virtio.ts';
import { VirtioBlk } from '../../devices/virtio-blk.ts';
import type { ImageFile } from '../../image/image-file.ts';
import { PGM, PSW } from '../abi.ts';
import type { Platform, ServiceAnswer, ServiceCall, ServiceHandler, Services } from '../cpu/port.ts';
import type { EntryState, UserSpace } from '../kvm/user-space.ts';
import { channelInstructions } from './channel-instructions.ts';
import { ChannelSubsystem } from './channel-subsystem.ts';
import { FloatingQueue, SERVICE_EVENTS_PENDING } from './floating-queue.ts';
import { Ipl } from './ipl.ts';
import { type KernelImage, placeKernel } from './kernel-image.ts';
import { Sclp } from './sclp.ts';
import { virtualMachineInformation } from './stsi.ts';
import { VirtioCcw } from './virtio-ccw.ts';

/** What an `s390-ccw-virtio` machine is given. */
export interface CcwMachineOptions {
  readonly name: string;
  readonly image: ImageFile;
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  readonly console: ConsoleBackend;
  readonly disk: DiskBackend | null;
  /** The guest may ask to become protected (facility 161): DIAGNOSE 0x308 takes subcodes 8 to 10. */
  readonly unpack: boolean;
  /** Devices are to reach what the guest shares, and the driver has to agree. */
  readonly platformAccess: boolean;
}

/** Memory of the machine, by absolute addresses. */
export interface CcwMemory extends DeviceMemory {
  /** Sets bytes to 0. */
  clear(address: bigint, length: number): void;
}

/** Most CPUs: as many as QEMU 7.2 has. */
export const MOST_CPUS = 248;
/** SCLP counts memory in these. */
export const MEMORY_INCREMENT = 1 << 20;

/** Clock units (instructions) between two looks for what was typed, while the guest waits for it. */
const POLL_PERIOD = 1_000_000;

const DIAGNOSE = { IPL: 0x308, VIRTIO: 0x500 } as const;
/** Functions of DIAGNOSE 0x500, and its answer to what it does not know. */
const HYPERCALL = { NOTIFY_EARLY_CONSOLE: 0n, NOTIFY: 3n } as const;
const EINVAL = BigInt.asUintN(64, -22n);

/** QEMU leaves parameters for its boot loader in the prefix area; without one they are zeros. */
const BOOT_PARAMETERS = { at: 0xccn, bytes: 28 } as const;

/** A disabled wait at this address says that the guest is done. */
const WAIT_DONE = 0xfffn;

/**
 * QEMU's `s390-ccw-virtio` around its CPUs: SCLP with its consoles, a channel subsystem with a virtio disk, DIAGNOSE, and the image in memory. It is the same for a machine of its
 * own and for a VM of our hypervisor.
 */
export class CcwMachine implements UserSpace {
  readonly services: Services;
  readonly queue: FloatingQueue;
  readonly sclp: Sclp;
  readonly css: ChannelSubsystem;
  readonly #memory: CcwMemory;
  readonly #platform: Platform;
  readonly #kernel: KernelImage;
  readonly #ipl: Ipl;
  readonly #clock: () => number;
  readonly #devices = new Map<number, VirtioCcw>();
  #nextPoll = 0;

  /**
   * @param clock instructions of the machine
   * @throws ImageError for an image that cannot be placed
   * @throws OptionError for a command line that is too long
   */
  constructor(platform: Platform, memory: CcwMemory, options: CcwMachineOptions, clock: () => number) {
    this.#platform = platform;
    this.#memory = memory;
    this.#clock = clock;
    this.#kernel = placeKernel({ ...options, memory: platform.memory });
    this.queue = new FloatingQueue(() => platform.notice());
    this.sclp = new Sclp(platform, options.console);
    this.css = new ChannelSubsystem(memory, this.queue);
    if (options.disk !== null) this.#attachDisk(options.disk, options.platformAccess);
    this.#ipl = new Ipl({
      platform,
      unpack: options.unpack,
      subsystemReset: () => this.subsystemReset(),
      load: () => this.load(),
      readRestartPsw: () => new DataView(memory.read(0n, 8).buffer).getBigUint64(0),
    });
    this.services = this.#makeServices(virtualMachineInformation(platform.cpus, options.name));
  }

  get protectedBlock(): Uint8Array | null {
    return this.#ipl.protectedBlock;
  }

  subsystemReset(): void {
    this.sclp.reset();
    this.css.reset();
    this.queue.clear();
    this.#nextPoll = 0;
  }

  /** Puts everything into memory, as at power-on; memory that nothing is put into stays as it is. */
  load(): EntryState {
    for (const { base, bytes, end } of this.#kernel.segments) {
      this.#memory.write(BigInt(base), bytes);
      if (end > base + bytes.length) this.#memory.clear(BigInt(base + bytes.length), end - base - bytes.length);
    }
    this.#memory.clear(BOOT_PARAMETERS.at, BOOT_PARAMETERS.bytes);
    return { mask: PSW.EA | PSW.BA, address: BigInt(this.#kernel.entry) };
  }

  disabledWait(cpu: number, address: bigint | null): void {
    const others = Array.from({ length: this.#platform.cpus }, (_, index) => index).filter((index) => index !== cpu);
    this.#platform.stop(cpu);
    if (others.some((index) => this.#platform.state(index) === 'operating')) return;
    if (address === WAIT_DONE) this.#platform.finish('poweroff', 'disabled wait at 0xfff');
    else this.#platform.finish('crashed', `disabled wait${address === null ? '' : ` at 0x${address.toString(16)}`}`);
  }

  #attachDisk(disk: DiskBackend, platformAccess: boolean): void {
    const core = new VirtioCore(new VirtioBlk(disk), this.#memory, platformAccess);
    const device = new VirtioCcw(core, this.#memory, {
      alert: () => void subchannel.alert(),
      adapter: (isc) => this.queue.adapter(isc),
    });
    const subchannel = this.css.attach(device);
    this.#devices.set(subchannel.number, device);
  }

  #makeServices(virtualMachine: Uint8Array): Services {
    const instructions = new Map<string, ServiceHandler>(channelInstructions(this.css, this.queue));
    instructions.set('servc', (call) => this.#serviceCall(call));
    const diagnose = new Map<number, ServiceHandler>([
      [DIAGNOSE.IPL, (call) => this.#ipl.diagnose(call)],
      [DIAGNOSE.VIRTIO, (call) => this.#hypercall(call)],
    ]);
    const deadline = (): number | null => (this.sclp.events.listening ? this.#nextPoll : null);
    return {
      instructions,
      diagnose,
      interruptions: this.queue,
      poll: () => this.#poll(),
      get deadline() {
        return deadline();
      },
      virtualMachine,
    };
  }

  /** Looks for what was typed, if it is time to. */
  #poll(): void {
    const { events } = this.sclp;
    if (!events.listening || this.#clock() < this.#nextPoll) return;
    this.#nextPoll = this.#clock() + POLL_PERIOD;
    events.poll();
    if (events.pending) this.queue.serviceSignal(SERVICE_EVENTS_PENDING);
  }

  /** SERVC (s390-pv.md 8.6): R1 has the command word, R2 the address of the block. */
  #serviceCall(call: ServiceCall): ServiceAnswer {
    const command = Number(BigInt.asUintN(32, call.gr(call.r1)));
    const address = call.gr(call.r2);
    const page = address & ~0x1fffn;
    if (address >= BigInt(this.#platform.memory)) return { program: PGM.ADDRESSING };
    if (page === 0n || page === BigInt(call.prefix) || (address & ~0x7ffffff8n) !== 0n) {
      return { program: PGM.SPECIFICATION };
    }
    const header = call.read('absolute', address, 8);
    if (header === null) return 'fault';
    const length = new DataView(header.buffer, header.byteOffset).getUint16(0);
    if (length < 8) return { program: PGM.SPECIFICATION };
    const block = call.read('absolute', address, length);
    if (block === null) return 'fault';
    this.sclp.call(command, block, Number(address));
    if (!call.write('absolute', address, block)) return 'fault';
    this.queue.serviceSignal(Number(address) | (this.sclp.events.pending ? SERVICE_EVENTS_PENDING : 0));
    return 0;
  }

  /** DIAGNOSE 0x500 (virtio 1.2, 4.3.3.2): GR1 is the function, GR2 the subchannel, GR3 the queue; GR2 has the answer. */
  #hypercall(call: ServiceCall): ServiceAnswer {
    call.setGr(2, this.#hypercallResult(call));
    return 'done';
  }

  #hypercallResult(call: ServiceCall): bigint {
    switch (call.gr(1)) {
      case HYPERCALL.NOTIFY_EARLY_CONSOLE:
        return call.gr(2) < BigInt(this.#platform.memory) ? 0n : EINVAL;
      case HYPERCALL.NOTIFY: {
        const subchannel = this.css.find(Number(BigInt.asUintN(32, call.gr(2))));
        const device = subchannel && this.#devices.get(subchannel.number);
        return device?.notify(Number(BigInt.asUintN(32, call.gr(3)))) ? 0n : EINVAL;
      }
      default:
        return EINVAL;
    }
  }
}
