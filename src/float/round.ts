import { bitLength, type Format, infinity, pack, zero } from './format.ts';

/** Rounding directions. The first four are numbered as in Power's FPSCR[RN] and in the FPC; the last is IBM's "prepare for shorter precision". */
export const ROUND = { nearest: 0, zero: 1, up: 2, down: 3, nearestAway: 4, odd: 7 } as const;

/** What an operation raised: the five exceptions of IEEE 754-2008 (7), invalid operations by their cause. */
export const EXCEPTION = {
  inexact: 0x001,
  underflow: 0x002,
  overflow: 0x004,
  divideByZero: 0x008,
  signallingNan: 0x010,
  infinityMinusInfinity: 0x020,
  infinityByInfinity: 0x040,
  zeroByZero: 0x080,
  zeroTimesInfinity: 0x100,
  negativeRoot: 0x200,
  /** A number that the format converted to does not have. */
  unrepresentable: 0x400,
} as const;
/** All causes of an invalid operation. */
export const INVALID = 0x7f0;

/** What rounding depends on. */
export interface Control {
  /** Of `ROUND`. */
  readonly rounding: number;
  /** An overflow or underflow that traps delivers the result with its exponent moved; default: not so. */
  readonly overflowTraps?: boolean;
  readonly underflowTraps?: boolean;
  /** Tiny results become 0 and underflow, and count as exact (Arm's FPCR.FZ). */
  readonly flushesTiny?: boolean;
}

export interface Result {
  /** Encoded in the format's encoding. */
  readonly bits: bigint;
  /** Of `EXCEPTION`. */
  readonly exceptions: number;
  /** The magnitude was rounded up. */
  readonly incremented: boolean;
}

export const exact = (bits: bigint, exceptions = 0): Result => ({ bits, exceptions, incremented: false });

/** Whether a magnitude is rounded up. `half`: comparison of what is discarded with half of the last place. */
function roundsUp(rounding: number, negative: boolean, odd: boolean, half: number): boolean {
  switch (rounding) {
    case ROUND.nearest:
      return half > 0 || (half === 0 && odd);
    case ROUND.nearestAway:
      return half >= 0;
    case ROUND.up:
      return !negative;
    case ROUND.down:
      return negative;
    case ROUND.odd:
      return !odd;
    default:
      return false;
  }
}

export interface Cut {
  readonly kept: bigint;
  readonly inexact: boolean;
  /** It was incremented. */
  readonly up: boolean;
}

/** `magnitude * 2^exponent` cut to a multiple of `2^lowest`: the multiple. */
export function cut(magnitude: bigint, exponent: number, lowest: number, rounding: number, negative: boolean): Cut {
  const shift = lowest - exponent;
  if (shift <= 0) return { kept: magnitude << BigInt(-shift), inexact: false, up: false };
  const by = BigInt(shift);
  const kept = magnitude >> by;
  const rest = magnitude - (kept << by);
  if (rest === 0n) return { kept, inexact: false, up: false };
  const middle = 1n << (by - 1n);
  const up = roundsUp(rounding, negative, (kept & 1n) === 1n, rest > middle ? 1 : rest === middle ? 0 : -1);
  return { kept: up ? kept + 1n : kept, inexact: true, up };
}

const largest = (negative: boolean, f: Format): bigint =>
  pack(negative, (1n << BigInt(f.precision)) - 1n, f.maxExponent - (f.precision - 1), f);

/**
 * Rounds `magnitude * 2^exponent`, not 0. A magnitude whose value goes on behind its last bit must have that bit set and be longer than the
 * format by at least two bits. Tininess is found before rounding, as all of our architectures do.
 */
export function round(negative: boolean, magnitude: bigint, exponent: number, f: Format, control: Control): Result {
  const { rounding } = control;
  const top = exponent + bitLength(magnitude) - 1;
  const tiny = top < f.minExponent;
  if (tiny && control.flushesTiny === true) return exact(zero(negative, f), EXCEPTION.underflow);
  const scaled = tiny && control.underflowTraps === true;
  const lowest = (tiny && !scaled ? f.minExponent : top) - (f.precision - 1);
  const { kept, inexact, up } = cut(magnitude, exponent, lowest, rounding, negative);
  const exceptions = inexact ? EXCEPTION.inexact : 0;
  const packed = (by: number, more: number): Result => ({
    bits: pack(negative, kept, lowest + by, f),
    exceptions: exceptions | more,
    incremented: up,
  });
  if (scaled) return packed(f.adjustment, EXCEPTION.underflow);
  if (lowest + bitLength(kept) - 1 <= f.maxExponent) return packed(0, tiny && inexact ? EXCEPTION.underflow : 0);
  if (!f.hasSpecials) return exact(largest(negative, f), EXCEPTION.unrepresentable);
  if (control.overflowTraps === true) return packed(-f.adjustment, EXCEPTION.overflow);
  const incremented = rounding !== ROUND.odd && roundsUp(rounding, negative, false, 1);
  const bits = incremented ? infinity(negative, f) : largest(negative, f);
  return { bits, exceptions: EXCEPTION.overflow | EXCEPTION.inexact, incremented };
}
