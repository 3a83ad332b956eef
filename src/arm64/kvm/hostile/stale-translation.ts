import { type Attack, FIRST_LINE } from './attack.ts';

/**
 * Uses a page while the guest's CPU still remembers that it is the guest's. A plain guest's page is made read-only and not flushed, so that the guest goes on
 * writing what the host reads; a protected one's is taken away by force.
 */
export const staleTranslation: Attack = {
  name: 'stale-translation',
  summary: 'use a page before the guest’s CPU has forgotten it',
  begin: (hv) => ({
    line(n) {
      if (n < FIRST_LINE) return;
      hv.take(hv.pageOf(hv.target));
      if (n !== FIRST_LINE) return;
      hv.did('keeping a translation');
      hv.calls(
        ['__pkvm_host_wrprotect_guest', hv.victim.handle, hv.numberOf(hv.target), 1],
        ['__pkvm_force_reclaim_guest_page', hv.pageOf(hv.target)],
      );
    },
    answered() {
      hv.take(hv.pageOf(hv.target));
    },
  }),
};
