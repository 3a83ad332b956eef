import { type Gfn, gpaOf, H_CODE, U_CODE, ULTRACALL, UV_PAGE_ORDER, UV_PAGE_SIZE } from '../abi.ts';
import { gfnState } from './gfn.ts';
import type { PageInvalJob, SharedFaultJob, Step } from './job.ts';
import { type Frame, frameOf, framePage } from './memslot.ts';
import { type Ctx, vmOf } from './state.ts';
import type { Vm } from './vm.ts';

/**
 * The guest touched a Shared frame whose page the Ultravisor was told to forget: it gets the page again, pinned, without a change of state
 * (power-pef.md 5.4, 6.4). A frame that is not Shared needs nothing: the fault was overtaken by a change.
 */
export function runSharedFault({ kvm }: Ctx, job: SharedFaultJob, result: number): Step {
  const vm = vmOf(kvm, job.lpid);
  const page = sharedPage(vm, job.gfn);
  if (page === undefined) return { do: 'give', value: H_CODE.H_SUCCESS };
  // It may have moved on while the Ultravisor was told, which then has to be told again.
  if (page === job.page) {
    const done = result === U_CODE.U_SUCCESS || result === U_CODE.U_BUSY;
    return { do: 'give', value: done ? H_CODE.H_SUCCESS : H_CODE.H_PARAMETER };
  }
  job.page = page;
  const gpa = gpaOf(job.gfn as Gfn);
  return { do: 'ultracall', number: ULTRACALL.UV_PAGE_IN, args: [vm.lpid, page, gpa, 0, UV_PAGE_ORDER] };
}

/**
 * Moves the normal page of a Shared frame, as the host's memory management may at any time: UV_PAGE_INVAL, then the contents go to another
 * page, which the guest's next touch brings to the Ultravisor (power-pef.md 3.12). A pinned frame, or one that is not Shared, stays.
 */
export function runPageInval({ kvm }: Ctx, job: PageInvalJob, result: number): Step {
  const vm = vmOf(kvm, job.lpid);
  const page = sharedPage(vm, job.gfn);
  if (page === undefined || vm.pins.has(job.gfn)) return { do: 'give', value: U_CODE.U_SUCCESS };
  if (!job.waiting) {
    job.waiting = true;
    const gpa = gpaOf(job.gfn as Gfn);
    return { do: 'ultracall', number: ULTRACALL.UV_PAGE_INVAL, args: [vm.lpid, gpa, UV_PAGE_ORDER] };
  }
  if (result !== U_CODE.U_SUCCESS) return { do: 'give', value: result };
  const moved = kvm.pages.allocate();
  const frame = frameOf(vm.slots, job.gfn as Gfn);
  if (moved !== undefined && frame !== undefined) {
    kvm.view.write(moved, kvm.view.read(page, UV_PAGE_SIZE));
    frame.slot.pages[frame.index] = moved;
    kvm.pages.free(page);
  }
  return { do: 'give', value: U_CODE.U_SUCCESS };
}

function sharedPage(vm: Vm, gfn: number): ReturnType<typeof framePage> {
  const frame: Frame | undefined = frameOf(vm.slots, gfn as Gfn);
  if (frame === undefined || gfnState(frame.slot.pfns[frame.index]) !== 'shared') return undefined;
  return framePage(frame);
}
