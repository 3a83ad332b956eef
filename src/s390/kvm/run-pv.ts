import { ERRNO, type PvJob, type Result, type Step } from './job.ts';
import type { PvCommand } from './pv-command.ts';
import { runDisable } from './pv-disable.ts';
import { runDump } from './pv-dump.ts';
import { runEnable } from './pv-enable.ts';
import { runSetSecParms, runUnpack } from './pv-image.ts';
import type { Ctx } from './state.ts';
import { handleCommand } from './uvc.ts';
import type { Vm } from './vm.ts';

/** A command to be run, with nothing done yet. */
export function pvJob(vm: Vm, command: PvCommand): PvJob {
  return { kind: 'pv', vm, command, rc: 0, rrc: 0, step: 'start', index: 0, taken: [] };
}

/** KVM_S390_PV_COMMAND (7.2): what the ioctl of that name does, with its errors. */
export function runPv(ctx: Ctx, job: PvJob, result: Result): Step {
  const { kvm } = ctx;
  const { command } = job;
  if (result.uvc !== null) {
    job.rc = result.uvc.rc;
    job.rrc = result.uvc.rrc;
  }
  if (kvm.uv === null) return { do: 'give', value: ERRNO.EINVAL };
  switch (command.name) {
    case 'ENABLE':
      return runEnable(ctx, job, result, kvm.uv);
    case 'DISABLE':
      return runDisable(ctx, job, result);
    case 'SET_SEC_PARMS':
      return runSetSecParms(ctx, job, command.header, result);
    case 'UNPACK':
      return runUnpack(ctx, job, command, result);
    case 'VERIFY':
      return simple(job, 'VERIFY', result);
    case 'PREP_RESET':
      return simple(job, 'PREPARE_RESET', result);
    case 'UNSHARE_ALL':
      return simple(job, 'UNSHARE_ALL', result);
    case 'DUMP_INIT':
    case 'DUMP_STORAGE_STATE':
    case 'DUMP_COMPLETE':
    case 'DUMP_CPU':
      return runDump(ctx, job, command, result, kvm.uv);
  }
}

/** A command with nothing but the configuration's handle: any condition code but 0 is EINVAL. */
function simple({ vm }: PvJob, name: 'VERIFY' | 'PREPARE_RESET' | 'UNSHARE_ALL', { uvc }: Result): Step {
  if (vm.secure === null) return { do: 'give', value: ERRNO.EINVAL };
  if (uvc === null) return { do: 'uvc', block: handleCommand(name, vm.secure.handle) };
  return { do: 'give', value: uvc.cc === 0 ? 0 : ERRNO.EINVAL };
}
