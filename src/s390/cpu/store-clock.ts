import type { Core } from './core.ts';
import type { CpuAccess } from './cpu-access.ts';
import type { ServiceAnswer } from './port.ts';

/** Bytes that STCKE stores, and where the clock and the programmable field are in them. */
const EXTENDED = { bytes: 16, clock: 1, programmable: 14 } as const;

/** What is stored, again and again. */
const stored = new DataView(new ArrayBuffer(EXTENDED.bytes));
const extended = new Uint8Array(stored.buffer);
const basic = new Uint8Array(stored.buffer, 0, 8);

/** Second opcode byte of STCKE. */
const STCKE = 0x78;

/** STCK, STCKF and STCKE: the clock is always set, condition code 0. */
export function storeClock(core: Core, head: number, access: Pick<CpuAccess, 'write'>): ServiceAnswer {
  const base = (head >>> 12) & 15;
  const at = (base === 0 ? 0n : core.gr(base)) + BigInt(head & 0xfff);
  const address = BigInt.asUintN(core.context.mode.addressBits, at);
  const { clock, todProgrammable } = core.timers;
  const isExtended = ((head >>> 16) & 0xff) === STCKE;
  if (isExtended) {
    extended.fill(0);
    stored.setBigUint64(EXTENDED.clock, clock);
    stored.setUint16(EXTENDED.programmable, todProgrammable);
  } else stored.setBigUint64(0, clock);
  return access.write('operand', address, isExtended ? extended : basic) ? 0 : 'fault';
}
