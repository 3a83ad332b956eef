import { type Attack, FIRST_LINE } from './attack.ts';

/** Loads the victim's pages after each line. */
export const readMemory: Attack = {
  name: 'read-memory',
  summary: 'load the pages of the guest',
  begin: (hv) => ({
    line(n) {
      if (n < FIRST_LINE) return;
      hv.take(hv.pageOf(hv.target));
      hv.take(hv.pageOf(hv.partner));
    },
  }),
};
