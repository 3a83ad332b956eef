import { PGM } from '../abi.ts';
import type { ControlWork } from './control-work.ts';
import type { ServiceAnswer } from './port.ts';

/** Bytes of a system-information block, and its alignment. */
const BLOCK = 4096;

/** Offsets in SYSIB 1.1.1 (Principles of Operation, "STORE SYSTEM INFORMATION"). */
const BASIC_MACHINE = { MANUFACTURER: 32, TYPE: 48, MODEL: 64, SEQUENCE: 80, PLANT: 96 } as const;

const EBCDIC_ZERO = 0xf0;
const EBCDIC_BLANK = 0x40;

/** Digits and upper-case letters in EBCDIC, padded with blanks. */
function ebcdic(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(EBCDIC_BLANK);
  for (const [at, letter] of Array.from(text).entries()) {
    const code = letter.charCodeAt(0);
    if (code >= 0x30 && code <= 0x39) bytes[at] = EBCDIC_ZERO + code - 0x30;
    else if (code <= 0x49) bytes[at] = 0xc1 + code - 0x41;
    else if (code <= 0x52) bytes[at] = 0xd1 + code - 0x4a;
    else bytes[at] = 0xe2 + code - 0x53;
  }
  return bytes;
}

function basicMachine(): Uint8Array {
  const block = new Uint8Array(BLOCK);
  block.set(ebcdic('CLOISTER', 16), BASIC_MACHINE.MANUFACTURER);
  block.set(ebcdic('2964', 4), BASIC_MACHINE.TYPE);
  block.set(ebcdic('A00', 16), BASIC_MACHINE.MODEL);
  block.set(ebcdic('0000000000000001', 16), BASIC_MACHINE.SEQUENCE);
  block.set(ebcdic('00', 4), BASIC_MACHINE.PLANT);
  return block;
}

/**
 * STSI (8.5): the level in register 0, and selectors in it and in register 1. There are 1.1.1, and 3.2.2 on a virtual machine.
 * @param virtualMachine SYSIB 3.2.2; null where the machine is no virtual machine
 */
export function storeSystemInformation(w: ControlWork, virtualMachine: Uint8Array | null): ServiceAnswer {
  const gr0 = w.gr32(0);
  const gr1 = w.gr32(1);
  const level = gr0 >>> 28;
  const current = virtualMachine === null ? 1 : 3;
  if (level > current) return 3;
  if (level !== 0 && ((gr0 & 0x0fffff00) !== 0 || (gr1 & 0xffff0000) !== 0)) return { program: PGM.SPECIFICATION };
  if (level === 0) {
    w.setGr32(0, current << 28);
    return 0;
  }
  const at = w.address(2);
  if ((at & BigInt(BLOCK - 1)) !== 0n) return { program: PGM.SPECIFICATION };
  const selectors = `${level}.${gr0 & 0xff}.${gr1 & 0xffff}`;
  const block = selectors === '1.1.1' ? basicMachine() : selectors === '3.2.2' ? virtualMachine : null;
  if (block === null) return 3;
  return w.write(at, block) ? 0 : 'fault';
}
