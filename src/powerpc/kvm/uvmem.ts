/**
 * The pool of secure-PFNs: names for pages of secure memory, handed out one per frame that is Secure and paged in. The pages themselves are
 * the Ultravisor's; the pool only bounds how many frames can be paged in at once (power-pef.md 5.4).
 */
export class UvmemPool {
  readonly #taken: Uint8Array;
  #free: number;
  /** No secure-PFN below it is free. */
  #lowest = 0;

  /** @param pages size of all secure memory in 64 KiB pages; 0 where there is none */
  constructor(pages: number) {
    this.#taken = new Uint8Array(pages);
    this.#free = pages;
  }

  /** Whether the machine has secure memory at all. */
  get exists(): boolean {
    return this.#taken.length > 0;
  }

  get free(): number {
    return this.#free;
  }

  /** The lowest free secure-PFN, or undefined. */
  allocate(): number | undefined {
    if (this.#free === 0) return undefined;
    const pfn = this.#taken.indexOf(0, this.#lowest);
    this.#taken[pfn] = 1;
    this.#free -= 1;
    this.#lowest = pfn + 1;
    return pfn;
  }

  /** @throws RangeError if it is not taken: our books are wrong */
  release(pfn: number): void {
    if (this.#taken[pfn] !== 1) throw new RangeError(`secure-PFN ${pfn} is not taken`);
    this.#taken[pfn] = 0;
    this.#free += 1;
    this.#lowest = Math.min(this.#lowest, pfn);
  }

  /** The secure-PFNs that are taken, lowest first. */
  save(): number[] {
    return [...this.#taken.keys()].filter((pfn) => this.#taken[pfn] === 1);
  }
}
