import { EC, ESR, FSC, PSTATE, SCTLR, SPSR_MODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';

/** Vectors of the host's that an injected exception can go to (arm64-pkvm.md 4.7): its own level is always taken as EL1h. */
const VECTOR = { same: 0x200n, lower: 0x400n } as const;

/** An exception that the host takes at EL1 instead of going on, in the form of hardware's own. PSTATE, ELR and PC change; ESR and FAR are the caller's. */
function enterHostVector(port: RegisterPort): void {
  const spsr = port.register('SPSR_EL2');
  port.setRegister('SPSR_EL1', spsr);
  port.setRegister('ELR_EL1', port.register('ELR_EL2'));
  const user = (spsr & PSTATE.EL) === 0n;
  port.setRegister('ELR_EL2', port.register('VBAR_EL1') + (user ? VECTOR.lower : VECTOR.same));
  const pan = (port.register('SCTLR_EL1') & SCTLR.SPAN) === 0n ? PSTATE.PAN : spsr & PSTATE.PAN;
  const flags = spsr & (PSTATE.N | PSTATE.Z | PSTATE.C | PSTATE.V);
  port.setRegister('SPSR_EL2', flags | pan | PSTATE.DAIF | SPSR_MODE.EL1h);
}

/** A stage 2 abort of the host's that cannot be resolved: it sees an abort of its own, marked with S1PTW, which no such abort has (4.7). */
export function injectHostAbort(port: RegisterPort): void {
  const esr = port.register('ESR_EL2');
  const user = (port.register('SPSR_EL2') & PSTATE.EL) === 0n;
  const same = esr + (user ? 0n : BigInt(EC.dataAbortSame - EC.dataAbortLower) << ESR.ecShift);
  port.setRegister('ESR_EL1', same | ESR.S1PTW);
  if ((esr & 0x3cn) === BigInt(FSC.translation)) port.setRegister('FAR_EL1', port.register('FAR_EL2'));
  enterHostVector(port);
}

/** An instruction that the host may not execute. */
export function injectHostUndefined(port: RegisterPort): void {
  port.setRegister('ESR_EL1', ESR.IL);
  enterHostVector(port);
}
