import { type Attack, FIRST_LINE } from './attack.ts';

const INSTRUCTION = 4n;
/** A plain guest that is never left alone with a check could run for ever. */
const LAST_LINE = FIRST_LINE + 1;

/** Has the guest go on behind the instruction where it should: a check left out. */
export const resumeElsewhere: Attack = {
  name: 'resume-elsewhere',
  summary: 'resume the guest at another address than where it stopped',
  begin: (hv) => ({
    entering(line, { struct }) {
      if (line === undefined || line < FIRST_LINE || line > LAST_LINE) return;
      struct.pc += INSTRUCTION;
      hv.did('resuming elsewhere');
    },
  }),
};
