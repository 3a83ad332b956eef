import { endVm } from '../vm.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Ends the VM, takes it down, and looks what it left in its pages. */
export const endAndRead: Attack = {
  name: 'end-and-read',
  summary: 'end the guest, and load what it left',
  begin: (hv) => ({
    line(n) {
      if (n === FIRST_LINE) endVm(hv.victim, { kind: 'terminated', detail: 'the hypervisor ended it' });
    },
    destroyed() {
      for (const gfn of [hv.target, hv.partner]) hv.take(hv.pageOf(gfn));
    },
  }),
};
