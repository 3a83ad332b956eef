import { UV_CPU_STATE } from '../abi.ts';
import type { Job, Result, SecureResetJob, Step } from './job.ts';
import { pvJob } from './run-pv.ts';
import { stateJobs } from './sigp.ts';
import type { Ctx } from './state.ts';
import { resetVcpu, setOperating, setStopped, startVcpu } from './vcpu-reset.ts';
import type { Vcpu } from './vm.ts';

/** Subcodes of DIAG 308 (8.7). */
const MODIFIED_CLEAR = 0;
const LOAD_CLEAR = 3;

/** UVC by kind of reset. */
const RESET_COMMANDS = { normal: 'CPU_RESET', initial: 'CPU_RESET_INITIAL', clear: 'CPU_RESET_CLEAR' } as const;

const DONE: Step = { do: 'give', value: 0 };

/**
 * A protected guest resets its machine (5.9). Subcodes 0 and 1: all CPUs stop, nothing is shared any longer, the reset is prepared, CPUs are reset, and the one that
 * asked starts from guest absolute 0, still protected. Subcode 3: the VM is protected no more and is loaded anew. A refusal of the Ultravisor's ends the VM.
 */
export function runSecureReset(ctx: Ctx, job: SecureResetJob, { value }: Result): Step {
  const { vcpu, subcode } = job;
  const { vm } = vcpu;
  const user = ctx.kvm.userSpace.get(vm.id);
  if (value !== 0) return { do: 'give', value };
  switch (job.step) {
    case 'stop': {
      if (subcode === LOAD_CLEAR) {
        for (const other of vm.vcpus) setStopped(other);
        job.step = 'disabled';
        return { do: 'job', job: pvJob(vm, { name: 'DISABLE' }) };
      }
      const next = nextOf(job, (cpu) => {
        setStopped(cpu);
        return stateJobs(cpu, UV_CPU_STATE.STOPPED)[0];
      });
      if (next !== undefined) return next;
      job.step = 'unshare';
      return { do: 'job', job: pvJob(vm, { name: 'UNSHARE_ALL' }) };
    }
    case 'unshare':
      job.step = 'prepare';
      return { do: 'job', job: pvJob(vm, { name: 'PREP_RESET' }) };
    case 'prepare':
      job.step = 'reset';
      job.index = -1;
      user?.subsystemReset();
      return reset(job);
    case 'reset':
      return reset(job);
    case 'load':
      setOperating(vcpu);
      return DONE;
    case 'disabled': {
      if (user === undefined) throw new Error('a VM has a user space');
      user.subsystemReset();
      for (const other of vm.vcpus) resetVcpu(other, 'clear');
      startVcpu(vcpu, user.load());
      return DONE;
    }
    case 'done':
      return DONE;
  }
}

function reset(job: SecureResetJob): Step {
  const next = nextOf(job, (cpu) => {
    const kind = job.subcode === MODIFIED_CLEAR ? 'clear' : cpu === job.vcpu ? 'initial' : 'normal';
    resetVcpu(cpu, kind);
    return { kind: 'cpu', vcpu: cpu, command: RESET_COMMANDS[kind], state: 0, asked: false };
  });
  if (next !== undefined) return next;
  job.step = 'load';
  const [load] = stateJobs(job.vcpu, UV_CPU_STATE.OPERATING_LOAD);
  if (load === undefined) throw new Error('a protected VM has secure CPUs');
  return { do: 'job', job: load };
}

function nextOf(job: SecureResetJob, ask: (cpu: Vcpu) => Job | undefined): Step | undefined {
  for (;;) {
    job.index += 1;
    const cpu = job.vcpu.vm.vcpus[job.index];
    if (cpu === undefined) return undefined;
    const next = ask(cpu);
    if (next !== undefined) return { do: 'job', job: next };
  }
}
