import { H_CODE } from '../abi.ts';
import { gfnState } from './gfn.ts';
import type { InitDoneJob, Step } from './job.ts';
import type { Frame } from './memslot.ts';
import { secureFrame } from './move-frame.ts';
import { type Ctx, vmOf } from './state.ts';
import { KVMPPC_SECURE_INIT_DONE, VM_LIFE_CYCLE, vmState } from './vm-state.ts';

/**
 * H_SVM_INIT_DONE: Transient to Secure. Frames that are still Normal become Secure without UV_PAGE_IN: what they held is dropped, the guest
 * finds the Ultravisor's zeros (power-pef.md 4.3).
 */
export function runInitDone({ kvm }: Ctx, job: InitDoneJob): Step {
  const vm = vmOf(kvm, job.lpid);
  if (VM_LIFE_CYCLE[vmState(vm.secureGuest)]['init-done'] === 'error') {
    return { do: 'give', value: H_CODE.H_UNSUPPORTED };
  }
  const left: Frame[] = [];
  for (const slot of vm.slots) {
    if (!slot.registered) continue;
    for (let index = 0; index < slot.npages; index++) {
      if (gfnState(slot.pfns[index]) !== 'normal') continue;
      // A pinned page cannot leave normal memory.
      if (vm.pins.has(slot.baseGfn + index)) return { do: 'give', value: H_CODE.H_STATE };
      left.push({ slot, index });
    }
  }
  if (left.length > kvm.uvmem.free) return { do: 'give', value: H_CODE.H_STATE };
  for (const frame of left) {
    const uvmem = kvm.uvmem.allocate();
    if (uvmem === undefined) throw new Error('the secure-PFN pool has fewer free pages than it says');
    secureFrame(kvm, frame, 'init-done', uvmem);
  }
  vm.secureGuest |= KVMPPC_SECURE_INIT_DONE;
  // A vCPU that was in normal state has nothing to go back to; the secure guest may start it.
  for (const vcpu of vm.vcpus) if (vcpu.id !== vm.transition) vcpu.state = 'stopped';
  vm.transition = null;
  return { do: 'give', value: H_CODE.H_SUCCESS };
}
