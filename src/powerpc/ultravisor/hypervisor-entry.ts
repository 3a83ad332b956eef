import { HCALL, HID0, MSR, SPR, SRR1, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { traceServed } from './call-trace.ts';
import type { UvContext } from './context.ts';
import { newCookie } from './cookies.ts';
import { FPRS, type Frame, frameDecrementer, restoreFrame } from './frame.ts';
import { DEC_SHOWN, NEUTRAL_SPRS } from './neutral-registers.ts';
import type { Continuation, Pending, Svm } from './svm.ts';

const GPRS = 32;
/** What the hypervisor finds in the floating point registers. */
const NO_FPRS = new BigUint64Array(FPRS);
const COOKIE_GPR = 31;
/** MSR bits of the guest that stay on in the hypervisor (6.2.1). */
const KEPT_FACILITIES = MSR.FP | MSR.VEC | MSR.VSX;

/** Vectors whose interrupted state is in SRR0 and SRR1; that of all others is in HSRR0 and HSRR1 (6.3). */
const SRR_VECTORS: ReadonlySet<bigint> = new Set([VECTOR.SYSTEM_RESET, VECTOR.MACHINE_CHECK, VECTOR.SYSTEM_CALL]);

/** Whether an interrupt into the Ultravisor saved its state in SRR0 and SRR1. */
export function savesInSrr(vector: bigint): boolean {
  return SRR_VECTORS.has(vector);
}

/**
 * Gives the hypervisor control in place of a vCPU, with a hypercall of the Ultravisor's own (6.2.1, right column). It
 * answers with UV_RETURN, and then `then` goes on.
 * @param incoming the secure frame that waits for the page that is asked for
 */
export function callHypervisor(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  number: number,
  args: readonly bigint[],
  then: Continuation,
  incoming: Pending['incoming'] = null,
): 'left' {
  traceServed(uv, port, number, args, 'ultravisor');
  enterNeutral(uv, port, svm, frame, VECTOR.SYSTEM_CALL, [BigInt(number), ...args], number, then, incoming);
  return 'left';
}

/**
 * Gives the hypervisor control for a hypercall of a vCPU (6.2.1, left column).
 * @param registers what it sees from R3 on
 */
export function reflectHypercall(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  registers: readonly bigint[],
  then: Continuation,
): 'left' {
  enterNeutral(uv, port, svm, frame, VECTOR.SYSTEM_CALL, registers, Number(registers[0]), then);
  return 'left';
}

/** Reflects an interrupt: the hypervisor sees no general register at all (6.2.1, 6.3). */
export function reflectInterrupt(uv: UvContext, port: RegisterPort, svm: Svm, frame: Frame, vector: bigint): 'left' {
  enterNeutral(uv, port, svm, frame, vector, [], null, { kind: 'interrupt' });
  return 'left';
}

/**
 * Gives the hypervisor control with the registers that the guest had at UV_ESM, nothing masked: the VM is a normal one
 * again (6.1 A2). There is no UV_RETURN for it; the hypervisor goes on in the guest by itself.
 */
export function enterUnmasked(uv: UvContext, port: RegisterPort, frame: Frame, number: number): 'left' {
  traceServed(uv, port, number, [], 'ultravisor');
  restoreFrame(port, frame);
  port.setGpr(3, BigInt(number));
  port.setSpr(SPR.SRR0, frame.nia);
  port.setSpr(SPR.SRR1, (frame.msr & ~MSR.S) | SRR1.LEV1);
  port.setSpr(SPR.USRR0, VECTOR.SYSTEM_CALL);
  port.setSpr(SPR.USRR1, hypervisorMsr(port));
  return 'left';
}

function enterNeutral(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  frame: Frame,
  vector: bigint,
  args: readonly bigint[],
  number: number | null,
  then: Continuation,
  incoming: Pending['incoming'] = null,
): void {
  const cookie = newCookie(uv);
  svm.pending.set(cookie, { frame, pidr: port.spr(SPR.PIDR), number, then, incoming });

  for (let n = 0; n < GPRS; n++) port.setGpr(n, 0n);
  for (const [i, value] of args.entries()) port.setGpr(3 + i, value);
  port.setGpr(COOKIE_GPR, BigInt(cookie));
  port.setFprs(NO_FPRS);
  port.setFpscr(0n);
  port.setCr(0);
  for (const { spr, set = 0n, realAt = [] } of NEUTRAL_SPRS) {
    if (!realAt.includes(vector)) port.setSpr(spr, set);
  }
  port.setSpr(SPR.DEC, number === HCALL.H_CEDE ? frameDecrementer(port, frame) : DEC_SHOWN);

  const image = vector === VECTOR.SYSTEM_CALL ? (frame.image & ~SRR1.LEV) | SRR1.LEV1 : frame.image;
  for (const spr of [SPR.SRR0, SPR.HSRR0]) port.setSpr(spr, BigInt(cookie));
  for (const spr of [SPR.SRR1, SPR.HSRR1]) port.setSpr(spr, image | MSR.S);
  let msr = hypervisorMsr(port) | (frame.msr & KEPT_FACILITIES);
  if (vector === VECTOR.MACHINE_CHECK) msr &= ~MSR.ME;
  if (!savesInSrr(vector)) msr |= MSR.RI;
  port.setSpr(SPR.USRR0, vector);
  port.setSpr(SPR.USRR1, msr);
}

function hypervisorMsr(port: RegisterPort): bigint {
  const littleEndian = (port.spr(SPR.HID0) & HID0.HILE) !== 0n;
  return MSR.SF | MSR.HV | MSR.ME | (littleEndian ? MSR.LE : 0n);
}
