import { UV_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Takes a page out twice, and the second time gives back what it held the first time: a rollback of memory. */
export const replayPage: Attack = {
  name: 'replay-page',
  summary: 'give a page back as it was when it was out before',
  begin: (hv) => {
    const copies: Uint8Array[] = [];
    return {
      line(n) {
        if (n === FIRST_LINE || n === FIRST_LINE + 1) hv.takeOut(hv.target);
      },
      pagedOut(_gfn, page) {
        copies.push(hv.kvm.view.read(page, UV_PAGE_SIZE));
      },
      pageIn(gfn, page) {
        const [old, recent] = copies;
        if (gfn === hv.target && old !== undefined && recent !== undefined) hv.store(page, old);
        return page;
      },
    };
  },
};
