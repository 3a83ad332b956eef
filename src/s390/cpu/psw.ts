import { PSW } from '../abi.ts';

/** A program-status word: its two doublewords, unsigned. The condition code is in its place. */
export interface Psw {
  readonly mask: bigint;
  readonly address: bigint;
}

/** Bits 0, 2 to 4, 12, 24 to 30 and 33 to 63 must be 0 (Principles of Operation, "Early Exception Recognition"). */
const UNASSIGNED = 0xb80800fe7fffffffn;
const SHORT_ADDRESS = 0x7fffffffn;

/** Whether a PSW is free of what is a specification exception as soon as it is loaded. An odd address is not: it is found at the fetch. */
export function isPswValid({ mask, address }: Psw): boolean {
  if ((mask & UNASSIGNED) !== 0n) return false;
  if ((mask & PSW.EA) !== 0n) return (mask & PSW.BA) !== 0n;
  return address >> ((mask & PSW.BA) !== 0n ? 31n : 24n) === 0n;
}

/** A short PSW, as LPSW and IPL load it, made long. @returns null where its bit 12 is 0 */
export function expandPsw(short: bigint): Psw | null {
  if ((short & PSW.SHORT) === 0n) return null;
  return { mask: (short & ~SHORT_ADDRESS) ^ PSW.SHORT, address: short & SHORT_ADDRESS };
}

/** Waits for nothing: no interruption but restart can end it. */
export function isDisabledWait(mask: bigint): boolean {
  return (mask & PSW.WAIT) !== 0n && (mask & (PSW.IO | PSW.EXTERNAL | PSW.MACHINE_CHECK)) === 0n;
}
