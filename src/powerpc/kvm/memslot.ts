import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, type GuestPhysical, gfnOf, gpaOf, UV_MEM_SLOTS, UV_PAGE_SIZE } from '../abi.ts';
import { gfnState } from './gfn.ts';

/** A range of guest memory that the VMM asks for. */
export interface SlotSpec {
  /** Below `UV_MEM_SLOTS`, unique in the VM. */
  readonly id: number;
  readonly base: GuestPhysical;
  /** Bytes. */
  readonly size: number;
}

/**
 * A memory slot as plain data. Its state is the state of its VM (Linux commit 651a6310111e, section 3); a slot that the Ultravisor did not
 * take stays outside: the secure guest finds nothing there (power-pef.md 10.2 #47).
 */
export interface Memslot {
  readonly id: number;
  readonly baseGfn: Gfn;
  readonly npages: number;
  /** The Ultravisor has it: the frames take part in what happens to a Transient or Secure VM. */
  registered: boolean;
  /** Equal pages may be merged (MADV_MERGEABLE). */
  mergeable: boolean;
  /** For each frame the normal page behind it, `NO_PAGE` where there is none. */
  readonly pages: Float64Array;
  /** For each frame its state, as `gfn.ts` encodes it. */
  readonly pfns: BigUint64Array;
}

/** No normal page is behind the frame: it was never touched, or it is paged in to secure memory. */
export const NO_PAGE = -1;

/** @throws RangeError if base or size are no multiples of 64 KiB, or the size is not positive */
export function createSlot({ id, base, size }: SlotSpec, mergeable: boolean): Memslot {
  if (base % UV_PAGE_SIZE !== 0 || size % UV_PAGE_SIZE !== 0 || size <= 0) {
    throw new RangeError(`memory slot ${id}: base and size must be multiples of 64 KiB, the size positive`);
  }
  const npages = size / UV_PAGE_SIZE;
  return {
    id,
    baseGfn: gfnOf(base),
    npages,
    registered: false,
    mergeable,
    pages: new Float64Array(npages).fill(NO_PAGE),
    pfns: new BigUint64Array(npages),
  };
}

/** The slot that holds the frame, or undefined. */
export function slotOf(slots: readonly Memslot[], gfn: Gfn): Memslot | undefined {
  return slots.find((slot) => gfn >= slot.baseGfn && gfn < slot.baseGfn + slot.npages);
}

/** A frame: its slot and its place in the slot's arrays. */
export interface Frame {
  readonly slot: Memslot;
  readonly index: number;
}

/** The frame of a number, or undefined if it is in no slot. */
export function frameOf(slots: readonly Memslot[], gfn: Gfn): Frame | undefined {
  const slot = slotOf(slots, gfn);
  return slot === undefined ? undefined : { slot, index: gfn - slot.baseGfn };
}

/** The normal page behind a frame, or undefined. */
export function framePage({ slot, index }: Frame): RealAddress | undefined {
  const page = slot.pages[index];
  return page === NO_PAGE ? undefined : (page as RealAddress);
}

/** The next thing that keeps a slot out of a VM's memory, or undefined. */
export function slotConflict(slots: readonly Memslot[], { id, base, size }: SlotSpec): string | undefined {
  if (!Number.isInteger(id) || id < 0 || id >= UV_MEM_SLOTS) return `no memory slot ${id}`;
  for (const other of slots) {
    if (other.id === id) return `memory slot ${id} twice`;
    const start = gpaOf(other.baseGfn);
    if (base < start + other.npages * UV_PAGE_SIZE && start < base + size) {
      return `memory slots ${other.id} and ${id} overlap`;
    }
  }
  return undefined;
}

/** How many frames are in each state; `unbacked` are Normal frames that nobody has touched. */
export function countFrames(slots: readonly Memslot[]): Record<string, number> {
  const counts: Record<string, number> = { normal: 0, unbacked: 0, secure: 0, shared: 0 };
  for (const { npages, pages, pfns } of slots) {
    for (let i = 0; i < npages; i++) {
      const state = gfnState(pfns[i]);
      counts[state === 'normal' && pages[i] === NO_PAGE ? 'unbacked' : state] += 1;
    }
  }
  return counts;
}
