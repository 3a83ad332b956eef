import { gpaOf, ULTRACALL, UV_PAGE_ORDER, UV_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/**
 * Takes a page away without a tlbie and uses it for something else, so that the guest goes on with what its CPU remembers. In secure memory: takes two
 * pages out and has the second come back at once, to where the first was (power-pef.md 10.1 #22).
 */
export const staleTranslation: Attack = {
  name: 'stale-translation',
  summary: 'use a page again for something else before the guest’s CPU has forgotten it',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      hv.did('keeping a translation');
      if (hv.isSecure()) {
        hv.takeOut(hv.partner);
        hv.takeOut(hv.target);
        return;
      }
      const page = hv.pageOf(hv.target);
      if (page === undefined) return;
      hv.unmap(hv.target);
      hv.store(page, new Uint8Array(UV_PAGE_SIZE).fill(0x55));
    },
    pagedOut(gfn) {
      if (gfn !== hv.target) return;
      const partner = hv.pageOf(hv.partner);
      if (partner === undefined) return;
      const args = [hv.victim.lpid, partner, gpaOf(hv.partner), 0, UV_PAGE_ORDER];
      hv.ultracalls({ number: ULTRACALL.UV_PAGE_IN, args });
    },
  }),
};
