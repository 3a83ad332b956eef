import {
  codeToRegister,
  gfnOf,
  guestPhysical,
  H_CODE,
  hcallName,
  MSR,
  SPR,
  SRR1,
  U_CODE,
  ULTRAVISOR_HCALLS,
} from '../abi.ts';
import { GuestFault } from './guest-memory.ts';
import { HCALL_HANDLERS } from './hcall.ts';
import type { HcallAnswer } from './hcall-types.ts';
import { injectProgram } from './interrupt.ts';
import type { ExitJob, Job } from './job.ts';
import { guestGpr, setGuestGpr } from './registers.ts';
import type { Ctx } from './state.ts';
import { count } from './statistics.ts';
import type { HypercallResult } from './user-space.ts';
import { endVm, type Vcpu, type Vm } from './vm.ts';

/**
 * A system call exit: serves a hypercall, or has the VMM serve it (power-pef.md 4, 9.5).
 * @returns a job to run first: its result is the hypercall's if `exit.step` is `hypercall`; with `retry` the call is dispatched again
 */
export function dispatchHypercall(ctx: Ctx, exit: ExitJob, vm: Vm, vcpu: Vcpu): Job | null {
  const { kvm, port } = ctx;
  const { context, info } = exit;
  const number = Number(guestGpr(port, context, 3));
  const args: bigint[] = [];
  for (let n = 4; n <= 12; n++) args.push(guestGpr(port, context, n));

  if (exit.step === 'dispatch') announce(ctx, exit, number, args);
  if ((context.msr & MSR.PR) !== 0n) {
    injectProgram(port, vm, context, SRR1.PROGRAM_PRIVILEGED);
    return null;
  }
  // An ultracall only gets here where no Ultravisor takes it.
  if ((info.status & SRR1.LEV) === SRR1.LEV2) {
    finishHypercall(ctx, exit, { status: U_CODE.U_FUNCTION });
    return null;
  }

  let answer: HcallAnswer;
  try {
    const handler = HCALL_HANDLERS.get(number);
    const user = kvm.userSpace.get(vm.lpid);
    if (handler !== undefined) answer = handler({ ctx, vm, vcpu, exit, args });
    else {
      const { clock, cpu } = port;
      const timebase = port.spr(SPR.TB);
      const call = { vm, vcpu, number, args, timebase, clock, cpu, secure: info.secure };
      answer = user?.hypercall(call) ?? H_CODE.H_FUNCTION;
    }
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    return resolveFault(ctx, exit, vm, error);
  }
  if (typeof answer === 'object' && 'job' in answer) {
    exit.step = 'hypercall';
    return answer.job;
  }
  finishHypercall(ctx, exit, typeof answer === 'number' ? { status: answer } : answer);
  return null;
}

/** Puts status and outputs of a hypercall into the guest's registers. */
export function finishHypercall(ctx: Ctx, exit: ExitJob, { status, out = [] }: HypercallResult): void {
  const { kvm, port } = ctx;
  const { context } = exit;
  const number = Number(guestGpr(port, context, 3));
  setGuestGpr(port, context, 3, codeToRegister(status));
  for (const [i, value] of out.entries()) setGuestGpr(port, context, 4 + i, BigInt.asUintN(64, value));
  kvm.trace?.emit({
    type: 'call-return',
    at: port.clock,
    cpu: port.cpu,
    kind: 'hypercall',
    number,
    result: codeToRegister(status),
  });
}

/** The memory that a call reaches for is out of reach: brings it in reach and has the call run again, or fails the call. */
function resolveFault(ctx: Ctx, exit: ExitJob, vm: Vm, fault: GuestFault): Job | null {
  const gpa = guestPhysical(fault.address);
  if (fault.reason === 'secure' && gpa !== undefined) {
    exit.step = 'retry';
    return { kind: 'page-out', lpid: vm.lpid, gfn: gfnOf(gpa), page: null };
  }
  if (fault.reason === 'memory') {
    endVm(vm, { kind: 'terminated', detail: `no host memory left for guest address 0x${fault.address.toString(16)}` });
    return null;
  }
  finishHypercall(ctx, exit, { status: H_CODE.H_PARAMETER });
  return null;
}

function announce({ kvm, port }: Ctx, { info, context }: ExitJob, number: number, args: readonly bigint[]): void {
  const name = hcallName(number);
  count(kvm.statistics.hypercalls, name);
  const ofUltravisor = info.secure && number >= ULTRAVISOR_HCALLS.first && number <= ULTRAVISOR_HCALLS.last;
  context.upcall = ofUltravisor;
  const user = (context.msr & MSR.PR) === 0n ? '' : ' user';
  kvm.trace?.emit({
    type: 'call',
    at: port.clock,
    cpu: port.cpu,
    kind: 'hypercall',
    number,
    name,
    args,
    from: ofUltravisor ? 'ultravisor' : `${info.secure ? 'secure guest' : 'guest'}${user}`,
  });
}
