import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { HypPages } from './hyp-page.ts';
import type { PagePool } from './page-pool.ts';
import type { EntryStore } from './pgtable-walk.ts';
import type { PageSource, TableMemory } from './stage2.ts';

/** Table entries in RAM, little-endian as the MMU reads them. */
export function entriesIn(view: HostView): EntryStore {
  return {
    read: (at) => view.readU64Le(at as RealAddress),
    write: (at, pte) => view.writeU64Le(at as RealAddress, pte),
  };
}

/** Table pages of the host's table: from the hyp's own pool, whatever cache is named. */
export function hostTableMemory(pages: HypPages, pool: PagePool): TableMemory {
  return {
    allocate: () => pool.allocate(0),
    count: (page) => pages.refcount(page),
    get: (page) => pool.get(page),
    put: (page) => pool.put(page),
  };
}

/** Table pages of a guest's table: from the memcache that its vCPU brought, or pages that such a table gave back. */
export function guestTableMemory(pages: HypPages, pool: PagePool): TableMemory {
  return {
    allocate(cache: PageSource | null) {
      const own = pool.allocate(0);
      if (own !== null) return own;
      const page = cache?.pop() ?? null;
      if (page !== null) pool.adopt(page as RealAddress);
      return page;
    },
    count: (page) => pages.refcount(page),
    get: (page) => pool.get(page),
    put: (page) => pool.put(page),
  };
}
