import { MSR, SPR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

const JUNK = 0x5555_5555_5555_5555n;
const STACK_POINTER = 1;
/** What UV_RETURN itself is made of: the answer, the image of SRR1, the number of the call, and the cookie. */
const OF_THE_CALL: ReadonlySet<number> = new Set([0, 2, 3, 31]);
const SPRS = [
  ...[SPR.LR, SPR.CTR, SPR.XER, SPR.SRR0, SPR.SRR1, SPR.SPRG0, SPR.DSCR, SPR.TAR, SPR.VRSAVE, SPR.AMR, SPR.IAMR],
  ...[SPR.EBBHR, SPR.EBBRR, SPR.MMCR1, SPR.MMCR2, SPR.PMC1, SPR.FSCR, SPR.DAR, SPR.DSISR],
];

/**
 * Changes every register that a hypercall does not return, at the hypercall's return. A guest that finds its stack pointer again goes on and uses
 * the rest, so that one stays.
 */
export const changeRegisters: Attack = {
  name: 'change-registers',
  summary: 'change registers that the hypercall does not return',
  begin: (hv) => ({
    entering(line, stub) {
      if (line !== FIRST_LINE) return;
      const { port } = hv;
      for (let n = 0; n < 32; n++) {
        if (n !== STACK_POINTER && !OF_THE_CALL.has(n)) port.setGpr(n, JUNK);
        port.setFpr(n, JUNK);
      }
      if (stub === 'hrfid') for (const n of OF_THE_CALL) port.setGpr(n, JUNK);
      port.setFpscr(JUNK & 3n);
      port.setCr(Number(JUNK & 0xffffffffn));
      for (const spr of SPRS) hv.port.setSpr(spr, port.spr(spr) ^ JUNK);
      port.setSpr(SPR.HSRR1, port.spr(SPR.HSRR1) ^ MSR.RI);
      hv.did('changing registers');
    },
  }),
};
