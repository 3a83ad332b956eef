import { ULTRACALL, UV_PAGE_SIZE } from '../../abi.ts';
import { endVm } from '../vm.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Ends the VM, and looks what it left: in the pages that it had, and all over secure memory after UV_SVM_TERMINATE (power-pef.md 3.13). */
export const endAndRead: Attack = {
  name: 'end-and-read',
  summary: 'end the guest (UV_SVM_TERMINATE), and load what it left',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const page = hv.pageOf(hv.target);
      endVm(hv.victim, { kind: 'terminated', detail: 'the hypervisor ended it' });
      if (page !== undefined) hv.take(page, UV_PAGE_SIZE);
      if (hv.isSecure()) hv.ultracalls({ number: ULTRACALL.UV_SVM_TERMINATE, args: [hv.victim.lpid] });
    },
    answered() {
      if (hv.secure !== null) for (const page of hv.pagesOf(hv.secure)) hv.take(page);
    },
  }),
};
