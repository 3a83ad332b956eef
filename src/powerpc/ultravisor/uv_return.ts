import { codeToRegister, HCALL, MSR, SPR, SRR1, U_CODE, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { traceCallReturn, traceServedReturn } from './call-trace.ts';
import type { Outcome, UvContext } from './context.ts';
import { type Frame, frameSpr, type Interrupted, setFrameSpr } from './frame.ts';
import { interruptFrame, resumeGuest } from './guest-entry.ts';
import { resumeAfterHypervisor, resumeInjected } from './injection.ts';
import { killSvm } from './kill.ts';
import { finishMmio } from './mmio.ts';
import { endPending } from './pending.ts';
import { finishHypercall } from './reflect.ts';
import { enterStartedCpu, finishRtas } from './rtas.ts';
import { continueRoom } from './secure-frames.ts';
import { continueShare, continueUndoShare, continueUnshare, shareFrom } from './share.ts';
import type { Continuation, Pending, Svm } from './svm.ts';
import { findPending, svmOf } from './svm-lookup.ts';
import { continueEsm } from './uv_esm.ts';

const { U_INVALID } = U_CODE;

const COOKIE_GPR = 31;

/** What waits in the SVM itself; all other answers belong to a call of the Ultravisor's that has to end first. */
const INTERRUPTIBLE: ReadonlySet<Continuation['kind']> = new Set(['hypercall', 'interrupt', 'retry']);

/**
 * UV_RETURN: the hypervisor answers what it was entered with; R31 is the cookie, R0 the result, R4 to R12 outputs, and
 * HSRR0, HSRR1 and R2 may ask for an interrupt (3.16, 6.2, 6.3). It comes back only with U_INVALID, if it concerns no
 * SVM that is alive.
 *
 * A cookie is good for one answer. A wrong one kills the SVM in LPIDR (10.3 #59), the right one with another LPIDR or
 * PIDR the SVM that it belongs to (#60).
 */
export function uvReturn(uv: UvContext, port: RegisterPort, { msr }: Interrupted): Outcome {
  const cookie = Number(port.gpr(COOKIE_GPR));
  const found = findPending(uv, cookie);
  const current = svmOf(uv, port.spr(SPR.LPIDR));
  if (found === undefined || isStopSelf(found.pending)) {
    const started = current === undefined ? null : startCpu(uv, port, current, cookie);
    if (started !== null) return started;
  }
  if (found === undefined) {
    if (current === undefined || current.state === 'ABORT' || current.state === 'DEAD') return U_INVALID;
    return killSvm(uv, port, current, undefined, 'UV_RETURN with a cookie that was never given');
  }

  const { svm, pending } = found;
  endPending(uv, svm, cookie, pending);
  const result = port.gpr(0);
  if (pending.number !== null) traceServedReturn(uv, port, pending.number, result);
  if (svm !== current || port.spr(SPR.PIDR) !== pending.pidr) {
    return killSvm(uv, port, svm, pending.frame, 'UV_RETURN with another LPIDR or PIDR');
  }
  setFrameSpr(pending.frame, SPR.IC, frameSpr(pending.frame, SPR.IC) + port.spr(SPR.IC));
  const transaction = (msr & MSR.TS) !== 0n;
  if (transaction && INTERRUPTIBLE.has(pending.then.kind)) return badTransaction(uv, port, svm, pending.frame);
  return goOn(uv, port, svm, pending.frame, pending.then);
}

/** The hypervisor came back inside a transaction: the SVM gets a program interrupt, "TM bad thing" (3.1). */
function badTransaction(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame): 'left' {
  interruptFrame(svm, frame, VECTOR.PROGRAM, SRR1.PROGRAM_TM);
  return resumeGuest(uv, port, svm, frame);
}

function goOn(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame, then: Continuation): 'left' {
  switch (then.kind) {
    case 'hypercall':
      return finishHypercall(uv, port, svm, frame, then);
    case 'interrupt':
    case 'retry':
      return resumeAfterHypervisor(uv, port, svm, frame);
    case 'mmio':
      return finishMmio(uv, port, svm, frame, then);
    case 'donate':
      return resumeInjected(uv, port, svm, frame);
    case 'room': {
      if (continueRoom(uv, port, svm, frame, then) === 'left') return 'left';
      // What was waiting for room is tried as if its own hypercall had gone well.
      port.setGpr(0, 0n);
      return goOn(uv, port, svm, frame, then.then);
    }
    case 'share-from':
      return finishCall(uv, port, svm, frame, shareFrom(uv, port, svm, { frame }, then.gfns, then.at));
    case 'esm':
      return continueEsm(uv, port, svm);
    case 'rtas':
      return finishRtas(uv, port, svm, frame, then);
    case 'share':
      return finishCall(uv, port, svm, frame, continueShare(uv, port, svm, frame, then));
    case 'undo-share':
      return finishCall(uv, port, svm, frame, continueUndoShare(uv, port, svm, frame, then));
    case 'unshare': {
      const outcome = continueUnshare(uv, port, svm, frame, then);
      if (outcome !== undefined) return finishCall(uv, port, svm, frame, outcome);
      return killSvm(uv, port, svm, frame, 'the hypervisor refused to give a shared page back');
    }
  }
}

/** An ultracall of an SVM that needed the hypervisor has a result: R3 of the frame still holds the call's number. */
function finishCall(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame, outcome: Outcome): 'left' {
  if (outcome === 'left') return 'left';
  const result = codeToRegister(outcome);
  traceCallReturn(uv, port, 'ultracall', Number(frame.gprs[3]), result);
  frame.gprs[3] = result;
  return resumeAfterHypervisor(uv, port, svm, frame);
}

/** A vCPU that called RTAS stop-self waits for no answer; it comes back when another one starts it (10.3 #71). */
function isStopSelf({ then }: Pending): boolean {
  return then.kind === 'rtas' && then.buffer === null;
}

/** A new vCPU is entered with the R3 that start-cpu gave it: a cookie, which UV_RETURN carries in R0 (6.7). */
function startCpu(uv: UvContext, port: RegisterPort, svm: Svm, cookie: number): 'left' | null {
  const startCookie = Number(port.gpr(0));
  const start = svm.starting.get(startCookie);
  if (start === undefined || svm.state !== 'SECURE') return null;
  svm.starting.delete(startCookie);
  const stopped = svm.pending.get(cookie);
  if (stopped !== undefined) {
    endPending(uv, svm, cookie, stopped);
    traceServedReturn(uv, port, HCALL.H_RTAS, 0n);
  }
  return enterStartedCpu(uv, port, svm, start);
}
