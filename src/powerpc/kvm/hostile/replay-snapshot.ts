import type { RealAddress } from '../../../machine/types.ts';
import { gpaOf, ULTRACALL, UV_PAGE_ORDER, UV_PAGE_OUT_FLAG, UV_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Takes a copy of a page that stays in, and gives the copy back when the page itself has been out (power-pef.md 3.11). */
export const replaySnapshot: Attack = {
  name: 'replay-snapshot',
  summary: 'copy a page while it is in (UV_SNAPSHOT), and give the copy back for it later',
  begin: (hv) => {
    let copy: RealAddress | null = null;
    let out = false;
    return {
      line(n) {
        if (n === FIRST_LINE + 1) hv.takeOut(hv.target);
        if (n !== FIRST_LINE) return;
        copy = hv.ownPage(0);
        const page = hv.pageOf(hv.target);
        if (page !== undefined) hv.store(copy, hv.kvm.view.read(page, UV_PAGE_SIZE));
        if (!hv.isSecure()) return;
        const args = [hv.victim.lpid, copy, gpaOf(hv.target), UV_PAGE_OUT_FLAG.UV_SNAPSHOT, UV_PAGE_ORDER];
        hv.ultracalls({ number: ULTRACALL.UV_PAGE_OUT, args });
      },
      pagedOut() {
        out = true;
      },
      pageIn(gfn, page) {
        if (!out || copy === null || gfn !== hv.target) return page;
        hv.did('giving another page');
        return copy;
      },
    };
  },
};
