import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, U_CODE, type UCode, UV_PAGE_ORDER, UV_PAGE_OUT_FLAG, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import type { Page } from './page.ts';
import { sealPage } from './page-crypto.ts';
import { FRESH, isTransient, pageAt, registeredFrame, setPage } from './pages.ts';
import { normalPage } from './secure-memory.ts';
import type { Svm } from './svm.ts';
import { svmOf } from './svm-lookup.ts';

const { U_SUCCESS, U_BUSY, U_PARAMETER, U_P2, U_P3, U_P4, U_P5 } = U_CODE;

type SecurePage = Extract<Page, { readonly state: 'SECURE' }>;

/**
 * UV_PAGE_OUT: R4 lpid, R5 dest_ra, R6 src_gpa, R7 flags, R8 order (3.11). Order of checks: order, flags, dest_ra,
 * lpid, src_gpa, state of the page. A shared page gives U_SUCCESS and nothing is done (10.1 #19), one that is out
 * already U_PARAMETER (#20), one that a share or unshare is busy with U_BUSY (#21).
 *
 * UV_SNAPSHOT exports a copy and leaves the page where it is; that ciphertext can never come back in. After an aborted
 * UV_ESM the hypervisor gets in the clear what it gave in the clear, and zeroes for all else (6.1 A3).
 */
export function uvPageOut(uv: UvContext, port: RegisterPort): Outcome {
  if (port.gpr(8) !== BigInt(UV_PAGE_ORDER)) return U_P5;
  const flags = port.gpr(7);
  if ((flags & ~UV_PAGE_OUT_FLAG.UV_SNAPSHOT) !== 0n) return U_P4;
  const destination = normalPage(uv.view, port.gpr(5));
  if (destination === undefined) return U_P2;
  const svm = svmOf(uv, port.gpr(4));
  if (svm === undefined) return U_PARAMETER;
  const gfn = registeredFrame(svm, port.gpr(6));
  if (gfn === undefined) return U_P3;
  const page = pageAt(svm, gfn);
  if (page === undefined) return U_P3;
  if (page.state === 'PAGEDOUT') return U_PARAMETER;
  if (isTransient(page)) return U_BUSY;
  if (page.state !== 'SECURE') return U_SUCCESS;

  if (svm.state === 'ABORT') return giveBack(uv, port, svm, gfn, page, destination);
  if (flags !== 0n) {
    uv.view.write(destination, sealPage(uv, svm, contentsOf(uv, page)).ciphertext);
    return U_SUCCESS;
  }
  const { ciphertext, seal } = sealPage(uv, svm, contentsOf(uv, page));
  setPage(uv, port, svm, gfn, { state: 'PAGEDOUT', seal, given: page.given });
  uv.view.write(destination, ciphertext);
  if (page.frame !== null) uv.secure.release(page.frame);
  return U_SUCCESS;
}

/**
 * The handler runs to the end before any other CPU executes, so the page cannot change between this and its being
 * unmapped.
 */
function contentsOf(uv: UvContext, { frame }: SecurePage): Uint8Array {
  return frame === null ? new Uint8Array(UV_PAGE_SIZE) : uv.view.peek(frame, UV_PAGE_SIZE);
}

function giveBack(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  gfn: Gfn,
  page: SecurePage,
  destination: RealAddress,
): UCode {
  uv.view.write(destination, page.given ? contentsOf(uv, page) : new Uint8Array(UV_PAGE_SIZE));
  setPage(uv, port, svm, gfn, FRESH);
  if (page.frame !== null) uv.secure.release(page.frame);
  return U_SUCCESS;
}
