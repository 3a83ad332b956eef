import { ARM_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Has the VM die while its vCPU is under way, takes pages out one by one and looks at each, and then has the vCPU go on. */
export const dyingHandle: Attack = {
  name: 'dying-handle',
  summary: 'take a dying VM’s pages one by one, load each, and run it on',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const { handle } = hv.victim;
      const numbers = [hv.target, hv.partner].map((gfn) => hv.numberOf(gfn));
      hv.calls(
        ['__pkvm_start_teardown_vm', handle],
        ['__pkvm_vcpu_put'],
        ...numbers.map((number) => ['__pkvm_reclaim_dying_guest_page', handle, number] as const),
        ['__pkvm_start_teardown_vm', handle],
        ...numbers.map((number) => ['__pkvm_reclaim_dying_guest_page', handle, number] as const),
        ...numbers.map((number) => ['__pkvm_host_unshare_guest', handle, number, 1] as const),
        ['__pkvm_vcpu_load', handle, 0, 0],
        ['__pkvm_init_vcpu', handle, hv.ownPage(0), hv.ownPage(0)],
      );
    },
    answered(_name, [, number]) {
      const gfn = Number(number ?? 0) - hv.victim.base / ARM_PAGE_SIZE;
      if (gfn === hv.target || gfn === hv.partner) hv.take(hv.pageOf(gfn));
    },
  }),
};
