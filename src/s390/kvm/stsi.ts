import { PGM } from '../abi.ts';
import type { ServiceAnswer, ServiceCall } from '../cpu/port.ts';

/** Function code of the current level: a virtual machine. */
const CURRENT_LEVEL = 3;

/** Bytes of a system-information block, and its alignment. */
const BLOCK = 4096;

/**
 * STSI of a guest (8.5). The level is told; of the levels only 3.2.2 has a block, which userspace made.
 * @param virtualMachine the block, null where there is none
 */
export function storeSystemInformation(call: ServiceCall, virtualMachine: Uint8Array | null): ServiceAnswer {
  const gr0 = Number(call.gr(0) & 0xffffffffn);
  const gr1 = Number(call.gr(1) & 0xffffffffn);
  const level = gr0 >>> 28;
  if (level > CURRENT_LEVEL) return 3;
  if ((gr0 & 0x0fffff00) !== 0 || (gr1 & 0xffff0000) !== 0) return { program: PGM.SPECIFICATION };
  if (level === 0) {
    call.setGr(0, (call.gr(0) & ~0xffffffffn) | (BigInt(CURRENT_LEVEL) << 28n));
    return 0;
  }
  if (call.address % BigInt(BLOCK) !== 0n) return { program: PGM.SPECIFICATION };
  const isKnown = level === CURRENT_LEVEL && (gr0 & 0xff) === 2 && (gr1 & 0xffff) === 2;
  if (!isKnown || virtualMachine === null) return 3;
  return call.write('operand', call.address, virtualMachine) ? 0 : 'fault';
}
