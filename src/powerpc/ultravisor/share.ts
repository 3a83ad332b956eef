import {
  type Gfn,
  GUEST_PHYSICAL_LIMIT,
  gpaOf,
  H_PAGE_IN_SHARED,
  HCALL,
  U_CODE,
  type UCode,
  UV_PAGE_ORDER,
  UV_PAGE_SIZE,
} from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { type Frame, type Interrupted, saveFrame } from './frame.ts';
import { callHypervisor } from './hypervisor-entry.ts';
import { FRESH, isRegistered, isTransient, ownedFrame, pageAt, setPage, slotOf } from './pages.ts';
import { askForPage, makeRoom, takeFrame } from './secure-frames.ts';
import type { Continuation, Svm } from './svm.ts';

const { U_SUCCESS, U_PARAMETER, U_P2 } = U_CODE;

const GFN_LIMIT = BigInt(GUEST_PHYSICAL_LIMIT / UV_PAGE_SIZE);

/** How often a paged-out page is asked for before a share of it fails (6.6). */
const PAGE_IN_TRIES = 4;

type ShareContinuation = Extract<Continuation, { readonly kind: 'share' }>;
type UndoContinuation = Extract<Continuation, { readonly kind: 'undo-share' }>;
type UnshareContinuation = Extract<Continuation, { readonly kind: 'unshare' }>;

/**
 * The registers of the vCPU whose call this is: taken when the first hypercall is needed, or already in a frame when
 * the hypervisor has answered one.
 */
export type Caller = { readonly interrupted: Interrupted } | { readonly frame: Frame };

/** The frames from R4 on, R5 in number, that a call names; a code if not all of them are in slots (10.1 #11, #31). */
export function sharingRange(svm: Svm, first: bigint, count: bigint): Gfn[] | UCode {
  const gfn = Number(first) as Gfn;
  if (first >= GFN_LIMIT || slotOf(svm, gfn) === undefined) return U_PARAMETER;
  if (count === 0n || count > GFN_LIMIT - first || !isRegistered(svm, gfn, Number(count))) return U_P2;
  return Array.from({ length: Number(count) }, (_, i) => (gfn + i) as Gfn);
}

/**
 * Shares frames with the hypervisor, from index `at` on: asks for a normal page for each, one hypercall at a time, and
 * when all are there makes them the SVM's, zeroed (3.14, 6.6). All or nothing. Frames that are shared already are
 * zeroed; those that the Ultravisor shares for itself stay as they are.
 */
export function shareFrom(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  caller: Caller,
  gfns: readonly Gfn[],
  first: number,
): Outcome {
  for (let at = first; at < gfns.length; at++) {
    const gfn = gfns[at];
    const page = pageAt(svm, gfn);
    if (page === undefined || isTransient(page)) return undoShare(uv, port, svm, caller, gfns.slice(0, at), 0, U_P2);
    if (page.state === 'PAGEDOUT') return askBack(uv, port, svm, caller, gfns, at, 1);
    if (page.state === 'SECURE') {
      setPage(uv, port, svm, gfn, { state: 'HV_SHARING', frame: page.frame });
      return ask(uv, port, svm, caller, gfn, H_PAGE_IN_SHARED, { kind: 'share', gfns, at, tries: 0 });
    }
  }
  for (const gfn of gfns) {
    const page = pageAt(svm, gfn);
    if (page?.state === 'SHARED') uv.view.fill(page.hvPage, UV_PAGE_SIZE, 0);
    else commitShare(uv, port, svm, gfn, 'SHARED');
  }
  return U_SUCCESS;
}

/** Asks for a page that is paged out, which must come back before it can be shared. */
function askBack(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  caller: Caller,
  gfns: readonly Gfn[],
  at: number,
  tries: number,
): 'left' {
  const frame = frameOf(port, caller);
  const incoming = takeFrame(uv, svm);
  if (incoming === undefined) return makeRoom(uv, port, svm, frame, { kind: 'share-from', gfns, at });
  const then = { kind: 'share', gfns, at, tries } as const;
  return askForPage(uv, port, svm, frame, gfns[at], then, incoming);
}

/** The hypervisor has answered for a page that is to be shared, or to be paged in before. */
export function continueShare(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  { gfns, at, tries }: ShareContinuation,
): Outcome {
  const caller = { frame };
  const gfn = gfns[at];
  const page = pageAt(svm, gfn);
  if (page?.state === 'HV_SHARED' || page?.state === 'HV_SHARED_INV') {
    if (port.gpr(0) === 0n) return shareFrom(uv, port, svm, caller, gfns, at + 1);
    return undoShare(uv, port, svm, caller, gfns.slice(0, at + 1), 0, U_P2);
  }
  if (page?.state === 'PAGEDOUT' && tries > 0 && tries < PAGE_IN_TRIES) {
    return askBack(uv, port, svm, caller, gfns, at, tries + 1);
  }
  if (page?.state === 'SECURE' && tries > 0) return shareFrom(uv, port, svm, caller, gfns, at);
  if (page?.state === 'HV_SHARING') {
    setPage(uv, port, svm, gfn, { state: 'SECURE', frame: page.frame, given: false });
  }
  return undoShare(uv, port, svm, caller, gfns.slice(0, at), 0, U_P2);
}

/**
 * The hypervisor has answered for a page whose share is undone: whatever it said, the page keeps its secure contents
 * (6.6 step 5).
 */
export function continueUndoShare(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  { gfns, at, code }: UndoContinuation,
): Outcome {
  const page = pageAt(svm, gfns[at]);
  if (page?.state === 'HV_UNSHARING' || page?.state === 'HV_UNSHARING_INV') {
    setPage(uv, port, svm, gfns[at], { state: 'SECURE', frame: page.frame, given: false });
  }
  return undoShare(uv, port, svm, { frame }, gfns, at + 1, code);
}

/**
 * Takes the pages of a share that failed back from the hypervisor, from index `first` on; then the call ends with
 * `code`.
 */
function undoShare(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  caller: Caller,
  gfns: readonly Gfn[],
  first: number,
  code: UCode,
): Outcome {
  for (let at = first; at < gfns.length; at++) {
    const page = pageAt(svm, gfns[at]);
    if (page?.state !== 'HV_SHARED' && page?.state !== 'HV_SHARED_INV') continue;
    setPage(uv, port, svm, gfns[at], { state: 'HV_UNSHARING', frame: page.frame });
    return ask(uv, port, svm, caller, gfns[at], 0n, { kind: 'undo-share', gfns, at, code });
  }
  return code;
}

/**
 * Ends the share of a frame: the hypervisor's page is zeroed and, if it was not taken away meanwhile, the SVM's (6.6
 * step 4).
 */
export function commitShare(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  gfn: Gfn,
  state: 'SHARED' | 'SHARED_IMPLICIT',
): void {
  const page = pageAt(svm, gfn);
  if (page?.state !== 'HV_SHARED' && page?.state !== 'HV_SHARED_INV') return;
  if (page.state === 'HV_SHARED') {
    uv.view.fill(page.hvPage, UV_PAGE_SIZE, 0);
    setPage(uv, port, svm, gfn, { state, hvPage: page.hvPage });
  } else {
    setPage(uv, port, svm, gfn, { state: `${state}_INV` });
  }
  if (page.frame !== null) uv.secure.release(page.frame);
}

/**
 * Takes frames back from the hypervisor, from index `first` on, one hypercall at a time; when all are back they are
 * zero and secure (3.14, 6.6). Frames that are secure already only become zero; a paged-out one forgets its ciphertext
 * (10.1 #6).
 */
export function unshareFrom(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  caller: Caller,
  gfns: readonly Gfn[],
  first: number,
): Outcome {
  for (let at = first; at < gfns.length; at++) {
    const page = pageAt(svm, gfns[at]);
    if (page?.state !== 'SHARED' && page?.state !== 'SHARED_INV') continue;
    setPage(uv, port, svm, gfns[at], { state: 'HV_UNSHARING', frame: null });
    return ask(uv, port, svm, caller, gfns[at], 0n, { kind: 'unshare', gfns, at });
  }
  for (const gfn of gfns) {
    const page = pageAt(svm, gfn);
    if (page?.state !== 'SECURE' && page?.state !== 'PAGEDOUT' && page?.state !== 'HV_UNSHARED') continue;
    setPage(uv, port, svm, gfn, FRESH);
    const frame = ownedFrame(page);
    if (frame !== null) uv.secure.release(frame);
  }
  return U_SUCCESS;
}

/**
 * The hypervisor has answered for a page that is taken back.
 * @returns undefined if it refused: it could go on to write a page that the SVM believes its own
 */
export function continueUnshare(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  { gfns, at }: UnshareContinuation,
): Outcome | undefined {
  if (port.gpr(0) !== 0n) return undefined;
  const page = pageAt(svm, gfns[at]);
  if (page?.state === 'HV_UNSHARING' || page?.state === 'HV_UNSHARING_INV') {
    setPage(uv, port, svm, gfns[at], { state: 'HV_UNSHARED' });
  }
  return unshareFrom(uv, port, svm, { frame }, gfns, at + 1);
}

function ask(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  caller: Caller,
  gfn: Gfn,
  flags: bigint,
  then: Continuation,
): 'left' {
  const frame = frameOf(port, caller);
  const args = [BigInt(gpaOf(gfn)), flags, BigInt(UV_PAGE_ORDER)];
  return callHypervisor(uv, port, svm, frame, HCALL.H_SVM_PAGE_IN, args, then);
}

function frameOf(port: RegisterPort, caller: Caller): Frame {
  return 'frame' in caller ? caller.frame : saveFrame(port, caller.interrupted);
}
