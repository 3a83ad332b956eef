import { ERRNO, type Errno } from '../abi.ts';
import { leafAt, type PageTable, type WalkEntry, walk } from './pgtable-walk.ts';
import {
  addressOf,
  isCounted,
  isTable,
  isValid,
  isYoung,
  PROT,
  type Pte,
  withAge,
  withoutWrite,
  withPermissions,
} from './stage2-format.ts';

/** Table pages: where they come from and how many references each has (2.13). All pages are named by physical address. */
export interface TableMemory {
  /** A zeroed page with one reference from the caller's cache; null where it is empty, or there is no cache. */
  allocate(cache: PageSource | null): number | null;
  /** References of a page: 1 at allocation, one more for each counted entry in it. */
  count(page: number): number;
  get(page: number): void;
  /** Drops a reference; the last one gives the page back. */
  put(page: number): void;
}

/** Pages that a caller provides for new tables (4.6). */
export interface PageSource {
  pop(): number | null;
}

/** TLB maintenance that a table's users need (2.14). */
export interface Flush {
  /** Of one entry. */
  page(address: number, level: number): void;
  /** Of the whole table's VMID. */
  all(): void;
}

/** A stage 2 table and what its algorithms need. */
export interface Stage2 extends PageTable {
  readonly memory: TableMemory;
  readonly flush: Flush;
  /** Input and output addresses are equal: the host's. */
  readonly identity: boolean;
  /** Bytes of the root. */
  readonly rootBytes: number;
}

/** The table page that an entry lies on. */
export const pageOf = (at: number): number => at - (at % 4096);

/** Takes an entry out: with TLB maintenance where it was valid, and its reference dropped. */
export function putEntry(table: Stage2, entry: WalkEntry): void {
  const { entries, memory, flush } = table;
  entries.write(entry.at, 0n);
  if (isValid(entry.old)) flush.page(entry.address, entry.level);
  memory.put(pageOf(entry.at));
}

/**
 * Unmaps a range (2.11). Annotations go too: ownership falls back to the table's owner. A child table that is not empty keeps its entry.
 * @returns 0, −ERANGE, −EINVAL
 */
export function unmap(table: Stage2, address: number, size: number): Errno {
  const { memory } = table;
  return walk(table, address, size, {
    visits: ['leaf', 'table-post'],
    reloadsBehindPre: true,
    visitor(entry) {
      if (!isCounted(entry.old)) return 0;
      const child = isTable(entry.old, entry.level) ? addressOf(entry.old) : null;
      if (child !== null && memory.count(child) !== 1) return 0;
      putEntry(table, entry);
      if (child !== null) memory.put(child);
      return 0;
    },
  });
}

/** Frees all tables, then the root. Nothing is flushed: nobody uses the table any more (2.11). */
export function destroy(table: Stage2): void {
  const { memory, root, rootBytes, bits } = table;
  if (root === null) return;
  walk(table, 0, 2 ** bits, {
    visits: ['leaf', 'table-post'],
    reloadsBehindPre: true,
    visitor(entry) {
      if (!isCounted(entry.old)) return 0;
      memory.put(pageOf(entry.at));
      if (isTable(entry.old, entry.level)) memory.put(addressOf(entry.old));
      return 0;
    },
  });
  table.root = null;
  for (let page = root; page < root + rootBytes; page += 4096) memory.put(page);
}

/** Changes valid leaves of a range in place; entries are as `change` makes them. */
function changeLeaves(
  table: Stage2,
  address: number,
  size: number,
  change: (pte: Pte, entry: WalkEntry) => Pte,
): Errno {
  return walk(table, address, size, {
    visits: ['leaf'],
    reloadsBehindPre: true,
    visitor(entry) {
      if (!isValid(entry.old)) return 0;
      const next = change(entry.old, entry);
      if (next !== entry.old) table.entries.write(entry.at, next);
      return 0;
    },
  });
}

/** Takes write permission from every valid leaf. The TLB is not flushed: who wants that asks for it (10.3 #64). */
export function writeProtect(table: Stage2, address: number, size: number): Errno {
  return changeLeaves(table, address, size, withoutWrite);
}

/** Whether any leaf of the range was accessed; `age` clears the flags. The TLB is not flushed. @returns 0, 1 or an error */
export function testClearYoung(table: Stage2, address: number, size: number, age: boolean): Errno | 1 {
  let young = false;
  const error = changeLeaves(table, address, size, (pte) => {
    young ||= isYoung(pte);
    return age ? withAge(pte, false) : pte;
  });
  return error === 0 && young ? 1 : error;
}

/** Sets the access flag of the leaf at an address. @returns −EAGAIN where there is none */
export function makeYoung(table: Stage2, address: number): Errno {
  const found = leafAt(table, address);
  if (found === ERRNO.ERANGE) return found;
  if (!isValid(found.pte)) return ERRNO.EAGAIN;
  table.entries.write(found.at, withAge(found.pte, true));
  return 0;
}

/**
 * Adds permissions to the page at an address, takes none away; then the page is flushed, also where nothing was there.
 * @returns −EINVAL for software bits in `prot`, −EAGAIN where nothing is mapped
 */
export function relaxPermissions(table: Stage2, address: number, prot: bigint): Errno {
  if ((prot & PROT.SW) !== 0n) return ERRNO.EINVAL;
  const found = leafAt(table, address);
  if (found === ERRNO.ERANGE) return found;
  const error = isValid(found.pte) ? 0 : ERRNO.EAGAIN;
  if (error === 0) table.entries.write(found.at, withPermissions(found.pte, prot));
  table.flush.page(address, found.level);
  return error;
}
