import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { DAT } from '../abi.ts';
import { type HostStorage, PAGE } from './host-storage.ts';

/** Bytes that an entry of a segment table and of a region-third table map. */
const SEGMENT = 0x10_0000;
const REGION = 0x8000_0000;

/** Entries and bytes of region and segment tables, and of page tables. */
const TABLE_ENTRIES = 2048;
const TABLE_BYTES = 0x4000;
const PAGE_ENTRIES = 256;
const PAGE_TABLE_BYTES = 0x800;

/** Table length field: all of a region or segment table is there. */
const FULL_LENGTH = 3n;
const REGION_THIRD_TYPE = 0x04n;

/**
 * The address space that SIE finds guest absolute storage in (CR1 of the host): region, segment and page tables in RAM, filled as the guest touches pages. The
 * ASCE designates a segment table where that is enough for the guest, else a region-third table.
 */
export class Gmap {
  readonly asce: bigint;
  readonly #view: HostView;
  readonly #storage: HostStorage;
  readonly #owned: { readonly base: RealAddress; readonly size: number }[] = [];
  readonly #root: RealAddress;
  readonly #isSegment: boolean;
  /** A page that holds page tables, and how much of it is used: two go into one. */
  #tables: { readonly page: RealAddress; used: number } | null = null;

  /**
   * @param size bytes of guest storage
   * @throws RangeError if the host has no storage for the top table
   */
  constructor(view: HostView, storage: HostStorage, size: number) {
    this.#view = view;
    this.#storage = storage;
    this.#isSegment = size <= REGION;
    const root = this.#table(this.#isSegment ? DAT.SEGMENT_INVALID : DAT.REGION_INVALID | REGION_THIRD_TYPE);
    if (root === undefined) throw new RangeError('the host has no storage for a guest address space');
    this.#root = root;
    const type = this.#isSegment ? 0n : REGION_THIRD_TYPE;
    this.asce = BigInt(root) | DAT.ASCE_PRIVATE | type | FULL_LENGTH;
  }

  /**
   * Maps a guest page to a page of the host's.
   * @returns false if the host has no storage for a table
   */
  map(guest: number, page: RealAddress): boolean {
    const table = this.#pageTable(guest);
    if (table === undefined) return false;
    this.#view.writeU64((table + 8 * pageIndex(guest)) as RealAddress, BigInt(page));
    return true;
  }

  /** Takes a mapping away; nothing happens where there is none. CPUs may have it cached. */
  unmap(guest: number): void {
    const segment = this.#segmentEntry(guest);
    if (segment === undefined) return;
    const entry = this.#view.readU64(segment);
    if ((entry & DAT.SEGMENT_INVALID) !== 0n) return;
    const table = Number(entry & DAT.SEGMENT_ORIGIN);
    this.#view.writeU64((table + 8 * pageIndex(guest)) as RealAddress, DAT.PAGE_INVALID);
  }

  /** Gives all tables back; the address space is no more. */
  destroy(): void {
    for (const { base, size } of this.#owned) this.#storage.release(base, size);
    this.#owned.length = 0;
  }

  #segmentEntry(guest: number): RealAddress | undefined {
    const segmentIndex = Math.floor(guest / SEGMENT) % TABLE_ENTRIES;
    if (this.#isSegment) return (this.#root + 8 * segmentIndex) as RealAddress;
    const entry = this.#view.readU64((this.#root + 8 * Math.floor(guest / REGION)) as RealAddress);
    if ((entry & DAT.REGION_INVALID) !== 0n) return undefined;
    return (Number(entry & DAT.ASCE_ORIGIN) + 8 * segmentIndex) as RealAddress;
  }

  #pageTable(guest: number): RealAddress | undefined {
    if (!this.#isSegment && this.#segmentEntry(guest) === undefined) {
      const table = this.#table(DAT.SEGMENT_INVALID);
      if (table === undefined) return undefined;
      const at = (this.#root + 8 * Math.floor(guest / REGION)) as RealAddress;
      this.#view.writeU64(at, BigInt(table) | REGION_THIRD_TYPE | FULL_LENGTH);
    }
    const segment = this.#segmentEntry(guest) as RealAddress;
    const entry = this.#view.readU64(segment);
    if ((entry & DAT.SEGMENT_INVALID) === 0n) return Number(entry & DAT.SEGMENT_ORIGIN) as RealAddress;
    const table = this.#newPageTable();
    if (table !== undefined) this.#view.writeU64(segment, BigInt(table));
    return table;
  }

  #newPageTable(): RealAddress | undefined {
    if (this.#tables === null || this.#tables.used === PAGE) {
      const page = this.#allocate(PAGE);
      if (page === undefined) return undefined;
      this.#tables = { page, used: 0 };
    }
    const table = (this.#tables.page + this.#tables.used) as RealAddress;
    this.#tables.used += PAGE_TABLE_BYTES;
    for (let n = 0; n < PAGE_ENTRIES; n++) this.#view.writeU64((table + 8 * n) as RealAddress, DAT.PAGE_INVALID);
    return table;
  }

  #table(invalid: bigint): RealAddress | undefined {
    const base = this.#allocate(TABLE_BYTES, TABLE_BYTES);
    if (base === undefined) return undefined;
    for (let n = 0; n < TABLE_ENTRIES; n++) this.#view.writeU64((base + 8 * n) as RealAddress, invalid);
    return base;
  }

  #allocate(size: number, alignment = PAGE): RealAddress | undefined {
    const base = this.#storage.allocate(size, alignment);
    if (base !== undefined) this.#owned.push({ base, size });
    return base;
  }
}

function pageIndex(guest: number): number {
  return Math.floor(guest / PAGE) % PAGE_ENTRIES;
}
