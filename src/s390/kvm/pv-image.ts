import type { RealAddress } from '../../machine/types.ts';
import { UVCB } from '../abi.ts';
import { PAGE } from './host-storage.ts';
import { ERRNO, type PvJob, type Result, type Step } from './job.ts';
import type { PvCommand } from './pv-command.ts';
import { PAGE_NOT_PRESENT } from './run-page.ts';
import type { Ctx } from './state.ts';
import { controlBlock } from './uvc.ts';

/** The longest header that the ioctl takes (7.2; Linux 7.2). */
const LONGEST_HEADER = 0x10_0000;

/** KVM_PV_SET_SEC_PARMS: hands a copy of the Secure Execution header to the Ultravisor. */
export function runSetSecParms({ kvm }: Ctx, job: PvJob, header: Uint8Array, { uvc }: Result): Step {
  const { vm } = job;
  if (job.step === 'start') {
    if (vm.secure === null || header.length > LONGEST_HEADER) return { do: 'give', value: ERRNO.EINVAL };
    const base = kvm.storage.allocate(Math.max(header.length, 1));
    if (base === undefined) return { do: 'give', value: ERRNO.ENOMEM };
    kvm.view.write(base, header);
    job.taken.push({ base, size: Math.max(header.length, 1) });
    job.step = 'answer';
    return {
      do: 'uvc',
      block: controlBlock('SET_PARAMETERS', [
        [UVCB.SET_PARAMETERS.CONFIG, 8, vm.secure.handle],
        [UVCB.SET_PARAMETERS.HEADER, 8, base],
        [UVCB.SET_PARAMETERS.LENGTH, 4, header.length],
      ]),
    };
  }
  for (const { base, size } of job.taken) kvm.storage.release(base, size);
  return { do: 'give', value: uvc?.cc === 0 ? 0 : ERRNO.EINVAL };
}

/** KVM_PV_UNPACK: one UVC for each page; what the host has not mapped is mapped and tried again. */
export function runUnpack(
  ctx: Ctx,
  job: PvJob,
  command: Extract<PvCommand, { name: 'UNPACK' }>,
  { uvc }: Result,
): Step {
  const { vm } = job;
  const { address, size } = command;
  if (job.step === 'start') {
    const aligned = address % PAGE === 0 && size % PAGE === 0 && size > 0;
    if (vm.secure === null || !aligned) return { do: 'give', value: ERRNO.EINVAL };
    job.step = 'pages';
    return unpack(job, command);
  }
  if (uvc?.cc === 0) {
    job.index += 1;
    return job.index * PAGE < size ? unpack(job, command) : { do: 'give', value: 0 };
  }
  if (uvc?.rc !== PAGE_NOT_PRESENT) return { do: 'give', value: ERRNO.EINVAL };
  const page: RealAddress | undefined = ctx.kvm.guests.page(vm, address + job.index * PAGE);
  return page === undefined ? { do: 'give', value: ERRNO.EFAULT } : unpack(job, command);
}

function unpack({ vm, index }: PvJob, { address, tweak }: Extract<PvCommand, { name: 'UNPACK' }>): Step {
  return {
    do: 'uvc',
    block: controlBlock('UNPACK', [
      [UVCB.UNPACK.CONFIG, 8, vm.secure?.handle ?? 0n],
      [UVCB.UNPACK.ADDRESS, 8, address + index * PAGE],
      [UVCB.UNPACK.TWEAK, 8, tweak],
      [UVCB.UNPACK.TWEAK + 8, 8, index * PAGE],
    ]),
  };
}
