import { SPR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

const INSTRUCTION = 4n;

/** Has the guest go on behind the instruction where it should: a check left out. */
export const resumeElsewhere: Attack = {
  name: 'resume-elsewhere',
  summary: 'resume the guest at another address than where it stopped',
  begin: (hv) => ({
    entering(line) {
      if (line === undefined || line < FIRST_LINE) return;
      hv.port.setSpr(SPR.HSRR0, hv.port.spr(SPR.HSRR0) + INSTRUCTION);
      hv.did('resuming elsewhere');
    },
  }),
};
