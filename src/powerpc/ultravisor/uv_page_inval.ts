import { U_CODE, UV_PAGE_ORDER } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { pageAt, registeredFrame, setPage } from './pages.ts';
import { svmOf } from './svm-lookup.ts';

const { U_SUCCESS, U_PARAMETER, U_P2, U_P3, U_STATE } = U_CODE;

/**
 * UV_PAGE_INVAL: R4 lpid, R5 gpa, R6 order (3.12): the hypervisor takes its page of a shared frame away. U_P2 for an
 * address in no slot and for a page that is secure, paged out, about to be shared or just taken back. Order of checks:
 * order, lpid, state of the SVM, gpa.
 */
export function uvPageInval(uv: UvContext, port: RegisterPort): Outcome {
  if (port.gpr(6) !== BigInt(UV_PAGE_ORDER)) return U_P3;
  const svm = svmOf(uv, port.gpr(4));
  if (svm === undefined) return U_PARAMETER;
  if (svm.state === 'ABORT') return U_STATE;
  const gfn = registeredFrame(svm, port.gpr(5));
  if (gfn === undefined) return U_P2;
  const page = pageAt(svm, gfn);
  if (page === undefined) return U_P2;

  switch (page.state) {
    case 'SECURE':
    case 'PAGEDOUT':
    case 'HV_SHARING':
    case 'HV_UNSHARED':
      return U_P2;
    case 'HV_SHARED':
      setPage(uv, port, svm, gfn, { state: 'HV_SHARED_INV', frame: page.frame });
      return U_SUCCESS;
    case 'SHARED':
      setPage(uv, port, svm, gfn, { state: 'SHARED_INV' });
      return U_SUCCESS;
    case 'SHARED_IMPLICIT':
      setPage(uv, port, svm, gfn, { state: 'SHARED_IMPLICIT_INV' });
      return U_SUCCESS;
    case 'PSEUDO_SHARED':
      setPage(uv, port, svm, gfn, { state: 'PSEUDO_SHARED_INV', frame: page.frame });
      return U_SUCCESS;
    case 'HV_UNSHARING':
      setPage(uv, port, svm, gfn, { state: 'HV_UNSHARING_INV', frame: page.frame });
      return U_SUCCESS;
    case 'SHARED_INV':
    case 'SHARED_IMPLICIT_INV':
    case 'HV_SHARED_INV':
    case 'PSEUDO_SHARED_INV':
    case 'HV_UNSHARING_INV':
      return U_SUCCESS;
  }
}
