/** The machine has one chip, number 0. */
const CHIPS = 1n;
/** SCOM addresses are 64-bit numbers with the two top bits as flags: indirect (bit 0) or not, bit 1 never set (3.6). */
const RESERVED_ADDRESS_BITS = 0x4000000000000000n;

/** SCOM registers that were written; all others read as zero. At most this many, so that a hypervisor cannot fill the host's memory. */
export const MOST_SCOMS = 4096;

/** Whether a chip and a SCOM address exist (3.6). */
export function isScom(chip: bigint, address: bigint): boolean {
  return chip < CHIPS && (address & RESERVED_ADDRESS_BITS) === 0n;
}
