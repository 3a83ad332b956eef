import { gpaOf, U_CODE, ULTRACALL, UV_PAGE_SIZE } from '../abi.ts';
import { isUvmem } from './gfn.ts';
import type { SlotCreateJob, SlotDeleteJob, Step } from './job.ts';
import { createSlot, framePage, type Memslot, NO_PAGE, slotConflict } from './memslot.ts';
import { takeAway } from './merged-page.ts';
import { normalFrame, secureFrame } from './move-frame.ts';
import { type Ctx, type KvmState, vmOf } from './state.ts';
import type { Vm } from './vm.ts';

const EINVAL = -22;

/**
 * KVM_SET_USER_MEMORY_REGION with a new slot, at run time (power-pef.md 5.5). In a VM that is or becomes secure, the slot is registered with
 * the Ultravisor and its frames are Secure at once, without contents. Where that fails, for want of secure memory on either side, user space
 * is not told, as with KVM: the slot is there, and the secure guest finds nothing in it (10.2 #47).
 */
export function runSlotCreate({ kvm }: Ctx, job: SlotCreateJob, result: number): Step {
  const vm = vmOf(kvm, job.lpid);
  if (job.slot === null) {
    if (vm.end !== null || slotConflict(vm.slots, job.spec) !== undefined) return give(EINVAL);
    const slot = createSlot(job.spec, vm.mergeable && vm.secureGuest === 0);
    vm.slots.push(slot);
    if (vm.secureGuest === 0 || !secureFrames(kvm, slot)) return give(0);
    job.slot = slot;
    const args = [vm.lpid, gpaOf(slot.baseGfn), slot.npages * UV_PAGE_SIZE, 0, slot.id];
    return { do: 'ultracall', number: ULTRACALL.UV_REGISTER_MEM_SLOT, args };
  }
  // The VM may have been aborted or ended meanwhile.
  if (result < U_CODE.U_SUCCESS || vm.secureGuest === 0) dropFrames(kvm, job.slot);
  else job.slot.registered = true;
  return give(0);
}

/** Makes all frames of a new slot Secure. @returns false, with nothing changed, if there are not enough secure-PFNs */
function secureFrames(kvm: KvmState, slot: Memslot): boolean {
  if (slot.npages > kvm.uvmem.free) return false;
  for (let index = 0; index < slot.npages; index++) {
    const uvmem = kvm.uvmem.allocate();
    if (uvmem === undefined) throw new Error('the secure-PFN pool has fewer free pages than it says');
    secureFrame(kvm, { slot, index }, 'unshare', uvmem);
  }
  return true;
}

/**
 * KVM_SET_USER_MEMORY_REGION with size 0: the slot and all that it holds are gone. The Ultravisor gives up a registered one by
 * UV_UNREGISTER_MEM_SLOT (power-pef.md 5.5, 10.2 #45).
 */
export function runSlotDelete(ctx: Ctx, job: SlotDeleteJob): Step {
  const { kvm } = ctx;
  const vm = vmOf(kvm, job.lpid);
  const slot = vm.slots.find(({ id }) => id === job.id);
  if (slot === undefined || vm.end !== null) return give(EINVAL);
  if (slot.registered) {
    dropFrames(kvm, slot);
    slot.registered = false;
    return { do: 'ultracall', number: ULTRACALL.UV_UNREGISTER_MEM_SLOT, args: [vm.lpid, slot.id] };
  }
  freeSlot(ctx, vm, slot);
  vm.slots.splice(vm.slots.indexOf(slot), 1);
  return give(0);
}

/** Makes all frames of a slot Normal without asking the Ultravisor for what they hold. */
export function dropFrames(kvm: KvmState, slot: Memslot): void {
  for (let index = 0; index < slot.npages; index++) normalFrame(kvm, { slot, index }, undefined);
}

function freeSlot({ kvm, port }: Ctx, vm: Vm, slot: Memslot): void {
  for (let index = 0; index < slot.npages; index++) {
    if (isUvmem(slot.pfns[index])) normalFrame(kvm, { slot, index }, undefined);
    const page = framePage({ slot, index });
    if (page === undefined) continue;
    takeAway(kvm.view, kvm.pages, vm, { slot, index });
    slot.pages[index] = NO_PAGE;
    kvm.pages.free(page);
  }
  port.invalidateTranslations(vm.lpid);
}

function give(value: number): Step {
  return { do: 'give', value };
}
