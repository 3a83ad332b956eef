import type { RealAddress } from '../../../machine/types.ts';
import { gpaOf, ULTRACALL, UV_PAGE_ORDER, UV_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** One page behind two frames: a store to one would change the other. In secure memory too, by naming a secure page as the source. */
export const aliasPage: Attack = {
  name: 'alias-page',
  summary: 'map one page behind two frames of the guest',
  begin: (hv) => {
    let copy: RealAddress | null = null;
    return {
      line(n) {
        if (n !== FIRST_LINE) return;
        hv.takeOut(hv.target);
        hv.takeOut(hv.partner);
        if (!hv.isSecure() || hv.secure === null) return;
        const { lpid } = hv.victim;
        const gpa = gpaOf(hv.partner);
        const number = ULTRACALL.UV_PAGE_IN;
        hv.ultracalls(...hv.pagesOf(hv.secure).map((page) => ({ number, args: [lpid, page, gpa, 0, UV_PAGE_ORDER] })));
      },
      pagedOut(gfn, page) {
        if (gfn !== hv.target) return;
        // The page of a secure frame is free again once the frame is back.
        copy = hv.isSecure() ? hv.ownPage(0) : page;
        if (copy !== page) hv.store(copy, hv.kvm.view.read(page, UV_PAGE_SIZE));
      },
      pageIn(gfn, page) {
        if (gfn !== hv.partner || copy === null) return page;
        hv.did('giving another page');
        return copy;
      },
    };
  },
};
