import { ARM_PAGE_SIZE, type HypercallName } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';
import type { Toolbox } from './toolbox.ts';

/** Calls that name pages, frames or VMs, in an order in which each could use what the one before did. */
const CALLS: readonly (readonly [HypercallName, number])[] = [
  ['__pkvm_init', 3],
  ['__pkvm_prot_finalize', 0],
  ['__pkvm_host_unshare_guest', 3],
  ['__pkvm_host_wrprotect_guest', 3],
  ['__pkvm_host_test_clear_young_guest', 4],
  ['__pkvm_host_mkyoung_guest', 1],
  ['__pkvm_host_relax_perms_guest', 2],
  ['__pkvm_host_share_guest', 4],
  ['__pkvm_host_donate_guest', 2],
  ['__pkvm_host_share_hyp', 1],
  ['__pkvm_host_unshare_hyp', 1],
  ['__pkvm_reclaim_dying_guest_page', 2],
  ['__pkvm_start_teardown_vm', 1],
  ['__pkvm_finalize_teardown_vm', 1],
  ['__pkvm_init_vm', 3],
  ['__pkvm_init_vcpu', 3],
  ['__pkvm_unreserve_vm', 1],
  ['__pkvm_tlb_flush_vmid', 1],
];

/** Makes every call with every argument in turn replaced: by frames of the victim's, pages of others, and numbers that are too large. */
export const corruptCalls: Attack = {
  name: 'corrupt-calls',
  summary: 'make hypercalls with every argument corrupted',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const [vcpu] = hv.victim.vcpus;
      if (vcpu !== undefined) hv.topUp(vcpu);
      hv.calls(...corrupted(hv));
    },
  }),
};

function corrupted(hv: Toolbox): (readonly [HypercallName, ...(number | bigint)[]])[] {
  const own = hv.ownPage(0x55) / ARM_PAGE_SIZE;
  const page = hv.pageOf(hv.target) / ARM_PAGE_SIZE;
  const frame = hv.numberOf(hv.target);
  const { handle } = hv.victim;
  const values = [handle, frame, own, page, 1, 0xf, 0, -1n, 1n << 52n];
  return CALLS.flatMap(([name, count]) => {
    const right = RIGHT[name]?.({ handle, frame, own, page }) ?? Array.from({ length: count }, () => page);
    const made = [right, ...right.flatMap((_, i) => values.map((value) => right.with(i, value)))];
    return made.map((args) => [name, ...args] as const);
  });
}

interface Named {
  readonly handle: number;
  readonly frame: number;
  readonly own: number;
  readonly page: number;
}

/** Arguments that are what the call is for. */
const RIGHT: Partial<Record<HypercallName, (named: Named) => (number | bigint)[]>> = {
  __pkvm_host_unshare_guest: ({ handle, frame }) => [handle, frame, 1],
  __pkvm_host_wrprotect_guest: ({ handle, frame }) => [handle, frame, 1],
  __pkvm_host_test_clear_young_guest: ({ handle, frame }) => [handle, frame, 1, 0],
  __pkvm_host_mkyoung_guest: ({ frame }) => [frame],
  __pkvm_host_relax_perms_guest: ({ frame }) => [frame, 7],
  __pkvm_host_share_guest: ({ own, frame }) => [own, frame, 1, 0xf],
  __pkvm_host_donate_guest: ({ own, frame }) => [own, frame],
  __pkvm_reclaim_dying_guest_page: ({ handle, frame }) => [handle, frame],
  __pkvm_start_teardown_vm: ({ handle }) => [handle],
  __pkvm_finalize_teardown_vm: ({ handle }) => [handle],
  __pkvm_unreserve_vm: ({ handle }) => [handle],
  __pkvm_tlb_flush_vmid: ({ handle }) => [handle],
};
