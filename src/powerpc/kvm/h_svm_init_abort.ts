import { type Gfn, gpaOf, H_CODE, U_CODE, ULTRACALL, UV_PAGE_ORDER } from '../abi.ts';
import { gfnState, isUvmem } from './gfn.ts';
import type { InitAbortJob, Step } from './job.ts';
import { type Frame, framePage } from './memslot.ts';
import { normalFrame } from './move-frame.ts';
import { type Ctx, vmOf } from './state.ts';
import { VM_LIFE_CYCLE, vmState } from './vm-state.ts';
import { kickAll } from './wake-up.ts';

/**
 * H_SVM_INIT_ABORT: Transient back to Normal. All frames are Normal, and hold what the Ultravisor gives back of them, or zeros: what is paged
 * in comes by UV_PAGE_OUT, what was paged out before by UV_PAGE_IN and UV_PAGE_OUT. The status is the guest's: it learns at its own `sc 2`
 * that UV_ESM failed (power-pef.md 4.4, 6.1; seed 000, 4).
 */
export function runInitAbort(ctx: Ctx, job: InitAbortJob, result: number): Step {
  const { kvm } = ctx;
  const vm = vmOf(kvm, job.lpid);
  switch (job.step) {
    case 'start': {
      const state = vmState(vm.secureGuest);
      if (VM_LIFE_CYCLE[state]['init-abort'] === 'error') {
        return { do: 'give', value: state === 'secure' ? H_CODE.H_STATE : H_CODE.H_UNSUPPORTED };
      }
      job.step = 'out';
      return nextPagedIn(ctx, job);
    }
    case 'out':
      finishFrame(ctx, job, result);
      return nextPagedIn(ctx, job);

    case 'in':
      if (result === U_CODE.U_SUCCESS && job.page !== null) return again(ctx, job, job.page);
      finishFrame(ctx, job, result);
      return nextPagedOut(ctx, job);

    case 'again':
      finishFrame(ctx, job, result);
      return nextPagedOut(ctx, job);

    case 'terminate':
      for (const slot of vm.slots) slot.registered = false;
      vm.secureGuest = 0;
      vm.transition = null;
      kickAll(vm);
      return { do: 'give', value: H_CODE.H_PARAMETER };
  }
}

/** The next frame that is paged in; behind the last one, it goes on with those that are out. */
function nextPagedIn(ctx: Ctx, job: InitAbortJob): Step {
  const { kvm } = ctx;
  for (let frame = frameAt(ctx, job); frame !== undefined; frame = step(ctx, job)) {
    if (!isUvmem(frame.slot.pfns[frame.index])) continue;
    const page = kvm.pages.allocate();
    if (page === undefined) normalFrame(kvm, frame, undefined);
    else return call(ctx, job, ULTRACALL.UV_PAGE_OUT, page);
  }
  job.slot = 0;
  job.index = 0;
  return nextPagedOut(ctx, job);
}

/** The next frame that is out; behind the last one, it terminates. All others become Normal on the way. */
function nextPagedOut(ctx: Ctx, job: InitAbortJob): Step {
  for (let frame = frameAt(ctx, job); frame !== undefined; frame = step(ctx, job)) {
    const page = framePage(frame);
    if (gfnState(frame.slot.pfns[frame.index]) === 'secure' && page !== undefined) {
      job.step = 'in';
      return call(ctx, job, ULTRACALL.UV_PAGE_IN, page);
    }
    normalFrame(ctx.kvm, frame, page);
  }
  job.step = 'terminate';
  return { do: 'ultracall', number: ULTRACALL.UV_SVM_TERMINATE, args: [job.lpid] };
}

function again(ctx: Ctx, job: InitAbortJob, page: NonNullable<InitAbortJob['page']>): Step {
  job.step = 'again';
  return call(ctx, job, ULTRACALL.UV_PAGE_OUT, page);
}

function call({ kvm }: Ctx, job: InitAbortJob, number: number, page: NonNullable<InitAbortJob['page']>): Step {
  job.page = page;
  const slot = vmOf(kvm, job.lpid).slots[job.slot];
  const gpa = gpaOf((slot.baseGfn + job.index) as Gfn);
  return { do: 'ultracall', number, args: [job.lpid, page, gpa, 0, UV_PAGE_ORDER] };
}

/** The frame has what is in its page now; zeros if the Ultravisor refused. */
function finishFrame(ctx: Ctx, job: InitAbortJob, result: number): void {
  const { kvm } = ctx;
  const frame = frameAt(ctx, job);
  const { page } = job;
  job.page = null;
  if (frame === undefined || page === null) return;
  const isOwn = framePage(frame) === page;
  normalFrame(kvm, frame, result === U_CODE.U_SUCCESS ? page : undefined);
  if (result !== U_CODE.U_SUCCESS && !isOwn) kvm.pages.free(page);
}

function frameAt({ kvm }: Ctx, job: InitAbortJob): Frame | undefined {
  const { slots } = vmOf(kvm, job.lpid);
  while (job.slot < slots.length && job.index >= slots[job.slot].npages) {
    job.slot += 1;
    job.index = 0;
  }
  const slot = slots[job.slot];
  return slot === undefined ? undefined : { slot, index: job.index };
}

function step(ctx: Ctx, job: InitAbortJob): Frame | undefined {
  job.index += 1;
  return frameAt(ctx, job);
}
