import { type Gfn, gpaOf, H_CODE, U_CODE, ULTRACALL, UV_PAGE_ORDER } from '../abi.ts';
import { isUvmem } from './gfn.ts';
import type { PageInJob, SharePageJob, Step } from './job.ts';
import { frameOf, framePage } from './memslot.ts';
import { secureFrame, sharedFrame } from './move-frame.ts';
import { type Ctx, vmOf } from './state.ts';

/**
 * H_SVM_PAGE_IN, not shared: the frame becomes Secure and paged in. A frame that nobody has touched needs no UV_PAGE_IN; for a Shared one
 * this is the unshare, whose contents the Ultravisor ignores (power-pef.md 4.5).
 */
export function runPageIn(ctx: Ctx, job: PageInJob, result: number): Step {
  const { kvm } = ctx;
  const vm = vmOf(kvm, job.lpid);
  const frame = frameOf(vm.slots, job.gfn as Gfn);
  if (frame === undefined) return give(H_CODE.H_PARAMETER);
  if (job.uvmem === null) {
    if (!frame.slot.registered) return give(H_CODE.H_PARAMETER);
    if (isUvmem(frame.slot.pfns[frame.index]) || vm.pins.has(job.gfn)) return give(H_CODE.H_PARAMETER);
    const uvmem = kvm.uvmem.allocate();
    if (uvmem === undefined) return give(H_CODE.H_PARAMETER);
    const page = framePage(frame);
    if (page === undefined) {
      secureFrame(kvm, frame, 'unshare', uvmem);
      return give(H_CODE.H_SUCCESS);
    }
    job.uvmem = uvmem;
    const gfn = job.gfn as Gfn;
    const source = kvm.hooks.pageIn?.(ctx, vm, gfn, page) ?? page;
    return { do: 'ultracall', number: ULTRACALL.UV_PAGE_IN, args: [vm.lpid, source, gpaOf(gfn), 0, UV_PAGE_ORDER] };
  }
  // Another CPU may have moved the frame meanwhile.
  if (result !== U_CODE.U_SUCCESS || isUvmem(frame.slot.pfns[frame.index])) {
    kvm.uvmem.release(job.uvmem);
    return give(H_CODE.H_PARAMETER);
  }
  secureFrame(kvm, frame, 'unshare', job.uvmem);
  return give(H_CODE.H_SUCCESS);
}

/**
 * H_SVM_PAGE_IN with H_PAGE_IN_SHARED: the frame becomes Shared. One that was paged in gets a fresh page without UV_PAGE_OUT: what it held
 * stays with the Ultravisor (power-pef.md 4.5).
 */
export function runSharePage({ kvm }: Ctx, job: SharePageJob, result: number): Step {
  const vm = vmOf(kvm, job.lpid);
  const frame = frameOf(vm.slots, job.gfn as Gfn);
  if (frame === undefined) return give(H_CODE.H_PARAMETER);
  if (job.page === null) {
    if (!frame.slot.registered) return give(H_CODE.H_PARAMETER);
    const known = framePage(frame);
    const page = known ?? kvm.pages.allocate();
    if (page === undefined) return give(H_CODE.H_PARAMETER);
    job.page = page;
    job.fresh = known === undefined;
    const gpa = gpaOf(job.gfn as Gfn);
    return { do: 'ultracall', number: ULTRACALL.UV_PAGE_IN, args: [vm.lpid, page, gpa, 0, UV_PAGE_ORDER] };
  }
  const known = framePage(frame);
  if (result !== U_CODE.U_SUCCESS || (job.fresh ? known !== undefined : known !== job.page)) {
    if (job.fresh) kvm.pages.free(job.page);
    return give(H_CODE.H_PARAMETER);
  }
  sharedFrame(kvm, frame, job.page);
  return give(H_CODE.H_SUCCESS);
}

function give(value: number): Step {
  return { do: 'give', value };
}
