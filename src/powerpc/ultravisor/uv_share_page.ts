import { MSR, U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import type { Interrupted } from './frame.ts';
import { shareFrom, sharingRange } from './share.ts';
import type { Svm } from './svm.ts';

const { U_INVALID, U_PERMISSION } = U_CODE;

/** UV_SHARE_PAGE: R4 gfn, R5 num, in pages of 64 KiB; from the kernel of an SVM only (3.14). */
export function uvSharePage(
  uv: UvContext,
  port: RegisterPort,
  interrupted: Interrupted,
  svm: Svm | undefined,
): Outcome {
  if (svm === undefined) return U_INVALID;
  if ((interrupted.msr & MSR.PR) !== 0n) return U_PERMISSION;
  const range = sharingRange(svm, port.gpr(4), port.gpr(5));
  return typeof range === 'number' ? range : shareFrom(uv, port, svm, { interrupted }, range, 0);
}
