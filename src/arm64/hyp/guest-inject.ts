import { EC, ESR, FSC, PSTATE, SCTLR, SPSR_MODE } from '../abi.ts';
import type { CpuContextState } from './vcpu-state.ts';

/** A synchronous exception that a guest takes before its next instruction, in its context (arm64-pkvm.md 6.9); ESR_EL1 and FAR_EL1 are the caller's. */
export function enterVector(context: CpuContextState): void {
  const { pstate, pc } = context;
  const user = (pstate & PSTATE.EL) === 0n;
  const offset = user ? 0x400n : (pstate & PSTATE.SP) === 0n ? 0n : 0x200n;
  context.setRegister('SPSR_EL1', pstate);
  context.setRegister('ELR_EL1', pc);
  const pan = (context.register('SCTLR_EL1') & SCTLR.SPAN) === 0n ? PSTATE.PAN : pstate & PSTATE.PAN;
  context.pstate = (pstate & (PSTATE.N | PSTATE.Z | PSTATE.C | PSTATE.V)) | pan | PSTATE.DAIF | SPSR_MODE.EL1h;
  context.pc = context.register('VBAR_EL1') + offset;
}

/** The instruction is undefined for this guest. */
export function injectUndefined(context: CpuContextState): void {
  context.setRegister('ESR_EL1', ESR.IL);
  enterVector(context);
}

/** An external abort in place of an access that nobody can complete. @param far address of the access, from the hyp's own record */
export function injectExternalAbort(context: CpuContextState, fetch: boolean, far: bigint): void {
  const user = (context.pstate & PSTATE.EL) === 0n;
  const lower = fetch ? EC.instructionAbortLower : EC.dataAbortLower;
  context.setRegister('FAR_EL1', far);
  const ec = BigInt(user ? lower : lower + 1);
  context.setRegister('ESR_EL1', (ec << ESR.ecShift) | ESR.IL | BigInt(FSC.externalAbort));
  enterVector(context);
}
