import { type GuestPhysical, gfnOf, HCALL, VECTOR } from '../../abi.ts';
import { GuestFault } from '../guest-memory.ts';
import type { Attack } from './attack.ts';

const HEADER_BYTES = 12;
/** Arguments and results that an argument block has room for, and as many words behind it. */
const WORDS = 32;

/**
 * Answers an RTAS call with more results than the guest made room for: says so in the block after the call was made, and fills all of it
 * (power-pef.md 10.3 #69).
 */
export const rtasAnswer: Attack = {
  name: 'rtas-answer',
  summary: 'answer RTAS with more words than the guest asked for, and other counts in the header',
  begin: (hv) => {
    let block: bigint | undefined;
    return {
      exited({ info }) {
        const call = info.vector === VECTOR.SYSTEM_CALL && hv.port.gpr(3) === BigInt(HCALL.H_RTAS);
        block = call ? hv.port.gpr(4) : undefined;
      },
      entering() {
        if (block === undefined) return;
        const words = new Uint8Array(4 * WORDS - 4).fill(0x41);
        words.set(Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 15));
        try {
          const { memory } = hv.kvm;
          const argument = memory.read(hv.victim, block + BigInt(HEADER_BYTES), 4);
          words.set(argument, HEADER_BYTES - 4);
          memory.write(hv.victim, block + 4n, words);
          hv.answered.push(gfnOf(Number(block) as GuestPhysical));
          hv.did('answering RTAS');
        } catch (error) {
          if (!(error instanceof GuestFault)) throw error;
        }
        block = undefined;
      },
    };
  },
};
