import { PATE_DW1, U_CODE, ULTRACALL } from '../abi.ts';
import type { DestroyJob, Step, SvmOffJob } from './job.ts';
import { framePage, NO_PAGE } from './memslot.ts';
import { freeTree } from './radix.ts';
import { dropFrames } from './slot-change.ts';
import { type Ctx, type KvmState, vmOf } from './state.ts';
import { forgetAreas, type Vm } from './vm.ts';

const EBUSY = -16;
const EINVAL = -22;

/** Takes down a VM that has ended: UV_SVM_TERMINATE if it was on its way to be secure, its partition, its memory (power-pef.md 5.6). */
export function runDestroy({ kvm, port }: Ctx, job: DestroyJob): Step {
  const vm = vmOf(kvm, job.lpid);
  if (job.step === 'terminate') {
    job.step = 'clear-pate';
    if (vm.secureGuest !== 0) return { do: 'ultracall', number: ULTRACALL.UV_SVM_TERMINATE, args: [vm.lpid] };
  }
  if (job.step === 'clear-pate') {
    for (const slot of vm.slots) dropFrames(kvm, slot);
    vm.secureGuest = 0;
    job.step = 'free';
    return { do: 'job', job: { kind: 'write-pate', lpid: vm.lpid, processTable: null, waiting: false } };
  }
  free(kvm, vm);
  port.invalidateTranslations(vm.lpid);
  return { do: 'give', value: 0 };
}

function free(kvm: KvmState, vm: Vm): void {
  for (const slot of vm.slots) {
    for (let index = 0; index < slot.npages; index++) {
      const page = framePage({ slot, index });
      if (page !== undefined) kvm.pages.free(page);
      slot.pages[index] = NO_PAGE;
    }
  }
  freeTree(vm.tree, kvm.view, kvm.pages);
  vm.destroyed = true;
}

/**
 * KVM_PPC_SVM_OFF: a VM that was, or was becoming, secure is Normal again and may start from the beginning; its memory is zero or undefined
 * (power-pef.md 5.6). Refused with −EBUSY while one of its vCPUs could run.
 */
export function runSvmOff(ctx: Ctx, job: SvmOffJob, result: number): Step {
  const { kvm } = ctx;
  const vm = vmOf(kvm, job.lpid);
  switch (job.step) {
    case 'start':
      if (vm.secureGuest === 0) return { do: 'give', value: 0 };
      if (vm.vcpus.some(({ state }) => state !== 'stopped')) return { do: 'give', value: EBUSY };
      job.step = 'slots';
      return nextSlot(ctx, job, vm);

    case 'slots':
      job.slot += 1;
      return nextSlot(ctx, job, vm);

    case 'terminate':
      if (result !== U_CODE.U_SUCCESS) return { do: 'give', value: EINVAL };
      forgetAreas(vm);
      vm.secureGuest = 0;
      vm.transition = null;
      // What the Ultravisor handed over of them it does not take back.
      for (const { context } of vm.vcpus) context.secure = false;
      job.step = 'done';
      return { do: 'job', job: { kind: 'write-pate', lpid: vm.lpid, processTable: PATE_DW1.GR, waiting: false } };

    case 'done':
      return { do: 'give', value: result === U_CODE.U_SUCCESS ? 0 : EINVAL };
  }
}

function nextSlot({ kvm }: Ctx, job: SvmOffJob, vm: Vm): Step {
  const slot = vm.slots[job.slot];
  if (slot === undefined) {
    job.step = 'terminate';
    return { do: 'ultracall', number: ULTRACALL.UV_SVM_TERMINATE, args: [vm.lpid] };
  }
  dropFrames(kvm, slot);
  slot.registered = false;
  return { do: 'ultracall', number: ULTRACALL.UV_UNREGISTER_MEM_SLOT, args: [vm.lpid, slot.id] };
}
