import { MSR, SPR, VECTOR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Interrupts that MSR[EE]=0 holds off. */
const MASKED = [VECTOR.EXTERNAL, VECTOR.DECREMENTER, VECTOR.PRIVILEGED_DOORBELL];

/** Gives the guest interrupts that it has masked, one after each line. */
export const injectMasked: Attack = {
  name: 'inject-masked',
  summary: 'inject interrupts while the guest has MSR[EE]=0',
  begin: (hv) => ({
    entering(line, stub) {
      const vector = line === undefined ? undefined : MASKED[line - FIRST_LINE];
      if (vector === undefined) return;
      const { port } = hv;
      if (stub === 'hrfid') {
        port.setSpr(SPR.SRR0, port.spr(SPR.HSRR0));
        port.setSpr(SPR.SRR1, port.spr(SPR.HSRR1));
      } else port.setGpr(2, 0n);
      port.setSpr(SPR.HSRR0, vector);
      port.setSpr(SPR.HSRR1, MSR.SF | MSR.ME | (hv.victim.lpcr === 0n ? 0n : MSR.LE));
      hv.did('injecting an interrupt');
    },
  }),
};
