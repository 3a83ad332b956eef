import type { GuestRange } from './layout.ts';

/** The memory that Open Firmware has given out, as QEMU keeps the books. */
export class ClaimedMemory {
  readonly #top: number;
  #claimed: GuestRange[] = [];
  /** Where the search for an aligned range begins. */
  #next = 0;

  /** @param top bytes of memory that a client can claim from */
  constructor(top: number) {
    this.#top = top;
  }

  /**
   * Claims `size` bytes: at `address` if `align` is 0, else at the next multiple of `align`, behind all that was claimed before.
   * @returns the address, or undefined if the range is taken or not all there
   */
  claim(address: number, size: number, align: number): number | undefined {
    if (size === 0) return undefined;
    const base = align === 0 ? address : this.#search(size, align);
    if (base === undefined || base + size > this.#top || !this.#isFree(base, size)) return undefined;
    this.#claimed.push({ base, size });
    this.#next = Math.max(this.#next, base + size);
    return base;
  }

  /** Gives back what one `claim` gave. @returns false if it gave no such range */
  release(base: number, size: number): boolean {
    const at = this.#claimed.findIndex((range) => range.base === base && range.size === size);
    if (at < 0) return false;
    this.#claimed.splice(at, 1);
    return true;
  }

  /** What lies behind each claimed range, in ascending order; possibly of size 0. */
  available(): GuestRange[] {
    const sorted = this.#claimed.toSorted((x, y) => x.base - y.base);
    return sorted.map(({ base, size }, i) => {
      const end = base + size;
      return { base: end, size: (sorted[i + 1]?.base ?? this.#top) - end };
    });
  }

  #search(size: number, align: number): number | undefined {
    for (let base = Math.ceil(this.#next / align) * align; base + size <= this.#top; base += align) {
      if (this.#isFree(base, size)) return base;
    }
    return undefined;
  }

  #isFree(base: number, size: number): boolean {
    return this.#claimed.every((range) => base >= range.base + range.size || range.base >= base + size);
  }
}
