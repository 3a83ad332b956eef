import { ARM_PAGE_SIZE, ERRNO, type Errno, OWNER, PHYSICAL_BITS } from '../abi.ts';
import { type HypPages, PAGE_STATE, type PageState } from './hyp-page.ts';
import { leafAt } from './pgtable-walk.ts';
import type { Stage2 } from './stage2.ts';
import {
  ANNOTATION,
  addressOf,
  annotationKind,
  donationValue,
  isValid,
  LAST_LEVEL,
  levelShift,
  MMIO_GUARD,
  PROT,
  type Pte,
} from './stage2-format.ts';

/** Ends of transitions, and what the tables say of them (arm64-pkvm.md 3.1, 7.2's forms). */

/** State of a guest's page, from its own entry: the software bits of a leaf; poisoned if it was taken away; a device's if the guest said so. */
export type GuestState = PageState | 'poison' | 'mmio';

export function guestStateOf(pte: Pte): GuestState {
  if (pte === MMIO_GUARD) return 'mmio';
  if (!isValid(pte)) return annotationKind(pte) === ANNOTATION.guestPoisoned ? 'poison' : PAGE_STATE.noPage;
  if ((pte & PROT.SW0) !== 0n) return PAGE_STATE.sharedOwned;
  return (pte & PROT.SW1) !== 0n ? PAGE_STATE.sharedBorrowed : PAGE_STATE.owned;
}

/** Software bits that put a leaf into a state. */
export function stateBits(state: PageState): bigint {
  if (state === PAGE_STATE.sharedOwned) return PROT.SW0;
  return state === PAGE_STATE.sharedBorrowed ? PROT.SW1 : 0n;
}

/** A range of pages. */
export interface PageRange {
  readonly start: number;
  readonly count: number;
}

export const bytesOf = ({ count }: PageRange): number => count * ARM_PAGE_SIZE;
const endOf = (range: PageRange): number => range.start + bytesOf(range);

/** A range of frames as a caller named it, before anything is computed from it. @returns null for one that no address has (2.16) */
export function pageRange(pfn: bigint, count: bigint): PageRange | null {
  const frames = 1n << BigInt(PHYSICAL_BITS - 12);
  if (pfn >= frames || count > frames - pfn) return null;
  return { start: Number(pfn) * ARM_PAGE_SIZE, count: Number(count) };
}

/** Whether transitions of a range are allowed at all: −EINVAL where it straddles memory and devices, −EPERM where it is no memory (2.16). */
export function checkMemory(pages: HypPages, range: PageRange): Errno {
  const memory = pages.rangeOf(range.start);
  if (memory === undefined) {
    const overlaps = pages.ranges.some(({ base, size }) => range.start < base + size && endOf(range) > base);
    return overlaps ? ERRNO.EINVAL : ERRNO.EPERM;
  }
  if (endOf(range) > memory.base + memory.size) return ERRNO.EINVAL;
  return memory.noMap === true ? ERRNO.EPERM : 0;
}

/** Every page of a range. */
export function* pagesOf({ start, count }: PageRange): Generator<number> {
  for (let n = 0; n < count; n++) yield start + n * ARM_PAGE_SIZE;
}

/** Whether the host has every page of the range in a state. Memory must have been checked. */
export function checkHost(pages: HypPages, range: PageRange, state: PageState): Errno {
  for (const page of pagesOf(range)) if (pages.hostState(page) !== state) return ERRNO.EPERM;
  return 0;
}

export function checkHyp(pages: HypPages, range: PageRange, state: PageState): Errno {
  for (const page of pagesOf(range)) if (pages.hypState(page) !== state) return ERRNO.EPERM;
  return 0;
}

export function setHost(pages: HypPages, range: PageRange, state: PageState): void {
  for (const page of pagesOf(range)) pages.setHostState(page, state);
}

export function setHyp(pages: HypPages, range: PageRange, state: PageState): void {
  for (const page of pagesOf(range)) pages.setHypState(page, state);
}

/** A guest as transitions see it. */
export interface GuestMemory {
  readonly handle: number;
  readonly isProtected: boolean;
  readonly table: Stage2;
}

/** Whether a guest has every page of an intermediate range in a state: −ERANGE beyond its addresses, −EPERM otherwise. */
export function checkGuest(table: Stage2, range: PageRange, state: GuestState): Errno {
  for (let at = range.start; at < endOf(range); ) {
    const found = leafAt(table, at);
    if (found === ERRNO.ERANGE) return found;
    if (guestStateOf(found.pte) !== state) return ERRNO.EPERM;
    // A leaf, or a hole, is the same all over.
    const size = 2 ** levelShift(found.level);
    at = (Math.floor(at / size) + 1) * size;
  }
  return 0;
}

/** A guest's page, with where it is: −EHWPOISON, −ENOENT where there is none, −E2BIG where a block is (3.4 #16 to #19). */
export function guestPage(
  table: Stage2,
  ipa: number,
): { readonly physical: number; readonly state: PageState } | Errno {
  const found = leafAt(table, ipa);
  if (found === ERRNO.ERANGE) return found;
  const state = guestStateOf(found.pte);
  if (state === 'poison') return ERRNO.EHWPOISON;
  if (state === 'mmio') return ERRNO.EPERM;
  if (!isValid(found.pte)) return ERRNO.ENOENT;
  if (found.level !== LAST_LEVEL) return ERRNO.E2BIG;
  return { physical: addressOf(found.pte), state };
}

/** The annotation of pages that the host gave to the hyp. */
export const HYP_OWNED = donationValue({ owner: OWNER.hyp, handle: 0, gfn: 0 });

/** The annotation of a page that the host gave to a guest: enough to find the guest's entry from the page. */
export const guestOwned = (handle: number, ipa: number): bigint =>
  donationValue({ owner: OWNER.guest, handle, gfn: ipa / ARM_PAGE_SIZE });
