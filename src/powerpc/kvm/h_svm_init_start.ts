import { gpaOf, H_CODE, U_CODE, ULTRACALL, UV_PAGE_SIZE } from '../abi.ts';
import type { InitStartJob, Step } from './job.ts';
import { unmergeSlot } from './merged-page.ts';
import { clearTree } from './radix.ts';
import { type Ctx, vmOf } from './state.ts';
import { KVMPPC_SECURE_INIT_START, VM_LIFE_CYCLE, vmState } from './vm-state.ts';
import { kickAll, runsElsewhere } from './wake-up.ts';

/**
 * H_SVM_INIT_START: Normal to Transient; every memory slot leaves page merging and is registered with the Ultravisor (power-pef.md 4.2). The
 * VM is flagged even where a check then refuses, as KVM does: the Ultravisor follows a refusal with H_SVM_INIT_ABORT, and that has to find what it aborts.
 */
export function runInitStart(ctx: Ctx, job: InitStartJob, result: number): Step {
  const { kvm } = ctx;
  const vm = vmOf(kvm, job.lpid);
  switch (job.step) {
    case 'start':
      if (VM_LIFE_CYCLE[vmState(vm.secureGuest)]['init-start'] === 'error') return give(H_CODE.H_STATE);
      vm.secureGuest |= KVMPPC_SECURE_INIT_START;
      vm.transition = ctx.cpu.loaded?.vcpu ?? null;
      if (!kvm.uvmem.exists) return give(H_CODE.H_UNSUPPORTED);
      if (!vm.svmEnabled) return give(H_CODE.H_AUTHORITY);
      job.step = 'quiesce';
      kickAll(vm);
      return quiesce(ctx, job);

    case 'quiesce':
      return quiesce(ctx, job);

    case 'register':
      if (result < U_CODE.U_SUCCESS) {
        vm.slots[job.slot].mergeable = vm.mergeable;
        job.step = 'undo';
        return undo(ctx, job);
      }
      vm.slots[job.slot].registered = true;
      job.slot += 1;
      return register(ctx, job);

    case 'undo':
      return undo(ctx, job);
  }
}

/** A Transient VM does not execute in supervisor state: waits until the other vCPUs have left (power-pef.md 5.1). */
function quiesce(ctx: Ctx, job: InitStartJob): Step {
  if (runsElsewhere(ctx.kvm, vmOf(ctx.kvm, job.lpid), ctx.cpu.index)) return { do: 'wait' };
  job.step = 'register';
  return register(ctx, job);
}

/** Ends page merging for the job's slot and registers it, or finishes after the last. */
function register(ctx: Ctx, job: InitStartJob): Step {
  const { kvm, port } = ctx;
  const vm = vmOf(kvm, job.lpid);
  const slot = vm.slots[job.slot];
  if (slot === undefined) {
    // From here on the hypervisor's own tree maps nothing: the Ultravisor's takes its place, and an aborted VM faults its pages in again.
    clearTree(vm.tree, kvm.view, kvm.pages);
    port.invalidateTranslations(vm.lpid);
    return give(H_CODE.H_SUCCESS);
  }
  if (!unmergeSlot(kvm.view, kvm.pages, vm, slot)) {
    job.step = 'undo';
    return undo(ctx, job);
  }
  const args = [vm.lpid, gpaOf(slot.baseGfn), slot.npages * UV_PAGE_SIZE, 0, slot.id];
  return { do: 'ultracall', number: ULTRACALL.UV_REGISTER_MEM_SLOT, args };
}

/** Unregisters the slots below the one that failed; their pages may be merged again. */
function undo({ kvm }: Ctx, job: InitStartJob): Step {
  const vm = vmOf(kvm, job.lpid);
  if (job.slot === 0) return give(H_CODE.H_PARAMETER);
  job.slot -= 1;
  const slot = vm.slots[job.slot];
  slot.registered = false;
  slot.mergeable = vm.mergeable;
  return { do: 'ultracall', number: ULTRACALL.UV_UNREGISTER_MEM_SLOT, args: [vm.lpid, slot.id] };
}

function give(value: number): Step {
  return { do: 'give', value };
}
