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
  readonly #free: RealAddress[] = [];
  readonly #taken = new Set<RealAddress>();

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
      for (let at = 0; at < size; at += UV_PAGE_SIZE) this.#free.push((base + at) as RealAddress);
    }
    this.#free.sort((x, y) => y - x);
  }

  /** Frames that are free. */
  get free(): number {
    return this.#free.length;
  }

  /** Frames in all. */
  get total(): number {
    return this.#free.length + this.#taken.size;
  }

  /** Which frames are free, in the order in which they come back, and which are taken: plain data. */
  save(): { readonly free: readonly RealAddress[]; readonly taken: readonly RealAddress[] } {
    return { free: [...this.#free], taken: [...this.#taken] };
  }

  /** A zeroed frame, or undefined if none is free. The lowest one, unless frames have come back. */
  take(): RealAddress | undefined {
    const frame = this.#free.pop();
    if (frame !== undefined) this.#taken.add(frame);
    return frame;
  }

  /** Scrubs a frame and makes it free. @throws Error if it is not taken */
  release(frame: RealAddress): void {
    if (!this.#taken.delete(frame)) throw new Error(`frame 0x${frame.toString(16)} given back twice`);
    this.#view.fill(frame, UV_PAGE_SIZE, 0);
    this.#free.push(frame);
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
