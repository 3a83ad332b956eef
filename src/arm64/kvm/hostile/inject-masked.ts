import { HCR, RESET_PSTATE } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Vectors of IRQ, FIQ and SError from the guest's own level. */
const MASKED = [0x280n, 0x300n, 0x380n];
const INSTRUCTION = 4n;

/** Has the guest take interrupts that it has masked, one after each line; and one that the CPU would give it, if it were not masked. */
export const injectMasked: Attack = {
  name: 'inject-masked',
  summary: 'have the guest take interrupts while it has masked them',
  begin: (hv) => ({
    entering(line, { struct }) {
      const vector = line === undefined ? undefined : MASKED[line - FIRST_LINE];
      if (vector === undefined) return;
      struct.setRegister('ELR_EL1', struct.pc + INSTRUCTION);
      struct.setRegister('SPSR_EL1', struct.pstate);
      struct.pc = struct.register('VBAR_EL1') + vector;
      struct.pstate = RESET_PSTATE;
      // The instruction is done only where we do not say so: a protected guest's stays undone else.
      if (!hv.isProtected) struct.setState('flags', 0n);
      struct.setState('hcr', struct.state('hcr') | HCR.VSE);
      hv.did('injecting an interrupt');
    },
  }),
};
