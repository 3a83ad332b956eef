import { AIL3_OFFSET, HFSCR, LPCR, MSR, SPR, SRR1 } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { type Frame, restoreFrame, setFrameSpr } from './frame.ts';
import type { Svm } from './svm.ts';
import { enforceLpcr, hasAlternateLocation } from './svm-lpcr.ts';

const MMCR0_FCH = 0x1n;
const TRANSLATION = MSR.IR | MSR.DR;

/** A vCPU goes on with the registers of its frame, after the hypervisor had its CPU (6.2 step 9). */
export function resumeGuest(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame): 'left' {
  enforceLpcr(port, svm);
  restoreFrame(port, frame);
  closeFacilities(port);
  return continueGuest(uv, port, svm, frame.nia, frame.msr);
}

/** A vCPU goes on with the registers that are in the CPU. */
export function continueGuest(uv: UvContext, port: RegisterPort, svm: Svm, nia: bigint, msr: bigint): 'left' {
  if (svm.state !== 'SECURE') throw new Error(`SVM ${svm.lpid} is ${svm.state} and cannot run`);
  port.setSpr(SPR.USRR0, nia);
  port.setSpr(SPR.USRR1, (msr & ~(MSR.HV | SRR1.STATUS)) | MSR.S);
  uv.state.running.set(port.cpu, svm.lpid);
  return 'left';
}

/**
 * Makes a vCPU take an interrupt of its kernel: changes `at`, its address and MSR, and gives what its SRR0 and SRR1
 * become (6.3 step 5).
 * @param vector with `AIL3_OFFSET` if the handler runs with translation on
 * @param status interrupt status bits of SRR1
 * @param littleEndian byte order of the handler
 */
export function interruptState(
  at: { nia: bigint; msr: bigint },
  vector: bigint,
  status: bigint,
  littleEndian: boolean,
): { srr0: bigint; srr1: bigint } {
  const saved = { srr0: at.nia, srr1: (at.msr & ~SRR1.STATUS) | (status & SRR1.STATUS) };
  at.nia = vector;
  at.msr = MSR.SF | MSR.S | MSR.ME | (littleEndian ? MSR.LE : 0n);
  if (vector >= AIL3_OFFSET) at.msr |= TRANSLATION;
  return saved;
}

/** The same for a vCPU whose registers are in a frame, by an interrupt that the Ultravisor itself gives it. */
export function interruptFrame(svm: Svm, frame: Frame, vector: bigint, status: bigint): void {
  const { srr0, srr1 } = interruptState(frame, locate(svm, frame.msr, vector), status, (svm.lpcr & LPCR.ILE) !== 0n);
  setFrameSpr(frame, SPR.SRR0, srr0);
  setFrameSpr(frame, SPR.SRR1, srr1);
}

/** Where the SVM asked for an interrupt to be taken. */
function locate(svm: Svm, msr: bigint, vector: bigint): bigint {
  return hasAlternateLocation(svm) && (msr & TRANSLATION) === TRANSLATION ? vector | AIL3_OFFSET : vector;
}

/** A vCPU takes an interrupt that the Ultravisor itself gives it, at the vector that it asked for (6.3). */
export function interruptGuest(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  interrupted: { readonly nia: bigint; readonly msr: bigint },
  vector: bigint,
  status: bigint,
): 'left' {
  const at = { nia: interrupted.nia, msr: interrupted.msr };
  const littleEndian = (svm.lpcr & LPCR.ILE) !== 0n;
  const { srr0, srr1 } = interruptState(at, locate(svm, at.msr, vector), status, littleEndian);
  port.setSpr(SPR.SRR0, srr0);
  port.setSpr(SPR.SRR1, srr1);
  return continueGuest(uv, port, svm, at.nia, at.msr);
}

/** What is set on every return to an SVM, whatever the hypervisor left there (6.2.1). */
function closeFacilities(port: RegisterPort): void {
  port.setSpr(SPR.HFSCR, (port.spr(SPR.HFSCR) & ~HFSCR.TM) | HFSCR.MSGP);
  port.setSpr(SPR.TRACE, 0n);
  port.setSpr(SPR.DPDES, 0n);
  port.setSpr(SPR.MMCR0, port.spr(SPR.MMCR0) | MMCR0_FCH);
}
