import { gpaOf, HCALL, MSR, RTAS_TOKEN } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { note, type UvContext } from './context.ts';
import { blankFrame, type Frame } from './frame.ts';
import { callHypervisor, enterUnmasked } from './hypervisor-entry.ts';
import { isTransient, ownedFrame, pageAt, setPage, touchedPages } from './pages.ts';
import { dropPending } from './pending.ts';
import { writeRtasCall } from './rtas-block.ts';
import type { Svm, SvmState } from './svm.ts';

/** Puts an SVM into another state. */
export function setSvmState(uv: UvContext, port: RegisterPort, svm: Svm, state: SvmState, reason?: string): void {
  traceSvmState(uv, port, svm.lpid, svm.state, state, reason);
  svm.state = state;
}

/** Tells the trace of a VM's state; NORMAL is a VM without a record. */
export function traceSvmState(
  uv: UvContext,
  port: RegisterPort,
  lpid: number,
  from: SvmState | 'NORMAL',
  to: SvmState | 'NORMAL',
  reason?: string,
): void {
  const event = { type: 'vm-state', at: port.clock, cpu: port.cpu, vm: lpid, from, to } as const;
  uv.trace?.emit(reason === undefined ? event : { ...event, reason });
}

/**
 * UV_ESM has failed before the VM was secure: it goes on as a normal VM, through H_SVM_INIT_ABORT of its hypervisor,
 * and finds H_PARAMETER in R3 (6.1 A1-A4). Pages that were about to be shared go back to what they held.
 */
export function abortEsm(uv: UvContext, port: RegisterPort, svm: Svm, reason: string): 'left' {
  if (svm.state !== 'ACTIVE' || svm.esm === null) throw new Error(`SVM ${svm.lpid} is ${svm.state}, not in UV_ESM`);
  note(uv, port, `UV_ESM of LPID ${svm.lpid} is aborted: ${reason}`);
  const { frame } = svm.esm;
  setSvmState(uv, port, svm, 'ABORT', reason);
  forgetEsm(svm);
  dropPending(uv, svm);
  for (const [gfn, page] of touchedPages(svm)) {
    if (isTransient(page)) setPage(uv, port, svm, gfn, { state: 'SECURE', frame: ownedFrame(page), given: false });
  }
  return enterUnmasked(uv, port, frame, HCALL.H_SVM_INIT_ABORT);
}

/**
 * Ends an SVM that was attacked or cannot go on. If it is not secure yet this is `abortEsm`. Else no vCPU of it ever
 * runs again, and the hypervisor gets control with RTAS ibm,os-term for it (6.8); its pages stay encrypted until
 * UV_SVM_TERMINATE drops them.
 * @param frame registers of the vCPU that the CPU was taken from or should have gone to; undefined if it is not known
 */
export function killSvm(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame | undefined, reason: string): 'left' {
  if (svm.state === 'ACTIVE') return abortEsm(uv, port, svm, reason);
  if (svm.rtas === null) throw new Error(`SVM ${svm.lpid} is ${svm.state} without RTAS pages`);
  note(uv, port, `the SVM in LPID ${svm.lpid} is killed: ${reason}`);
  if (svm.state !== 'DEAD') setSvmState(uv, port, svm, 'DEAD');
  forgetEsm(svm);
  const { own, tokens } = svm.rtas;
  const page = pageAt(svm, own);
  if (page?.state === 'SHARED_IMPLICIT') {
    const token = tokens.get('ibm,os-term') ?? RTAS_TOKEN['ibm,os-term'];
    writeRtasCall(uv, page.hvPage, { token, args: [0], nret: 1 });
  }
  const caller = frame ?? blankFrame(port, 0n, MSR.S, 0n);
  callHypervisor(uv, port, svm, caller, HCALL.H_RTAS, [BigInt(gpaOf(own))], { kind: 'retry' });
  dropPending(uv, svm);
  svm.starting.clear();
  return 'left';
}

/** Erases what UV_ESM has read, and the blob's key with it. */
function forgetEsm(svm: Svm): void {
  svm.esm?.proof?.key.fill(0);
  svm.esm = null;
  svm.files?.key.fill(0);
  svm.files = null;
}
