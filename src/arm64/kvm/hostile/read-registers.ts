import { armHostTimer, ticksNow } from '../timers.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** So many ticks after a line the guest is in the middle of its work. */
const SHORT_TIME = 100n;

/** Keeps all registers at every exit, and at interrupts of the host's own timer in the middle of the guest's work. */
export const readRegisters: Attack = {
  name: 'read-registers',
  summary: 'read all registers at exits and in the middle of the guest’s work',
  begin: (hv) => {
    let begun = false;
    return {
      exited(vcpu) {
        if (begun) hv.takeRegisters(vcpu);
      },
      line(n) {
        const [vcpu] = hv.victim.vcpus;
        if (n < FIRST_LINE || vcpu === undefined) return;
        begun = true;
        hv.takeRegisters(vcpu);
      },
      entering(line) {
        if (begun && line !== undefined) armHostTimer(hv.port, ticksNow(hv.port) + SHORT_TIME);
      },
    };
  },
};
