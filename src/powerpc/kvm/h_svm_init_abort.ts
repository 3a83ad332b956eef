import { type Gfn, gpaOf, H_CODE, ULTRACALL, UV_PAGE_ORDER } from '../abi.ts';
import { isUvmem } from './gfn.ts';
import type { InitAbortJob, Step } from './job.ts';
import type { Frame } from './memslot.ts';
import { normalFrame } from './move-frame.ts';
import { type Ctx, vmOf } from './state.ts';
import { VM_LIFE_CYCLE, vmState } from './vm-state.ts';
import { kickAll } from './wake-up.ts';

/**
 * H_SVM_INIT_ABORT: Transient back to Normal. Paged-in frames come back by UV_PAGE_OUT; their contents are undefined. The status is the
 * guest's: it learns at its own `sc 2` that UV_ESM failed (power-pef.md 4.4).
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
      job.step = 'drop';
      return drop(ctx, job);
    }
    case 'drop':
      finishPage(ctx, job, result);
      return drop(ctx, job);

    case 'terminate':
      for (const slot of vm.slots) slot.registered = false;
      vm.secureGuest = 0;
      vm.transition = null;
      kickAll(vm);
      return { do: 'give', value: H_CODE.H_PARAMETER };
  }
}

/** Makes frames Normal until one needs UV_PAGE_OUT, then terminates. */
function drop({ kvm }: Ctx, job: InitAbortJob): Step {
  const vm = vmOf(kvm, job.lpid);
  for (; job.slot < vm.slots.length; job.slot += 1, job.index = 0) {
    const slot = vm.slots[job.slot];
    for (; job.index < slot.npages; job.index += 1) {
      if (isUvmem(slot.pfns[job.index])) {
        const page = kvm.pages.allocate();
        if (page !== undefined) {
          job.page = page;
          const gpa = gpaOf((slot.baseGfn + job.index) as Gfn);
          return { do: 'ultracall', number: ULTRACALL.UV_PAGE_OUT, args: [vm.lpid, page, gpa, 0, UV_PAGE_ORDER] };
        }
      }
      normalFrame(kvm, { slot, index: job.index }, undefined);
    }
  }
  job.step = 'terminate';
  return { do: 'ultracall', number: ULTRACALL.UV_SVM_TERMINATE, args: [vm.lpid] };
}

function finishPage({ kvm }: Ctx, job: InitAbortJob, result: number): void {
  const vm = vmOf(kvm, job.lpid);
  const frame: Frame = { slot: vm.slots[job.slot], index: job.index };
  if (job.page !== null) {
    // Where the Ultravisor keeps the contents, the guest finds zeros.
    if (result === 0) normalFrame(kvm, frame, job.page);
    else {
      kvm.pages.free(job.page);
      normalFrame(kvm, frame, undefined);
    }
  }
  job.page = null;
  job.index += 1;
}
