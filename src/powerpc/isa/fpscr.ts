import type { NanRules } from '../../float/arithmetic.ts';
import { DOUBLE, heldIn, isDenormal, isNan, SINGLE, type Unpacked, unpack } from '../../float/format.ts';
import { EXCEPTION } from '../../float/round.ts';

/** The floating point status and control register, and how results show in it (Power ISA 3.0B, book I, 4.2.2, 4.3, 4.4). */

/** Bits of the FPSCR (4.2.2), as they stand in the register. */
export const FPSCR = {
  FX: 0x80000000n,
  FEX: 0x40000000n,
  VX: 0x20000000n,
  OX: 0x10000000n,
  UX: 0x08000000n,
  ZX: 0x04000000n,
  XX: 0x02000000n,
  VXSNAN: 0x01000000n,
  VXISI: 0x00800000n,
  VXIDI: 0x00400000n,
  VXZDZ: 0x00200000n,
  VXIMZ: 0x00100000n,
  VXVC: 0x00080000n,
  FR: 0x00040000n,
  FI: 0x00020000n,
  FPRF: 0x0001f000n,
  FPCC: 0x0000f000n,
  VXSOFT: 0x00000400n,
  VXSQRT: 0x00000200n,
  VXCVI: 0x00000100n,
  VE: 0x00000080n,
  OE: 0x00000040n,
  UE: 0x00000020n,
  ZE: 0x00000010n,
  XE: 0x00000008n,
  RN: 0x00000003n,
  DRN: 0x700000000n,
  /** All causes of an invalid operation. */
  ALL_VX: 0x01f80700n,
} as const;

const FPSCR_OF: readonly (readonly [exception: number, bit: bigint])[] = [
  [EXCEPTION.inexact, FPSCR.XX],
  [EXCEPTION.underflow, FPSCR.UX],
  [EXCEPTION.overflow, FPSCR.OX],
  [EXCEPTION.divideByZero, FPSCR.ZX],
  [EXCEPTION.signallingNan, FPSCR.VXSNAN],
  [EXCEPTION.infinityMinusInfinity, FPSCR.VXISI],
  [EXCEPTION.infinityByInfinity, FPSCR.VXIDI],
  [EXCEPTION.zeroByZero, FPSCR.VXZDZ],
  [EXCEPTION.zeroTimesInfinity, FPSCR.VXIMZ],
  [EXCEPTION.negativeRoot, FPSCR.VXSQRT],
  [EXCEPTION.unrepresentable, FPSCR.VXCVI],
];

/** FPSCR bits of exceptions as `EXCEPTION` has them. */
export function fpscrOf(exceptions: number): bigint {
  let bits = 0n;
  for (const [exception, bit] of FPSCR_OF) if ((exceptions & exception) !== 0) bits |= bit;
  return bits;
}

/** The NaN of a result is the first among FRA, FRB, FRC (4.3.2). */
export const NAN_RULES: NanRules = { signallingFirst: false, fusedOrder: [0, 2, 1], nanBeforeInvalidProduct: true };

/** Single precision as registers hold it: in double format. */
export const SINGLE_IN_REGISTER = heldIn(SINGLE, DOUBLE);

/** FPRF of a result (4.2.2, figure "Floating-Point Result Flags"), in place. */
export function resultFlags(bits: bigint): bigint {
  return BigInt(resultClass(unpack(bits, DOUBLE))) << 12n;
}

function resultClass(v: Unpacked): number {
  if (isNan(v)) return 0b10001;
  if (v.kind === 'infinity') return v.negative ? 0b01001 : 0b00101;
  if (v.kind === 'zero') return v.negative ? 0b10010 : 0b00010;
  if (isDenormal(v)) return v.negative ? 0b11000 : 0b10100;
  return v.negative ? 0b01000 : 0b00100;
}
