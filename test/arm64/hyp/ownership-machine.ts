import { ARM_PAGE_SIZE } from '../../../src/arm64/abi.ts';
import { PAGE_STATE } from '../../../src/arm64/hyp/hyp-page.ts';
import { MemProtect } from '../../../src/arm64/hyp/mem-protect.ts';
import { type GuestMemory, guestStateOf, type PageRange } from '../../../src/arm64/hyp/ownership.ts';
import { PagePool } from '../../../src/arm64/hyp/page-pool.ts';
import { leafAt } from '../../../src/arm64/hyp/pgtable-walk.ts';
import type { PageSource, Stage2 } from '../../../src/arm64/hyp/stage2.ts';
import { ANNOTATION, addressOf, annotationKind, donationOf, isValid } from '../../../src/arm64/hyp/stage2-format.ts';
import { entriesIn, guestTableMemory } from '../../../src/arm64/hyp/table-pages.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HostTable, MIB, RAM } from './tables.ts';

/** What tests play with lies below; tables and caches above. */
const CHECKED = 8 * MIB;

/** Pages that tests hand out as a vCPU's memcache. */
class Cache implements PageSource {
  readonly pages: number[];

  constructor(pages: number[]) {
    this.pages = pages;
  }

  get size(): number {
    return this.pages.length;
  }

  pop(): number | null {
    return this.pages.pop() ?? null;
  }
}

/** A host, a hyp, and guests with handles 0x1000 (protected) and 0x1001 (not), over 16 MiB of RAM. */
export class OwnershipMachine {
  readonly host = new HostTable(40, 16 * MIB);
  readonly guests = new Map<number, GuestMemory>();
  readonly protect: MemProtect;
  readonly cache: Cache;
  /** Pages that EL2 has mapped. */
  readonly hypMapped = new Set<number>();
  #nextPool = RAM + 10 * MIB;

  constructor() {
    const { view, pages, table } = this.host;
    this.cache = new Cache(Array.from({ length: 64 }, (_, n) => RAM + 12 * MIB + n * ARM_PAGE_SIZE));
    this.protect = new MemProtect({
      view,
      pages,
      host: table,
      hyp: {
        map: (range) => this.#setMapped(range, true),
        unmap: (range) => this.#setMapped(range, false),
      },
      guestOf: (handle) => this.guests.get(handle),
    });
    for (const [handle, isProtected] of [
      [0x1000, true],
      [0x1001, false],
    ] as const) {
      this.guests.set(handle, { handle, isProtected, table: this.#guestTable() });
    }
  }

  guest(handle: 0x1000 | 0x1001): GuestMemory {
    return this.guests.get(handle) as GuestMemory;
  }

  #setMapped({ start, count }: PageRange, mapped: boolean): void {
    for (let n = 0; n < count; n++) {
      const page = start + n * ARM_PAGE_SIZE;
      if (this.hypMapped.has(page) === mapped) throw new Error(`EL2 mapping of 0x${page.toString(16)}`);
      if (mapped) this.hypMapped.add(page);
      else this.hypMapped.delete(page);
    }
  }

  #guestTable(): Stage2 {
    const { view, pages } = this.host;
    const pool = new PagePool(pages, view, this.#nextPool as RealAddress, 2);
    this.#nextPool += MIB;
    const root = pool.allocateSplit(1);
    return {
      bits: 40,
      startLevel: 1,
      root,
      rootBytes: 2 * ARM_PAGE_SIZE,
      identity: false,
      entries: entriesIn(view),
      memory: guestTableMemory(pages, pool),
      flush: { page: () => {}, all: () => {} },
    };
  }

  /** Everything that the transitions can change, as text: pages' records, EL2's mappings, and all entries of all tables. */
  dump(): string {
    const { pages, table } = this.host;
    const lines: string[] = [];
    for (let page: number = RAM; page < RAM + CHECKED; page += ARM_PAGE_SIZE) {
      const record = [
        pages.hostState(page),
        pages.hypState(page),
        pages.refcount(page),
        pages.guestShares(page),
        Number(this.hypMapped.has(page)),
      ].join(',');
      if (record !== '0,3,0,0,0') lines.push(`${page.toString(16)}: ${record}`);
    }
    for (const [name, stage2] of [
      ['host', table] as const,
      ...[...this.guests].map(([h, g]) => [`${h}`, g.table] as const),
    ]) {
      lines.push(...entriesOf(stage2).map((text) => `${name} ${text}`));
    }
    return lines.join('\n');
  }

  /** The invariants of arm64-pkvm.md 3.2, checked on every page. @throws Error that names the first that does not hold */
  checkInvariants(): void {
    const { pages, table } = this.host;
    const { owned, sharedOwned, sharedBorrowed, noPage } = PAGE_STATE;
    const guestViews = new Map<number, { handle: number; ipa: number; state: ReturnType<typeof guestStateOf> }[]>();
    for (const [handle, { table: stage2 }] of this.guests) {
      for (const { address, pte, level } of leavesOf(stage2)) {
        if (!isValid(pte)) continue;
        for (let at = 0; at < 2 ** (12 + 9 * (3 - level)); at += ARM_PAGE_SIZE) {
          const page = addressOf(pte) + at;
          const views = guestViews.get(page) ?? [];
          views.push({ handle, ipa: address + at, state: guestStateOf(pte) });
          guestViews.set(page, views);
        }
      }
    }
    for (let page: number = RAM; page < RAM + CHECKED; page += ARM_PAGE_SIZE) {
      const host = pages.hostState(page);
      const hyp = pages.hypState(page);
      const guests = guestViews.get(page) ?? [];
      const states = [host, hyp, ...guests.map(({ state }) => state)];
      const fail = (invariant: string): never => {
        throw new Error(`${invariant} does not hold for 0x${page.toString(16)}: ${states.join(', ')}`);
      };
      if (states.filter((s) => s === owned || s === sharedOwned).length !== 1) fail('I1');
      const entry = leafAt(table, page);
      if (typeof entry === 'number') throw new Error('beyond the host table');
      const annotated = annotationKind(entry.pte) === ANNOTATION.hostDonation && !isValid(entry.pte);
      if ((host === noPage) !== annotated) fail('I2');
      for (const { handle, ipa, state } of guests) {
        if (state === owned) {
          const donation = donationOf(entry.pte);
          if (!annotated || donation.handle !== handle || donation.gfn * ARM_PAGE_SIZE !== ipa) fail('I3');
        }
        if (state === sharedOwned && host !== sharedBorrowed) fail('I4');
        if (state === sharedBorrowed && (host !== sharedOwned || pages.guestShares(page) < 1)) fail('I4');
      }
      if (pages.guestShares(page) !== guests.filter(({ state }) => state === sharedBorrowed).length) fail('I5');
      if (hyp === sharedBorrowed && (pages.refcount(page) === 0) === this.hypMapped.has(page)) fail('I6');
    }
  }
}

interface Found {
  readonly address: number;
  readonly pte: bigint;
  readonly level: number;
}

function leavesOf(stage2: Stage2): Found[] {
  const found: Found[] = [];
  const look = (page: number, level: number, base: number, entries: number): void => {
    for (let i = 0; i < entries; i++) {
      const pte = stage2.entries.read(page + 8 * i);
      const address = base + i * 2 ** (12 + 9 * (3 - level));
      if (level < 3 && (pte & 3n) === 3n) look(addressOf(pte), level + 1, address, 512);
      else if (pte !== 0n) found.push({ address, pte, level });
    }
  };
  const { root, rootBytes, startLevel } = stage2;
  if (root !== null) look(root, startLevel, 0, rootBytes / 8);
  return found;
}

const entriesOf = (stage2: Stage2): string[] =>
  leavesOf(stage2).map(({ address, pte, level }) => `${address.toString(16)}/${level}=${pte.toString(16)}`);
