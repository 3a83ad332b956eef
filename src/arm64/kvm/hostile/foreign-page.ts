import { type Attack, FIRST_LINE } from './attack.ts';

/** Gives the victim a page of another guest in the place of its own. */
export const foreignPage: Attack = {
  name: 'foreign-page',
  summary: 'give the guest a page of another one',
  accomplice: true,
  begin: (hv) => ({
    line(n) {
      if (n === FIRST_LINE) hv.replacePage(hv.target, hv.pageOf(hv.target, hv.accomplice));
    },
  }),
};
