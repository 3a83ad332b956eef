import { type Attack, FIRST_LINE } from './attack.ts';

/** Puts each of two pages behind the frame of the other. */
export const swapPages: Attack = {
  name: 'swap-pages',
  summary: 'exchange two pages of the guest',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const [first, second] = [hv.pageOf(hv.target), hv.pageOf(hv.partner)];
      hv.replacePage(hv.target, second);
      hv.replacePage(hv.partner, first);
    },
  }),
};
