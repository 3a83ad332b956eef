import type { ConsoleBackend } from '../../devices/console.ts';
import type { DeviceMemory } from '../../devices/device-memory.ts';
import type { DiskBackend } from '../../devices/disk.ts';
import { MmioBus, type MmioDevice } from '../../devices/mmio.ts';
import { Pl011 } from '../../devices/pl011.ts';
import { VirtioCore } from '../../devices/virtio.ts';
import { VirtioBlk } from '../../devices/virtio-blk.ts';
import { VirtioMmio } from '../../devices/virtio-mmio.ts';
import { writeFdt } from '../../image/fdt.ts';
import type { ImageFile } from '../../image/image-file.ts';
import type { RealAddress } from '../../machine/types.ts';
import { virtTree } from './device-tree.ts';
import { type KernelImage, placeKernel } from './kernel-image.ts';
import { FIRST_VIRTIO, UART, UART_SPI, VIRTIO } from './layout.ts';

/** What a `virt` machine is given. */
export interface VirtOptions {
  readonly image: ImageFile;
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  /** Bytes of RAM. */
  readonly memory: number;
  readonly cpus: number;
  readonly console: ConsoleBackend;
  /** How PSCI is called: by `hvc` where the guest runs at EL1. */
  readonly conduit: 'hvc' | 'smc';
  readonly random: (bytes: number) => Uint8Array;
  readonly disk: DiskOptions | null;
}

/** A virtio block device. */
export interface DiskOptions {
  readonly backend: DiskBackend;
  /** Memory as the device reaches it. */
  readonly memory: DeviceMemory;
  /** It reaches no more than the guest has shared, and says so. */
  readonly platformAccess: boolean;
}

/** A guest's memory at its physical addresses, for loading. */
export interface GuestRam {
  write(address: RealAddress, bytes: Uint8Array): void;
  fill(address: RealAddress, length: number, value: number): void;
}

/** Interrupt inputs of the machine's GIC that devices drive. */
export interface InterruptInputs {
  /** @param spi number of the shared peripheral interrupt, from 0 */
  setSpi(spi: number, level: boolean): void;
}

/** Clock units (instructions) between two looks for what was typed, while the guest waits for it: a millisecond. */
const POLL_PERIOD = 1_000_000;

/** QEMU's `virt` machine around its PEs and its GIC: devices, and an image in RAM with its device tree. */
export class Virt {
  readonly bus = new MmioBus();
  readonly uart: Pl011;
  readonly kernel: KernelImage;
  readonly #view: GuestRam;
  readonly #virtio: readonly VirtioMmio[];
  readonly #tree: Uint8Array;
  readonly #initrd: ImageFile | null;
  readonly #clock: () => number;
  #nextPoll = 0;

  /**
   * @param view guest memory at its physical addresses
   * @param clock instructions of the machine
   * @throws ImageError for an image that cannot be placed
   */
  constructor(view: GuestRam, options: VirtOptions, interrupts: InterruptInputs, clock: () => number) {
    this.#view = view;
    this.#clock = clock;
    this.#initrd = options.initrd;
    this.uart = new Pl011(options.console, (level) => interrupts.setSpi(UART_SPI, level));
    this.bus.add({ ...UART, device: this.uart });
    this.#virtio = Array.from({ length: VIRTIO.count }, (_, n) => {
      const line = (level: boolean): void => interrupts.setSpi(VIRTIO.firstSpi + n, level);
      return new VirtioMmio(n === FIRST_VIRTIO ? diskOf(options.disk) : null, line);
    });
    this.bus.add({ base: VIRTIO.base, size: VIRTIO.count * VIRTIO.stride, device: transports(this.#virtio) });
    const seeds = { rngSeed: options.random(32), kaslrSeed: options.random(8) };
    const treeWith = (initrd: KernelImage['initrd']): Uint8Array =>
      writeFdt({ root: virtTree({ ...options, ...seeds, initrd }), reservations: [], bootCpuidPhys: 0 });
    // An initrd's addresses change the contents of the tree, and not its size.
    const size = treeWith(options.initrd === null ? null : { base: 0, size: 0 }).length;
    this.kernel = placeKernel(options.image, options.initrd, options.memory, size);
    this.#tree = treeWith(this.kernel.initrd);
  }

  /** Puts everything into memory, as at power-on; memory that nothing is put into stays as it is. */
  load(): void {
    const { segments, tree, initrd } = this.kernel;
    for (const { base, bytes, end } of segments) {
      this.#view.write(base as RealAddress, bytes);
      if (end > base + bytes.length)
        this.#view.fill((base + bytes.length) as RealAddress, end - base - bytes.length, 0);
    }
    if (initrd !== null && this.#initrd !== null) this.#view.write(initrd.base as RealAddress, this.#initrd.bytes);
    if (tree !== null) this.#view.write(tree as RealAddress, this.#tree);
  }

  /** Devices as after power-on. */
  reset(): void {
    this.uart.reset();
    for (const transport of this.#virtio) transport.reset();
  }

  /** When `poll` has something to look for; null for never. */
  get deadline(): number | null {
    return this.uart.listening ? this.#nextPoll : null;
  }

  /** Looks for what was typed, if it is time to. */
  poll(): void {
    if (!this.uart.listening || this.#clock() < this.#nextPoll) return;
    this.#nextPoll = this.#clock() + POLL_PERIOD;
    this.uart.poll();
  }
}

function diskOf(disk: DiskOptions | null): VirtioCore | null {
  return disk === null ? null : new VirtioCore(new VirtioBlk(disk.backend), disk.memory, disk.platformAccess);
}

/** Transports one behind the other, as one device. */
function transports(all: readonly VirtioMmio[]): MmioDevice {
  return {
    read: (offset, size) => all[Math.floor(offset / VIRTIO.stride)]?.read(offset % VIRTIO.stride, size) ?? 0n,
    write: (offset, size, value) => all[Math.floor(offset / VIRTIO.stride)]?.write(offset % VIRTIO.stride, size, value),
  };
}
