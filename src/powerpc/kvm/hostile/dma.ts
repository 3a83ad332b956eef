import { UV_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Has a device read and write the guest's page, and all of secure memory. */
export const dma: Attack = {
  name: 'dma',
  summary: 'have a device read and write the guest’s page and secure memory',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const page = hv.pageOf(hv.target);
      const pages = [...(page === undefined ? [] : [page]), ...(hv.secure === null ? [] : hv.pagesOf(hv.secure))];
      const junk = new Uint8Array(UV_PAGE_SIZE).fill(0x55);
      for (const address of pages) hv.dma(address, junk);
    },
  }),
};
