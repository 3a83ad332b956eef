import type { ConsoleBackend } from '../../devices/console.ts';
import type { DiskBackend } from '../../devices/disk.ts';
import { GicV3 } from '../../devices/gicv3.ts';
import type { MmioSize } from '../../devices/mmio.ts';
import type { ImageFile } from '../../image/image-file.ts';
import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, affinityOf } from '../abi.ts';
import type { Kvm } from '../kvm/kvm.ts';
import type { UserSpace } from '../kvm/user-space.ts';
import type { Vm } from '../kvm/vm.ts';
import { GuestDma } from './guest-dma.ts';
import { DISTRIBUTOR, RAM_BASE, REDISTRIBUTOR_BYTES, REDISTRIBUTORS, SPI_COUNT } from './layout.ts';
import { Virt } from './virt.ts';

/** A guest of KVM's on a `virt` machine. */
export interface KvmGuestOptions {
  readonly name: string;
  readonly isProtected: boolean;
  readonly image: ImageFile;
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  /** Bytes. */
  readonly memory: number;
  readonly cpus: number;
  readonly console: ConsoleBackend;
  /** Host memory for it, consecutive. */
  readonly host: RealAddress;
  readonly random: (bytes: number) => Uint8Array;
  readonly disk: DiskBackend | null;
}

/** The VMM of one guest: `virt` with its devices and interrupt controller, for which KVM stops the guest. */
export class KvmGuest implements UserSpace {
  readonly vm: Vm;
  readonly virt: Virt;

  /**
   * @param view memory with the VMM's rights
   * @param device the same with those of a device
   * @param clock instructions of the machine
   * @throws ImageError for an image that cannot be placed
   */
  constructor(kvm: Kvm, view: HostView, device: HostView, options: KvmGuestOptions, clock: () => number) {
    const { memory, cpus, host } = options;
    const gic = new GicV3({
      affinities: Array.from({ length: cpus }, (_, index) => affinityOf(index)),
      spis: SPI_COUNT,
    });
    const at = (address: number): RealAddress => (address - RAM_BASE + host) as RealAddress;
    const ram = {
      write: (address: RealAddress, bytes: Uint8Array) => view.write(at(address), bytes),
      fill: (address: RealAddress, length: number, value: number) => view.fill(at(address), length, value),
    };
    const dma = new GuestDma(device, (page) => this.#hostPage(page));
    const { disk: backend, isProtected } = options;
    const disk = backend === null ? null : { backend, memory: dma, platformAccess: isProtected };
    this.virt = new Virt(ram, { ...options, conduit: 'hvc', disk }, gic, clock);
    this.virt.bus.add({ ...DISTRIBUTOR, device: gic.distributor });
    this.virt.bus.add({ base: REDISTRIBUTORS.base, size: cpus * REDISTRIBUTOR_BYTES, device: gic.redistributors });
    this.virt.load();
    this.vm = kvm.createVm({
      name: options.name,
      isProtected: options.isProtected,
      base: RAM_BASE,
      bytes: memory,
      memory: host,
      vcpus: cpus,
      gic,
      userSpace: this,
      entry: this.virt.kernel.entry,
      argument: this.virt.kernel.argument,
    });
  }

  #hostPage(page: bigint): RealAddress | undefined {
    const { base, frames } = this.vm;
    const gfn = (page - BigInt(base)) / BigInt(ARM_PAGE_SIZE);
    return page < BigInt(base) || gfn >= BigInt(frames.length) ? undefined : (frames[Number(gfn)] as RealAddress);
  }

  read(address: number, size: MmioSize): bigint | null {
    return this.virt.bus.read(address, size);
  }

  write(address: number, size: MmioSize, value: bigint): boolean {
    return this.virt.bus.write(address, size, value);
  }

  poll(): void {
    this.virt.poll();
  }

  get listening(): boolean {
    return this.virt.deadline !== null;
  }
}
