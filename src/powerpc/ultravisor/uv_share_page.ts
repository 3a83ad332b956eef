import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import type { Interrupted } from './frame.ts';
import { shareFrom, sharingRange } from './share.ts';
import type { Svm } from './svm.ts';

/** UV_SHARE_PAGE: R4 gfn, R5 num, in pages of 64 KiB (3.14). */
export function uvSharePage(
  uv: UvContext,
  port: RegisterPort,
  interrupted: Interrupted,
  svm: Svm | undefined,
): Outcome {
  if (svm === undefined) throw new Error('a call of an SVM without an SVM');
  const range = sharingRange(svm, port.gpr(4), port.gpr(5));
  return typeof range === 'number' ? range : shareFrom(uv, port, svm, { interrupted }, range, 0);
}
