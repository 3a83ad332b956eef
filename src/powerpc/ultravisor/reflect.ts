import { codeToRegister, H_CODE, HCALL, HCALL_REGISTERS, MSR, ULTRAVISOR_HCALLS } from '../abi.ts';
import { levelOf } from '../cpu/msr.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { traceCall, traceCallReturn, traceServed } from './call-trace.ts';
import type { UvContext } from './context.ts';
import { type Frame, type Interrupted, saveFrame } from './frame.ts';
import { continueGuest } from './guest-entry.ts';
import { reflectHypercall } from './hypervisor-entry.ts';
import { resumeAfterHypervisor } from './injection.ts';
import { commitProcessTable } from './process-table.ts';
import { hRtas } from './rtas.ts';
import type { Svm } from './svm.ts';
import { noteSetMode } from './svm-lpcr.ts';

const LAST_NUMBER = 0xffffn;
const RANDOM_BYTES = 8;

/**
 * `sc 1` in an SVM (6.2). H_RANDOM is served here (1.10), H_RTAS goes through bounce pages, all others are reflected
 * with the registers that the table of 6.2.2 gives. A number without a row, and the Ultravisor's own numbers, give
 * H_FUNCTION (10.3 #56, #57). A call from user mode is reflected like any other: to refuse it is the hypervisor's part
 * (10.3 #58).
 */
export function guestHypercall(uv: UvContext, port: RegisterPort, svm: Svm, interrupted: Interrupted): 'left' {
  const r3 = port.gpr(3);
  const number = r3 <= LAST_NUMBER ? Number(r3) : 0;
  const registers = HCALL_REGISTERS.get(number);
  const own = number >= ULTRAVISOR_HCALLS.first && number <= ULTRAVISOR_HCALLS.last;
  const from = levelOf(interrupted.msr).name;
  if (registers === undefined || own) {
    traceCall(uv, port, 'hypercall', number, [], from);
    return answer(uv, port, svm, interrupted, number, H_CODE.H_FUNCTION);
  }

  const user = (interrupted.msr & MSR.PR) !== 0n;
  if (number === HCALL.H_RTAS && !user) return hRtas(uv, port, svm, interrupted);
  if (number === HCALL.H_RANDOM && !user) {
    traceCall(uv, port, 'hypercall', number, [], from);
    const bytes = uv.random.hRandom(RANDOM_BYTES);
    port.setGpr(4, new DataView(bytes.buffer, bytes.byteOffset, RANDOM_BYTES).getBigUint64(0));
    return answer(uv, port, svm, interrupted, number, H_CODE.H_SUCCESS);
  }

  const frame = saveFrame(port, interrupted);
  if (number === HCALL.H_CEDE && !user) frame.msr |= MSR.EE;
  const shown = frame.gprs.slice(3, 3 + registers.in);
  traceServed(uv, port, number, shown.slice(1), from);
  return reflectHypercall(uv, port, svm, frame, shown, { kind: 'hypercall', number, out: registers.out });
}

/**
 * The hypervisor has answered a reflected hypercall: the vCPU gets the outputs that the call has, and no other register
 * (6.2 step 8).
 */
export function finishHypercall(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  call: { readonly number: number; readonly out: number },
): 'left' {
  const result = port.gpr(0);
  if (call.number === HCALL.H_REGISTER_PROC_TBL && result === 0n) commitProcessTable(uv, port, svm, frame);
  if (call.number === HCALL.H_SET_MODE && result === 0n) noteSetMode(svm, frame.gprs[4], frame.gprs[5]);
  frame.gprs[3] = result;
  for (let n = 4; n < 3 + call.out; n++) frame.gprs[n] = port.gpr(n);
  return resumeAfterHypervisor(uv, port, svm, frame);
}

/** Ends a hypercall without the hypervisor. */
function answer(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  { nia, msr }: Interrupted,
  number: number,
  code: number,
): 'left' {
  const result = codeToRegister(code);
  port.setGpr(3, result);
  traceCallReturn(uv, port, 'hypercall', number, result);
  return continueGuest(uv, port, svm, nia, msr);
}
