/** Where QEMU's `pseries` with Virtual Open Firmware puts things in guest memory (measured on QEMU 7.2). */

/** Added to the low 28 bits of an image's physical addresses. */
export const KERNEL_LOAD_ADDRESS = 0x400000;
export const KERNEL_ADDRESS_MASK = 0x0fffffffn;

/** The firmware, which has the lowest bytes, and where in it a client's calls enter. */
export const FIRMWARE_SIZE = 0xda0;
export const CLIENT_ENTRY = 0x10c;

/** The stack that the firmware lends to its client. */
export const STACK_BASE = 0x8000;
export const STACK_SIZE = 0x8000;
/** R1 when the client is entered: the firmware itself has taken some frames. */
export const STACK_POINTER = 0xff60;

/** The phandle of the interrupt controller; Open Firmware counts on from it. */
export const XICP_PHANDLE = 0x1111;

/** Frequency of the time base that the device tree tells. */
export const TIMEBASE_FREQUENCY = 512_000_000;

/** Device trees and RTAS stay below 2 GiB, as real-mode clients with 32-bit pointers need it. */
export const LOW_MEMORY_LIMIT = 0x80000000;

/** Length that `/rtas` tells for the RTAS text and its work area. */
export function rtasSize(cpus: number): number {
  return 0x81c + 16 * cpus;
}

/** A range of guest physical memory. */
export interface GuestRange {
  readonly base: number;
  readonly size: number;
}

/** The first multiple of `align`, a power of two, from `address` on. */
export function alignUp(address: number, align: number): number {
  return Math.ceil(address / align) * align;
}
