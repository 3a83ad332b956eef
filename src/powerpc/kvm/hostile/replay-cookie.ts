import { SPR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** All that an entry goes in with. */
interface Registers {
  readonly gpr: readonly bigint[];
  readonly hsrr0: bigint;
  readonly hsrr1: bigint;
}

const FILE = Array.from({ length: 32 }, (_, n) => n);

/** Enters the guest with the registers of the entry before: an old state of a normal VM, an old cookie to the Ultravisor (power-pef.md 10.3 #59). */
export const replayCookie: Attack = {
  name: 'replay-cookie',
  summary: 'enter the guest a second time with the registers, and the cookie, of the entry before',
  begin: (hv) => {
    let old: Registers | null = null;
    return {
      entering(line) {
        const { port } = hv;
        if (line === FIRST_LINE) {
          old = { gpr: FILE.map((n) => port.gpr(n)), hsrr0: port.spr(SPR.HSRR0), hsrr1: port.spr(SPR.HSRR1) };
        }
        if (line !== FIRST_LINE + 1 || old === null) return;
        for (const n of FILE) port.setGpr(n, old.gpr[n]);
        port.setSpr(SPR.HSRR0, old.hsrr0);
        port.setSpr(SPR.HSRR1, old.hsrr1);
        hv.did('changing registers');
      },
    };
  },
};
