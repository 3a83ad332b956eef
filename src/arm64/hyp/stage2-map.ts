import { ARM_PAGE_SIZE, ERRNO, type Errno } from '../abi.ts';
import { type WalkEntry, walk } from './pgtable-walk.ts';
import { type PageSource, pageOf, type Stage2 } from './stage2.ts';
import {
  addressOf,
  annotationPte,
  isBlockSupported,
  isCounted,
  isTable,
  isValid,
  LAST_LEVEL,
  LOCKED,
  leafAttributes,
  leafPte,
  MMIO_GUARD,
  needsUpdate,
  onlySoftwareDiffers,
  type Pte,
  tablePte,
} from './stage2-format.ts';

/** What one map or annotate puts into the table. */
interface Mapping {
  readonly cache: PageSource | null;
  /** Pages only, no blocks. */
  readonly pagesOnly: boolean;
  /** Output address of an entry, from its place in the walk; null for an annotation. */
  physical(entry: WalkEntry): number | null;
  leaf(entry: WalkEntry): Pte;
}

/**
 * Maps a range, in blocks where they fit (2.12: 6.12 and 7.2).
 * @param physical output address of the first page
 * @param cache where table pages come from; null for none
 * @returns −EINVAL for protections or an identity that cannot be, −EAGAIN where an entry is there that differs in permissions at most,
 * −ENOMEM where the cache is empty, −ERANGE
 */
export function map(
  table: Stage2,
  address: number,
  size: number,
  physical: number,
  prot: bigint,
  cache: PageSource | null,
  pagesOnly = false,
): Errno {
  if (table.identity && address !== physical) return ERRNO.EINVAL;
  const attributes = leafAttributes(prot);
  if (attributes === ERRNO.EINVAL) return ERRNO.EINVAL;
  const at = (entry: WalkEntry): number => physical + (entry.address - entry.start);
  return put(table, address, size, {
    cache,
    pagesOnly,
    physical: at,
    leaf: (entry) => leafPte(at(entry), attributes as bigint, entry.level),
  });
}

/**
 * Writes an annotation into every page entry of a range: invalid for hardware, it says who has the page (2.9, 2.12).
 * @returns −EINVAL for an annotation that cannot be, −ENOMEM, −ERANGE
 */
export function annotate(
  table: Stage2,
  address: number,
  size: number,
  kind: number,
  value: bigint,
  cache: PageSource | null,
): Errno {
  const pte = annotationPte(kind, value);
  if (pte === null) return ERRNO.EINVAL;
  return put(table, address, size, { cache, pagesOnly: true, physical: () => null, leaf: () => pte });
}

/** Marks a guest's page as a device's. @returns −ENOMEM */
export function markDevice(table: Stage2, address: number, cache: PageSource | null): Errno {
  return put(table, address, ARM_PAGE_SIZE, {
    cache,
    pagesOnly: true,
    physical: () => null,
    leaf: () => MMIO_GUARD,
  });
}

/** Gives pages of an identity table back to its owner: entries become 0, to be mapped when they are next used. */
export function setOwnerToSelf(table: Stage2, address: number, size: number, cache: PageSource | null): Errno {
  return put(table, address, size, { cache, pagesOnly: true, physical: () => null, leaf: () => 0n });
}

function put(table: Stage2, address: number, size: number, mapping: Mapping): Errno {
  return walk(table, address, size, {
    visits: ['leaf', 'table-pre'],
    reloadsBehindPre: true,
    visitor: (entry) => (entry.visit === 'table-pre' ? replaceTable : putLeaf)(table, entry, mapping),
  });
}

function isAllowed(entry: WalkEntry, mapping: Mapping): boolean {
  if (mapping.pagesOnly && entry.level < LAST_LEVEL) return false;
  const physical = mapping.physical(entry);
  if (physical === null && entry.level === LAST_LEVEL) return true;
  return isBlockSupported(entry.address, entry.end, physical, entry.level);
}

/** One leaf can stand for a whole table: it replaces it, and the tree below goes. */
function replaceTable(table: Stage2, entry: WalkEntry, mapping: Mapping): Errno {
  if (!isAllowed(entry, mapping)) return 0;
  const child = addressOf(entry.old);
  const error = tryLeaf(table, entry, mapping);
  if (error === 0) freeTree(table, child, entry.level + 1);
  return error;
}

/** A tree that hangs on no table any more: every entry's reference, and every page. */
function freeTree(table: Stage2, page: number, level: number): void {
  const { memory, entries } = table;
  for (let index = 0; index < 512; index++) {
    const pte = entries.read(page + 8 * index);
    if (!isCounted(pte)) continue;
    if (isTable(pte, level)) freeTree(table, addressOf(pte), level + 1);
    memory.put(page);
  }
  memory.put(page);
}

function putLeaf(table: Stage2, entry: WalkEntry, mapping: Mapping): Errno {
  const error = tryLeaf(table, entry, mapping);
  if (error !== ERRNO.E2BIG) return error;
  if (entry.level === LAST_LEVEL) return ERRNO.EINVAL;
  if (mapping.cache === null) return ERRNO.ENOMEM;
  const child = table.memory.allocate(mapping.cache);
  if (child === null) return ERRNO.ENOMEM;
  if (!breakEntry(table, entry)) {
    table.memory.put(child);
    return ERRNO.EAGAIN;
  }
  // What the broken entry covered beyond this walk is mapped again when it is next used.
  makeEntry(table, entry, tablePte(child));
  return 0;
}

function tryLeaf(table: Stage2, entry: WalkEntry, mapping: Mapping): Errno {
  if (!isAllowed(entry, mapping)) return ERRNO.E2BIG;
  const next = mapping.leaf(entry);
  const { old, at } = entry;
  const { memory, entries } = table;
  if (!needsUpdate(old, next)) return ERRNO.EAGAIN;
  if (onlySoftwareDiffers(old, next)) {
    if (isCounted(old) && !isCounted(next)) memory.put(pageOf(at));
    if (!isCounted(old) && isCounted(next)) memory.get(pageOf(at));
    entries.write(at, next);
    return 0;
  }
  if (!breakEntry(table, entry)) return ERRNO.EAGAIN;
  makeEntry(table, entry, next);
  return 0;
}

/** Takes an entry out so that no translation by it is left. @returns false where somebody else is at it */
function breakEntry(table: Stage2, { at, old, level, address }: WalkEntry): boolean {
  if (old === LOCKED) return false;
  const { entries, flush, memory } = table;
  entries.write(at, LOCKED);
  if (isTable(old, level)) flush.all();
  else if (isValid(old)) flush.page(address, level);
  if (isCounted(old)) memory.put(pageOf(at));
  return true;
}

function makeEntry(table: Stage2, { at }: WalkEntry, next: Pte): void {
  if (isCounted(next)) table.memory.get(pageOf(at));
  table.entries.write(at, next);
}
