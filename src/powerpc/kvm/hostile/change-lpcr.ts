import { LPCR, SPR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Turns the large decrementer off under a guest that was given one, and has the guest's interrupts come in the other byte order. */
export const changeLpcr: Attack = {
  name: 'change-lpcr',
  summary: 'change LPCR under the guest: width of its decrementer, byte order of its interrupts',
  begin: (hv) => ({
    entering(line) {
      if (line === undefined || line < FIRST_LINE) return;
      const value = (hv.port.spr(SPR.LPCR) & ~LPCR.LD) ^ LPCR.ILE;
      hv.plant([{ name: 'LPCR', value, set: (lpcr) => hv.port.setSpr(SPR.LPCR, lpcr) }]);
    },
  }),
};
