import type { UvContext } from './context.ts';
import { partition } from './partition-table.ts';
import type { Pending, Svm } from './svm.ts';

/** The SVM whose LPID is in a register. */
export function svmOf(uv: UvContext, register: bigint): Svm | undefined {
  const lpid = partition(register);
  return lpid === undefined ? undefined : uv.state.svms.get(lpid);
}

/** The SVM that waits for an answer with this cookie. */
export function findPending(uv: UvContext, cookie: number): { svm: Svm; pending: Pending } | undefined {
  for (const svm of uv.state.svms.values()) {
    const pending = svm.pending.get(cookie);
    if (pending !== undefined) return { svm, pending };
  }
  return undefined;
}
