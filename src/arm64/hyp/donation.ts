import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, ERRNO, type Errno, MEMCACHE } from '../abi.ts';
import type { HypPages } from './hyp-page.ts';
import type { MemProtect } from './mem-protect.ts';
import { bytesOf, type PageRange, pageRange, pagesOf } from './ownership.ts';
import type { PageSource } from './stage2.ts';

/** What moves memory between the host and the hyp's structures works on. */
export interface DonationParts {
  readonly view: HostView;
  readonly pages: HypPages;
  readonly protect: MemProtect;
}

const PAGE = BigInt(ARM_PAGE_SIZE);

/** The pages of a structure at an address that the host named; null for one that is no address. */
export function structurePages(address: bigint, bytes: number): PageRange | null {
  const first = address / PAGE;
  const last = (address + BigInt(bytes) - 1n) / PAGE;
  return pageRange(first, last - first + 1n);
}

/** `map_donated_memory`: takes pages from the host and clears them. @returns null whatever the reason: not aligned, not the host's, no memory */
export function takeDonated(parts: DonationParts, address: bigint, bytes: number): PageRange | null {
  if (address % PAGE !== 0n) return null;
  const range = structurePages(address, bytes);
  if (range === null || parts.protect.hostDonateHyp(range) !== 0) return null;
  parts.view.fill(range.start as RealAddress, bytesOf(range), 0);
  return range;
}

/** Gives pages back that nothing refers to, cleared. */
export function giveBack({ view, protect }: DonationParts, range: PageRange): void {
  view.fill(range.start as RealAddress, bytesOf(range), 0);
  const error = protect.hypDonateHost(range);
  if (error !== 0) throw new Error(`a page could not go back: ${error}`);
}

/** `hyp_pin_shared_mem` for a structure. @returns −EPERM where the host did not share it */
export function pinShared({ protect }: DonationParts, address: bigint, bytes: number): PageRange | null {
  const range = structurePages(address, bytes);
  return range !== null && protect.pin(range) === 0 ? range : null;
}

/** Puts a page in front of a memcache of the host's and gives it back (4.6 teardown). @param cache address of the head, in pinned memory */
export function pushToHost(parts: DonationParts, cache: number, page: number): void {
  const { view } = parts;
  const head = (cache + MEMCACHE.head) as RealAddress;
  const count = (cache + MEMCACHE.count) as RealAddress;
  view.fill(page as RealAddress, ARM_PAGE_SIZE, 0);
  view.writeU64Le(page as RealAddress, view.readU64Le(head));
  const error = parts.protect.hypDonateHost({ start: page, count: 1 });
  if (error !== 0) throw new Error(`a page could not go back: ${error}`);
  view.writeU64Le(head, BigInt(page));
  view.writeU64Le(count, view.readU64Le(count) + 1n);
}

/** Structures go back page by page. */
export function pushRange(parts: DonationParts, cache: number, range: PageRange): void {
  for (const page of pagesOf(range)) pushToHost(parts, cache, page);
}

/** The hyp's own list of table pages of a vCPU (4.6). */
export class Memcache implements PageSource {
  readonly #pages: number[] = [];

  get size(): number {
    return this.#pages.length;
  }

  pop(): number | null {
    return this.#pages.pop() ?? null;
  }

  /**
   * Takes pages from the host's memcache until there are as many here as it said it had: each is taken before its link is read, so that the host
   * cannot change it any more.
   * @param cache address of the host's head, in pinned memory
   * @returns −ENOMEM where a page is not the host's to give
   */
  refill(parts: DonationParts, cache: number): Errno {
    const { view } = parts;
    const head = (cache + MEMCACHE.head) as RealAddress;
    const count = (cache + MEMCACHE.count) as RealAddress;
    let left = view.readU64Le(count);
    const wanted = left;
    let next = view.readU64Le(head);
    while (BigInt(this.size) < wanted) {
      const range = next % PAGE === 0n ? structurePages(next, ARM_PAGE_SIZE) : null;
      if (left === 0n || range === null || parts.protect.hostDonateHyp(range) !== 0) return ERRNO.ENOMEM;
      next = view.readU64Le(range.start as RealAddress);
      view.fill(range.start as RealAddress, ARM_PAGE_SIZE, 0);
      left -= 1n;
      view.writeU64Le(head, next);
      view.writeU64Le(count, left);
      this.#pages.push(range.start);
    }
    return 0;
  }
}
