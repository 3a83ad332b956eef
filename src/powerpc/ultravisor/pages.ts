import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, gfnOf, guestPhysical, PTE, packPte, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import type { Page, PageState } from './page.ts';
import { ATTRIBUTE, attributesAt, isFresh, readPage, stateAt, writePage } from './page-table.ts';
import { setLeaf } from './partition-scoped.ts';
import type { MemSlot, Svm } from './svm.ts';

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

/** Whether a frame was taken away from the secure VM: an access to it is neither memory nor a device. */
export function isLost(svm: Svm, gfn: Gfn): boolean {
  return svm.lost.some(({ first, count }) => gfn >= first && gfn < first + count);
}

/** The page of a frame; undefined if the frame is in no slot. */
export function pageAt(svm: Svm, gfn: Gfn): Page | undefined {
  const slot = slotOf(svm, gfn);
  return slot === undefined ? undefined : readPage(slot.pages, gfn - slot.first);
}

/** All pages of an SVM that were ever touched, in ascending order of frames; the page at hand may be changed meanwhile. */
export function* touchedPages(svm: Svm): Generator<[Gfn, Page]> {
  for (const slot of svm.slots) yield* touchedPagesOf(slot);
}

function* touchedPagesOf({ first, count, pages }: MemSlot): Generator<[Gfn, Page]> {
  for (let index = 0; index < count; index++) {
    if (!isFresh(pages, index)) yield [(first + index) as Gfn, readPage(pages, index)];
  }
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
 * @param attributes `ATTRIBUTE` bits of its mapping; those that it has, unless given. A fresh page has none.
 * @throws Error if the frame is in no slot
 */
export function setPage(uv: UvContext, port: RegisterPort, svm: Svm, gfn: Gfn, page: Page, attributes?: number): void {
  const slot = slotOf(svm, gfn);
  if (slot === undefined) throw new Error(`guest frame 0x${gfn.toString(16)} is in no slot`);
  const index = gfn - slot.first;
  const old = readPage(slot.pages, index);
  const oldAttributes = attributesAt(slot.pages, index);
  const newAttributes = page === FRESH ? 0 : (attributes ?? oldAttributes);
  const leaf = leafFor(page, newAttributes);
  const oldLeaf = leafFor(old, oldAttributes);
  if (leaf !== oldLeaf) {
    setLeaf(uv.view, svm.tree, gfn, leaf);
    if (oldLeaf !== 0n) port.invalidateTranslations(svm.lpid);
  }
  writePage(slot.pages, index, page, newAttributes);
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
  for (const [gfn, page] of touchedPagesOf(slot)) {
    setPage(uv, port, svm, gfn, FRESH);
    const frame = ownedFrame(page);
    if (frame !== null) uv.secure.release(frame);
  }
}

/** Pages of an SVM by state. */
export function countPages(svm: Svm): Partial<Record<PageState, number>> {
  const counts: Partial<Record<PageState, number>> = {};
  for (const { count, pages } of svm.slots) {
    for (let index = 0; index < count; index++) {
      const state = stateAt(pages, index);
      counts[state] = (counts[state] ?? 0) + 1;
    }
  }
  return counts;
}

/** The leaf that a page in this state has in the SVM's tree, 0 for none. */
function leafFor(page: Page, attributes: number): bigint {
  switch (page.state) {
    case 'SECURE':
    case 'HV_SHARING':
    case 'HV_SHARED':
    case 'HV_SHARED_INV':
    case 'PSEUDO_SHARED':
    case 'PSEUDO_SHARED_INV':
      return page.frame === null ? 0n : packPte(BigInt(page.frame), withAttributes(SECURE_LEAF, attributes));
    case 'SHARED':
      return packPte(BigInt(page.hvPage), withAttributes(SHARED_LEAF, attributes));
    default:
      return 0n;
  }
}

function withAttributes(leaf: bigint, attributes: number): bigint {
  const writable = (attributes & ATTRIBUTE.WRITE_PROTECTED) === 0 ? leaf : leaf & ~PTE.WRITE;
  return (attributes & ATTRIBUTE.CACHE_INHIBITED) === 0 ? writable : writable | PTE.ATT_NON_IDEMPOTENT;
}
