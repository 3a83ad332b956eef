import { type Gfn, MSR, U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import type { Interrupted } from './frame.ts';
import { isTransient } from './pages.ts';
import { unshareFrom } from './share.ts';
import type { Svm } from './svm.ts';

const { U_BUSY, U_INVALID, U_PERMISSION } = U_CODE;

/**
 * UV_UNSHARE_ALL_PAGES, from the kernel of an SVM only: takes back every page that the SVM itself has shared (3.14).
 * U_BUSY while another vCPU shares or unshares a page (10.1 #10).
 */
export function uvUnshareAllPages(
  uv: UvContext,
  port: RegisterPort,
  interrupted: Interrupted,
  svm: Svm | undefined,
): Outcome {
  if (svm === undefined) return U_INVALID;
  if ((interrupted.msr & MSR.PR) !== 0n) return U_PERMISSION;
  const shared: Gfn[] = [];
  for (const [gfn, page] of svm.pages) {
    if (isTransient(page)) return U_BUSY;
    if (page.state === 'SHARED' || page.state === 'SHARED_INV') shared.push(gfn);
  }
  shared.sort((x, y) => x - y);
  return unshareFrom(uv, port, svm, { interrupted }, shared, 0);
}
