import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, ERRNO, type Errno, OWNER } from '../abi.ts';
import { type HypPages, PAGE_STATE, type PageState } from './hyp-page.ts';
import {
  bytesOf,
  checkGuest,
  checkHost,
  checkHyp,
  checkMemory,
  type GuestMemory,
  guestOwned,
  guestPage,
  HYP_OWNED,
  type PageRange,
  pagesOf,
  setHost,
  setHyp,
  stateBits,
} from './ownership.ts';
import { leafAt } from './pgtable-walk.ts';
import {
  makeYoung,
  type PageSource,
  relaxPermissions,
  type Stage2,
  testClearYoung,
  unmap,
  writeProtect,
} from './stage2.ts';
import {
  ANNOTATION,
  addressOf,
  annotationKind,
  donationOf,
  granuleOf,
  isValid,
  PROT,
  protOf,
} from './stage2-format.ts';
import { annotate, map, markDevice, setOwnerToSelf } from './stage2-map.ts';

/** The hyp's own stage 1 table, as transitions see it: what of memory EL2 has mapped. */
export interface HypMappings {
  map(range: PageRange): void;
  unmap(range: PageRange): void;
}

/** What transitions work on. */
export interface MemProtectParts {
  readonly view: HostView;
  readonly pages: HypPages;
  /** The host's stage 2: an identity map, filled when it is used. */
  readonly host: Stage2;
  readonly hyp: HypMappings;
  /** The VM with a handle, for the way back from an annotation. */
  readonly guestOf: (handle: number) => GuestMemory | undefined;
  /** Told of every page of a guest's that has changed its state, in the words of 3.1. */
  readonly onGuestPage?: (guest: GuestMemory, ipa: number, from: GuestPageState, to: GuestPageState) => void;
}

/** States of a guest's page, for the trace. */
export type GuestPageState = 'NOPAGE' | 'OWNED' | 'SHARED_OWNED' | 'SHARED_BORROWED' | 'POISON' | 'MMIO';

/** A leaf that only guests that are not protected have can be a block of 512 pages. */
const BLOCK_PAGES = 512;
const MOST_SHARES = 0xffffffff;
const { owned, sharedOwned, sharedBorrowed, noPage } = PAGE_STATE;

/**
 * Ownership of memory and how it changes hands: the transitions of arm64-pkvm.md 3.4, in 7.2's form. Each checks both ends first, in the documented
 * order, then commits; a commit cannot fail. All return 0 or an error.
 */
export class MemProtect {
  readonly #view: HostView;
  readonly #pages: HypPages;
  readonly #host: Stage2;
  readonly #hyp: HypMappings;
  readonly #guestOf: MemProtectParts['guestOf'];
  readonly #note: NonNullable<MemProtectParts['onGuestPage']>;

  constructor(parts: MemProtectParts) {
    this.#view = parts.view;
    this.#pages = parts.pages;
    this.#host = parts.host;
    this.#hyp = parts.hyp;
    this.#guestOf = parts.guestOf;
    this.#note = parts.onGuestPage ?? (() => {});
  }

  /** #1 __pkvm_host_share_hyp: the hyp may look at the page; it maps it when it first pins it. */
  hostShareHyp(range: PageRange): Errno {
    const error =
      checkMemory(this.#pages, range) || checkHost(this.#pages, range, owned) || checkHyp(this.#pages, range, noPage);
    if (error !== 0) return error;
    setHyp(this.#pages, range, sharedBorrowed);
    setHost(this.#pages, range, sharedOwned);
    return 0;
  }

  /** #2 __pkvm_host_unshare_hyp. −EBUSY while the page is pinned. */
  hostUnshareHyp(range: PageRange): Errno {
    const error =
      checkMemory(this.#pages, range) ||
      checkHost(this.#pages, range, sharedOwned) ||
      checkHyp(this.#pages, range, sharedBorrowed) ||
      this.#checkUnpinned(range);
    if (error !== 0) return error;
    setHyp(this.#pages, range, noPage);
    setHost(this.#pages, range, owned);
    return 0;
  }

  /** #3 hyp_pin_shared_mem: the pages stay shared until they are unpinned. */
  pin(range: PageRange): Errno {
    const error =
      checkMemory(this.#pages, range) ||
      checkHost(this.#pages, range, sharedOwned) ||
      checkHyp(this.#pages, range, sharedBorrowed);
    if (error !== 0) return error;
    for (const page of pagesOf(range)) {
      const count = this.#pages.refcount(page) + 1;
      this.#pages.setRefcount(page, count);
      if (count === 1) this.#hyp.map({ start: page, count: 1 });
    }
    return 0;
  }

  /** #4 hyp_unpin_shared_mem. */
  unpin(range: PageRange): void {
    for (const page of pagesOf(range)) {
      const count = this.#pages.refcount(page) - 1;
      if (count === 0) this.#hyp.unmap({ start: page, count: 1 });
      this.#pages.setRefcount(page, count);
    }
  }

  /** #5 __pkvm_host_donate_hyp: contents are the caller's to clear. */
  hostDonateHyp(range: PageRange): Errno {
    const error =
      checkMemory(this.#pages, range) || checkHost(this.#pages, range, owned) || checkHyp(this.#pages, range, noPage);
    if (error !== 0) return error;
    setHyp(this.#pages, range, owned);
    this.#hyp.map(range);
    this.#takeFromHost(range, HYP_OWNED);
    return 0;
  }

  /** #6 __pkvm_hyp_donate_host: the caller has cleared the pages. −EBUSY while something refers to one. */
  hypDonateHost(range: PageRange): Errno {
    const error =
      checkHyp(this.#pages, range, owned) || checkHost(this.#pages, range, noPage) || this.#checkUnpinned(range);
    if (error !== 0) return error;
    setHyp(this.#pages, range, noPage);
    this.#hyp.unmap(range);
    this.#giveToHost(range, owned);
    return 0;
  }

  /** #7 __pkvm_host_share_ffa: only the host's half is recorded. */
  hostShareFfa(range: PageRange): Errno {
    const error = checkMemory(this.#pages, range) || checkHost(this.#pages, range, owned);
    if (error !== 0) return error;
    setHost(this.#pages, range, sharedOwned);
    return 0;
  }

  /** #8 __pkvm_host_unshare_ffa: the proxy passes only what it recorded. */
  hostUnshareFfa(range: PageRange): Errno {
    const error = checkMemory(this.#pages, range) || checkHost(this.#pages, range, sharedOwned);
    if (error !== 0) return error;
    setHost(this.#pages, range, owned);
    return 0;
  }

  /** #9 __pkvm_host_donate_guest: one page, with its contents. @param least pages that the cache must have: levels below the root */
  hostDonateGuest(page: number, guest: GuestMemory, ipa: number, cache: PageSource & { readonly size: number }): Errno {
    const range = { start: page, count: 1 };
    const error =
      checkMemory(this.#pages, range) ||
      checkHost(this.#pages, range, owned) ||
      checkGuest(guest.table, { start: ipa, count: 1 }, noPage) ||
      checkCache(guest.table, cache);
    if (error !== 0) return error;
    this.#takeFromHost(range, guestOwned(guest.handle, ipa));
    commit(map(guest.table, ipa, ARM_PAGE_SIZE, page, PROT.RWX | stateBits(owned), cache));
    this.#note(guest, ipa, 'NOPAGE', 'OWNED');
    return 0;
  }

  /** #10 __pkvm_host_share_guest: a page or a block of 2 MiB, for a guest that is not protected; the host keeps its access. */
  hostShareGuest(
    range: PageRange,
    guest: GuestMemory,
    ipa: number,
    prot: bigint,
    cache: PageSource & { readonly size: number },
  ): Errno {
    if ((prot & ~PROT.RWX) !== 0n) return ERRNO.EINVAL;
    const error =
      checkSize(range.start, range.count) ||
      checkSize(ipa, range.count) ||
      checkMemory(this.#pages, range) ||
      checkGuest(guest.table, { start: ipa, count: range.count }, noPage) ||
      this.#checkShareable(range) ||
      checkCache(guest.table, cache);
    if (error !== 0) return error;
    for (const page of pagesOf(range)) {
      this.#pages.setHostState(page, sharedOwned);
      this.#pages.setGuestShares(page, this.#pages.guestShares(page) + 1);
    }
    commit(map(guest.table, ipa, bytesOf(range), range.start, prot | stateBits(sharedBorrowed), cache));
    this.#noteAll(guest, ipa, range.count, 'NOPAGE', 'SHARED_BORROWED');
    return 0;
  }

  /** #11 __pkvm_host_unshare_guest: the request must be as large as the mapping. */
  hostUnshareGuest(guest: GuestMemory, ipa: number, count: number): Errno {
    const leaf = this.#sharedLeaf(guest, ipa, count);
    if (typeof leaf === 'number') return leaf;
    const error = checkHost(this.#pages, leaf, sharedOwned);
    if (error !== 0) return error;
    for (const page of pagesOf(leaf)) if (this.#pages.guestShares(page) === 0) return ERRNO.EINVAL;
    commit(unmap(guest.table, ipa, bytesOf(leaf)));
    for (const page of pagesOf(leaf)) {
      const shares = this.#pages.guestShares(page) - 1;
      this.#pages.setGuestShares(page, shares);
      if (shares === 0) this.#pages.setHostState(page, owned);
    }
    this.#noteAll(guest, ipa, leaf.count, 'SHARED_BORROWED', 'NOPAGE');
    return 0;
  }

  /** #12 __pkvm_host_relax_perms_guest. */
  hostRelaxPermsGuest(guest: GuestMemory, ipa: number, prot: bigint): Errno {
    if (guest.isProtected) return ERRNO.EPERM;
    if ((prot & ~PROT.RWX) !== 0n) return ERRNO.EINVAL;
    return relaxPermissions(guest.table, ipa, prot);
  }

  /** #13 __pkvm_host_wrprotect_guest: stale writable translations stay until the host flushes. */
  hostWrprotectGuest(guest: GuestMemory, ipa: number, count: number): Errno {
    if (guest.isProtected) return ERRNO.EPERM;
    const leaf = this.#sharedLeaf(guest, ipa, count);
    return typeof leaf === 'number' ? leaf : writeProtect(guest.table, ipa, bytesOf(leaf));
  }

  /** #14 __pkvm_host_test_clear_young_guest. @returns 1 where the page was accessed */
  hostTestClearYoungGuest(guest: GuestMemory, ipa: number, count: number, age: boolean): Errno | 1 {
    if (guest.isProtected) return ERRNO.EPERM;
    const leaf = this.#sharedLeaf(guest, ipa, count);
    return typeof leaf === 'number' ? leaf : testClearYoung(guest.table, ipa, bytesOf(leaf), age);
  }

  /** #15 __pkvm_host_mkyoung_guest: never fails for what it finds. */
  hostMkyoungGuest(guest: GuestMemory, ipa: number): Errno {
    if (guest.isProtected) return ERRNO.EPERM;
    makeYoung(guest.table, ipa);
    return 0;
  }

  /** #16 __pkvm_guest_share_host: MEM_SHARE of a protected guest. */
  guestShareHost(guest: GuestMemory, ipa: number): Errno {
    const found = guestPage(guest.table, ipa);
    if (typeof found === 'number') return found;
    const range = { start: found.physical, count: 1 };
    if (found.state !== owned || checkHost(this.#pages, range, noPage) !== 0) return ERRNO.EPERM;
    this.#setGuestState(guest, ipa, found.physical, sharedOwned);
    this.#giveToHost(range, sharedBorrowed);
    this.#note(guest, ipa, 'OWNED', 'SHARED_OWNED');
    return 0;
  }

  /** #17 __pkvm_guest_unshare_host: the host loses the page before the guest has it back. */
  guestUnshareHost(guest: GuestMemory, ipa: number): Errno {
    const found = guestPage(guest.table, ipa);
    if (typeof found === 'number') return found;
    const range = { start: found.physical, count: 1 };
    if (found.state !== sharedOwned || checkHost(this.#pages, range, sharedBorrowed) !== 0) return ERRNO.EPERM;
    this.#takeFromHost(range, guestOwned(guest.handle, ipa));
    this.#setGuestState(guest, ipa, found.physical, owned);
    this.#note(guest, ipa, 'SHARED_OWNED', 'OWNED');
    return 0;
  }

  /** MEM_RELINQUISH of a protected guest (5.2): a page that only the guest had goes back to the host, cleared. */
  guestRelinquishHost(guest: GuestMemory, ipa: number): Errno {
    const found = guestPage(guest.table, ipa);
    if (typeof found === 'number') return found;
    const range = { start: found.physical, count: 1 };
    if (found.state !== owned || checkHost(this.#pages, range, noPage) !== 0) return ERRNO.EPERM;
    commit(unmap(guest.table, ipa, ARM_PAGE_SIZE));
    this.#clear(found.physical);
    this.#giveToHost(range, owned);
    this.#note(guest, ipa, 'OWNED', 'NOPAGE');
    return 0;
  }

  /** MMIO_GUARD_MAP (5.4). @returns −EBUSY where memory is, −ENOMEM where table pages are missing */
  guestMarkDevice(guest: GuestMemory, ipa: number, cache: PageSource & { readonly size: number }): Errno {
    const error = checkGuest(guest.table, { start: ipa, count: 1 }, 'mmio');
    if (error === 0 || error === ERRNO.ERANGE) return error;
    if (checkGuest(guest.table, { start: ipa, count: 1 }, noPage) !== 0) return ERRNO.EBUSY;
    if (checkCache(guest.table, cache) !== 0) return ERRNO.ENOMEM;
    commit(markDevice(guest.table, ipa, cache));
    this.#note(guest, ipa, 'NOPAGE', 'MMIO');
    return 0;
  }

  /** MMIO_GUARD_UNMAP. @returns −EINVAL where there is no mark */
  guestUnmarkDevice(guest: GuestMemory, ipa: number): Errno {
    if (checkGuest(guest.table, { start: ipa, count: 1 }, 'mmio') !== 0) return ERRNO.EINVAL;
    commit(unmap(guest.table, ipa, ARM_PAGE_SIZE));
    this.#note(guest, ipa, 'MMIO', 'NOPAGE');
    return 0;
  }

  /** #18 __pkvm_reclaim_dying_guest_page: what only the guest could read is cleared. */
  reclaimDyingGuestPage(guest: GuestMemory, ipa: number): Errno {
    const found = guestPage(guest.table, ipa);
    if (found === ERRNO.EHWPOISON) return 0;
    if (typeof found === 'number') return found;
    if (found.state !== owned && found.state !== sharedOwned) return ERRNO.EPERM;
    commit(unmap(guest.table, ipa, ARM_PAGE_SIZE));
    if (found.state === owned) this.#clear(found.physical);
    this.#giveToHost({ start: found.physical, count: 1 }, owned);
    this.#note(guest, ipa, found.state === owned ? 'OWNED' : 'SHARED_OWNED', 'NOPAGE');
    return 0;
  }

  /** #19 __pkvm_force_reclaim_guest_page: the host touched a page that it gave away; the guest must not go on with it. */
  forceReclaimGuestPage(physical: number): Errno {
    const page = physical - (physical % ARM_PAGE_SIZE);
    if (this.#pages.rangeOf(page) === undefined) return ERRNO.EFAULT;
    if (this.#pages.hostState(page) !== noPage) return ERRNO.EAGAIN;
    const entry = leafAt(this.#host, page);
    if (entry === ERRNO.ERANGE) return ERRNO.EFAULT;
    if (annotationKind(entry.pte) !== ANNOTATION.hostDonation) return ERRNO.EINVAL;
    const { owner, handle, gfn } = donationOf(entry.pte);
    if (owner !== OWNER.guest) return ERRNO.EPERM;
    const guest = this.#guestOf(handle);
    if (guest === undefined) return ERRNO.EAGAIN;
    const ipa = gfn * ARM_PAGE_SIZE;
    const found = guestPage(guest.table, ipa);
    if (typeof found === 'number') return found;
    if (found.state !== owned) return ERRNO.EPERM;
    commit(annotate(guest.table, ipa, ARM_PAGE_SIZE, ANNOTATION.guestPoisoned, 0n, null));
    this.#clear(page);
    this.#giveToHost({ start: page, count: 1 }, owned);
    this.#note(guest, ipa, 'OWNED', 'POISON');
    return 0;
  }

  #noteAll(guest: GuestMemory, ipa: number, count: number, from: GuestPageState, to: GuestPageState): void {
    for (let n = 0; n < count; n++) this.#note(guest, ipa + n * ARM_PAGE_SIZE, from, to);
  }

  #checkUnpinned(range: PageRange): Errno {
    for (const page of pagesOf(range)) if (this.#pages.refcount(page) !== 0) return ERRNO.EBUSY;
    return 0;
  }

  /** The host's own pages, and those that other guests have already: their count must have room. */
  #checkShareable(range: PageRange): Errno {
    for (const page of pagesOf(range)) {
      const state = this.#pages.hostState(page);
      const shares = this.#pages.guestShares(page);
      if (state === owned) continue;
      if (state !== sharedOwned || shares === 0) return ERRNO.EPERM;
      if (shares === MOST_SHARES) return ERRNO.EBUSY;
    }
    return 0;
  }

  /** The pages behind a mapping of a guest that is not protected, which must be as large as the request. */
  #sharedLeaf(guest: GuestMemory, ipa: number, count: number): PageRange | Errno {
    const error = checkSize(ipa, count);
    if (error !== 0) return error;
    const found = leafAt(guest.table, ipa);
    if (found === ERRNO.ERANGE) return found;
    if (!isValid(found.pte)) return ERRNO.ENOENT;
    if (granuleOf(found.level) !== count * ARM_PAGE_SIZE) return ERRNO.E2BIG;
    if ((protOf(found.pte) & PROT.SW) !== stateBits(sharedBorrowed)) return ERRNO.EPERM;
    return { start: addressOf(found.pte), count };
  }

  #setGuestState(guest: GuestMemory, ipa: number, physical: number, state: PageState): void {
    commit(map(guest.table, ipa, ARM_PAGE_SIZE, physical, PROT.RWX | stateBits(state), null));
  }

  /** The host's entries say who has the pages now; its translations are gone. */
  #takeFromHost(range: PageRange, annotation: bigint): void {
    commit(annotate(this.#host, range.start, bytesOf(range), ANNOTATION.hostDonation, annotation, HOST_POOL));
    setHost(this.#pages, range, noPage);
  }

  /** The host may use the pages again: it maps them when it touches them. */
  #giveToHost(range: PageRange, state: PageState): void {
    commit(setOwnerToSelf(this.#host, range.start, bytesOf(range), HOST_POOL));
    setHost(this.#pages, range, state);
  }

  #clear(page: number): void {
    this.#view.fill(page as RealAddress, ARM_PAGE_SIZE, 0);
  }
}

/** The host's table takes its pages from the hyp's pool: any cache will do to say so. */
const HOST_POOL: PageSource = { pop: () => null };

/** @throws Error for a step that must not fail once the checks have passed (3.2 I8) */
function commit(error: Errno): void {
  if (error !== 0) throw new Error(`a commit failed with ${error}`);
}

/** One page, or 2 MiB that begin at a multiple of 2 MiB. */
function checkSize(address: number, count: number): Errno {
  if (count === 1) return 0;
  return count === BLOCK_PAGES && address % (BLOCK_PAGES * ARM_PAGE_SIZE) === 0 ? 0 : ERRNO.EINVAL;
}

/** Every table that a leaf can need must be in the cache before anything changes (10.1 #20). */
function checkCache({ startLevel }: Stage2, { size }: { readonly size: number }): Errno {
  return size < 3 - startLevel ? ERRNO.ENOMEM : 0;
}
