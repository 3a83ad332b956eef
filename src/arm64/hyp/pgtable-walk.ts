import { ERRNO, type Errno } from '../abi.ts';
import { addressOf, granuleOf, isTable, levelShift, type Pte } from './stage2-format.ts';

/** What a walk looks at. A table page holds 512 entries; the root is up to 16 of them side by side. */
export interface PageTable {
  /** Bits of input addresses. */
  readonly bits: number;
  readonly startLevel: number;
  /** Physical address of the root; null before it exists and after it was destroyed. */
  root: number | null;
  readonly entries: EntryStore;
}

/** Entries by their physical address. */
export interface EntryStore {
  read(at: number): Pte;
  write(at: number, pte: Pte): void;
}

/** When a visitor is called. */
export type Visit = 'leaf' | 'table-pre' | 'table-post';

/** One entry of a walk. */
export interface WalkEntry {
  /** Physical address of the entry. */
  readonly at: number;
  /** The entry before the visit. */
  readonly old: Pte;
  /** Input address: the walk's own at the first entry of a level, the entry's beginning afterwards (2.8). */
  readonly address: number;
  /** Where the walk began and where it ends. */
  readonly start: number;
  readonly end: number;
  readonly level: number;
  readonly visit: Visit;
}

/** Which visits a walk makes, and what it does with what they say. */
export interface Walker {
  readonly visits: readonly Visit[];
  readonly visitor: (entry: WalkEntry) => Errno;
  /** Goes on behind an entry for which the visitor said −EAGAIN. */
  readonly ignoresAgain?: boolean;
  /** Looks at an entry again behind `table-pre`: 6.12 and later. Seed 004's walk goes down into what the entry was. */
  readonly reloadsBehindPre: boolean;
}

/**
 * Walks all entries of a range, outward in (2.8). The first error ends it.
 * @param address is rounded down to a page, the end up
 */
export function walk(table: PageTable, address: number, size: number, walker: Walker): Errno {
  const { root, bits, startLevel } = table;
  const start = Math.floor(address / 4096) * 4096;
  const end = Math.ceil((start + size) / 4096) * 4096;
  const limit = 2 ** bits;
  if (start > limit || end > limit) return ERRNO.ERANGE;
  if (root === null) return ERRNO.EINVAL;
  return new Walk(table, start, end, walker).level(root, startLevel, true);
}

class Walk {
  readonly #table: PageTable;
  readonly #start: number;
  readonly #end: number;
  readonly #walker: Walker;
  #address: number;

  constructor(table: PageTable, start: number, end: number, walker: Walker) {
    this.#table = table;
    this.#start = start;
    this.#end = end;
    this.#walker = walker;
    this.#address = start;
  }

  /** The entries of one table; at the root the index may run over several side by side. */
  level(page: number, level: number, isRoot: boolean): Errno {
    const shift = levelShift(level);
    const first = Math.floor(this.#address / 2 ** shift);
    let index = isRoot ? first : first % 512;
    const count = isRoot ? Number.MAX_SAFE_INTEGER : 512;
    for (; index < count && this.#address < this.#end; index++) {
      const error = this.#entry(page + 8 * index, level);
      if (error !== 0) return error;
    }
    return 0;
  }

  #entry(at: number, level: number): Errno {
    const { entries } = this.#table;
    const address = this.#address;
    let pte = entries.read(at);
    const above = isTable(pte, level);
    const error = this.#say(above ? 'table-pre' : 'leaf', at, pte, level, address);
    if (error !== 0) return error;
    if (!above || this.#walker.reloadsBehindPre) pte = entries.read(at);
    if (!isTable(pte, level)) {
      const granule = granuleOf(level);
      this.#address = Math.floor(address / granule) * granule + granule;
      return 0;
    }
    const below = this.level(addressOf(pte), level + 1, false);
    return below === 0 ? this.#say('table-post', at, entries.read(at), level, address) : below;
  }

  #say(visit: Visit, at: number, old: Pte, level: number, address: number): Errno {
    const { visits, visitor, ignoresAgain } = this.#walker;
    if (!visits.includes(visit)) return 0;
    const error = visitor({ at, old, address, start: this.#start, end: this.#end, level, visit });
    return error === ERRNO.EAGAIN && ignoresAgain === true ? 0 : error;
  }
}

/** The entry that a walk to an address ends at. @returns −ERANGE beyond the range of addresses */
export function leafAt(
  table: PageTable,
  address: number,
): { readonly pte: Pte; readonly level: number; readonly at: number } | typeof ERRNO.ERANGE {
  const { root, bits, startLevel, entries } = table;
  if (address >= 2 ** bits || root === null) return ERRNO.ERANGE;
  let page = root;
  for (let level = startLevel; ; level++) {
    const index = Math.floor(address / granuleOf(level));
    const at = page + 8 * (level === startLevel ? index : index % 512);
    const pte = entries.read(at);
    if (!isTable(pte, level)) return { pte, level, at };
    page = addressOf(pte);
  }
}
