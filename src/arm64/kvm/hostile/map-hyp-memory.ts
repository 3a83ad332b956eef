import { ARM_PAGE_SIZE, HOST_VCPU } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Loads where the hyp and the host keep the victim's registers, and has the hyp's pages shared, given back and mapped into a guest. */
export const mapHypMemory: Attack = {
  name: 'map-hyp-memory',
  summary: 'load the vCPU’s state, and map the hyp’s pages into a guest',
  begin: (hv) => ({
    line(n) {
      if (n < FIRST_LINE) return;
      const { victim } = hv;
      for (const { struct } of victim.vcpus) hv.take(struct.base, HOST_VCPU.size);
      const pages = [...victim.areas, hv.kvm.layout.pool.base];
      for (const page of pages) hv.take(page);
      if (n > FIRST_LINE) return;
      const spare = hv.numberOf(victim.frames.length - 1);
      for (const page of pages) {
        const pfn = page / ARM_PAGE_SIZE;
        hv.calls(
          ['__pkvm_host_share_hyp', pfn],
          ['__pkvm_host_unshare_hyp', pfn],
          ['__pkvm_force_reclaim_guest_page', page],
          ['__pkvm_host_donate_guest', pfn, spare],
          ['__pkvm_host_share_guest', pfn, spare, 1, 0xf],
        );
      }
    },
  }),
};
