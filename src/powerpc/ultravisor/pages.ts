import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, gfnOf, guestPhysical, PTE, packPte, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { setLeaf } from './partition-scoped.ts';
import type { MemSlot, Page, PageState, Svm } from './svm.ts';

/** A page that was never touched: zero, without a frame. */
export const FRESH: Page = { state: 'SECURE', frame: null, given: false };

/** Access to a secure page; R and C are set so that the CPU has nothing to update (2.6). */
const SECURE_LEAF = PTE.R | PTE.C | PTE.READ | PTE.WRITE | PTE.EXECUTE;
/** Access to a shared page: the hypervisor can write it, so nothing is executed from it (10.1 #32). */
const SHARED_LEAF = PTE.R | PTE.C | PTE.READ | PTE.WRITE | PTE.SHARED;

/** States in which a share or unshare of the page waits for the hypervisor (3.18). */
const TRANSIENT: ReadonlySet<PageState> = new Set([
  'HV_SHARING',
  'HV_SHARED',
  'HV_SHARED_INV',
  'HV_UNSHARING',
  'HV_UNSHARING_INV',
  'HV_UNSHARED',
]);

/** Whether a share or unshare of the page is under way. */
export function isTransient(page: Page): boolean {
  return TRANSIENT.has(page.state);
}

/** The slot that holds a frame. */
export function slotOf(svm: Svm, gfn: Gfn): MemSlot | undefined {
  return svm.slots.find(({ first, count }) => gfn >= first && gfn < first + count);
}

/** The page of a frame; undefined if the frame is in no slot. */
export function pageAt(svm: Svm, gfn: Gfn): Page | undefined {
  return slotOf(svm, gfn) === undefined ? undefined : (svm.pages.get(gfn) ?? FRESH);
}

/**
 * The frame that a register names by the address of its first byte; undefined if it is no such address or in no slot
 * (10.1 #18).
 */
export function registeredFrame(svm: Svm, register: bigint): Gfn | undefined {
  const gpa = guestPhysical(register);
  if (gpa === undefined || gpa % UV_PAGE_SIZE !== 0) return undefined;
  const gfn = gfnOf(gpa);
  return slotOf(svm, gfn) === undefined ? undefined : gfn;
}

/** Whether all of `count` frames from `first` are in slots; a range may go over adjacent slots (10.1 #11). */
export function isRegistered(svm: Svm, first: Gfn, count: number): boolean {
  const end = first + count;
  let at = first;
  while (at < end) {
    const slot = slotOf(svm, at);
    if (slot === undefined) return false;
    at = (slot.first + slot.count) as Gfn;
  }
  return true;
}

/**
 * Puts a page into another state, and its leaf in the SVM's tree and the CPUs' translations with it. It takes and gives
 * back no frames.
 * @throws Error if the frame is in no slot
 */
export function setPage(uv: UvContext, port: RegisterPort, svm: Svm, gfn: Gfn, page: Page): void {
  const old = pageAt(svm, gfn);
  if (old === undefined) throw new Error(`guest frame 0x${gfn.toString(16)} is in no slot`);
  const leaf = leafFor(page);
  const oldLeaf = leafFor(old);
  if (leaf !== oldLeaf) {
    setLeaf(uv.view, svm.tree, gfn, leaf);
    if (oldLeaf !== 0n) port.invalidateTranslations(svm.lpid);
  }
  if (page === FRESH) svm.pages.delete(gfn);
  else svm.pages.set(gfn, page);
  if (page.state === old.state) return;
  uv.trace?.emit({
    type: 'page-state',
    at: port.clock,
    cpu: port.cpu,
    vm: svm.lpid,
    gfn: BigInt(gfn),
    from: old.state,
    to: page.state,
  });
}

/** The secure frame that a page owns, null if none. */
export function ownedFrame(page: Page): RealAddress | null {
  return 'frame' in page ? page.frame : null;
}

/** Gives up everything that the pages of a slot hold and makes them fresh (3.9). */
export function dropPages(uv: UvContext, port: RegisterPort, svm: Svm, slot: MemSlot): void {
  for (const [gfn, page] of [...svm.pages]) {
    if (gfn < slot.first || gfn >= slot.first + slot.count) continue;
    setPage(uv, port, svm, gfn, FRESH);
    const frame = ownedFrame(page);
    if (frame !== null) uv.secure.release(frame);
  }
}

/** Pages of an SVM by state. */
export function countPages(svm: Svm): Partial<Record<PageState, number>> {
  const counts: Partial<Record<PageState, number>> = {};
  for (const { state } of svm.pages.values()) counts[state] = (counts[state] ?? 0) + 1;
  const fresh = svm.slots.reduce((sum, { count }) => sum + count, 0) - svm.pages.size;
  if (fresh > 0) counts.SECURE = (counts.SECURE ?? 0) + fresh;
  return counts;
}

/** The leaf that a page in this state has in the SVM's tree, 0 for none. */
function leafFor(page: Page): bigint {
  switch (page.state) {
    case 'SECURE':
    case 'HV_SHARING':
    case 'HV_SHARED':
    case 'HV_SHARED_INV':
    case 'PSEUDO_SHARED':
    case 'PSEUDO_SHARED_INV':
      return page.frame === null ? 0n : packPte(BigInt(page.frame), SECURE_LEAF);
    case 'SHARED':
      return packPte(BigInt(page.hvPage), SHARED_LEAF);
    default:
      return 0n;
  }
}
