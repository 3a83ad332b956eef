import { type Attack, FIRST_LINE } from './attack.ts';

/** Gives the victim's page to a second guest too, which writes it. */
export const donateTwice: Attack = {
  name: 'donate-twice',
  summary: 'give a page of the guest to a second guest',
  accomplice: true,
  begin: (hv) => ({
    line(n) {
      if (n === FIRST_LINE) hv.replacePage(hv.target, hv.pageOf(hv.target), hv.accomplice);
    },
  }),
};
