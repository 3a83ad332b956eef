import { PGM, PSW } from '../abi.ts';
import type { Control, ControlAnswer, Controls, ControlWork } from './control-work.ts';

/** PSW bits of the addressing modes, by the bits that addresses have. */
const MODE = { 24: 0n, 31: PSW.BA, 64: PSW.EA | PSW.BA } as const;
/** What TAM says of a mode. */
const TAM_CODE = { 24: 0, 31: 1, 64: 3 } as const;

type AddressBits = keyof typeof MODE;

/** Bit 32 of a register, which is the mode where bit 63 is 0. */
const BASIC = 1n << 31n;
const LOW_32 = 0xffffffffn;
const HIGH_32 = 0xffffffff00000000n;

const modeOf = ({ core }: ControlWork): AddressBits => core.context.mode.addressBits;
const masked = (mask: bigint, bits: AddressBits): bigint => (mask & ~MODE[64]) | MODE[bits];

/** SAM24, SAM31, SAM64: an instruction that lies where the new mode does not reach is a specification exception. */
const set =
  (bits: AddressBits): Control =>
  ({ core }) => {
    if (core.context.pc >> BigInt(bits) !== 0n) return { program: PGM.SPECIFICATION };
    core.setMask(masked(core.pswMask, bits));
    return 'done';
  };

/** Goes to where a register says, in the mode that it says. Register 0: neither. */
function branch({ core }: ControlWork, register: number, target: bigint): ControlAnswer {
  if (register === 0) return 'done';
  const bits = (target & 1n) !== 0n ? 64 : (target & BASIC) !== 0n ? 31 : 24;
  core.setPsw(masked(core.pswMask, bits), bits === 64 ? target & ~1n : BigInt.asUintN(bits, target));
  return 'moved';
}

/** Instructions about the addressing mode (Principles of Operation, chapter 7). */
export const CONTROL_MODE: Controls = {
  sam24: set(24),
  sam31: set(31),
  sam64: set(64),
  tam: (w) => TAM_CODE[modeOf(w)],
  bsm: (w) => {
    const [r1, r2] = [w.field('R1'), w.field('R2')];
    const target = w.gr(r2);
    const before = w.gr(r1);
    const bits = modeOf(w);
    if (r1 !== 0) w.setGr(r1, bits === 64 ? before | 1n : (before & ~BASIC) | (bits === 31 ? BASIC : 0n));
    return branch(w, r2, target);
  },
  bassm: (w) => {
    const [r1, r2] = [w.field('R1'), w.field('R2')];
    const target = w.gr(r2);
    const bits = modeOf(w);
    const next = BigInt.asUintN(bits, w.core.context.pc + BigInt(w.length));
    const link = bits === 31 ? next | BASIC : next;
    w.setGr(r1, bits === 64 ? next | 1n : (w.gr(r1) & HIGH_32) | (link & LOW_32));
    return branch(w, r2, target);
  },
};
