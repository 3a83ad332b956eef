/** Where things are on QEMU's `virt` machine (arm64-pkvm.md 9.4): physical addresses, sizes in bytes, interrupt numbers. */

export const DISTRIBUTOR = { base: 0x0800_0000, size: 0x1_0000 } as const;
/** Room for the redistributors of 123 PEs. */
export const REDISTRIBUTORS = { base: 0x080a_0000, size: 0xf6_0000 } as const;
export const UART = { base: 0x0900_0000, size: 0x1000 } as const;
/** Transports of virtio devices, one behind the other, each with an interrupt of its own. */
export const VIRTIO = { base: 0x0a00_0000, stride: 0x200, count: 32, firstSpi: 16 } as const;
/** The one that QEMU plugs the first device into. */
export const FIRST_VIRTIO = VIRTIO.count - 1;
export const RAM_BASE = 0x4000_0000;

/** First shared peripheral interrupt: the device tree counts from here. */
export const FIRST_SPI = 32;
export const UART_SPI = 1;
/** Shared peripheral interrupts of the distributor. */
export const SPI_COUNT = 256;

/** A redistributor's two frames. */
export const REDISTRIBUTOR_BYTES = 0x2_0000;
export const MOST_CPUS = Math.floor(REDISTRIBUTORS.size / REDISTRIBUTOR_BYTES);

/** A range of guest memory. */
export interface GuestRange {
  readonly base: number;
  readonly size: number;
}
