import { H_SET_MODE_RESOURCE, LPCR, SPR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Svm } from './svm.ts';

/**
 * The fields of LPCR that decide how the SVM's own code executes: translation, the width of its decrementer, where and in which byte order it
 * takes interrupts. LPCR is the hypervisor's register; these fields are the Ultravisor's while it executes an SVM. The shipped firmware leaves
 * them to the hypervisor, which could so have interrupt handlers executed in the wrong byte order.
 */
const OF_THE_SVM = LPCR.HR | LPCR.UPRT | LPCR.GTSE | LPCR.LD | LPCR.ILE | LPCR.AIL;
const RADIX = LPCR.HR | LPCR.UPRT;

const AIL_SHIFT = 23n;
const AIL_MODES = 3n;
const LITTLE_ENDIAN = 1n;

/** What a VM takes along into secure state: what it had, with radix translation. */
export function svmLpcr(port: RegisterPort): bigint {
  return (port.spr(SPR.LPCR) & OF_THE_SVM) | RADIX;
}

/** Before an SVM executes: puts its fields in place, whatever the hypervisor left there. ONL is off (6.2.1). */
export function enforceLpcr(port: RegisterPort, svm: Svm): void {
  const lpcr = port.spr(SPR.LPCR);
  const enforced = (lpcr & ~(OF_THE_SVM | LPCR.ONL)) | svm.lpcr;
  if (enforced !== lpcr) port.setSpr(SPR.LPCR, enforced);
}

/** The hypervisor has granted H_SET_MODE: R4 mode, R5 resource of the guest's call. */
export function noteSetMode(svm: Svm, mode: bigint, resource: bigint): void {
  if (resource === H_SET_MODE_RESOURCE.AIL) {
    svm.lpcr = (svm.lpcr & ~LPCR.AIL) | ((mode & AIL_MODES) << AIL_SHIFT);
  } else if (resource === H_SET_MODE_RESOURCE.LE) {
    svm.lpcr = (svm.lpcr & ~LPCR.ILE) | (mode === LITTLE_ENDIAN ? LPCR.ILE : 0n);
  }
}

/** Whether the SVM takes interrupts with translation on where it can (LPCR[AIL]=3). */
export function hasAlternateLocation({ lpcr }: Svm): boolean {
  return (lpcr & LPCR.AIL) === LPCR.AIL;
}
