import { SPR } from '../../abi.ts';
import { SWITCHED_SPRS } from '../registers.ts';
import { type Attack, FIRST_LINE } from './attack.ts';
import type { Toolbox } from './toolbox.ts';

const FILE = Array.from({ length: 32 }, (_, n) => n);
const SPRS = [
  ...[SPR.LR, SPR.CTR, SPR.XER, SPR.SRR0, SPR.SRR1, SPR.HSRR0, SPR.HSRR1, SPR.HDAR, SPR.HDSISR, SPR.ASDR, SPR.HEIR],
  ...SWITCHED_SPRS,
];
/** So many ticks after a hypercall the guest is in the middle of its work. */
const SHORT_TIME = 20_000n;

/** Keeps all registers at hypercalls, and at interrupts that the hypervisor's own decrementer raises in the middle of the guest's work. */
export const readRegisters: Attack = {
  name: 'read-registers',
  summary: 'read all registers at hypercalls and in the middle of the guest’s work',
  begin: (hv) => {
    let begun = false;
    return {
      exited() {
        if (begun) readAll(hv);
      },
      line(n) {
        if (n < FIRST_LINE) return;
        begun = true;
        readAll(hv);
      },
      entering(line) {
        if (begun && line !== undefined) hv.port.setSpr(SPR.HDEC, SHORT_TIME);
      },
    };
  },
};

function readAll(hv: Toolbox): void {
  const { port } = hv;
  hv.takeRegisters([
    ...FILE.map((n) => port.gpr(n)),
    ...FILE.map((n) => port.fpr(n)),
    port.fpscr(),
    BigInt(port.cr()),
    ...SPRS.map((n) => port.spr(n)),
  ]);
}
