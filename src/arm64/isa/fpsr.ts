import type { NanRules } from '../../float/arithmetic.ts';
import { EXCEPTION, INVALID, ROUND } from '../../float/round.ts';

/** Floating point control and status (Arm ARM, C5.2.7, C5.2.8, A1.5). */

export const FPCR = {
  /** Alternative half-precision. */
  AHP: 1n << 26n,
  DN: 1n << 25n,
  FZ: 1n << 24n,
  RMode: 3n << 22n,
  /** Bits that can be written: no exception can be made to trap, and half-precision arithmetic (FZ16) and FEAT_AFP (AH, FIZ, NEP) are not there. */
  WRITABLE: 0x07c0_0000n,
} as const;

export const FPSR = {
  QC: 1n << 27n,
  IDC: 1n << 7n,
  IXC: 1n << 4n,
  /** QC and the cumulative exception flags; without AArch32 there are no others. */
  WRITABLE: 0x0800_009fn,
} as const;

const FPSR_OF: readonly (readonly [exceptions: number, flag: bigint])[] = [
  [INVALID, 1n],
  [EXCEPTION.divideByZero, 2n],
  [EXCEPTION.overflow, 4n],
  [EXCEPTION.underflow, 8n],
  [EXCEPTION.inexact, FPSR.IXC],
];

/** FPSR flags of exceptions as `EXCEPTION` has them. */
export function fpsrOf(exceptions: number): bigint {
  let flags = 0n;
  for (const [those, flag] of FPSR_OF) if ((exceptions & those) !== 0) flags |= flag;
  return flags;
}

/** `ROUND` by FPCR.RMode. */
const ROUNDING = [ROUND.nearest, ROUND.up, ROUND.down, ROUND.zero] as const;
export const roundingOf = (fpcr: bigint): number => ROUNDING[Number((fpcr >> 22n) & 3n) as 0 | 1 | 2 | 3];

/** FPProcessNaNs, FPProcessNaNs3, FPMulAdd: the first signalling NaN, else the first NaN, the addend before the factors; FPCR.DN. */
export const nanRules = (fpcr: bigint): NanRules => ({
  signallingFirst: true,
  makesDefault: (fpcr & FPCR.DN) !== 0n,
  fusedOrder: [2, 0, 1],
  nanBeforeInvalidProduct: false,
});
