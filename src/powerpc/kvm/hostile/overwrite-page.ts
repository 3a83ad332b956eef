import { gpaOf, ULTRACALL, UV_PAGE_ORDER } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Gives the victim a page of the hypervisor's choice in place of one that it has: UV_PAGE_IN over a page that is in (power-pef.md 10.1 #12). */
export const overwritePage: Attack = {
  name: 'overwrite-page',
  summary: 'put a page of its own over one that the guest has (UV_PAGE_IN of a page that is in)',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const page = hv.ownPage(0x55);
      if (!hv.isSecure()) hv.replacePage(hv.target, page);
      else {
        const args = [hv.victim.lpid, page, gpaOf(hv.target), 0, UV_PAGE_ORDER];
        hv.ultracalls({ number: ULTRACALL.UV_PAGE_IN, args });
      }
    },
  }),
};
