import { SPR, U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';

/** Registers that the hypervisor may have written for it (3.5). */
const WRITABLE: ReadonlySet<number> = new Set([SPR.DAWR0, SPR.DAWRX0, SPR.CIABR, SPR.LDBAR, SPR.IMC]);

/**
 * UV_RESTRICTED_SPR_WRITE: R4 SPR number, R5 value (3.5). U_PARAMETER for any other register. What is written to a debug register never acts on
 * an SVM: an SVM has its own, which `frame.ts` saves and `neutral-registers.ts` clears.
 */
export function uvRestrictedSprWrite(_: UvContext, port: RegisterPort): Outcome {
  const spr = Number(port.gpr(4));
  if (!WRITABLE.has(spr)) return U_CODE.U_PARAMETER;
  port.setSpr(spr, port.gpr(5));
  return U_CODE.U_SUCCESS;
}
