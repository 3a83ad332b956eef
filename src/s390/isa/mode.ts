import type { Mode } from '../../engine/semantics.ts';
import { CR0, PSW } from '../abi.ts';

/** What generated code depends on. */
export interface S390Mode extends Mode {
  /** Bits of an address: addresses are cut to it, and branch-and-link instructions save what goes with it (Principles of Operation, "Addressing Mode"). */
  readonly addressBits: 24 | 31 | 64;
  /** The PSW's fixed-point-overflow mask: signed overflow ends in a program interruption. */
  readonly fixedOverflow: boolean;
  /** CR0[AFP]: without it BFP instructions and most FPRs cause data exceptions. */
  readonly afp: boolean;
  /** Access-register mode: the AR of a base register tells the address space of an operand. */
  readonly accessRegisters: boolean;
}

/** Bits of a mode key. The two lowest are the PSW's EA and BA. */
const KEY = { BA: 1, EA: 2, FIXED_OVERFLOW: 4, AFP: 8, ACCESS_REGISTERS: 16 } as const;

const MODES: readonly S390Mode[] = Array.from({ length: 32 }, (_, key) => ({
  key,
  instructionsBigEndian: true,
  dataBigEndian: true,
  addressBits: (key & KEY.EA) !== 0 ? 64 : (key & KEY.BA) !== 0 ? 31 : 24,
  fixedOverflow: (key & KEY.FIXED_OVERFLOW) !== 0,
  afp: (key & KEY.AFP) !== 0,
  accessRegisters: (key & KEY.ACCESS_REGISTERS) !== 0,
}));

/** Bits of the PSW mask that a mode depends on: whoever changes one of them, or CR0[AFP], must set the context's mode anew. */
export const PSW_MODE_BITS = PSW.EA | PSW.BA | PSW.FIXED_OVERFLOW | PSW.AS | PSW.DAT;

/**
 * The mode that code runs in. EA without BA is no legal PSW, and is taken as 64-bit.
 * @param psw first doubleword of the PSW
 * @param cr0 control register 0
 */
export function modeOf(psw: bigint, cr0: bigint): S390Mode {
  let key = Number((psw >> 31n) & 3n);
  if (key === KEY.EA) key |= KEY.BA;
  if ((psw & PSW.FIXED_OVERFLOW) !== 0n) key |= KEY.FIXED_OVERFLOW;
  if ((cr0 & CR0.AFP) !== 0n) key |= KEY.AFP;
  if ((psw & (PSW.DAT | PSW.AS)) === (PSW.DAT | 0x0000400000000000n)) key |= KEY.ACCESS_REGISTERS;
  return MODES[key] as S390Mode;
}
