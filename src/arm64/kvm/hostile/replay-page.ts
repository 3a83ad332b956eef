import { ARM_PAGE_SIZE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Keeps what a page holds, and stores it back two lines later. */
export const replayPage: Attack = {
  name: 'replay-page',
  summary: 'give a page contents that it had before',
  begin: (hv) => {
    let kept: Uint8Array | null = null;
    return {
      line(n) {
        if (n === FIRST_LINE) kept = hv.take(hv.pageOf(hv.partner));
        if (n === FIRST_LINE + 2) hv.store(hv.pageOf(hv.partner), kept ?? new Uint8Array(ARM_PAGE_SIZE));
      },
    };
  },
};
