import type { RealAddress } from '../../../machine/types.ts';
import { gpaOf, ULTRACALL, UV_PAGE_ORDER, UV_PAGE_OUT_FLAG } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Loads all that the hypervisor's address space has of the victim: its page, all of secure memory, and what page-out and snapshot give. */
export const readMemory: Attack = {
  name: 'read-memory',
  summary: 'load the pages of the guest, secure memory, and what UV_PAGE_OUT gives',
  begin: (hv) => {
    const copies: RealAddress[] = [];
    return {
      line(n) {
        if (n < FIRST_LINE) return;
        const page = hv.pageOf(hv.target);
        if (page !== undefined) hv.take(page);
        for (const copy of copies) hv.take(copy);
        if (n > FIRST_LINE) return;
        if (hv.secure !== null) for (const secure of hv.pagesOf(hv.secure)) hv.take(secure);
        if (hv.isSecure()) {
          const copy = hv.ownPage(0);
          copies.push(copy);
          const args = [hv.victim.lpid, copy, gpaOf(hv.target), UV_PAGE_OUT_FLAG.UV_SNAPSHOT, UV_PAGE_ORDER];
          hv.ultracalls({ number: ULTRACALL.UV_PAGE_OUT, args });
        }
        hv.takeOut(hv.target);
      },
      pagedOut(_gfn, page) {
        hv.take(page);
      },
    };
  },
};
