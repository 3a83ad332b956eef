import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE } from '../abi.ts';

/** The host's own page allocator over one range: lowest address first, a freed page before a new one. */
export class HostPages {
  readonly #view: HostView;
  readonly #end: number;
  readonly #freed: RealAddress[] = [];
  #next: number;
  #used = 0;

  constructor(view: HostView, base: RealAddress, bytes: number) {
    this.#view = view;
    this.#next = base;
    this.#end = base + bytes;
  }

  /** Pages given out and not freed. */
  get used(): number {
    return this.#used;
  }

  /** A page of zeros. @throws RangeError if memory is used up */
  allocate(): RealAddress {
    const page = this.#freed.pop() ?? this.#fresh(1);
    this.#used += 1;
    this.#view.fill(page, ARM_PAGE_SIZE, 0);
    return page;
  }

  /** Consecutive pages of zeros. @throws RangeError */
  allocateRange(pages: number): RealAddress {
    const base = this.#fresh(pages);
    this.#used += pages;
    this.#view.fill(base, pages * ARM_PAGE_SIZE, 0);
    return base;
  }

  free(page: RealAddress): void {
    this.#used -= 1;
    this.#freed.push(page);
  }

  #fresh(pages: number): RealAddress {
    const base = this.#next;
    if (base + pages * ARM_PAGE_SIZE > this.#end) throw new RangeError('the host has no memory left for itself');
    this.#next = base + pages * ARM_PAGE_SIZE;
    return base as RealAddress;
  }
}
