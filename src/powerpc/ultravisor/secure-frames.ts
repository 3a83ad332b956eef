import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, gpaOf, HCALL, PTE, UV_PAGE_ORDER } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import type { Frame } from './frame.ts';
import { callHypervisor } from './hypervisor-entry.ts';
import { killSvm } from './kill.ts';
import { isResident } from './page-table.ts';
import { readLeaf, setLeaf } from './partition-scoped.ts';
import type { Continuation, Svm } from './svm.ts';

/** The Ultravisor keeps one frame of so many, but no more than the most, for its own tables. */
const FRAMES_PER_KEPT = 32;
const MOST_KEPT = 8;

/** How many answers of the hypervisor in a row may bring no frame before an SVM that alone is to blame for it is given up. */
const MOST_TRIES = 16;

/** H_CONFER to whoever is ready. */
const ANY_VCPU = 0xffffffffffffffffn;

type RoomContinuation = Extract<Continuation, { readonly kind: 'room' }>;

/** A zeroed frame for a page of an SVM; undefined if there is none to spare. */
export function takeFrame(uv: UvContext, svm: Svm): RealAddress | undefined {
  if (!canSpare(uv)) return undefined;
  uv.state.short.delete(svm.lpid);
  return uv.secure.take();
}

function canSpare({ secure }: UvContext): boolean {
  return secure.free > Math.min(MOST_KEPT, Math.floor(secure.total / FRAMES_PER_KEPT));
}

/**
 * Asks the hypervisor to page a frame in (6.4), with a secure frame set aside for it, so that nobody takes that meanwhile; first to page
 * another one out, if there is no secure frame. Then `then` goes on, and must look again: the hypervisor may have done neither.
 */
export function requestPage(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  gfn: Gfn,
  then: Continuation,
): 'left' {
  const incoming = takeFrame(uv, svm);
  if (incoming === undefined) return makeRoom(uv, port, svm, frame, then);
  return askForPage(uv, port, svm, frame, gfn, then, incoming);
}

/** H_SVM_PAGE_IN for a page that is paged out, or moves in; `incoming` is for it. */
export function askForPage(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  gfn: Gfn,
  then: Continuation,
  incoming: RealAddress,
): 'left' {
  const args = [BigInt(gpaOf(gfn)), 0n, BigInt(UV_PAGE_ORDER)];
  return callHypervisor(uv, port, svm, frame, HCALL.H_SVM_PAGE_IN, args, then, { gfn, frame: incoming });
}

/**
 * Secure memory has run out: asks the hypervisor to page out the least recently used page of the SVM (5.7, 6.5 B). Has it none, others must
 * give one up, and the vCPU lets them run. Then `then` goes on.
 */
export function makeRoom(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  then: Continuation,
  tries = 0,
): 'left' {
  uv.state.short.add(svm.lpid);
  const victim = chooseVictim(uv, port, svm);
  const after: RoomContinuation = { kind: 'room', tries: tries + 1, then };
  if (victim !== undefined) return pageOut(uv, port, svm, frame, victim, after);
  if (!mustWait(uv, svm, tries)) return killSvm(uv, port, svm, frame, 'secure memory is used up');
  return callHypervisor(uv, port, svm, frame, HCALL.H_CONFER, [ANY_VCPU, 0n], after);
}

/**
 * The hypervisor has answered a call of `makeRoom`. A refusal is not the end: another page may be easier for it.
 * @returns 'left' if there is still no room; what waits for it may be tried otherwise
 */
export function continueRoom(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  { tries, then }: RoomContinuation,
): 'left' | 'try' {
  if (canSpare(uv)) return 'try';
  if (tries >= MOST_TRIES && !mustWait(uv, svm, tries)) {
    return killSvm(uv, port, svm, frame, 'secure memory is used up, and the hypervisor pages nothing out');
  }
  return makeRoom(uv, port, svm, frame, then, tries);
}

/** Others have secure memory that could become free. One that is not secure yet does not wait for long: it can go on as a normal VM. */
function mustWait(uv: UvContext, svm: Svm, tries: number): boolean {
  if (svm.state === 'ACTIVE' && tries >= MOST_TRIES) return false;
  return [...uv.state.svms.values()].some((other) => other !== svm && hasResident(other));
}

/**
 * A page that an SVM gives up for others which are short of memory, when it goes on after an exit; undefined if none is needed, or it has
 * none.
 */
export function pageToDonate(uv: UvContext, port: RegisterPort, svm: Svm): Gfn | undefined {
  const { short } = uv.state;
  if (short.size === 0 || canSpare(uv) || (short.size === 1 && short.has(svm.lpid))) return undefined;
  return chooseVictim(uv, port, svm);
}

/** H_SVM_PAGE_OUT for a page of the SVM in whose place the hypervisor gets control. */
export function pageOut(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  gfn: Gfn,
  then: Continuation,
): 'left' {
  return callHypervisor(
    uv,
    port,
    svm,
    frame,
    HCALL.H_SVM_PAGE_OUT,
    [BigInt(gpaOf(gfn)), 0n, BigInt(UV_PAGE_ORDER)],
    then,
  );
}

/**
 * The least recently used page, by second chance: from the hand on, one whose R bit is clear; those that are passed lose theirs. Only pages
 * that are SECURE and have a frame: none that is being shared or is the Ultravisor's; and during UV_ESM not the device tree, which it still
 * needs.
 */
function chooseVictim(uv: UvContext, port: RegisterPort, svm: Svm): Gfn | undefined {
  let passed = false;
  let victim: Gfn | undefined;
  for (let round = 0; round < 2 && victim === undefined; round++) {
    for (const gfn of residentFrom(svm, svm.hand)) {
      const leaf = readLeaf(uv.view, svm.tree, gfn);
      if ((leaf & PTE.R) === 0n) {
        victim = gfn;
        break;
      }
      setLeaf(uv.view, svm.tree, gfn, leaf & ~PTE.R);
      passed = true;
    }
  }
  // A CPU sets R only where it has no translation.
  if (passed) port.invalidateTranslations(svm.lpid);
  if (victim !== undefined) svm.hand = (victim + 1) as Gfn;
  return victim;
}

function hasResident(svm: Svm): boolean {
  return !(residentFrom(svm, 0 as Gfn).next().done ?? false);
}

/** Frames of pages that could be paged out, from one on and round to it. */
function* residentFrom(svm: Svm, from: Gfn): Generator<Gfn> {
  yield* residentBetween(svm, from, Number.POSITIVE_INFINITY);
  yield* residentBetween(svm, 0 as Gfn, from);
}

function* residentBetween({ slots, esm }: Svm, from: Gfn, end: number): Generator<Gfn> {
  for (const { first, count, pages } of slots) {
    const last = Math.min(first + count, end);
    for (let gfn = Math.max(first, from); gfn < last; gfn++) {
      if (isResident(pages, gfn - first) && esm?.kept.has(gfn as Gfn) !== true) yield gfn as Gfn;
    }
  }
}
