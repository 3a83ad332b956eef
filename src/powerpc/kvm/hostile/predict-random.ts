import { HCALL, VECTOR } from '../../abi.ts';
import type { Attack } from './attack.ts';

/** Knows the random numbers that it gave. */
export const predictRandom: Attack = {
  name: 'predict-random',
  summary: 'keep the numbers that it answers H_RANDOM with',
  begin: (hv) => {
    hv.awaited.push(HCALL.H_RANDOM);
    let asked = false;
    return {
      exited({ info }) {
        asked = info.vector === VECTOR.SYSTEM_CALL && hv.port.gpr(3) === BigInt(HCALL.H_RANDOM);
      },
      entering() {
        if (!asked) return;
        hv.takeRegisters([hv.port.gpr(4)]);
        hv.did('answering H_RANDOM');
        asked = false;
      },
    };
  },
};
