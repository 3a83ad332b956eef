import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, HOST_KVM, HOST_VCPU } from '../abi.ts';
import type { Step, TeardownJob } from './job.ts';
import type { Ctx } from './state.ts';
import { takeCached } from './vcpu-struct.ts';
import type { Vm } from './vm.ts';

/** Takes a VM down and has its memory back (arm64-pkvm.md 8.6): every page by name, then what the hyp had of it. Nothing runs in it any more. */
export function runTeardown(ctx: Ctx, job: TeardownJob): Step {
  const { vm } = job;
  switch (job.step) {
    case 'start':
      job.pages = [...vm.mapped];
      job.step = 'pages';
      return { do: 'call', name: '__pkvm_start_teardown_vm', args: [vm.handle] };
    case 'pages': {
      const gfn = job.pages[job.at];
      job.at += 1;
      if (gfn === undefined) {
        job.step = 'unshare';
        job.pages = structuresOf(vm);
        job.at = 0;
        return { do: 'call', name: '__pkvm_finalize_teardown_vm', args: [vm.handle] };
      }
      vm.mapped.delete(gfn);
      const ipfn = vm.base / ARM_PAGE_SIZE + gfn;
      return vm.isProtected
        ? { do: 'call', name: '__pkvm_reclaim_dying_guest_page', args: [vm.handle, ipfn] }
        : { do: 'call', name: '__pkvm_host_unshare_guest', args: [vm.handle, ipfn, 1] };
    }
    case 'unshare': {
      if (job.at === 0) takeBack(ctx, vm);
      const page = job.pages[job.at];
      job.at += 1;
      if (page === undefined) {
        for (const own of job.pages) ctx.kvm.pages.free(own as RealAddress);
        vm.destroyed = true;
        ctx.kvm.hooks.destroyed?.(ctx, vm);
        return { do: 'give', value: 0 };
      }
      return { do: 'call', name: '__pkvm_host_unshare_hyp', args: [page / ARM_PAGE_SIZE] };
    }
  }
}

/** Pages of the host's own structures, which the hyp may look at until now. */
function structuresOf(vm: Vm): number[] {
  const ranges = [
    [vm.kvm, HOST_KVM.size] as const,
    ...vm.vcpus.map(({ struct }) => [struct.base, HOST_VCPU.size] as const),
  ];
  return ranges.flatMap(([base, bytes]) =>
    Array.from({ length: bytes / ARM_PAGE_SIZE }, (_, n) => base + n * ARM_PAGE_SIZE),
  );
}

/** What the hyp has given back lies in the lists of the host's structure; what it never took, in the vCPUs'. */
function takeBack({ kvm: { view, pages } }: Ctx, vm: Vm): void {
  const lists = [
    vm.kvm + HOST_KVM.teardown,
    vm.kvm + HOST_KVM.stage2Teardown,
    ...vm.vcpus.map(({ struct }) => struct.base + HOST_VCPU.memcache),
  ];
  for (const head of lists) for (const page of takeCached(view, head as RealAddress)) pages.free(page);
}
