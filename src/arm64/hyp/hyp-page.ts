import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE } from '../abi.ts';

/** What a component may do with a page (arm64-pkvm.md 3.1), in the numbers of 7.2. */
export const PAGE_STATE = { owned: 0, sharedOwned: 1, sharedBorrowed: 2, noPage: 3 } as const;
export type PageState = (typeof PAGE_STATE)[keyof typeof PAGE_STATE];

/** A range of memory that the hyp knows of at boot, in ascending order; what lies between is devices (2.16). */
export interface MemoryRange {
  readonly base: RealAddress;
  readonly size: number;
  /** The host may map it, but it takes part in no transition. */
  readonly noMap?: boolean;
}

/** Order of a page that heads no block of a pool. */
export const NO_ORDER = 0xff;

/** Pages of one memory range. */
interface Block extends MemoryRange {
  readonly refcount: Uint16Array;
  readonly order: Uint8Array;
  readonly hostState: Uint8Array;
  readonly hypState: Uint8Array;
  readonly guestShares: Uint32Array;
}

const MOST_REFERENCES = 0xffff;

/**
 * The hyp's record of every page of memory (`hyp_page`, 3.1): references, order in a pool, state for host and hyp, and how many non-protected guests
 * map it. There is none for device addresses: asking for one is a mistake of ours and throws.
 */
export class HypPages {
  readonly ranges: readonly MemoryRange[];
  readonly #blocks: readonly Block[];

  /** All pages begin as the host's own. */
  constructor(ranges: readonly MemoryRange[]) {
    this.ranges = ranges;
    this.#blocks = ranges.map((range) => {
      const count = range.size / ARM_PAGE_SIZE;
      return {
        ...range,
        refcount: new Uint16Array(count),
        order: new Uint8Array(count).fill(NO_ORDER),
        hostState: new Uint8Array(count).fill(PAGE_STATE.owned),
        hypState: new Uint8Array(count).fill(PAGE_STATE.noPage),
        guestShares: new Uint32Array(count),
      };
    });
  }

  /** The memory range that holds an address, undefined for a device's. */
  rangeOf(address: number): MemoryRange | undefined {
    return this.#find(address);
  }

  refcount(address: number): number {
    const { block, index } = this.#at(address);
    return block.refcount[index] as number;
  }

  setRefcount(address: number, count: number): void {
    const { block, index } = this.#at(address);
    if (count < 0 || count > MOST_REFERENCES) throw new Error(`page 0x${address.toString(16)}: ${count} references`);
    block.refcount[index] = count;
  }

  order(address: number): number {
    const { block, index } = this.#at(address);
    return block.order[index] as number;
  }

  setOrder(address: number, order: number): void {
    const { block, index } = this.#at(address);
    block.order[index] = order;
  }

  hostState(address: number): PageState {
    const { block, index } = this.#at(address);
    return block.hostState[index] as PageState;
  }

  setHostState(address: number, state: PageState): void {
    const { block, index } = this.#at(address);
    block.hostState[index] = state;
  }

  hypState(address: number): PageState {
    const { block, index } = this.#at(address);
    return block.hypState[index] as PageState;
  }

  setHypState(address: number, state: PageState): void {
    const { block, index } = this.#at(address);
    block.hypState[index] = state;
  }

  /** Mappings of the page by non-protected guests. */
  guestShares(address: number): number {
    const { block, index } = this.#at(address);
    return block.guestShares[index] as number;
  }

  setGuestShares(address: number, count: number): void {
    const { block, index } = this.#at(address);
    block.guestShares[index] = count;
  }

  #find(address: number): Block | undefined {
    return this.#blocks.find(({ base, size }) => address >= base && address < base + size);
  }

  #at(address: number): { block: Block; index: number } {
    const block = this.#find(address);
    if (block === undefined) throw new Error(`0x${address.toString(16)} is no memory`);
    return { block, index: Math.floor((address - block.base) / ARM_PAGE_SIZE) };
  }
}
