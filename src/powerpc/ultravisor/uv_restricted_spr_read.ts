import { SPR, U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';

/** Registers that the hypervisor may have read for it (3.5). */
const READABLE: ReadonlySet<number> = new Set([SPR.DAWR0, SPR.DAWRX0, SPR.CIABR]);

/**
 * UV_RESTRICTED_SPR_READ: R4 SPR number; the value goes to R5 (3.5). U_PARAMETER for any other register. The registers of an SVM are not in the
 * CPU while the hypervisor runs.
 */
export function uvRestrictedSprRead(_: UvContext, port: RegisterPort): Outcome {
  const spr = Number(port.gpr(4));
  if (!READABLE.has(spr)) return U_CODE.U_PARAMETER;
  port.setGpr(5, port.spr(spr));
  return U_CODE.U_SUCCESS;
}
