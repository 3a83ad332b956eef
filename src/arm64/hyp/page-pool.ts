import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE } from '../abi.ts';
import { type HypPages, NO_ORDER } from './hyp-page.ts';

/** The largest block of a pool, as a power of two of pages (Linux MAX_PAGE_ORDER). */
const MOST_ORDER = 10;

/**
 * A buddy allocator over a range of the hyp's own pages, with their reference counts in `HypPages` (arm64-pkvm.md 2.13). Memory is zeroed when its last
 * reference goes, so what is allocated is zero. Pages from elsewhere may be put into it: they never merge.
 */
export class PagePool {
  readonly #pages: HypPages;
  readonly #view: HostView;
  readonly #start: number;
  readonly #end: number;
  readonly #mostOrder: number;
  /** Addresses of free blocks by order. */
  readonly #free: Set<number>[];

  /**
   * @param reserved pages at the beginning that are in use already, with one reference each
   */
  constructor(pages: HypPages, view: HostView, start: RealAddress, count: number, reserved = 0) {
    this.#pages = pages;
    this.#view = view;
    this.#start = start;
    this.#end = start + count * ARM_PAGE_SIZE;
    this.#mostOrder = Math.min(MOST_ORDER, Math.ceil(Math.log2(Math.max(1, count))));
    this.#free = Array.from({ length: this.#mostOrder + 1 }, () => new Set<number>());
    for (let page: number = start; page < this.#end; page += ARM_PAGE_SIZE) {
      pages.setOrder(page, 0);
      pages.setRefcount(page, page < start + reserved * ARM_PAGE_SIZE ? 1 : 0);
    }
    for (let page = start + reserved * ARM_PAGE_SIZE; page < this.#end; page += ARM_PAGE_SIZE) this.#release(page);
  }

  /** Free pages. */
  get freePages(): number {
    return this.#free.reduce((sum, blocks, order) => sum + blocks.size * 2 ** order, 0);
  }

  /** A zeroed block of 2^order pages with one reference; null where there is none. */
  allocate(order: number): RealAddress | null {
    let found = order;
    while (found <= this.#mostOrder && (this.#free[found]?.size ?? 0) === 0) found++;
    const blocks = this.#free[found];
    if (blocks === undefined) return null;
    // The lowest address, so that a run does not depend on the order in which pages came back.
    const block = Math.min(...blocks);
    blocks.delete(block);
    for (let split = found - 1; split >= order; split--) {
      const buddy = block + ARM_PAGE_SIZE * 2 ** split;
      this.#pages.setOrder(buddy, split);
      this.#free[split]?.add(buddy);
    }
    this.#pages.setOrder(block, order);
    this.#pages.setRefcount(block, 1);
    return block as RealAddress;
  }

  /** A zeroed block whose pages each have a reference and an order of their own: the root of a table (`hyp_split_page`). */
  allocateSplit(order: number): RealAddress | null {
    const block = this.allocate(order);
    if (block === null) return null;
    for (let page: number = block; page < block + ARM_PAGE_SIZE * 2 ** order; page += ARM_PAGE_SIZE) {
      this.#pages.setOrder(page, 0);
      this.#pages.setRefcount(page, 1);
    }
    return block;
  }

  /** Gives a zeroed page to a table, from elsewhere: a caller's cache. It comes back to this pool. */
  adopt(page: RealAddress): void {
    this.#pages.setOrder(page, 0);
    this.#pages.setRefcount(page, 1);
  }

  get(page: number): void {
    this.#pages.setRefcount(page, this.#pages.refcount(page) + 1);
  }

  /** Drops a reference; with the last one the block is zeroed and free. */
  put(page: number): void {
    const count = this.#pages.refcount(page) - 1;
    this.#pages.setRefcount(page, count);
    if (count > 0) return;
    this.#view.fill(page as RealAddress, ARM_PAGE_SIZE * 2 ** this.#orderOf(page), 0);
    this.#release(page);
  }

  /** A page from elsewhere has order 0, whatever its record says (10.1 #23). */
  #orderOf(page: number): number {
    return this.#isOwn(page) ? this.#pages.order(page) : 0;
  }

  #isOwn(page: number): boolean {
    return page >= this.#start && page < this.#end;
  }

  #release(page: number): void {
    let block = page;
    let order = this.#orderOf(page);
    while (this.#isOwn(block) && order < this.#mostOrder) {
      const buddy = this.#buddyOf(block, order);
      if (buddy === null || !this.#free[order]?.delete(buddy)) break;
      this.#pages.setOrder(Math.max(block, buddy), NO_ORDER);
      block = Math.min(block, buddy);
      order++;
    }
    this.#pages.setOrder(block, order);
    this.#free[order]?.add(block);
  }

  #buddyOf(block: number, order: number): number | null {
    const size = ARM_PAGE_SIZE * 2 ** order;
    const buddy = Math.floor(block / size) % 2 === 0 ? block + size : block - size;
    return this.#isOwn(buddy) ? buddy : null;
  }
}
