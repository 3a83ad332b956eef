import { PATE_DW1, U_CODE, ULTRACALL } from '../abi.ts';
import type { DestroyJob, Step, SvmOffJob } from './job.ts';
import { framePage, type Memslot, NO_PAGE } from './memslot.ts';
import { normalFrame } from './move-frame.ts';
import { freeTree } from './radix.ts';
import { type Ctx, type KvmState, vmOf } from './state.ts';
import type { Vm } from './vm.ts';

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
    dropPages(kvm, vm.slots);
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
  dropPages(kvm, [slot]);
  return { do: 'ultracall', number: ULTRACALL.UV_UNREGISTER_MEM_SLOT, args: [vm.lpid, slot.id] };
}

/** Makes all frames Normal without asking the Ultravisor for what they hold. */
function dropPages(kvm: KvmState, slots: readonly Memslot[]): void {
  for (const slot of slots) {
    for (let index = 0; index < slot.npages; index++) normalFrame(kvm, { slot, index }, undefined);
  }
}

/** Areas that vCPUs registered stay pinned otherwise, and could not move at the next UV_ESM. */
function forgetAreas(vm: Vm): void {
  vm.pins.clear();
  for (const vcpu of vm.vcpus) {
    vcpu.vpa = null;
    vcpu.dtl = null;
    vcpu.slbShadow = null;
  }
}
