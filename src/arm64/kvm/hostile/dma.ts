import { ARM_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Has a device read and write the victim's pages. */
export const dma: Attack = {
  name: 'dma',
  summary: 'have a device read and write the guest’s pages',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const junk = new Uint8Array(ARM_PAGE_SIZE).fill(0x55);
      for (const gfn of [hv.target, hv.partner]) hv.dma(hv.pageOf(gfn), junk);
    },
  }),
};
