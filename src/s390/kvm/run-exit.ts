import { EXTERNAL, ICPT, PGM, PSW, SD, UV_CPU_STATE } from '../abi.ts';
import { OutOfStorage } from './guest-storage.ts';
import { interceptInstruction } from './intercept-instruction.ts';
import { deliver, isDue, setRequests, takeDue } from './interrupts.ts';
import type { ExitJob, Job, Result, Step } from './job.ts';
import { nextVcpu, prepareIdle } from './schedule.ts';
import { stateJobs } from './sigp.ts';
import { type Ctx, count } from './state.ts';
import { setStopped } from './vcpu-reset.ts';
import { ALL_STOPPED, type Vcpu, type Vm } from './vm.ts';

const RESUME: Job[] = [];

/** What a guest left SIE for, and then who runs next. */
export function runExit(ctx: Ctx, job: ExitJob, { value }: Result): Step {
  const { vcpu } = job;
  if (job.step === 'again') {
    if (value !== 0 && vcpu !== null) end(vcpu.vm, 'terminated', `KVM: error ${value} on behalf of CPU ${vcpu.id}`);
    job.step = 'resume';
  }
  if (job.step === 'dispatch') {
    job.step = 'resume';
    if (vcpu !== null) {
      ctx.kvm.hooks.exited?.(ctx, vcpu);
      const [first, ...rest] = handle(ctx, job, vcpu);
      // Last pushed, first run.
      for (const later of rest.reverse()) ctx.cpu.jobs.push(later);
      if (first !== undefined) {
        job.step = 'again';
        return { do: 'job', job: first };
      }
    }
  }
  return resume(ctx, job);
}

function resume(ctx: Ctx, job: ExitJob): Step {
  const { kvm, cpu } = ctx;
  const request = kvm.requests.shift();
  if (request !== undefined) return { do: 'job', job: request };
  for (const vm of kvm.vms) {
    if (vm.end === null || vm.destroyed || isBusy(ctx, vm)) continue;
    return { do: 'job', job: { kind: 'destroy', vm, step: 'disable' } };
  }
  const next = nextVcpu(ctx, job.yields);
  if (next === null) {
    prepareIdle(ctx);
    return { do: 'wait' };
  }
  const user = kvm.userSpace.get(next.vm.id);
  if (user === undefined) throw new Error('a VM has a user space');
  if (next.pending.stop && !isDue(next, user.services.interruptions)) {
    const [stopped] = stop(next);
    job.yields = true;
    return stopped === undefined ? resume(ctx, job) : { do: 'job', job: stopped };
  }
  const due = takeDue(next, user.services.interruptions);
  if (due !== null) {
    next.state = 'operating';
    deliver(kvm.guests, next, due);
  }
  setRequests(next, user.services.interruptions);
  next.sie.setU8(SD.ICPTCODE, ICPT.NONE);
  cpu.running = next;
  return { do: 'sie', vcpu: next };
}

/** Whether some CPU is in the VM, or in the middle of something for it. */
function isBusy({ kvm, cpu }: Ctx, vm: Vm): boolean {
  return kvm.cpus.some(({ index, inSie, running, jobs }) => {
    if (index !== cpu.index && inSie && running?.vm === vm) return true;
    return jobs.some((job) => job.kind !== 'exit' && job.kind !== 'uvcs' && job.kind !== 'boot' && vmOf(job) === vm);
  });
}

function vmOf(job: Exclude<Job, { kind: 'exit' | 'uvcs' | 'boot' }>): Vm {
  return 'vm' in job ? job.vm : job.vcpu.vm;
}

/** @returns jobs to be run, in this order, before the guest can go on */
function handle(ctx: Ctx, job: ExitJob, vcpu: Vcpu): readonly Job[] {
  const { kvm } = ctx;
  const { cause } = job;
  try {
    switch (cause.kind) {
      case 'program':
        count(kvm.statistics.exits, `program 0x${cause.code.toString(16)}`);
        return hostFault(ctx, vcpu, cause.code, cause.address);
      case 'interruption':
        count(kvm.statistics.exits, 'interruption');
        job.yields = true;
        return RESUME;
      case 'idle':
        return RESUME;
      case 'interception':
        return intercepted(ctx, job, vcpu);
    }
  } catch (error) {
    if (!(error instanceof OutOfStorage)) throw error;
    end(vcpu.vm, 'terminated', error.message);
    return RESUME;
  }
}

/** A page that the guest needs and the host has to see to (3.3): map it, import it, or take it from whoever left it secure. */
function hostFault({ kvm }: Ctx, vcpu: Vcpu, code: number, address: number): readonly Job[] {
  const { vm } = vcpu;
  const page = kvm.guests.page(vm, address);
  if (page === undefined) {
    end(vm, 'terminated', `CPU ${vcpu.id}: the guest has no storage at 0x${address.toString(16)}`);
    return RESUME;
  }
  switch (code) {
    case PGM.SEGMENT_TRANSLATION:
    case PGM.PAGE_TRANSLATION:
    case PGM.REGION_THIRD:
      return RESUME;
    case PGM.NON_SECURE_STORAGE_ACCESS:
      return [{ kind: 'page', action: 'import', vm, address, step: 'start' }];
    case PGM.SECURE_STORAGE_ACCESS:
    case PGM.SECURE_STORAGE_VIOLATION:
      return [{ kind: 'page', action: 'destroy', vm, address: page, step: 'start' }];
    default:
      end(vm, 'terminated', `CPU ${vcpu.id}: program interruption 0x${code.toString(16)} of the host`);
      return RESUME;
  }
}

/** By interception code (4.4). */
function intercepted(ctx: Ctx, job: ExitJob, vcpu: Vcpu): readonly Job[] {
  const { sie, vm } = vcpu;
  const code = sie.u8(SD.ICPTCODE);
  const name = Object.entries(ICPT).find(([, number]) => number === code)?.[0] ?? `0x${code.toString(16)}`;
  count(ctx.kvm.statistics.exits, name.toLowerCase().replaceAll('_', ' '));
  vcpu.inBetween = vcpu.secure !== null && (code === ICPT.SECURE_INSTRUCTION || code === ICPT.SECURE_PREFIX);
  switch (code) {
    case ICPT.NONE:
    case ICPT.EXTERNAL_REQUEST:
    case ICPT.IO_REQUEST:
    case ICPT.MACHINE_CHECK_MASK:
    case ICPT.INTERRUPT_ENABLE:
      return RESUME;
    case ICPT.INSTRUCTION:
    case ICPT.SECURE_INSTRUCTION:
    case ICPT.SECURE_NOTIFICATION:
      return interceptInstruction(ctx, job, vcpu, code === ICPT.SECURE_NOTIFICATION);
    case ICPT.WAIT:
      return wait(ctx, vcpu);
    case ICPT.STOP:
      return stop(vcpu);
    case ICPT.SECURE_PREFIX:
      return [0, 0x1000].map((offset) => ({
        kind: 'page',
        action: 'import',
        vm,
        address: sie.prefix + offset,
        step: 'start',
      }));
    case ICPT.PROGRAM:
      end(vm, 'crashed', `CPU ${vcpu.id}: the program new PSW is invalid`);
      return RESUME;
    case ICPT.EXTERNAL:
      return externalLoop(vcpu);
    case ICPT.VALIDITY:
      end(vm, 'terminated', `CPU ${vcpu.id}: validity interception 0x${(sie.u32(SD.IPB) >>> 16).toString(16)}`);
      return RESUME;
    default:
      end(vm, 'terminated', `CPU ${vcpu.id}: interception 0x${code.toString(16)}`);
      return RESUME;
  }
}

/** A CPU stops in order. The last one that does turns the machine off, as on QEMU. */
function stop(vcpu: Vcpu): readonly Job[] {
  const { vm } = vcpu;
  setStopped(vcpu);
  if (vm.vcpus.every(({ state }) => state === 'stopped')) vm.end ??= ALL_STOPPED;
  return stateJobs(vcpu, UV_CPU_STATE.STOPPED);
}

/** A wait that nothing can end is how a guest ends: in order with an address of 0, else a crash (5.10). */
function wait({ kvm, port }: Ctx, vcpu: Vcpu): readonly Job[] {
  const { sie, vm } = vcpu;
  const open = PSW.IO | PSW.EXTERNAL | PSW.MACHINE_CHECK;
  if ((sie.pswMask & open) === 0n) {
    setStopped(vcpu);
    kvm.userSpace.get(vm.id)?.disabledWait(vcpu.id, vcpu.secure === null ? sie.pswAddress : null);
    return stateJobs(vcpu, UV_CPU_STATE.STOPPED);
  }
  vcpu.state = 'waiting';
  vcpu.waitingSince = port.tod();
  return RESUME;
}

/** An external call that was forwarded is presented by us; a timer interruption in a loop is a crash (5.10). */
function externalLoop(vcpu: Vcpu): readonly Job[] {
  const { sie, pending, vm } = vcpu;
  const code = sie.u16(SD.EXTERNAL_CODE);
  if (code === EXTERNAL.EXTERNAL_CALL) pending.externalCall = sie.u16(SD.EXTERNAL_CPU_ADDRESS);
  else end(vm, 'crashed', `CPU ${vcpu.id}: a loop of external interruptions 0x${code.toString(16)}`);
  return RESUME;
}

function end(vm: Vm, kind: 'crashed' | 'terminated', detail: string): void {
  vm.end ??= { kind, detail };
}
