import { type Attack, FIRST_LINE } from './attack.ts';

/** Takes two pages out and gives each back in the place of the other. */
export const swapPages: Attack = {
  name: 'swap-pages',
  summary: 'take two pages out and exchange them',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      hv.takeOut(hv.target);
      hv.takeOut(hv.partner);
    },
    pageIn(gfn, page) {
      if (gfn !== hv.target && gfn !== hv.partner) return page;
      const other = hv.pageOf(gfn === hv.target ? hv.partner : hv.target);
      if (other === undefined) return page;
      hv.did('giving another page');
      return other;
    },
  }),
};
