import { type Gfn, gpaOf, H_CODE, U_CODE, ULTRACALL, UV_PAGE_ORDER } from '../abi.ts';
import { isUvmem } from './gfn.ts';
import type { PageOutJob, Step } from './job.ts';
import { frameOf } from './memslot.ts';
import { pagedOutFrame } from './move-frame.ts';
import { type Ctx, vmOf } from './state.ts';

/**
 * Moves a frame that is Secure and paged in to a normal page, as ciphertext: for H_SVM_PAGE_OUT, and when hypervisor or VMM touch the frame.
 * Any other frame of the VM is left as it is, with success (power-pef.md 4.6, 6.5).
 */
export function runPageOut(ctx: Ctx, job: PageOutJob, result: number): Step {
  const { kvm } = ctx;
  const vm = vmOf(kvm, job.lpid);
  const frame = frameOf(vm.slots, job.gfn as Gfn);
  if (frame === undefined) return give(H_CODE.H_PARAMETER);
  if (job.page === null) {
    if (!isUvmem(frame.slot.pfns[frame.index])) return give(H_CODE.H_SUCCESS);
    const page = kvm.pages.allocate();
    if (page === undefined) return give(H_CODE.H_PARAMETER);
    job.page = page;
    const gpa = gpaOf(job.gfn as Gfn);
    return { do: 'ultracall', number: ULTRACALL.UV_PAGE_OUT, args: [vm.lpid, page, gpa, 0, UV_PAGE_ORDER] };
  }
  const { page } = job;
  job.page = null;
  if (result !== U_CODE.U_SUCCESS || !isUvmem(frame.slot.pfns[frame.index])) {
    kvm.pages.free(page);
    return give(H_CODE.H_PARAMETER);
  }
  pagedOutFrame(kvm, frame, page);
  kvm.hooks.pagedOut?.(ctx, vm, job.gfn as Gfn, page);
  return give(H_CODE.H_SUCCESS);
}

function give(value: number): Step {
  return { do: 'give', value };
}
