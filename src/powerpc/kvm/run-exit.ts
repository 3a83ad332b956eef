import { AIL3_OFFSET, H_CODE, MSR, SPR, SRR1, ULTRACALL, VECTOR } from '../abi.ts';
import { dispatchHypercall, finishHypercall } from './dispatch-hypercall.ts';
import { exitReason } from './exit-info.ts';
import { deliverInterrupts, injectMachineCheck, injectProgram } from './interrupt.ts';
import type { ExitJob, Job, Step } from './job.ts';
import { countFrames } from './memslot.ts';
import { handlePageFault } from './page-fault.ts';
import { mergePages } from './page-merging.ts';
import { guestGpr, restoreContext } from './registers.ts';
import { nextVcpu, prepareIdle } from './schedule.ts';
import { type Ctx, loadedVcpu, vmOf } from './state.ts';
import { count } from './statistics.ts';
import { endVm, type GuestContext, type Vcpu, type Vm } from './vm.ts';
import { busyElsewhere, kickAll, runsElsewhere } from './wake-up.ts';

/** From the exit of a guest to the entry of the next: handles the exit, does what was asked for meanwhile, and goes back. */
export function runExit(ctx: Ctx, job: ExitJob, result: number): Step {
  const { kvm } = ctx;
  switch (job.step) {
    case 'dispatch': {
      kvm.hooks.exited?.(ctx, job);
      const first = dispatch(ctx, job);
      if (first !== null) return { do: 'job', job: first };
      break;
    }
    case 'retry': {
      const again = retry(ctx, job, result);
      if (again !== null) return { do: 'job', job: again };
      break;
    }
    case 'hypercall':
      finishHypercall(ctx, job, { status: result });
      break;

    case 'fault':
      if (result !== H_CODE.H_SUCCESS) {
        endVm(vmOf(kvm, job.info.lpid), { kind: 'terminated', detail: `no page for a shared frame: ${result}` });
      }
      break;

    case 'resume':
      break;
  }
  job.step = 'resume';
  if (job.nested) return enterUltravisor(ctx, job.info.lpid, job.context, true);

  const request = nextRequest(ctx) ?? nextTeardown(ctx) ?? nextReset(ctx);
  return request === undefined ? resume(ctx, job) : { do: 'job', job: request };
}

function dispatch(ctx: Ctx, job: ExitJob): Job | null {
  const { kvm, port } = ctx;
  const { info } = job;
  const vm = kvm.vms.get(info.lpid);
  const vcpu = callerOf(ctx, job);
  if (info.vector === undefined || vm === undefined || vcpu === undefined) return null;
  // Another CPU ended or reset the VM meanwhile.
  if (vm.end !== null || vm.resetRequested) return null;
  const reason = exitReason(info.vector);
  count(kvm.statistics.exits, reason);
  kvm.trace?.emit({ type: 'exit', at: port.clock, cpu: port.cpu, reason });
  return handle(ctx, job, vm, vcpu, info.vector);
}

function handle(ctx: Ctx, job: ExitJob, vm: Vm, vcpu: Vcpu, vector: bigint): Job | null {
  const { port } = ctx;
  const { context, info } = job;
  switch (vector) {
    case VECTOR.SYSTEM_CALL:
      return dispatchHypercall(ctx, job, vm, vcpu);

    case VECTOR.HV_DATA_STORAGE:
    case VECTOR.HV_INSTRUCTION_STORAGE: {
      const fault = handlePageFault(ctx, vm, context, info);
      if (fault !== null) job.step = 'fault';
      return fault;
    }
    case VECTOR.HV_DECREMENTER:
      job.yields = true;
      return null;

    case VECTOR.EXTERNAL:
    case VECTOR.HV_VIRTUALIZATION:
    case VECTOR.HV_DOORBELL:
    case VECTOR.HV_MAINTENANCE:
      // For the host, which has no device that interrupts: all that happens is that the guest was stopped.
      return null;

    case VECTOR.HV_EMULATION_ASSISTANCE:
      if (isProgramVector(context.pc)) {
        // The interrupt's own handler begins with it, so it would come back for ever.
        endVm(vm, {
          kind: 'crashed',
          detail: `illegal instruction at 0x${context.pc.toString(16)}, the program vector`,
        });
        return null;
      }
      injectProgram(port, vm, context, SRR1.PROGRAM_ILLEGAL);
      return null;

    case VECTOR.HV_FACILITY_UNAVAILABLE:
      injectProgram(port, vm, context, SRR1.PROGRAM_ILLEGAL);
      return null;

    case VECTOR.MACHINE_CHECK:
      injectMachineCheck(port, vm, context, info.status & SRR1.STATUS);
      return null;

    default:
      endVm(vm, {
        kind: 'terminated',
        detail: `internal error: unexpected exit ${exitReason(vector)} at 0x${context.pc.toString(16)}`,
      });
      return null;
  }
}

function isProgramVector(pc: bigint): boolean {
  return pc === VECTOR.PROGRAM || pc === (AIL3_OFFSET | VECTOR.PROGRAM);
}

/** The vCPU that exited. An upcall in the middle of an ultracall is for a VM as a whole, which may be another one: its first stands for it. */
function callerOf(ctx: Ctx, { nested, info }: ExitJob): Vcpu | undefined {
  return nested ? ctx.kvm.vms.get(info.lpid)?.vcpus[0] : loadedVcpu(ctx);
}

/** A page that a hypercall needed was paged out for it. */
function retry(ctx: Ctx, job: ExitJob, result: number): Job | null {
  const vm = vmOf(ctx.kvm, job.info.lpid);
  const vcpu = callerOf(ctx, job);
  if (result === H_CODE.H_SUCCESS && vcpu !== undefined) return dispatchHypercall(ctx, job, vm, vcpu);
  finishHypercall(ctx, job, { status: H_CODE.H_PARAMETER });
  return null;
}

/** The first request for a VM that no other CPU is busy with. */
function nextRequest({ kvm, cpu }: Ctx): Job | undefined {
  const at = kvm.requests.findIndex(({ lpid }) => !busyElsewhere(kvm, lpid, cpu.index));
  return at < 0 ? undefined : kvm.requests.splice(at, 1)[0];
}

/** A VM that is to begin anew, once the last CPU has left it. */
function nextReset({ kvm, cpu }: Ctx): Job | undefined {
  for (const vm of kvm.vms.values()) {
    if (!vm.resetRequested || vm.end !== null) continue;
    if (!runsElsewhere(kvm, vm, cpu.index)) return { kind: 'vm-reset', lpid: vm.lpid, step: 'start' };
    kickAll(vm);
  }
  return undefined;
}

/** The end of a VM that nobody has taken down yet. */
function nextTeardown({ kvm, cpu }: Ctx): Job | undefined {
  for (const vm of kvm.vms.values()) {
    if (vm.end === null || vm.finalFrames !== null) continue;
    if (runsElsewhere(kvm, vm, cpu.index)) {
      // The last CPU to leave it takes it down.
      kickAll(vm);
      continue;
    }
    vm.finalFrames = countFrames(vm.slots);
    return { kind: 'destroy', lpid: vm.lpid, step: 'terminate' };
  }
  return undefined;
}

function resume(ctx: Ctx, job: ExitJob): Step {
  const { kvm, port } = ctx;
  if (kvm.merging !== null) mergePages(ctx, kvm.merging);
  for (const user of kvm.userSpace.values()) user.poll?.({ clock: port.clock, cpu: port.cpu });
  const vcpu = nextVcpu(ctx, job.yields);
  if (vcpu === undefined) {
    prepareIdle(ctx);
    return { do: 'leave', stub: 'stop', waitFor: null };
  }
  const vm = vmOf(kvm, vcpu.lpid);
  const { context } = vcpu;
  deliverInterrupts(port, vm, vcpu);
  if (vm.secureGuest !== 0 || context.secure) return enterUltravisor(ctx, vm.lpid, context, false);
  restoreContext(port, context);
  port.setSpr(SPR.HSRR0, context.pc);
  // A machine check must come to us, not checkstop the machine.
  port.setSpr(SPR.HSRR1, (context.msr & ~MSR.HV) | MSR.ME);
  kvm.hooks.entering?.(ctx, vm, 'hrfid');
  return { do: 'leave', stub: 'hrfid', waitFor: null };
}

/**
 * Goes back to a secure guest, or to the Ultravisor that asked on its own behalf: registers as they were received, the hypercall's status in
 * R0, SRR1 for an interrupt that we inject in R2 (power-pef.md 3.16).
 */
function enterUltravisor(ctx: Ctx, lpid: number, context: GuestContext, nested: boolean): Step {
  const { kvm, port } = ctx;
  restoreContext(port, context);
  port.setGpr(0, guestGpr(port, context, 3));
  port.setGpr(2, port.spr(SPR.SRR1));
  port.setGpr(3, BigInt(ULTRACALL.UV_RETURN));
  port.setSpr(SPR.HSRR0, context.pc);
  port.setSpr(SPR.HSRR1, context.msr);
  if (!nested) kvm.hooks.entering?.(ctx, vmOf(kvm, lpid), 'ultracall');
  count(kvm.statistics.ultracalls, 'UV_RETURN');
  return { do: 'leave', stub: 'ultracall', waitFor: nested ? null : { kind: 'uv-return', lpid } };
}
