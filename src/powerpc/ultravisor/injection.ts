import { AIL3_OFFSET, LPCR, MSR, SPR, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { note, type UvContext } from './context.ts';
import { type Frame, setFrameSpr } from './frame.ts';
import { interruptState, resumeGuest } from './guest-entry.ts';
import { pageOut, pageToDonate } from './secure-frames.ts';
import type { Svm } from './svm.ts';
import { hasAlternateLocation } from './svm-lpcr.ts';

/** Interrupts that a hypervisor may give to an SVM (10.3 #64), beside the machine check. */
const INJECTABLE: ReadonlySet<bigint> = new Set([
  VECTOR.SYSTEM_RESET,
  VECTOR.DATA_STORAGE,
  VECTOR.DATA_SEGMENT,
  VECTOR.INSTRUCTION_STORAGE,
  VECTOR.INSTRUCTION_SEGMENT,
  VECTOR.EXTERNAL,
  VECTOR.PROGRAM,
  VECTOR.DECREMENTER,
  VECTOR.PRIVILEGED_DOORBELL,
]);

/** Interrupts that MSR[EE] masks: hardware would not deliver them, so a hypervisor may not either. */
const MASKABLE: ReadonlySet<bigint> = new Set([VECTOR.EXTERNAL, VECTOR.DECREMENTER, VECTOR.PRIVILEGED_DOORBELL]);

/** Interrupts that are never taken with translation on. */
const NEVER_RELOCATED: ReadonlySet<bigint> = new Set([VECTOR.SYSTEM_RESET, VECTOR.MACHINE_CHECK]);

const TRANSLATION = MSR.IR | MSR.DR;

/** Where the hypervisor has the cookie, which HSRR0 shows too (6.2.1). */
const COOKIE_REGISTER = 31;

/**
 * A vCPU goes on when the hypervisor answers, as in `resumeInjected`; but first gives a page up, if another SVM is short of memory.
 */
export function resumeAfterHypervisor(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame): 'left' {
  const given = pageToDonate(uv, port, svm);
  if (given === undefined) return resumeInjected(uv, port, svm, frame);
  injectInto(uv, port, svm, frame);
  return pageOut(uv, port, svm, frame, given, { kind: 'donate' });
}

/**
 * A vCPU goes on with the interrupt that UV_RETURN asks for. If it could take it now, it does: HSRR0 is the vector, R2
 * the status for SRR1; the handler's byte order is the SVM's own choice, not HSRR1[LE] (6.3 step 5). Any other HSRR0 is
 * ignored (10.3 #62). The registers of UV_RETURN must still be in the CPU.
 */
export function resumeInjected(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame): 'left' {
  injectInto(uv, port, svm, frame);
  return resumeGuest(uv, port, svm, frame);
}

function injectInto(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame): void {
  const vector = port.spr(SPR.HSRR0);
  if (isInjectable(svm, frame, vector)) {
    const littleEndian = (svm.lpcr & LPCR.ILE) !== 0n;
    const { srr0, srr1 } = interruptState(frame, vector, port.gpr(2), littleEndian);
    setFrameSpr(frame, SPR.SRR0, srr0);
    setFrameSpr(frame, SPR.SRR1, srr1);
  } else if (vector !== port.gpr(COOKIE_REGISTER)) {
    note(uv, port, `UV_RETURN to LPID ${svm.lpid} at 0x${vector.toString(16)} is ignored`);
  }
}

/** A machine check is taken where the SVM registered its handler by RTAS ibm,nmi-register, and only there (6.3 step 6). A relocated vector is only for an SVM that asked for them, and that runs with translation on (10.3 #63). */
function isInjectable(svm: Svm, { msr }: Frame, nia: bigint): boolean {
  if (nia === svm.machineCheck) return true;
  const relocated = nia >= AIL3_OFFSET;
  const vector = relocated ? nia - AIL3_OFFSET : nia;
  if (!INJECTABLE.has(vector)) return false;
  if (MASKABLE.has(vector) && (msr & MSR.EE) === 0n) return false;
  if (!relocated) return true;
  return hasAlternateLocation(svm) && (msr & TRANSLATION) === TRANSLATION && !NEVER_RELOCATED.has(vector);
}
