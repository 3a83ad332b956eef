import { UV_CPU_STATE } from '../abi.ts';
import { PAGE } from './host-storage.ts';
import { readProtectedBlock } from './ipl-block.ts';
import type { ProtectJob, PvJob, Result, Step } from './job.ts';
import { PV_COMMAND_NUMBER, type PvCommand } from './pv-command.ts';
import { pvJob } from './run-pv.ts';
import { stateJobs } from './sigp.ts';
import type { Ctx } from './state.ts';
import { resetVcpu, setOperating, setStopped } from './vcpu-reset.ts';

/** DIAG 308 subcode 10 failed (5.2). */
const FAILED = 0x0a02n;

const DONE: Step = { do: 'give', value: 0 };

/**
 * DIAG 308 subcode 10: the machine is reset, becomes a protected one, and its first CPU starts where the Secure Execution header says (5.2). Where a step fails
 * the VM stays what it was and gets the code of the command, with its response codes, in the odd register.
 */
export function runProtect(ctx: Ctx, job: ProtectJob, { value }: Result): Step {
  const { vcpu } = job;
  const { vm } = vcpu;
  if (value !== 0 && job.step !== 'done' && job.step !== 'failed') return fail(ctx, job);
  const ipl = readProtectedBlock(job.block);
  if (ipl === null) return fail(ctx, job);
  switch (job.step) {
    case 'enable':
      if (job.command === null) {
        ctx.kvm.userSpace.get(vm.id)?.subsystemReset();
        for (const other of vm.vcpus) {
          setStopped(other);
          resetVcpu(other, other === vcpu ? 'normal' : 'clear');
        }
        return command(job, { name: 'ENABLE' });
      }
      job.step = 'parameters';
      {
        const header = ctx.kvm.guests.read(vm, ipl.header, ipl.headerLength);
        return header instanceof Uint8Array ? command(job, { name: 'SET_SEC_PARMS', header }) : fail(ctx, job);
      }
    case 'parameters':
      job.step = 'unpack';
      return nextComponent(job, ipl.components);
    case 'unpack':
      return nextComponent(job, ipl.components);
    case 'verify': {
      job.step = 'load';
      const [load] = stateJobs(vcpu, UV_CPU_STATE.OPERATING_LOAD);
      if (load === undefined) throw new Error('a protected VM has secure CPUs');
      return { do: 'job', job: load };
    }
    case 'load':
      setOperating(vcpu);
      return DONE;
    case 'failed':
    case 'done':
      return DONE;
  }
}

function nextComponent(
  job: ProtectJob,
  components: readonly { tweak: bigint; address: number; length: number }[],
): Step {
  job.component += 1;
  const component = components[job.component];
  if (component !== undefined) {
    const { address, tweak, length } = component;
    return command(job, { name: 'UNPACK', address, tweak, size: Math.max(1, Math.ceil(length / PAGE)) * PAGE });
  }
  job.step = 'verify';
  return command(job, { name: 'VERIFY' });
}

function command(job: ProtectJob, asked: PvCommand): Step {
  job.command = pvJob(job.vcpu.vm, asked);
  return { do: 'job', job: job.command };
}

function reasonOf(failed: PvJob | null): string {
  if (failed === null) return 'the IPL information block is invalid';
  const hex = (code: number): string => `0x${code.toString(16).padStart(4, '0')}`;
  return `${failed.command.name}: rc ${hex(failed.rc)}, rrc ${hex(failed.rrc)}`;
}

/** The guest goes on behind its DIAG, not protected. */
function fail({ kvm }: Ctx, job: ProtectJob): Step {
  const { vcpu, command: failed } = job;
  const { vm } = vcpu;
  kvm.statistics.protectFailures.push({ vm: vm.name, reason: reasonOf(failed) });
  job.step = 'failed';
  // Bits 0 to 15 the command, 16 to 31 rrc, 32 to 47 rc.
  const number = failed === null ? 0 : PV_COMMAND_NUMBER[failed.command.name];
  const packed = [number, failed?.rrc ?? 0, failed?.rc ?? 0].reduce((code, part) => (code << 16n) | BigInt(part), 0n);
  vcpu.gr[job.register] = (packed << 16n) | FAILED;
  setOperating(vcpu);
  return vm.secure === null ? DONE : { do: 'job', job: pvJob(vm, { name: 'DISABLE' }) };
}
