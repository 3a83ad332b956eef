import { U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { traceSvmState } from './kill.ts';
import { eraseKeys } from './page-crypto.ts';
import { dropPages } from './pages.ts';
import { releaseTree } from './partition-scoped.ts';
import { partition, readPate, writePate } from './partition-table.ts';
import { dropPending } from './pending.ts';

const { U_SUCCESS, U_BUSY, U_PARAMETER, U_INVALID } = U_CODE;

/**
 * UV_SVM_TERMINATE: R4 lpid (3.13). Everything of the SVM is gone afterwards: pages, keys, cookies, tables; and its
 * partition table entry, if that was the Ultravisor's, so that the hypervisor has to write it anew. Without an SVM it
 * is a success if the partition table knows the LPID, as after an aborted UV_ESM (10.2 #42). U_BUSY while a CPU
 * executes in the SVM (#43).
 */
export function uvSvmTerminate(uv: UvContext, port: RegisterPort): Outcome {
  const lpid = partition(port.gpr(4));
  if (lpid === undefined || lpid === 0) return U_PARAMETER;
  const svm = uv.state.svms.get(lpid);
  if (svm === undefined) return readPate(uv, lpid).dw0 === 0n ? U_INVALID : U_SUCCESS;
  if ([...uv.state.running.values()].includes(lpid)) return U_BUSY;

  dropPending(uv, svm);
  for (const slot of svm.slots) dropPages(uv, port, svm, slot);
  if (svm.state === 'SECURE' || svm.state === 'DEAD') writePate(uv, port, lpid, { dw0: 0n, dw1: 0n });
  releaseTree(uv.secure, svm.tree);
  eraseKeys(svm);
  svm.esm?.proof?.key.fill(0);
  svm.files?.key.fill(0);
  uv.state.svms.delete(lpid);
  uv.state.short.delete(lpid);
  traceSvmState(uv, port, lpid, svm.state, 'NORMAL');
  return U_SUCCESS;
}
