import { MSR, SPR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

const JUNK = 0x5555_5555_5555_5555n;
const STACK_POINTER = 1;
/** What UV_RETURN itself is made of: the answer, the image of SRR1, the number of the call, and the cookie. */
const OF_THE_CALL: ReadonlySet<number> = new Set([0, 2, 3, 31]);
const SPRS = [
  ...(['LR', 'CTR', 'XER', 'SRR0', 'SRR1', 'SPRG0', 'DSCR', 'TAR', 'VRSAVE', 'AMR', 'IAMR'] as const),
  ...(['EBBHR', 'EBBRR', 'MMCR1', 'MMCR2', 'PMC1', 'FSCR', 'DAR', 'DSISR'] as const),
];
const FILE = Array.from({ length: 32 }, (_, n) => n);

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
      const isLeft = (n: number) => n === STACK_POINTER || (stub === 'ultracall' && OF_THE_CALL.has(n));
      hv.plant([
        ...FILE.filter((n) => !isLeft(n)).map((n) => ({
          name: `R${n}`,
          value: JUNK,
          set: (v: bigint) => port.setGpr(n, v),
        })),
        ...FILE.map((n) => ({ name: `F${n}`, value: JUNK, set: (v: bigint) => port.setFpr(n, v) })),
        { name: 'FPSCR', value: JUNK & 3n, set: (v) => port.setFpscr(v) },
        { name: 'CR', value: JUNK & 0xffffffffn, set: (v) => port.setCr(Number(v)) },
        ...SPRS.map((name) => ({
          name,
          value: port.spr(SPR[name]) ^ JUNK,
          set: (v: bigint) => port.setSpr(SPR[name], v),
        })),
      ]);
      port.setSpr(SPR.HSRR1, port.spr(SPR.HSRR1) ^ MSR.RI);
    },
  }),
};
