import type { RealAddress } from '../../machine/types.ts';
import {
  codeToRegister,
  type GuestPhysical,
  gpaOf,
  guestPhysical,
  H_CODE,
  H_PAGE_IN_SHARED,
  HCALL,
  MSR,
  RTAS_MAX_ARGS,
  RTAS_STATUS,
  SPR,
  UV_PAGE_ORDER,
  UV_PAGE_SIZE,
} from '../abi.ts';
import { levelOf } from '../cpu/msr.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { traceCall, traceCallReturn, traceServed } from './call-trace.ts';
import type { UvContext } from './context.ts';
import { newCookie } from './cookies.ts';
import { blankFrame, type Frame, type Interrupted, saveFrame, setFrameSpr } from './frame.ts';
import { continueGuest, resumeGuest } from './guest-entry.ts';
import { type GuestFault, readGuest, writeGuest } from './guest-memory.ts';
import { callHypervisor, reflectHypercall } from './hypervisor-entry.ts';
import { resumeAfterHypervisor } from './injection.ts';
import { killSvm } from './kill.ts';
import { DEC_SHOWN, PPR_SHOWN } from './neutral-registers.ts';
import { pageAt } from './pages.ts';
import {
  bytesToWords,
  RTAS_HEADER_BYTES,
  RTAS_WORD_BYTES,
  readRtasAnswer,
  wordsToBytes,
  writeRtasCall,
} from './rtas-block.ts';
import { BUFFER_RULES, type BufferRule, MOST_BUFFER_BYTES, PREFIX, prefixOf } from './rtas-buffers.ts';
import { makeRoom, requestPage } from './secure-frames.ts';
import type { Continuation, RtasPages, StartingCpu, Svm } from './svm.ts';

/** A bounce buffer; the page of buffers is cut into these. */
const BUFFER_BYTES = 4096;
export const RTAS_BUFFERS = UV_PAGE_SIZE / BUFFER_BYTES;

/**
 * Where stop-self's block is in the page of the Ultravisor's own calls. All vCPUs share it: nobody reads its answer.
 */
const STOP_SELF_OFFSET = BUFFER_BYTES;

/** A machine check handler lies at a multiple of this (6.3 step 6). */
const HANDLER_ALIGN = 16n;
const NO_DATA = new Uint8Array(0);

type RtasContinuation = Extract<Continuation, { readonly kind: 'rtas' }>;

/**
 * H_RTAS of an SVM (6.7): the argument block is read once, checked, and passed to the hypervisor in a page that it can
 * read; no pointer into guest memory goes with it: a buffer has a bounce buffer in its place. The R3 of a CPU to be
 * started stays here.
 */
export function hRtas(uv: UvContext, port: RegisterPort, svm: Svm, interrupted: Interrupted): 'left' {
  if (svm.rtas === null) throw new Error(`SVM ${svm.lpid} is secure without RTAS pages`);
  const block = guestPhysical(port.gpr(4));
  if (block === undefined || block % RTAS_WORD_BYTES !== 0) return end(uv, port, svm, interrupted, H_CODE.H_PARAMETER);
  const header = readGuest(uv, svm, block, RTAS_HEADER_BYTES);
  if ('fault' in header) return fault(uv, port, svm, interrupted, header);
  const [token, nargs, nret] = bytesToWords(header);
  if (nargs > RTAS_MAX_ARGS || nret > RTAS_MAX_ARGS - nargs) {
    return end(uv, port, svm, interrupted, H_CODE.H_PARAMETER);
  }
  const body = readGuest(uv, svm, (block + RTAS_HEADER_BYTES) as GuestPhysical, nargs * RTAS_WORD_BYTES);
  if ('fault' in body) return fault(uv, port, svm, interrupted, body);
  const args = bytesToWords(body);

  const name = nameOf(svm.rtas, token);
  const data = guestBuffer(uv, svm, name, args);
  if (data !== null && 'fault' in data) {
    if (data.fault !== 'unreachable') return fault(uv, port, svm, interrupted, data);
    return endWithStatus(uv, port, svm, interrupted, block, nargs, nret, RTAS_STATUS.PARAMETER);
  }

  const stopSelf = name === 'stop-self' && nargs === 0 && nret === 1;
  const gfn = stopSelf ? svm.rtas.own : svm.rtas.buffers;
  const page = pageAt(svm, gfn);
  if (page?.state === 'SHARED_IMPLICIT_INV') {
    const args = [BigInt(gpaOf(gfn)), H_PAGE_IN_SHARED, BigInt(UV_PAGE_ORDER)];
    const frame = again(port, interrupted);
    return callHypervisor(uv, port, svm, frame, HCALL.H_SVM_PAGE_IN, args, { kind: 'retry' });
  }
  if (page?.state !== 'SHARED_IMPLICIT') {
    return killSvm(uv, port, svm, saveFrame(port, interrupted), 'its page for RTAS calls is gone');
  }
  const [buffer, second] = freeBuffers(svm.rtas);
  if (!stopSelf && (buffer === undefined || (data !== null && second === undefined))) {
    return endWithStatus(uv, port, svm, interrupted, block, nargs, nret, RTAS_STATUS.BUSY);
  }

  let startCookie: number | null = null;
  if (name === 'start-cpu' && nargs === 3) {
    startCookie = newCookie(uv);
    svm.starting.set(startCookie, { nia: BigInt(args[1]), r3: BigInt(args[2]) });
    args[2] = startCookie;
  }
  if (!stopSelf) svm.rtas.busy[buffer] = true;
  if (data !== null) {
    svm.rtas.busy[second] = true;
    args[data.argument] = gpaOf(gfn) + second * BUFFER_BYTES;
    uv.view.write((page.hvPage + second * BUFFER_BYTES) as RealAddress, data.bytes);
  }
  const offset = stopSelf ? STOP_SELF_OFFSET : buffer * BUFFER_BYTES;
  writeRtasCall(uv, (page.hvPage + offset) as RealAddress, { token, args, nret });
  const then: RtasContinuation = {
    kind: 'rtas',
    block,
    nargs,
    nret,
    buffer: stopSelf ? null : buffer,
    startCookie,
    machineCheck: name === 'ibm,nmi-register' && nargs >= 2 ? BigInt(args[1]) : null,
    data: data === null ? null : { name, gpa: data.gpa, length: data.bytes.length, buffer: second },
    answer: null,
  };
  const registers = [BigInt(HCALL.H_RTAS), BigInt(gpaOf(gfn) + offset)];
  traceServed(uv, port, HCALL.H_RTAS, registers.slice(1), levelOf(interrupted.msr).name);
  return reflectHypercall(uv, port, svm, saveFrame(port, interrupted), registers, then);
}

/** The hypervisor has answered H_RTAS, or has brought the page in that the answer goes to. */
export function finishRtas(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame, then: RtasContinuation): 'left' {
  const answer = then.answer ?? { ...takeAnswer(uv, svm, then), r3: port.gpr(0) };
  const [status] = answer.words;
  if (then.startCookie !== null && status !== RTAS_STATUS.SUCCESS) svm.starting.delete(then.startCookie);
  const at = (then.block + RTAS_HEADER_BYTES + then.nargs * RTAS_WORD_BYTES) as GuestPhysical;
  const failed =
    (then.data && writeGuest(uv, port, svm, then.data.gpa, answer.data)) ??
    writeGuest(uv, port, svm, at, wordsToBytes(answer.words));
  if (failed?.fault === 'paged-out') return requestPage(uv, port, svm, frame, failed.gfn, { ...then, answer });
  if (failed?.fault === 'no-frame') return makeRoom(uv, port, svm, frame, { ...then, answer });
  if (then.machineCheck !== null && status === RTAS_STATUS.SUCCESS && then.machineCheck % HANDLER_ALIGN === 0n) {
    svm.machineCheck = then.machineCheck;
  }
  frame.gprs[3] = answer.r3;
  return resumeAfterHypervisor(uv, port, svm, frame);
}

/** A vCPU enters for the first time, where RTAS start-cpu put it: in 64-bit, real and big-endian mode (6.7, 9.5). */
export function enterStartedCpu(uv: UvContext, port: RegisterPort, svm: Svm, { nia, r3 }: StartingCpu): 'left' {
  const frame = blankFrame(port, nia, MSR.SF | MSR.ME | MSR.S, DEC_SHOWN);
  frame.gprs[3] = r3;
  setFrameSpr(frame, SPR.PPR, PPR_SHOWN);
  return resumeGuest(uv, port, svm, frame);
}

/**
 * Reads the answer, once, and gives the bounce buffers back. If the hypervisor took the page away meanwhile, the call
 * has failed.
 */
function takeAnswer(
  uv: UvContext,
  svm: Svm,
  { nargs, nret, buffer, data }: RtasContinuation,
): { readonly words: readonly number[]; readonly data: Uint8Array } {
  if (svm.rtas === null || buffer === null) return { words: new Array<number>(nret).fill(0), data: NO_DATA };
  svm.rtas.busy[buffer] = false;
  if (data !== null) svm.rtas.busy[data.buffer] = false;
  const page = pageAt(svm, svm.rtas.buffers);
  if (page?.state !== 'SHARED_IMPLICIT') return { words: failure(nret, RTAS_STATUS.HARDWARE), data: NO_DATA };
  const words = readRtasAnswer(uv, (page.hvPage + buffer * BUFFER_BYTES) as RealAddress, nargs, nret);
  if (data === null) return { words, data: NO_DATA };
  const bytes = uv.view.read((page.hvPage + data.buffer * BUFFER_BYTES) as RealAddress, data.length);
  return { words, data: bytes.subarray(0, BUFFER_RULES.get(data.name)?.out(words, bytes)) };
}

/** The guest's buffer of a call: where it is, and what the hypervisor gets in its place. */
interface GuestBuffer {
  readonly argument: number;
  readonly gpa: GuestPhysical;
  readonly bytes: Uint8Array;
}

/** The buffer that a call names; null if it has none, `unreachable` if the call or the buffer is not allowed. */
function guestBuffer(uv: UvContext, svm: Svm, name: string, args: readonly number[]): GuestBuffer | GuestFault | null {
  if (name === 'ibm,os-term') return osTermMessage(uv, svm, args);
  const rule = BUFFER_RULES.get(name);
  if (rule === undefined) return null;
  if (args.length < rule.nargs || rule.allows?.(args) === false) return { fault: 'unreachable' };
  const gpa = args[rule.address] as GuestPhysical;
  const length = bufferLength(uv, svm, rule, args, gpa);
  if (typeof length !== 'number') return length;
  if (length > MOST_BUFFER_BYTES) return { fault: 'unreachable' };
  // Also what is only written is read: so that it can be, and is there when the answer comes.
  const bytes = readGuest(uv, svm, gpa, length);
  if ('fault' in bytes) return bytes;
  return { argument: rule.address, gpa, bytes: rule.in ? bytes : new Uint8Array(length) };
}

function bufferLength(
  uv: UvContext,
  svm: Svm,
  { length }: BufferRule,
  args: readonly number[],
  gpa: GuestPhysical,
): number | GuestFault {
  if (typeof length === 'number') return length;
  if (length !== 'prefix') return args[length.argument];
  const prefix = readGuest(uv, svm, gpa, PREFIX);
  return 'fault' in prefix ? prefix : PREFIX + prefixOf(prefix);
}

/** The text of ibm,os-term, up to its NUL, and no byte behind it; none, if it cannot be read or has no end. */
function osTermMessage(uv: UvContext, svm: Svm, args: readonly number[]): GuestBuffer | GuestFault | null {
  if (args.length === 0) return null;
  const gpa = args[0] as GuestPhysical;
  const bytes = new Uint8Array(MOST_BUFFER_BYTES);
  for (let n = 0; n < MOST_BUFFER_BYTES; n++) {
    const byte = readGuest(uv, svm, (gpa + n) as GuestPhysical, 1);
    if ('fault' in byte) {
      if (byte.fault !== 'unreachable') return byte;
      return { argument: 0, gpa, bytes: new Uint8Array(1) };
    }
    bytes[n] = byte[0];
    if (byte[0] === 0) return { argument: 0, gpa, bytes: bytes.subarray(0, n + 1) };
  }
  return { argument: 0, gpa, bytes: new Uint8Array(1) };
}

/** The numbers of two bounce buffers that nobody uses; undefined where there are not as many. */
function freeBuffers({ busy }: RtasPages): [number, number] {
  const first = busy.indexOf(false);
  const second = first < 0 ? -1 : busy.indexOf(false, first + 1);
  return [first, second].map((n) => (n < 0 ? undefined : n)) as [number, number];
}

function nameOf({ tokens }: RtasPages, token: number): string {
  for (const [name, value] of tokens) if (value === token) return name;
  return '';
}

function failure(nret: number, status: number): number[] {
  return Array.from({ length: nret }, (_, i) => (i === 0 ? status : 0));
}

/** Gets the memory that a call needs; then the guest executes its `sc` again. */
function fault(uv: UvContext, port: RegisterPort, svm: Svm, interrupted: Interrupted, failed: GuestFault): 'left' {
  if (failed.fault === 'unreachable') return end(uv, port, svm, interrupted, H_CODE.H_PARAMETER);
  const frame = again(port, interrupted);
  if (failed.fault === 'no-frame') return makeRoom(uv, port, svm, frame, { kind: 'retry' });
  return requestPage(uv, port, svm, frame, failed.gfn, { kind: 'retry' });
}

function again(port: RegisterPort, interrupted: Interrupted): Frame {
  return saveFrame(port, { ...interrupted, nia: interrupted.nia - 4n });
}

/** Ends the call with a status word in the guest's block. */
function endWithStatus(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  interrupted: Interrupted,
  block: GuestPhysical,
  nargs: number,
  nret: number,
  status: number,
): 'left' {
  const at = (block + RTAS_HEADER_BYTES + nargs * RTAS_WORD_BYTES) as GuestPhysical;
  const failed = writeGuest(uv, port, svm, at, wordsToBytes(failure(nret, status)));
  if (failed !== null) return fault(uv, port, svm, interrupted, failed);
  return end(uv, port, svm, interrupted, H_CODE.H_SUCCESS);
}

function end(uv: UvContext, port: RegisterPort, svm: Svm, { nia, msr }: Interrupted, code: number): 'left' {
  const result = codeToRegister(code);
  traceCall(uv, port, 'hypercall', HCALL.H_RTAS, [port.gpr(4)], levelOf(msr).name);
  port.setGpr(3, result);
  traceCallReturn(uv, port, 'hypercall', HCALL.H_RTAS, result);
  return continueGuest(uv, port, svm, nia, msr);
}
