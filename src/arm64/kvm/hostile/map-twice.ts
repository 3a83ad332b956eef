import { type Attack, FIRST_LINE } from './attack.ts';

/** Puts one page behind two frames, so that the victim writes over itself. */
export const mapTwice: Attack = {
  name: 'map-twice',
  summary: 'put one page behind two frames of the guest',
  begin: (hv) => ({
    line(n) {
      if (n === FIRST_LINE) hv.replacePage(hv.partner, hv.pageOf(hv.target));
    },
  }),
};
