import type { RealAddress } from '../../machine/types.ts';
import type { Gfn } from '../abi.ts';
import type { UvContext } from './context.ts';
import type { Pending, Svm } from './svm.ts';

/** The frame that was set aside for a page that the hypervisor was asked for, if it was; it is the caller's then. */
export function takeIncoming(svm: Svm, gfn: Gfn): RealAddress | undefined {
  for (const pending of svm.pending.values()) {
    const { incoming } = pending;
    if (incoming?.gfn !== gfn) continue;
    pending.incoming = null;
    return incoming.frame;
  }
  return undefined;
}

/** The hypervisor has answered: what it did not use is free again. */
export function endPending(uv: UvContext, svm: Svm, cookie: number, pending: Pending): void {
  svm.pending.delete(cookie);
  if (pending.incoming !== null) uv.secure.release(pending.incoming.frame);
  pending.incoming = null;
}

/** Nobody waits for an answer any more. */
export function dropPending(uv: UvContext, svm: Svm): void {
  for (const [cookie, pending] of svm.pending) endPending(uv, svm, cookie, pending);
}
