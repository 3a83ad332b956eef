import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, U_CODE, type UCode, UV_PAGE_IN_FLAG, UV_PAGE_ORDER, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { acceptsContents } from './esm-gather.ts';
import type { Page } from './page.ts';
import { openPage } from './page-crypto.ts';
import { ATTRIBUTE, ATTRIBUTES } from './page-table.ts';
import { pageAt, registeredFrame, setPage } from './pages.ts';
import { takeIncoming } from './pending.ts';
import { takeFrame } from './secure-frames.ts';
import { normalPage } from './secure-memory.ts';
import type { Svm } from './svm.ts';
import { svmOf } from './svm-lookup.ts';

const { U_SUCCESS, U_BUSY, U_PARAMETER, U_P2, U_P3, U_P4, U_P5, U_STATE } = U_CODE;
const { CACHE_INHIBITED, CACHE_ENABLED, WRITE_PROTECTION } = UV_PAGE_IN_FLAG;

/** Attributes of the mapping by flags. */
const ATTRIBUTES_OF: ReadonlyMap<bigint, number> = new Map([
  [0n, 0],
  [CACHE_ENABLED, 0],
  [CACHE_INHIBITED, ATTRIBUTE.CACHE_INHIBITED],
  [WRITE_PROTECTION, ATTRIBUTE.WRITE_PROTECTED],
  [CACHE_ENABLED | WRITE_PROTECTION, ATTRIBUTE.WRITE_PROTECTED],
  [CACHE_INHIBITED | WRITE_PROTECTION, ATTRIBUTES],
]);

/**
 * UV_PAGE_IN: R4 lpid, R5 src_ra, R6 dest_gpa, R7 flags, R8 order (3.10). Order of checks: order, flags, src_ra, lpid,
 * state of the SVM, dest_gpa, state of the page.
 *
 * After an aborted UV_ESM only what was paged out still comes in, U_STATE for all else: UV_PAGE_OUT then gives it back in the clear, and
 * the normal VM has its memory (seed 000, 1: what is in a normal GFN is never encrypted).
 *
 * CACHE_INHIBITED and WRITE_PROTECTION are attributes of the SVM's mapping from then on, CACHE_ENABLED is the normal one; both cache flags
 * together are U_P4. U_BUSY if there is no secure frame for the page.
 */
export function uvPageIn(uv: UvContext, port: RegisterPort): Outcome {
  if (port.gpr(8) !== BigInt(UV_PAGE_ORDER)) return U_P5;
  const attributes = ATTRIBUTES_OF.get(port.gpr(7));
  if (attributes === undefined) return U_P4;
  const source = normalPage(uv.view, port.gpr(5));
  if (source === undefined) return U_P2;
  const svm = svmOf(uv, port.gpr(4));
  if (svm === undefined) return U_PARAMETER;
  const gfn = registeredFrame(svm, port.gpr(6));
  const page = gfn === undefined ? undefined : pageAt(svm, gfn);
  if (svm.state === 'ABORT' && page?.state !== 'PAGEDOUT') return U_STATE;
  if (gfn === undefined || page === undefined) return U_P3;

  switch (page.state) {
    case 'SECURE':
      return acceptsContents(svm, gfn) ? takeContents(uv, port, svm, gfn, page, source, attributes) : U_P2;
    case 'PAGEDOUT':
      return takeBack(uv, port, svm, gfn, page, source, attributes);
    case 'HV_SHARING':
    case 'HV_SHARED':
    case 'HV_SHARED_INV':
      setPage(uv, port, svm, gfn, { state: 'HV_SHARED', frame: page.frame, hvPage: source }, attributes);
      return U_SUCCESS;
    case 'SHARED':
    case 'SHARED_INV':
      setPage(uv, port, svm, gfn, { state: 'SHARED', hvPage: source }, attributes);
      return U_SUCCESS;
    case 'SHARED_IMPLICIT':
    case 'SHARED_IMPLICIT_INV':
      setPage(uv, port, svm, gfn, { state: 'SHARED_IMPLICIT', hvPage: source }, attributes);
      return U_SUCCESS;
    case 'PSEUDO_SHARED':
    case 'PSEUDO_SHARED_INV':
      setPage(uv, port, svm, gfn, { state: 'PSEUDO_SHARED', frame: page.frame, hvPage: source }, attributes);
      return U_SUCCESS;
    case 'HV_UNSHARING':
    case 'HV_UNSHARING_INV':
      setPage(uv, port, svm, gfn, { state: 'HV_UNSHARING', frame: page.frame });
      return U_SUCCESS;
    case 'HV_UNSHARED':
      return U_P2;
  }
}

/** The VM is about to become secure and its page moves in with its contents (seed 001). */
function takeContents(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  gfn: Gfn,
  page: Extract<Page, { readonly state: 'SECURE' }>,
  source: RealAddress,
  attributes: number,
): UCode {
  const frame = page.frame ?? takeIncoming(svm, gfn) ?? takeFrame(uv, svm);
  if (frame === undefined) return U_BUSY;
  uv.view.write(frame, uv.view.peek(source, UV_PAGE_SIZE));
  setPage(uv, port, svm, gfn, { state: 'SECURE', frame, given: true }, attributes);
  return U_SUCCESS;
}

/** A page that was paged out comes back. Nothing is released of what does not verify (10.1 #14). */
function takeBack(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  gfn: Gfn,
  page: Extract<Page, { readonly state: 'PAGEDOUT' }>,
  source: RealAddress,
  attributes: number,
): UCode {
  const contents = openPage(uv, svm, uv.view.peek(source, UV_PAGE_SIZE), page.seal);
  if (contents === null) return U_P3;
  const frame = takeIncoming(svm, gfn) ?? takeFrame(uv, svm);
  if (frame === undefined) return U_BUSY;
  uv.view.write(frame, contents);
  setPage(uv, port, svm, gfn, { state: 'SECURE', frame, given: page.given }, attributes);
  return U_SUCCESS;
}
