import { type Gfn, U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import type { Interrupted } from './frame.ts';
import { isTransient, touchedPages } from './pages.ts';
import { unshareFrom } from './share.ts';
import type { Svm } from './svm.ts';

const { U_BUSY } = U_CODE;

/**
 * UV_UNSHARE_ALL_PAGES: takes back every page that the SVM itself has shared (3.14).
 * U_BUSY while another vCPU shares or unshares a page (10.1 #10).
 */
export function uvUnshareAllPages(
  uv: UvContext,
  port: RegisterPort,
  interrupted: Interrupted,
  svm: Svm | undefined,
): Outcome {
  if (svm === undefined) throw new Error('a call of an SVM without an SVM');
  const shared: Gfn[] = [];
  for (const [gfn, page] of touchedPages(svm)) {
    if (isTransient(page)) return U_BUSY;
    if (page.state === 'SHARED' || page.state === 'SHARED_INV') shared.push(gfn);
  }
  return unshareFrom(uv, port, svm, { interrupted }, shared, 0);
}
