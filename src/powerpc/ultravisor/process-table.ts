import { H_PROC_TBL, HCALL, PATE_DW1 } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import type { Frame } from './frame.ts';
import { readPate, writePate } from './partition-table.ts';
import type { Svm } from './svm.ts';

/**
 * The process table of an SVM, dw1 of its partition table entry. H_REGISTER_PROC_TBL is served by the hypervisor, but an entry of the hypervisor's
 * choice could have the guest walk tables in a page that it shares, and so have any of its addresses lead there. So the entry becomes what the guest
 * asked for, once the hypervisor has granted it; the shipped firmware stores whatever the hypervisor writes.
 */

/** What dw1 is to become by the guest's H_REGISTER_PROC_TBL (9.5); undefined if that asks for nothing that there is. */
function requestedDw1({ gprs: [, , , , flags, base, pageSize, size] }: Frame): bigint | undefined {
  const operation = flags & H_PROC_TBL.OPERATION;
  if (operation === H_PROC_TBL.DEREGISTER) return PATE_DW1.GR;
  if (operation !== H_PROC_TBL.NEW || (flags & H_PROC_TBL.RADIX) === 0n) return undefined;
  if ((base & ~PATE_DW1.PRTB) !== 0n || pageSize !== 0n || size > PATE_DW1.PRTS_MAX) return undefined;
  return PATE_DW1.GR | base | size;
}

/** Whether the hypervisor may write this dw1 for an SVM: the one that it has, or the one that a vCPU waits for. */
export function mayWriteDw1(uv: UvContext, svm: Svm, dw1: bigint): boolean {
  if (dw1 === readPate(uv, svm.lpid).dw1) return true;
  return [...svm.pending.values()].some(
    ({ frame, then }) =>
      then.kind === 'hypercall' && then.number === HCALL.H_REGISTER_PROC_TBL && requestedDw1(frame) === dw1,
  );
}

/** The hypervisor has granted the H_REGISTER_PROC_TBL of a vCPU. */
export function commitProcessTable(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame): void {
  const dw1 = requestedDw1(frame);
  if (dw1 !== undefined) writePate(uv, port, svm.lpid, { dw0: readPate(uv, svm.lpid).dw0, dw1 });
}
