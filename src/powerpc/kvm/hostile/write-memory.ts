import { UV_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Stores over the victim's page: where it is, all over secure memory, and in its ciphertext while it is out. */
export const writeMemory: Attack = {
  name: 'write-memory',
  summary: 'store over a page of the guest, secure memory, and the ciphertext of a page',
  begin: (hv) => {
    const junk = new Uint8Array(UV_PAGE_SIZE).fill(0x55);
    return {
      line(n) {
        if (n !== FIRST_LINE) return;
        const page = hv.pageOf(hv.target);
        if (page !== undefined) hv.store(page, junk);
        if (hv.secure !== null) for (const secure of hv.pagesOf(hv.secure)) hv.store(secure, junk);
        hv.takeOut(hv.target);
      },
      pagedOut(_gfn, page) {
        hv.store(page, junk.subarray(0, 1));
      },
    };
  },
};
