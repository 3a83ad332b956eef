/** A device asked for memory that it may not reach, or that is not there. It is an error of whoever drives the device. */
export class DmaFault extends Error {
  readonly address: bigint;
  readonly length: number;

  constructor(address: bigint, length: number) {
    super(`a device may not reach ${length} bytes at 0x${address.toString(16)}`);
    this.name = 'DmaFault';
    this.address = address;
    this.length = length;
  }
}

/**
 * Guest memory as a device of one VM sees it: addresses are the device's (guest physical, or what an I/O MMU makes of them) and any 64-bit
 * number. Implemented by each architecture over a host view, so that what the guest did not share is out of reach.
 */
export interface DeviceMemory {
  /** A copy of `length` bytes. @throws DmaFault */
  read(address: bigint, length: number): Uint8Array;
  /** Writes all bytes or, if one of them cannot be reached, none. @throws DmaFault */
  write(address: bigint, bytes: Uint8Array): void;
}
