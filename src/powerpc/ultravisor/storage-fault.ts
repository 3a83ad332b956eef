import { DSISR, type Gfn, gfnOf, gpaOf, guestPhysical, HCALL, MSR, SPR, UV_PAGE_ORDER, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { type Interrupted, saveFrame } from './frame.ts';
import { continueGuest, interruptGuest } from './guest-entry.ts';
import { callHypervisor, reflectInterrupt } from './hypervisor-entry.ts';
import { killSvm } from './kill.ts';
import { pageAt, setPage } from './pages.ts';
import type { Svm } from './svm.ts';

/** Real mode leaves the top two bits of an effective address in ASDR (6.4). */
const REAL_MODE_MASK = 0x3fffffffffffffffn;

/**
 * A storage fault of an SVM in its partition-scoped tree: 0xE00 or 0xE20 (6.4). Where this differs from the sheet's
 * table: a fetch from a shared page is given to the SVM as an instruction storage interrupt, since such a page is never
 * executable (10.1 #32) and the SVM would fault on it for ever; a fetch from one of the Ultravisor's pages kills like a
 * load. MMIO (a load or store in no slot) is not emulated yet and kills. So does a fresh page for which secure memory
 * has no frame left, until pages are paged out under pressure.
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
    if (fetch) return reflectInterrupt(uv, port, svm, frame, vector);
    return killSvm(uv, port, svm, frame, `it used guest address 0x${port.spr(SPR.ASDR).toString(16)}, in no slot`);
  }
  switch (page.state) {
    case 'PAGEDOUT':
      return askForPage(uv, port, svm, interrupted, gfn);
    case 'SECURE': {
      if (page.frame === null) {
        const frame = uv.secure.take();
        if (frame === undefined) {
          return killSvm(uv, port, svm, saveFrame(port, interrupted), 'secure memory is used up');
        }
        setPage(uv, port, svm, gfn, { state: 'SECURE', frame, given: false });
      }
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

/**
 * H_SVM_PAGE_IN for a page that was paged out; then the guest executes its instruction again, and faults again if it
 * was refused.
 */
function askForPage(uv: UvContext, port: RegisterPort, svm: Svm, interrupted: Interrupted, gfn: Gfn): 'left' {
  const args = [BigInt(gpaOf(gfn)), 0n, BigInt(UV_PAGE_ORDER)];
  return callHypervisor(uv, port, svm, saveFrame(port, interrupted), HCALL.H_SVM_PAGE_IN, args, { kind: 'retry' });
}

function faultingFrame(port: RegisterPort, msr: bigint, fetch: boolean): Gfn | undefined {
  const asdr = port.spr(SPR.ASDR);
  const translated = (msr & (fetch ? MSR.IR : MSR.DR)) !== 0n;
  const gpa = guestPhysical(translated ? asdr : asdr & REAL_MODE_MASK);
  return gpa === undefined ? undefined : gfnOf(gpa);
}
