import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { UV_PAGE_SIZE } from '../abi.ts';

/** A range of normal memory that the hypervisor may give out. */
export interface MemoryRange {
  readonly base: RealAddress;
  /** Bytes. */
  readonly size: number;
}

/**
 * The hypervisor's own page allocator: 64 KiB pages of normal memory, lowest address first, a freed page before a new one. The page at real
 * address 0 is never given out: interrupt vectors lie there, and UV_PAGE_IN takes a null address for a mistake.
 */
export class HostPages {
  readonly #view: HostView;
  readonly #ranges: readonly MemoryRange[];
  #range = 0;
  #next = 0;
  #freed: RealAddress[] = [];
  #used = 0;
  /** VMs of which a page was taken away: what CPUs have cached of their translations is to be forgotten before a guest runs. */
  readonly stale = new Set<number>();
  /** Users beyond the first, by page; a page that is not here has one. */
  readonly #more = new Map<RealAddress, number>();

  constructor(view: HostView, ranges: readonly MemoryRange[]) {
    this.#view = view;
    this.#ranges = [...ranges].sort((x, y) => x.base - y.base);
    this.#next = firstPage(this.#ranges[0]);
  }

  /** Pages given out and not freed. */
  get used(): number {
    return this.#used;
  }

  /** A page of zeros, or undefined if memory is used up. */
  allocate(): RealAddress | undefined {
    const page = this.#freed.pop() ?? this.#fresh();
    if (page === undefined) return undefined;
    this.#view.fill(page, UV_PAGE_SIZE, 0);
    this.#used += 1;
    return page;
  }

  /** One user gives a page up; the last one gives it back. Its contents stay until it is given out again. */
  free(page: RealAddress): void {
    const more = this.#more.get(page);
    if (more === undefined) {
      this.#freed.push(page);
      this.#used -= 1;
    } else if (more === 1) this.#more.delete(page);
    else this.#more.set(page, more - 1);
  }

  /** One more uses the page, and none of them may write it from now on. */
  share(page: RealAddress): void {
    this.#more.set(page, (this.#more.get(page) ?? 0) + 1);
  }

  /** Whether more than one uses the page. */
  isShared(page: RealAddress): boolean {
    return this.#more.has(page);
  }

  /** How many pages have several users, and how many pages that saves. */
  get merged(): { readonly pages: number; readonly saved: number } {
    let saved = 0;
    for (const more of this.#more.values()) saved += more;
    return { pages: this.#more.size, saved };
  }

  /** The allocator as plain data: free pages in the order in which they are given out, and pages of several users. */
  save(): { readonly free: readonly RealAddress[]; readonly more: ReadonlyMap<RealAddress, number> } {
    const fresh: RealAddress[] = [];
    for (
      let range = this.#range, page = this.#next;
      range < this.#ranges.length;
      page = firstPage(this.#ranges[++range])
    ) {
      const { base, size } = this.#ranges[range];
      for (; page + UV_PAGE_SIZE <= base + size; page += UV_PAGE_SIZE) fresh.push(page as RealAddress);
    }
    return { free: [...this.#freed.toReversed(), ...fresh], more: new Map(this.#more) };
  }

  #fresh(): RealAddress | undefined {
    for (;;) {
      const range = this.#ranges[this.#range];
      if (range === undefined) return undefined;
      const page = this.#next;
      if (page + UV_PAGE_SIZE <= range.base + range.size) {
        this.#next = page + UV_PAGE_SIZE;
        return page as RealAddress;
      }
      this.#range += 1;
      this.#next = firstPage(this.#ranges[this.#range]);
    }
  }
}

function firstPage(range: MemoryRange | undefined): number {
  return range === undefined ? 0 : Math.max(1, Math.ceil(range.base / UV_PAGE_SIZE)) * UV_PAGE_SIZE;
}
