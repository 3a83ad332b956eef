import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, ERRNO, type Errno } from '../abi.ts';
import type { HypMappings } from './mem-protect.ts';
import { type PageRange, pagesOf } from './ownership.ts';
import type { PagePool } from './page-pool.ts';
import { type EntryStore, leafAt, type PageTable } from './pgtable-walk.ts';
import { addressOf, granuleOf, isTable, isValid, LAST_LEVEL, type Pte, tablePte } from './stage2-format.ts';

/** Leaves of EL2's own stage 1, nVHE forms (arm64-pkvm.md 2.6): AttrIndx 1 is normal memory in the MAIR below. */
const ATTRIBUTES = {
  normal: 1n << 2n,
  /** AP[1] is RES1 in EL2's regime; AP[2] takes writing away. */
  accessible: 1n << 6n,
  readOnly: 1n << 7n,
  innerShareable: 3n << 8n,
  AF: 1n << 10n,
  XN: 1n << 54n,
  page: 3n,
} as const;
const COMMON = ATTRIBUTES.normal | ATTRIBUTES.accessible | ATTRIBUTES.innerShareable | ATTRIBUTES.AF | ATTRIBUTES.page;

/** PAGE_HYP, PAGE_HYP_EXEC: there is no other use yet, and none may be both writable and executable. */
export const EL2_PROT = {
  data: COMMON | ATTRIBUTES.XN,
  text: COMMON | ATTRIBUTES.readOnly,
} as const;

/** Device-nGnRE is index 0, write-back memory index 1. */
export const EL2_MAIR = 0xff04n;
/** 48-bit addresses, 4 KiB granule, write-back inner shareable tables, 44-bit output; RES1 bits 31 and 23. */
export const EL2_TCR = (1n << 31n) | (1n << 23n) | (4n << 16n) | (3n << 12n) | (1n << 10n) | (1n << 8n) | 16n;

/**
 * EL2's own stage 1 table in RAM, as the MMU walks it: an identity map of what the hyp owns or has pinned, page by page (2.6, 2.16). Nothing else of
 * memory is reachable at EL2.
 */
export class El2Tables implements HypMappings {
  readonly #pool: PagePool;
  readonly #entries: EntryStore;
  readonly #flush: () => void;
  readonly table: PageTable;

  /** @throws Error if the pool has no page left for the root */
  constructor(pool: PagePool, entries: EntryStore, flush: () => void) {
    const root = pool.allocate(0);
    if (root === null) throw new Error('the pool has no page for the root of EL2');
    this.#pool = pool;
    this.#entries = entries;
    this.#flush = flush;
    this.table = { bits: 48, startLevel: 0, root, entries };
  }

  /** Value of TTBR0_EL2. */
  get root(): RealAddress {
    return this.table.root as RealAddress;
  }

  map(range: PageRange): void {
    this.mapAs(range, EL2_PROT.data);
  }

  /** Maps pages with other rights. @throws Error where something else is mapped, or where the pool is empty: it is as large as the tables can get */
  mapAs(range: PageRange, attributes: bigint): void {
    for (const page of pagesOf(range)) {
      const { at, pte } = this.#entryOf(page);
      if (isValid(pte)) throw new Error(`EL2 has 0x${page.toString(16)} mapped`);
      this.#entries.write(at, BigInt(page) | attributes);
    }
  }

  unmap(range: PageRange): void {
    for (const page of pagesOf(range)) {
      const { at, pte } = this.#entryOf(page);
      if (!isValid(pte)) throw new Error(`EL2 does not have 0x${page.toString(16)} mapped`);
      this.#entries.write(at, 0n);
    }
    this.#flush();
  }

  /** The entry of a page; 0 where none is mapped. */
  lookUp(address: number): Pte | Errno {
    const found = leafAt(this.table, address);
    return typeof found === 'number' ? ERRNO.ERANGE : found.pte;
  }

  #entryOf(page: number): { at: number; pte: Pte } {
    let table = this.table.root as number;
    for (let level = 0; ; level++) {
      const at = table + 8 * (Math.floor(page / granuleOf(level)) % (ARM_PAGE_SIZE / 8));
      const pte = this.#entries.read(at);
      if (level === LAST_LEVEL) return { at, pte };
      if (isTable(pte, level)) {
        table = addressOf(pte);
        continue;
      }
      const child = this.#pool.allocate(0);
      if (child === null) throw new Error('the pool has no page for a table of EL2');
      this.#entries.write(at, tablePte(child));
      table = child;
    }
  }
}
