import { UVCB } from '../abi.ts';
import { type CpuJob, ERRNO, type Result, type Step } from './job.ts';
import { controlBlock, handleCommand } from './uvc.ts';

/** A reset or a new state of a secure CPU (1.5): any condition code but 0 is EINVAL. */
export function runCpu(job: CpuJob, { uvc }: Result): Step {
  const handle = job.vcpu.secure?.handle;
  if (handle === undefined) return { do: 'give', value: ERRNO.EINVAL };
  if (job.asked) return { do: 'give', value: uvc?.cc === 0 ? 0 : ERRNO.EINVAL };
  job.asked = true;
  if (job.command !== 'CPU_SET_STATE') return { do: 'uvc', block: handleCommand(job.command, handle) };
  return {
    do: 'uvc',
    block: controlBlock('CPU_SET_STATE', [
      [UVCB.CPU_SET_STATE.CPU, 8, handle],
      [UVCB.CPU_SET_STATE.STATE, 1, job.state],
    ]),
  };
}
