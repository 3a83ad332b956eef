import { type Attack, FIRST_LINE } from './attack.ts';

/** Takes a page out and loses it: the guest gets zeros in its place. */
export const dropPage: Attack = {
  name: 'drop-page',
  summary: 'lose a page that is out, and give zeros in its place',
  begin: (hv) => {
    let lost = false;
    return {
      line(n) {
        if (n === FIRST_LINE) hv.takeOut(hv.target);
      },
      pagedOut() {
        lost = true;
      },
      pageIn(gfn, page) {
        if (!lost || gfn !== hv.target) return page;
        hv.did('giving another page');
        return hv.ownPage(0);
      },
    };
  },
};
