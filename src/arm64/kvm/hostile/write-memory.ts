import { ARM_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Stores over the victim's page. */
export const writeMemory: Attack = {
  name: 'write-memory',
  summary: 'store over a page of the guest',
  begin: (hv) => ({
    line(n) {
      if (n === FIRST_LINE) hv.store(hv.pageOf(hv.target), new Uint8Array(ARM_PAGE_SIZE).fill(0x55));
    },
  }),
};
