import { realAddress } from '../../machine/types.ts';
import { PATE_DW1, RADIX_ROOT, SECURE_ADDRESS_BIT, U_CODE, unpackRadixRoot } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { partition, writePate } from './partition-table.ts';
import { mayWriteDw1 } from './process-table.ts';

const { U_SUCCESS, U_PARAMETER, U_P2, U_P3, U_PERMISSION } = U_CODE;

/** A root directory has at least 2^5 entries (2.2). */
const LEAST_ROOT_BITS = 5;
const DW0_FIELDS = RADIX_ROOT.HR | RADIX_ROOT.RTS_HIGH | RADIX_ROOT.RPDB | RADIX_ROOT.RTS_LOW | RADIX_ROOT.RPDS;
const DW1_FIELDS = PATE_DW1.GR | PATE_DW1.PRTB | PATE_DW1.PRTS;

/**
 * UV_WRITE_PATE: R4 lpid, R5 dw0, R6 dw1 (3.4). For an SVM dw0 is the Ultravisor's: the hypervisor may only repeat the
 * one it had before the VM became secure, else U_PERMISSION. Dw1, the guest's own process table, is the one that it has, or
 * that it has just asked for by H_REGISTER_PROC_TBL (10.2 #51): the latter is stored when that call succeeds. Any other gives U_PERMISSION.
 */
export function uvWritePate(uv: UvContext, port: RegisterPort): Outcome {
  const lpid = partition(port.gpr(4));
  if (lpid === undefined) return U_PARAMETER;
  const dw0 = port.gpr(5);
  const dw1 = port.gpr(6);
  if (!isRoot(dw0)) return U_P2;
  if (!isProcessTable(dw1, lpid)) return U_P3;
  if ((dw0 & RADIX_ROOT.HR) !== (dw1 & PATE_DW1.GR)) return U_P3;
  const svm = uv.state.svms.get(lpid);
  if (svm === undefined) writePate(uv, port, lpid, { dw0, dw1 });
  else if (dw0 !== svm.normalPateDw0 || !mayWriteDw1(uv, svm, dw1)) return U_PERMISSION;
  return U_SUCCESS;
}

/** Nothing, or a radix tree in normal memory. A hashed page table is not supported. */
function isRoot(dw0: bigint): boolean {
  if (dw0 === 0n) return true;
  const { base, rootBits } = unpackRadixRoot(dw0);
  return (dw0 & RADIX_ROOT.HR) !== 0n && (dw0 & ~DW0_FIELDS) === 0n && isNormal(base) && rootBits >= LEAST_ROOT_BITS;
}

/** The base is a real address for LPID 0, the hypervisor itself, and a guest physical one for a guest. */
function isProcessTable(dw1: bigint, lpid: number): boolean {
  if ((dw1 & ~DW1_FIELDS) !== 0n || (dw1 & PATE_DW1.PRTS) > PATE_DW1.PRTS_MAX) return false;
  return lpid !== 0 || isNormal(dw1 & PATE_DW1.PRTB);
}

function isNormal(base: bigint): boolean {
  return realAddress(base) !== undefined && (base & BigInt(SECURE_ADDRESS_BIT)) === 0n;
}
