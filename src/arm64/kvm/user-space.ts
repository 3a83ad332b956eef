import type { MmioSize } from '../../devices/mmio.ts';

/** The VMM's end of the hypervisor (KVM_EXIT_MMIO): devices at guest physical addresses. */
export interface UserSpace {
  /** @returns null where nothing answers */
  read(address: number, size: MmioSize): bigint | null;
  /** @returns false where nothing answers */
  write(address: number, size: MmioSize, value: bigint): boolean;
  /** The hypervisor has control: time to look whether a device has input. */
  poll(): void;
  /** A device waits for input, so that the hypervisor has to look again soon. */
  readonly listening: boolean;
}
