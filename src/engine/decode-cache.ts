import { CODE, PAGE_SHIFT, PAGE_SIZE, SLOT } from './layout.ts';
import type { Store } from './store.ts';

/** How many pages of decode slots a machine keeps: code that is executed at the same time beyond this is decoded again and again. */
const POOL_PAGES = 2048;

/** Slots of a page, and one behind them that says so. */
const SLOTS_BYTES = PAGE_SIZE + 64;

/** Longest instruction less the smallest alignment: how far before a changed byte an instruction can start. */
const REACH = 4;

/**
 * Decode slots, a page of them for each page of code that was executed, one slot per halfword and at the halfword's own offset in the page.
 * A page has one page of slots for each byte order in which it was executed.
 */
export class DecodeCache {
  /** Bytes of the store that the cache takes. */
  static readonly bytes = POOL_PAGES * SLOTS_BYTES + PAGE_SIZE;
  readonly #store: Store;
  readonly #pool: number;
  readonly #pages = new Map<number, number>();
  readonly #whenFull: () => void;

  /** @param whenFull called before all slots are dropped: whoever holds a delta must forget it */
  constructor(store: Store, whenFull: () => void) {
    this.#store = store;
    this.#pool = store.reserve(POOL_PAGES * SLOTS_BYTES, PAGE_SIZE);
    this.#whenFull = whenFull;
  }

  /**
   * What leads from a host address in the page to its decode slot.
   * @param hostPage host address >> 12
   */
  deltaFor(hostPage: number, bigEndian: boolean): number {
    const key = hostPage * 2 + Number(bigEndian);
    let slots = this.#pages.get(key);
    if (slots === undefined) {
      if (this.#pages.size === POOL_PAGES) this.#dropAll();
      slots = this.#pool + this.#pages.size * SLOTS_BYTES;
      this.#store.u16[(slots + PAGE_SIZE) >>> 1] = SLOT.pageEnd;
      this.#pages.set(key, slots);
      this.#store.hasCode[hostPage] = (this.#store.hasCode[hostPage] as number) | CODE.decoded;
    }
    return (slots - hostPage * PAGE_SIZE) | 0;
  }

  /** Bytes changed, all on one page: forgets what was decoded from them. */
  codeChanged(from: number, to: number): void {
    const hostPage = from >>> PAGE_SHIFT;
    const pageStart = hostPage * PAGE_SIZE;
    // No bit operations: host addresses go beyond 2^31.
    const first = Math.max(pageStart, from - (from % 2) - REACH);
    const last = Math.min(pageStart + PAGE_SIZE, to + (to % 2));
    for (const key of [hostPage * 2, hostPage * 2 + 1]) {
      const slots = this.#pages.get(key);
      if (slots !== undefined) this.#store.bytes.fill(0, slots + first - pageStart, slots + last - pageStart);
    }
  }

  #dropAll(): void {
    this.#whenFull();
    this.#store.bytes.fill(0, this.#pool, this.#pool + POOL_PAGES * SLOTS_BYTES);
    const { hasCode } = this.#store;
    for (const key of this.#pages.keys()) hasCode[key >>> 1] = (hasCode[key >>> 1] as number) & ~CODE.decoded;
    this.#pages.clear();
  }
}
