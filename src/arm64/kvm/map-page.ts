import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, STAGE2_LEAST_CACHE } from '../abi.ts';
import type { MapJob, Step } from './job.ts';
import type { Ctx } from './state.ts';
import type { Vcpu } from './vm.ts';

/** Permissions of a page that a plain guest gets: read, write, execute at EL1 and EL0 (arm64-pkvm.md 2.4). */
const RWX = 0xf;

/** Lays as many pages ready as one mapping can need. */
export function topUp({ kvm: { pages } }: Ctx, { struct }: Vcpu): void {
  while (struct.cached < STAGE2_LEAST_CACHE) struct.pushCached(pages.allocate());
}

/** A guest touched a frame that it does not have yet (arm64-pkvm.md 8.3): a protected one gets the page, a plain one may use it. Gives 0 or an errno. */
export function runMap(ctx: Ctx, job: MapJob, result: number): Step {
  const { kvm } = ctx;
  const { vcpu, gfn } = job;
  const { vm } = vcpu;
  switch (job.step) {
    case 'start': {
      const ipfn = vm.base / ARM_PAGE_SIZE + gfn;
      // A plain guest's page that is there may do less than it should: it was made read-only, and is needed again.
      if (!vm.isProtected && vm.mapped.has(gfn)) {
        job.step = 'relaxed';
        return { do: 'call', name: '__pkvm_host_relax_perms_guest', args: [ipfn, RWX] };
      }
      const own = vm.frames[gfn] as RealAddress;
      const page = kvm.hooks.pageFor === undefined ? own : kvm.hooks.pageFor(ctx, vcpu, gfn, own);
      if (page === null) return { do: 'give', value: 0 };
      vm.frames[gfn] = page;
      topUp(ctx, vcpu);
      job.step = 'mapped';
      return vm.isProtected
        ? { do: 'call', name: '__pkvm_host_donate_guest', args: [page / ARM_PAGE_SIZE, ipfn] }
        : { do: 'call', name: '__pkvm_host_share_guest', args: [page / ARM_PAGE_SIZE, ipfn, 1, RWX] };
    }
    case 'mapped':
      if (result === 0) vm.mapped.add(gfn);
      if (result === 0 || !vm.isProtected) return { do: 'give', value: result };
      job.step = 'poison';
      return { do: 'call', name: '__pkvm_vcpu_in_poison_fault', args: [] };
    case 'relaxed':
      // −EAGAIN: it is not there any more. It is mapped when the guest asks again.
      if (result !== 0) vm.mapped.delete(gfn);
      return { do: 'give', value: 0 };
    case 'poison':
      return { do: 'give', value: result === 1 ? POISONED : REFUSED };
  }
}

/** What a map gives beside 0: the hyp refused the page, or had taken it away for good. */
export const REFUSED = -1;
export const POISONED = -133;
