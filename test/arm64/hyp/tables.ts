import { HypPages } from '../../../src/arm64/hyp/hyp-page.ts';
import { PagePool } from '../../../src/arm64/hyp/page-pool.ts';
import { leafAt } from '../../../src/arm64/hyp/pgtable-walk.ts';
import type { Stage2 } from '../../../src/arm64/hyp/stage2.ts';
import { addressOf, isCounted, isTable, isValid } from '../../../src/arm64/hyp/stage2-format.ts';
import { entriesIn, hostTableMemory } from '../../../src/arm64/hyp/table-pages.ts';
import { Store } from '../../../src/engine/store.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';

export const MIB = 1 << 20;
export const RAM = 0x4000_0000 as RealAddress;

/** A host table over RAM: its pool is the last 2 MiB. */
export class HostTable {
  readonly view: HostView;
  readonly pages: HypPages;
  readonly pool: PagePool;
  readonly table: Stage2;
  /** TLB maintenance that was asked for since the last look: `all`, or the page's address and level. */
  flushes: string[] = [];

  constructor(bits = 40, ramBytes = 16 * MIB) {
    const store = new Store(ramBytes + 4 * 65536);
    const memory = new RealMemory(store, [{ name: 'ram', base: RAM, size: ramBytes, secure: false }]);
    this.view = new HostView(memory, { agent: 'ultravisor', secure: true }, null, () => 0n);
    this.pages = new HypPages([{ base: RAM, size: ramBytes }]);
    const poolStart = (RAM + ramBytes - 2 * MIB) as RealAddress;
    this.pool = new PagePool(this.pages, this.view, poolStart, 512);
    const root = this.pool.allocateSplit(1);
    if (root === null) throw new Error('no root');
    this.table = {
      bits,
      startLevel: 1,
      root,
      rootBytes: 8192,
      identity: true,
      entries: entriesIn(this.view),
      memory: hostTableMemory(this.pages, this.pool),
      flush: {
        page: (address, level) => this.flushes.push(`${address.toString(16)}/${level}`),
        all: () => this.flushes.push('all'),
      },
    };
  }

  /** The entry that an address ends at. */
  leaf(address: number): { pte: bigint; level: number } {
    const found = leafAt(this.table, address);
    if (typeof found === 'number') throw new Error(`error ${found}`);
    return { pte: found.pte, level: found.level };
  }

  takeFlushes(): string[] {
    const taken = this.flushes;
    this.flushes = [];
    return taken;
  }

  /**
   * Checks that the references of each table page are one more than the counted entries in it, and that no table page is lost.
   * @returns table pages in use, the root's among them
   */
  audit(): number {
    let tables = 0;
    const look = (page: number, level: number): void => {
      tables++;
      let counted = 0;
      for (let at = page; at < page + 4096; at += 8) {
        const pte = this.table.entries.read(at);
        if (isCounted(pte)) counted++;
        if (isTable(pte, level)) look(addressOf(pte), level + 1);
        else if (isValid(pte) && level === 0) throw new Error('a leaf at level 0');
      }
      const references = this.pages.refcount(page);
      if (references !== counted + 1) {
        throw new Error(`table 0x${page.toString(16)}: ${references} references, ${counted} counted entries`);
      }
    };
    const { root } = this.table;
    if (root !== null) for (let page = root; page < root + 8192; page += 4096) look(page, this.table.startLevel);
    if (tables + this.pool.freePages !== 512) throw new Error(`${tables} tables, ${this.pool.freePages} free pages`);
    return tables;
  }
}
