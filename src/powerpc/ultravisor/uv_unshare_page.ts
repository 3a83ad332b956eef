import { U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import type { Interrupted } from './frame.ts';
import type { PageState } from './page.ts';
import { isTransient, pageAt } from './pages.ts';
import { sharingRange, unshareFrom } from './share.ts';
import type { Svm } from './svm.ts';

const { U_P2 } = U_CODE;

/** Pages that the Ultravisor shares for itself: the SVM cannot take them back (10.1 #8). */
const UNSHARABLE: ReadonlySet<PageState> = new Set([
  'SHARED_IMPLICIT',
  'SHARED_IMPLICIT_INV',
  'PSEUDO_SHARED',
  'PSEUDO_SHARED_INV',
]);

/**
 * UV_UNSHARE_PAGE: R4 gfn, R5 num, in pages of 64 KiB (3.14). All pages are checked
 * first.
 */
export function uvUnsharePage(
  uv: UvContext,
  port: RegisterPort,
  interrupted: Interrupted,
  svm: Svm | undefined,
): Outcome {
  if (svm === undefined) throw new Error('a call of an SVM without an SVM');
  const range = sharingRange(svm, port.gpr(4), port.gpr(5));
  if (typeof range === 'number') return range;
  for (const gfn of range) {
    const page = pageAt(svm, gfn);
    if (page === undefined || isTransient(page) || UNSHARABLE.has(page.state)) return U_P2;
  }
  return unshareFrom(uv, port, svm, { interrupted }, range, 0);
}
