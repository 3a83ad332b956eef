import type { RealAddress } from '../../../machine/types.ts';
import { UV_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Gives the victim the page of another guest in the place of its own. */
export const foreignPage: Attack = {
  name: 'foreign-page',
  summary: 'give the guest a page that was taken out of another one',
  accomplice: true,
  begin: (hv) => {
    let foreign: RealAddress | null = null;
    return {
      line(n) {
        if (n !== FIRST_LINE) return;
        hv.takeOut(hv.target);
        hv.takeOut(hv.targetOf(hv.accomplice), hv.accomplice);
      },
      pagedOut(_gfn, page, vm) {
        if (vm === hv.victim) return;
        foreign = hv.ownPage(0);
        hv.store(foreign, hv.kvm.view.read(page, UV_PAGE_SIZE));
      },
      pageIn(gfn, page, vm) {
        if (foreign === null || vm !== hv.victim || gfn !== hv.target) return page;
        hv.did('giving another page');
        return foreign;
      },
    };
  },
};
