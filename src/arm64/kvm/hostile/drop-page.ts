import { type Attack, FIRST_LINE } from './attack.ts';

/** Loses a page of the victim's, as a host does that touched it by accident, and gives zeros in its place. */
export const dropPage: Attack = {
  name: 'drop-page',
  summary: 'take a page away for good, and give zeros',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      hv.calls(['__pkvm_force_reclaim_guest_page', hv.pageOf(hv.target)]);
      hv.replacePage(hv.target, hv.ownPage(0));
    },
  }),
};
