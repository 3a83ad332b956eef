import { codeToRegister, DSISR, H_CODE, HCALL, MSR, SPR, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { type Frame, type Interrupted, saveFrame, setFrameSpr } from './frame.ts';
import { continueGuest, interruptFrame, interruptGuest, resumeGuest } from './guest-entry.ts';
import { readGuest } from './guest-memory.ts';
import { translateFetch } from './guest-translation.ts';
import { callHypervisor } from './hypervisor-entry.ts';
import { resumeAfterHypervisor } from './injection.ts';
import { decodeMmio, type MmioAccess } from './mmio-decode.ts';
import { makeRoom, requestPage } from './secure-frames.ts';
import type { Continuation, Svm } from './svm.ts';

/** ASDR has the guest address but for its low 12 bits, which are those of the effective address (2.5). */
const PAGE_OFFSET = 0xfffn;
const ASDR_ADDRESS = 0x0ffffffffffff000n;
const INSTRUCTION_BYTES = 4;

type MmioContinuation = Extract<Continuation, { readonly kind: 'mmio' }>;

/**
 * A load or store of an SVM where it has no memory and never had (6.4): the instruction is fetched through the guest's own tables, decoded,
 * and made a hypercall, H_LOGICAL_CI_LOAD or _STORE. The hypervisor sees address and size, and the value that is stored, and nothing else.
 * What is no plain load or store gets the SVM a data storage interrupt.
 */
export function emulateMmio(uv: UvContext, port: RegisterPort, svm: Svm, interrupted: Interrupted): 'left' {
  const { nia, msr } = interrupted;
  const effective = port.spr(SPR.HDAR);
  const cause = port.spr(SPR.HDSISR);
  if ((cause & DSISR.PRTABLE_FAULT) !== 0n) return dataStorage(uv, port, svm, interrupted, cause);
  const word = fetch(uv, port, svm, interrupted);
  if (typeof word !== 'number') return word;
  const access = decodeMmio(word);
  if (access === undefined) return dataStorage(uv, port, svm, interrupted, cause | DSISR.BAD_ACCESS);
  if (access === 'cache') return continueGuest(uv, port, svm, nia + 4n, msr);

  const frame = saveFrame(port, interrupted);
  const address = (port.spr(SPR.ASDR) & ASDR_ADDRESS) | (effective & PAGE_OFFSET);
  const args = [BigInt(access.bytes), address];
  const then: MmioContinuation = { kind: 'mmio', access, effective, cause };
  if (!access.store) return callHypervisor(uv, port, svm, frame, HCALL.H_LOGICAL_CI_LOAD, args, then);
  const value = inOrder(BigInt.asUintN(8 * access.bytes, frame.gprs[access.register]), access, msr);
  return callHypervisor(uv, port, svm, frame, HCALL.H_LOGICAL_CI_STORE, [...args, value], then);
}

/** The hypervisor has answered: the vCPU goes on behind the instruction, or with a data storage interrupt if there was nothing. */
export function finishMmio(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame, then: MmioContinuation): 'left' {
  const { access, effective, cause } = then;
  if (port.gpr(0) !== codeToRegister(H_CODE.H_SUCCESS)) {
    interruptFrame(svm, frame, VECTOR.DATA_STORAGE, 0n);
    setFrameSpr(frame, SPR.DAR, effective);
    setFrameSpr(frame, SPR.DSISR, cause);
    return resumeGuest(uv, port, svm, frame);
  }
  if (!access.store) {
    const value = inOrder(BigInt.asUintN(8 * access.bytes, port.gpr(4)), access, frame.msr);
    const extended = access.signed ? BigInt.asIntN(8 * access.bytes, value) : value;
    frame.gprs[access.register] = BigInt.asUintN(64, extended);
  }
  if (access.update !== null) frame.gprs[access.update] = effective;
  frame.nia += 4n;
  return resumeAfterHypervisor(uv, port, svm, frame);
}

/** A data storage interrupt in the SVM's kernel, with the cause bits of HDSISR. */
export function dataStorage(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  interrupted: Interrupted,
  cause: bigint,
): 'left' {
  port.setSpr(SPR.DAR, port.spr(SPR.HDAR));
  port.setSpr(SPR.DSISR, cause);
  return interruptGuest(uv, port, svm, interrupted, VECTOR.DATA_STORAGE, 0n);
}

/** The hypercalls' values are big-endian numbers; a little-endian access, or a byte-reversed one, has the bytes the other way round. */
function inOrder(value: bigint, { bytes, reversed }: MmioAccess, msr: bigint): bigint {
  if (((msr & MSR.LE) !== 0n) === reversed) return value;
  let swapped = 0n;
  for (let n = 0, rest = value; n < bytes; n++, rest >>= 8n) swapped = (swapped << 8n) | (rest & 0xffn);
  return swapped;
}

/** The instruction at an address; or what has to happen before it can be read, after which the guest executes it again. */
function fetch(uv: UvContext, port: RegisterPort, svm: Svm, interrupted: Interrupted): number | 'left' {
  const { nia, msr } = interrupted;
  const gpa = translateFetch(uv, port, svm, nia, msr);
  const bytes = typeof gpa === 'number' ? readGuest(uv, svm, gpa, INSTRUCTION_BYTES) : gpa;
  if (bytes !== null && !('fault' in bytes)) {
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, (msr & MSR.LE) !== 0n);
  }
  const frame = saveFrame(port, interrupted);
  if (bytes?.fault === 'paged-out') return requestPage(uv, port, svm, frame, bytes.gfn, { kind: 'retry' });
  if (bytes?.fault === 'no-frame') return makeRoom(uv, port, svm, frame, { kind: 'retry' });
  // Another vCPU has changed the tables or the code meanwhile: the instruction is executed as it is now.
  return continueGuest(uv, port, svm, nia, msr);
}
