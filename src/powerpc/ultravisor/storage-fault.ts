import { DEVICE_SPACE, DSISR, type Gfn, gfnOf, gpaOf, guestPhysical, MSR, SPR, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { type Interrupted, saveFrame } from './frame.ts';
import { continueGuest, interruptGuest } from './guest-entry.ts';
import { reflectInterrupt } from './hypervisor-entry.ts';
import { killSvm } from './kill.ts';
import { dataStorage, emulateMmio } from './mmio.ts';
import { isLost, pageAt, setPage } from './pages.ts';
import { makeRoom, requestPage, takeFrame } from './secure-frames.ts';
import type { Svm } from './svm.ts';

/** Real mode leaves the top two bits of an effective address in ASDR (6.4). */
const REAL_MODE_MASK = 0x3fffffffffffffffn;

/**
 * A storage fault of an SVM in its partition-scoped tree: 0xE00 or 0xE20 (6.4). Where this differs from the sheet's
 * table: a fetch from a shared page is given to the SVM as an instruction storage interrupt, since such a page is never
 * executable (10.1 #32) and the SVM would fault on it for ever; a fetch from one of the Ultravisor's pages kills like a
 * load. A load or store in no slot is MMIO where a pseries guest has devices; it kills where there was memory once, or might be: device tree
 * and slots are what the hypervisor says, and it may have left out a page that the guest's image takes for memory. What the mapping of a page does not allow, by a flag of UV_PAGE_IN, is the SVM's own storage interrupt.
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
    if (gfn !== undefined && isLost(svm, gfn)) {
      return killSvm(uv, port, svm, saveFrame(port, interrupted), 'its memory was taken away');
    }
    if (fetch) return reflectInterrupt(uv, port, svm, saveFrame(port, interrupted), vector);
    if (gfn !== undefined && gpaOf(gfn) < DEVICE_SPACE) {
      const reason = `it used guest address 0x${gpaOf(gfn).toString(16)}, in no slot and below all devices`;
      return killSvm(uv, port, svm, saveFrame(port, interrupted), reason);
    }
    return emulateMmio(uv, port, svm, interrupted);
  }
  switch (page.state) {
    case 'PAGEDOUT':
      return requestPage(uv, port, svm, saveFrame(port, interrupted), gfn, { kind: 'retry' });
    case 'SECURE': {
      if (page.frame !== null) {
        const refused = refusedByMapping(uv, port, svm, interrupted, fetch);
        if (refused !== null) return refused;
        break;
      }
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
      return (
        refusedByMapping(uv, port, svm, interrupted, fetch) ??
        continueGuest(uv, port, svm, interrupted.nia, interrupted.msr)
      );
    case 'SHARED_IMPLICIT':
    case 'SHARED_IMPLICIT_INV':
      return killSvm(uv, port, svm, saveFrame(port, interrupted), 'it touched a page of the Ultravisor');
    default:
      break;
  }
  return continueGuest(uv, port, svm, interrupted.nia, interrupted.msr);
}

/** A store to a page that is mapped read-only, or a fetch from one that is mapped as device memory; null if it was neither. */
function refusedByMapping(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  interrupted: Interrupted,
  fetch: boolean,
): 'left' | null {
  const cause = fetch ? interrupted.image : port.spr(SPR.HDSISR);
  const refused = cause & (fetch ? DSISR.NO_EXECUTE | DSISR.PROTECTION : DSISR.PROTECTION);
  if (refused === 0n) return null;
  if (fetch) return interruptGuest(uv, port, svm, interrupted, VECTOR.INSTRUCTION_STORAGE, refused);
  return dataStorage(uv, port, svm, interrupted, cause);
}

function faultingFrame(port: RegisterPort, msr: bigint, fetch: boolean): Gfn | undefined {
  const asdr = port.spr(SPR.ASDR);
  const translated = (msr & (fetch ? MSR.IR : MSR.DR)) !== 0n;
  const gpa = guestPhysical(translated ? asdr : asdr & REAL_MODE_MASK);
  return gpa === undefined ? undefined : gfnOf(gpa);
}
