import { DSISR, type Gfn, gfnOf, guestPhysical, MSR, SPR, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { type Interrupted, saveFrame } from './frame.ts';
import { continueGuest, interruptGuest } from './guest-entry.ts';
import { reflectInterrupt } from './hypervisor-entry.ts';
import { killSvm } from './kill.ts';
import { isLost, pageAt, setPage } from './pages.ts';
import { makeRoom, requestPage, takeFrame } from './secure-frames.ts';
import type { Svm } from './svm.ts';

/** Real mode leaves the top two bits of an effective address in ASDR (6.4). */
const REAL_MODE_MASK = 0x3fffffffffffffffn;

/**
 * A storage fault of an SVM in its partition-scoped tree: 0xE00 or 0xE20 (6.4). Where this differs from the sheet's
 * table: a fetch from a shared page is given to the SVM as an instruction storage interrupt, since such a page is never
 * executable (10.1 #32) and the SVM would fault on it for ever; a fetch from one of the Ultravisor's pages kills like a
 * load. MMIO (a load or store in no slot) is not emulated yet and kills.
 *
 * A page that is paged out, or was never touched, needs a secure frame: when there is none, another page goes out first. The guest executes
 * its instruction again, and faults again if the hypervisor refused.
 */
export function storageFault(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  interrupted: Interrupted,
  vector: bigint,
): 'left' {
  const fetch = vector === VECTOR.HV_INSTRUCTION_STORAGE;
  const gfn = faultingFrame(port, interrupted.msr, fetch);
  const page = gfn === undefined ? undefined : pageAt(svm, gfn);
  if (gfn === undefined || page === undefined) {
    const frame = saveFrame(port, interrupted);
    if (gfn !== undefined && isLost(svm, gfn)) return killSvm(uv, port, svm, frame, 'its memory was taken away');
    if (fetch) return reflectInterrupt(uv, port, svm, frame, vector);
    return killSvm(uv, port, svm, frame, `it used guest address 0x${port.spr(SPR.ASDR).toString(16)}, in no slot`);
  }
  switch (page.state) {
    case 'PAGEDOUT':
      return requestPage(uv, port, svm, saveFrame(port, interrupted), gfn, { kind: 'retry' });
    case 'SECURE': {
      if (page.frame !== null) break;
      const frame = takeFrame(uv, svm);
      if (frame === undefined) return makeRoom(uv, port, svm, saveFrame(port, interrupted), { kind: 'retry' });
      setPage(uv, port, svm, gfn, { state: 'SECURE', frame, given: false });
      break;
    }
    case 'SHARED':
    case 'SHARED_INV':
      if (fetch && (interrupted.image & DSISR.PRTABLE_FAULT) === 0n) {
        return interruptGuest(uv, port, svm, interrupted, VECTOR.INSTRUCTION_STORAGE, DSISR.PROTECTION);
      }
      if (page.state === 'SHARED_INV') {
        return reflectInterrupt(uv, port, svm, saveFrame(port, interrupted), VECTOR.HV_DATA_STORAGE);
      }
      break;
    case 'SHARED_IMPLICIT':
    case 'SHARED_IMPLICIT_INV':
      return killSvm(uv, port, svm, saveFrame(port, interrupted), 'it touched a page of the Ultravisor');
    default:
      break;
  }
  return continueGuest(uv, port, svm, interrupted.nia, interrupted.msr);
}

function faultingFrame(port: RegisterPort, msr: bigint, fetch: boolean): Gfn | undefined {
  const asdr = port.spr(SPR.ASDR);
  const translated = (msr & (fetch ? MSR.IR : MSR.DR)) !== 0n;
  const gpa = guestPhysical(translated ? asdr : asdr & REAL_MODE_MASK);
  return gpa === undefined ? undefined : gfnOf(gpa);
}
