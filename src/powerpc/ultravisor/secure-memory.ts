import type { HostView } from '../../machine/host-view.ts';
import { type RealAddress, realAddress } from '../../machine/types.ts';
import { SECURE_ADDRESS_BIT, UV_PAGE_SIZE } from '../abi.ts';

/** A range of real addresses in bytes. */
export interface MemoryRange {
  readonly base: RealAddress;
  readonly size: number;
}

/**
 * The frames of secure memory, 64 KiB each. Invariant: every byte of a free frame is zero. A frame is therefore
 * scrubbed when it is given back, so that nothing of a VM outlives it, and comes out as the zero page that a fresh page
 * of an SVM is (3.8).
 */
export class SecureMemory {
  readonly #view: HostView;
  readonly #ranges: readonly MemoryRange[];
  /** 1 for each frame that is taken, by its position in the ranges. */
  readonly #taken: Uint8Array;
  /** Positions of the free frames; the last one comes out next. */
  readonly #stack: Uint32Array;
  #free: number;

  /**
   * @param ranges secure memory to hand out, populated and never used by anyone else; zero
   * @throws RangeError if a range is not secure, not populated or not in whole frames
   */
  constructor(view: HostView, ranges: readonly MemoryRange[]) {
    this.#view = view;
    for (const { base, size } of ranges) {
      if (base % UV_PAGE_SIZE !== 0 || size % UV_PAGE_SIZE !== 0 || !view.reaches(base, size) || !isSecure(base)) {
        throw new RangeError(`0x${size.toString(16)} bytes at 0x${base.toString(16)} are no frames of secure memory`);
      }
    }
    this.#ranges = [...ranges].sort((x, y) => x.base - y.base);
    this.#free = ranges.reduce((sum, { size }) => sum + size / UV_PAGE_SIZE, 0);
    this.#taken = new Uint8Array(this.#free);
    this.#stack = Uint32Array.from({ length: this.#free }, (_, n) => this.#free - 1 - n);
  }

  /** Frames that are free. */
  get free(): number {
    return this.#free;
  }

  /** Frames in all. */
  get total(): number {
    return this.#taken.length;
  }

  /** Which frames are free, in the order in which they come back, and which are taken: plain data. */
  save(): { readonly free: readonly RealAddress[]; readonly taken: readonly RealAddress[] } {
    const taken: RealAddress[] = [];
    for (const [position, isTaken] of this.#taken.entries()) if (isTaken === 1) taken.push(this.#address(position));
    return { free: [...this.#stack.subarray(0, this.#free)].map((position) => this.#address(position)), taken };
  }

  /** A zeroed frame, or undefined if none is free. The lowest one, unless frames have come back. */
  take(): RealAddress | undefined {
    if (this.#free === 0) return undefined;
    const position = this.#stack[--this.#free];
    this.#taken[position] = 1;
    return this.#address(position);
  }

  /** Scrubs a frame and makes it free. @throws Error if it is not taken */
  release(frame: RealAddress): void {
    const position = this.#position(frame);
    if (this.#taken[position] !== 1) throw new Error(`frame 0x${frame.toString(16)} given back twice`);
    this.#view.fill(frame, UV_PAGE_SIZE, 0);
    this.#taken[position] = 0;
    this.#stack[this.#free++] = position;
  }

  #address(position: number): RealAddress {
    let first = 0;
    for (const { base, size } of this.#ranges) {
      const frames = size / UV_PAGE_SIZE;
      if (position < first + frames) return (base + (position - first) * UV_PAGE_SIZE) as RealAddress;
      first += frames;
    }
    throw new Error(`no frame ${position}`);
  }

  /** -1 for an address that is no frame of these. */
  #position(frame: RealAddress): number {
    let first = 0;
    for (const { base, size } of this.#ranges) {
      if (frame >= base && frame < base + size) return first + (frame - base) / UV_PAGE_SIZE;
      first += size / UV_PAGE_SIZE;
    }
    return -1;
  }
}

/** Whether the address is one of secure memory (2.1). */
export function isSecure(address: RealAddress): boolean {
  return Math.floor(address / SECURE_ADDRESS_BIT) % 2 === 1;
}

/**
 * The normal page that a hypervisor names by its real address, or undefined if it is none: zero, not on a page
 * boundary, not populated, or secure (3.10, 10.1 #16).
 */
export function normalPage(view: HostView, register: bigint): RealAddress | undefined {
  const address = realAddress(register);
  if (address === undefined || address === 0 || address % UV_PAGE_SIZE !== 0 || isSecure(address)) return undefined;
  return view.reaches(address, UV_PAGE_SIZE) ? address : undefined;
}
