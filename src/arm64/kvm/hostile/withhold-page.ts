import { ESR, IFLAG } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

const JUNK = 0x5555_5555_5555_5555n;
/** How often an access to a page is answered in its place. */
const MOST_ANSWERS = 2;

/** Gives the guest no page for memory that it touches first, and plays a device there: keeps what it stores, and answers what it loads. */
export const withholdPage: Attack = {
  name: 'withhold-page',
  summary: 'play a device where the guest’s memory should be',
  begin: (hv) => {
    let begun = false;
    const answers = new Map<number, number>();
    return {
      line(n) {
        begun ||= n >= FIRST_LINE;
      },
      pageFor(gfn, page, { vm, struct }) {
        const answered = answers.get(gfn) ?? 0;
        if (!begun || vm !== hv.victim || answered === MOST_ANSWERS) return page;
        answers.set(gfn, answered + 1);
        const esr = struct.state('esr');
        const register = vm.isolated ? 0 : Number((esr >> ESR.srtShift) & 31n);
        if ((esr & ESR.WnR) !== 0n) hv.keep([struct.x(register % 31)]);
        else struct.setX(register % 31, JUNK);
        struct.setState('flags', IFLAG.incrementPc);
        hv.did('withholding a page');
        return null;
      },
    };
  },
};
