/**
 * IEEE 754 arithmetic over exact integers, with the flags, results and exponent adjustments of Power ISA 3.0B, book I, 4.3 and 4.4. Operands and
 * results are the bits of doubles: single precision values live in double format. Nothing here knows a CPU.
 */

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

/** Rounding modes, as in FPSCR[RN]. */
export const ROUND = { nearest: 0, zero: 1, up: 2, down: 3, nearestAway: 4 } as const;

/** A format that results are rounded to. */
export interface Format {
  /** Bits of the significand. */
  readonly precision: number;
  readonly minExponent: number;
  readonly maxExponent: number;
  /** By how much an enabled overflow or underflow moves the exponent (4.4.3, 4.4.4). */
  readonly adjustment: number;
}

export const DOUBLE: Format = { precision: 53, minExponent: -1022, maxExponent: 1023, adjustment: 1536 };
export const SINGLE: Format = { precision: 24, minExponent: -126, maxExponent: 127, adjustment: 192 };

/** What rounding depends on. */
export interface Control {
  readonly rounding: number;
  readonly overflowEnabled: boolean;
  readonly underflowEnabled: boolean;
}

/** A result with the exceptions it raised; `fi` and `fr` as the FPSCR has them. */
export interface Result {
  readonly bits: bigint;
  readonly exceptions: bigint;
  readonly fi: boolean;
  readonly fr: boolean;
}

/** A taken-apart double: `magnitude * 2^exponent` where it is finite. */
export interface Unpacked {
  readonly bits: bigint;
  readonly negative: boolean;
  readonly kind: 'zero' | 'finite' | 'infinity' | 'quiet' | 'signalling';
  readonly magnitude: bigint;
  readonly exponent: number;
}

export const QUIET_NAN = 0x7ff8000000000000n;
const SIGN = 1n << 63n;
const INFINITY = 0x7ff0000000000000n;
const QUIET_BIT = 1n << 51n;
const FRACTION = (1n << 52n) - 1n;
const MAX_DOUBLE = 0x7fefffffffffffffn;
const MAX_SINGLE = 0x47efffffe0000000n;

export function unpack(bits: bigint): Unpacked {
  const negative = bits >> 63n === 1n;
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & FRACTION;
  if (biased === 0x7ff) {
    const kind = fraction === 0n ? 'infinity' : (fraction & QUIET_BIT) !== 0n ? 'quiet' : 'signalling';
    return { bits, negative, kind, magnitude: 0n, exponent: 0 };
  }
  if (biased === 0) {
    return { bits, negative, kind: fraction === 0n ? 'zero' : 'finite', magnitude: fraction, exponent: -1074 };
  }
  return { bits, negative, kind: 'finite', magnitude: fraction | (1n << 52n), exponent: biased - 1075 };
}

export const isNan = (v: Unpacked): boolean => v.kind === 'quiet' || v.kind === 'signalling';
export const quieted = (bits: bigint): bigint => bits | QUIET_BIT;
export const zero = (negative: boolean): bigint => (negative ? SIGN : 0n);
export const infinity = (negative: boolean): bigint => (negative ? SIGN | INFINITY : INFINITY);

export function bitLength(v: bigint): number {
  if (v === 0n) return 0;
  const digits = v.toString(16);
  return digits.length * 4 - Math.clz32(Number.parseInt(digits[0] as string, 16)) + 28;
}

export const exact = (bits: bigint, exceptions = 0n): Result => ({ bits, exceptions, fi: false, fr: false });

/** Whether a magnitude with these discarded bits is rounded up. `half`: comparison of what is discarded with half of the last place. */
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
    default:
      return false;
  }
}

/** A magnitude cut to a multiple of `2^lowest`: the multiple, whether it was inexact and whether it was incremented. */
export function roundMagnitude(
  magnitude: bigint,
  exponent: number,
  lowest: number,
  rounding: number,
  negative: boolean,
): { readonly kept: bigint; readonly inexact: boolean; readonly up: boolean } {
  const shift = lowest - exponent;
  if (shift <= 0) return { kept: magnitude << BigInt(-shift), inexact: false, up: false };
  const by = BigInt(shift);
  const kept = magnitude >> by;
  const rest = magnitude - (kept << by);
  if (rest === 0n) return { kept, inexact: false, up: false };
  const middle = 1n << (by - 1n);
  const half = rest > middle ? 1 : rest === middle ? 0 : -1;
  const up = roundsUp(rounding, negative, (kept & 1n) === 1n, half);
  return { kept: up ? kept + 1n : kept, inexact: true, up };
}

/** Bits of `magnitude * 2^exponent`, which must be a double. */
function pack(negative: boolean, magnitude: bigint, exponent: number): bigint {
  const sign = zero(negative);
  if (magnitude === 0n) return sign;
  const top = exponent + bitLength(magnitude) - 1;
  if (top < -1022) return sign | (magnitude << BigInt(exponent + 1074));
  const shift = 52 - (bitLength(magnitude) - 1);
  const significand = shift >= 0 ? magnitude << BigInt(shift) : magnitude >> BigInt(-shift);
  return sign | (BigInt(top + 1023) << 52n) | (significand & FRACTION);
}

/**
 * Rounds `magnitude * 2^exponent`, not 0, to a format. A magnitude whose value goes on behind its last bit must have that bit set and be longer
 * than the format by at least two bits.
 */
export function round(
  negative: boolean,
  magnitude: bigint,
  exponent: number,
  format: Format,
  control: Control,
): Result {
  const { precision, minExponent, maxExponent, adjustment } = format;
  const top = exponent + bitLength(magnitude) - 1;
  // Tininess is detected before rounding (4.4.4).
  const tiny = top < minExponent;
  const scaled = tiny && control.underflowEnabled;
  const lowest = (tiny && !scaled ? minExponent : top) - (precision - 1);
  const { kept, inexact, up } = roundMagnitude(magnitude, exponent, lowest, control.rounding, negative);
  let exceptions = inexact ? FPSCR.XX : 0n;
  if (scaled)
    return { bits: pack(negative, kept, lowest + adjustment), exceptions: exceptions | FPSCR.UX, fi: inexact, fr: up };
  if (tiny && inexact) exceptions |= FPSCR.UX;
  if (lowest + bitLength(kept) - 1 <= maxExponent) {
    return { bits: pack(negative, kept, lowest), exceptions, fi: inexact, fr: up };
  }
  exceptions |= FPSCR.OX;
  if (control.overflowEnabled) {
    return { bits: pack(negative, kept, lowest - adjustment), exceptions, fi: inexact, fr: up };
  }
  const toInfinity = roundsUp(control.rounding, negative, false, 1);
  const largest = zero(negative) | (format === SINGLE ? MAX_SINGLE : MAX_DOUBLE);
  return { bits: toInfinity ? infinity(negative) : largest, exceptions: exceptions | FPSCR.XX, fi: true, fr: false };
}

/** The NaN among operands that a result takes, quieted, with VXSNAN where one signals; null where there is none. */
export function nanOf(operands: readonly Unpacked[]): Result | null {
  const signalling = operands.some((v) => v.kind === 'signalling');
  const nan = operands.find(isNan);
  return nan === undefined ? null : exact(quieted(nan.bits), signalling ? FPSCR.VXSNAN : 0n);
}

const invalid = (cause: bigint): Result => exact(QUIET_NAN, cause);

/** Exact sum of two finite numbers, rounded; a zero sum has the sign that the rounding mode gives it. */
function sum(x: Signed, y: Signed, format: Format, control: Control): Result {
  const exponent = Math.min(x.exponent, y.exponent);
  const value = (v: Signed): bigint => {
    const magnitude = v.magnitude << BigInt(v.exponent - exponent);
    return v.negative ? -magnitude : magnitude;
  };
  const total = value(x) + value(y);
  if (total === 0n) {
    const negative = x.negative === y.negative ? x.negative : control.rounding === ROUND.down;
    return exact(zero(negative));
  }
  return round(total < 0n, total < 0n ? -total : total, exponent, format, control);
}

interface Signed {
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly exponent: number;
}

export function add(a: Unpacked, b: Unpacked, format: Format, control: Control): Result {
  const nan = nanOf([a, b]);
  if (nan !== null) return nan;
  if (a.kind === 'infinity') {
    return b.kind === 'infinity' && a.negative !== b.negative ? invalid(FPSCR.VXISI) : exact(a.bits);
  }
  return b.kind === 'infinity' ? exact(b.bits) : sum(a, b, format, control);
}

/** The operand with its sign changed; a NaN stays as it is. */
export function negated(v: Unpacked): Unpacked {
  return isNan(v) ? v : { ...v, bits: v.bits ^ SIGN, negative: !v.negative };
}

export function multiply(a: Unpacked, b: Unpacked, format: Format, control: Control): Result {
  const nan = nanOf([a, b]);
  if (nan !== null) return nan;
  const negative = a.negative !== b.negative;
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    return a.kind === 'zero' || b.kind === 'zero' ? invalid(FPSCR.VXIMZ) : exact(infinity(negative));
  }
  if (a.kind === 'zero' || b.kind === 'zero') return exact(zero(negative));
  return round(negative, a.magnitude * b.magnitude, a.exponent + b.exponent, format, control);
}

export function divide(a: Unpacked, b: Unpacked, format: Format, control: Control): Result {
  const nan = nanOf([a, b]);
  if (nan !== null) return nan;
  const negative = a.negative !== b.negative;
  if (a.kind === 'infinity') return b.kind === 'infinity' ? invalid(FPSCR.VXIDI) : exact(infinity(negative));
  if (b.kind === 'infinity') return exact(zero(negative));
  if (b.kind === 'zero') return a.kind === 'zero' ? invalid(FPSCR.VXZDZ) : exact(infinity(negative), FPSCR.ZX);
  if (a.kind === 'zero') return exact(zero(negative));
  const dividend = a.magnitude << 120n;
  const quotient = dividend / b.magnitude;
  const sticky = quotient * b.magnitude === dividend ? 0n : 1n;
  return round(negative, (quotient << 1n) | sticky, a.exponent - b.exponent - 121, format, control);
}

function integerRoot(v: bigint): bigint {
  let x = 1n << BigInt((bitLength(v) + 1) >> 1);
  for (;;) {
    const y = (x + v / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

export function squareRoot(b: Unpacked, format: Format, control: Control): Result {
  const nan = nanOf([b]);
  if (nan !== null) return nan;
  if (b.kind === 'zero') return exact(b.bits);
  if (b.negative) return invalid(FPSCR.VXSQRT);
  if (b.kind === 'infinity') return exact(b.bits);
  const shift = 140 + (b.exponent & 1);
  const radicand = b.magnitude << BigInt(shift);
  const root = integerRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  return round(false, (root << 1n) | sticky, (b.exponent - shift) / 2 - 1, format, control);
}

/** a * c + b, rounded once. The NaN of a result is the first of a, b, c (4.3.2). */
export function multiplyAdd(a: Unpacked, c: Unpacked, b: Unpacked, format: Format, control: Control): Result {
  const negative = a.negative !== c.negative;
  const zeroTimesInfinity =
    (a.kind === 'zero' && c.kind === 'infinity') || (a.kind === 'infinity' && c.kind === 'zero');
  const nan = nanOf([a, b, c]);
  if (nan !== null) return zeroTimesInfinity ? { ...nan, exceptions: nan.exceptions | FPSCR.VXIMZ } : nan;
  if (zeroTimesInfinity) return invalid(FPSCR.VXIMZ);
  if (a.kind === 'infinity' || c.kind === 'infinity') {
    return b.kind === 'infinity' && b.negative !== negative ? invalid(FPSCR.VXISI) : exact(infinity(negative));
  }
  if (b.kind === 'infinity') return exact(b.bits);
  const product = { negative, magnitude: a.magnitude * c.magnitude, exponent: a.exponent + c.exponent };
  return sum(product, b, format, control);
}

/** Floating Round to Single-Precision (4.6.7.1). A NaN loses the low bits of its payload. */
export function roundToSingle(b: Unpacked, control: Control): Result {
  if (isNan(b)) {
    return exact(quieted(b.bits) & ~0x1fffffffn, b.kind === 'signalling' ? FPSCR.VXSNAN : 0n);
  }
  if (b.kind !== 'finite') return exact(b.bits);
  return round(b.negative, b.magnitude, b.exponent, SINGLE, control);
}

/** Rounds to an integral value in floating point format; never inexact (4.6.7.3). */
export function roundToIntegral(b: Unpacked, rounding: number): Result {
  const nan = nanOf([b]);
  if (nan !== null) return nan;
  if (b.kind !== 'finite' || b.exponent >= 0) return exact(b.bits);
  const { kept } = roundMagnitude(b.magnitude, b.exponent, 0, rounding, b.negative);
  return exact(pack(b.negative, kept, 0));
}

/** Conversion to an integer of 32 or 64 bits, saturated; the integer is in the low bits of the result (4.6.7.2). */
export function toInteger(b: Unpacked, bits: 32 | 64, signed: boolean, rounding: number): Result {
  const width = BigInt(bits);
  const min = signed ? -(1n << (width - 1n)) : 0n;
  const max = (1n << (signed ? width - 1n : width)) - 1n;
  const saturated = (value: bigint, extra = 0n): Result => exact(BigInt.asUintN(64, value), FPSCR.VXCVI | extra);
  // The upper half of a word is undefined: as QEMU leaves it.
  if (isNan(b)) return saturated(BigInt.asUintN(bits, min), b.kind === 'signalling' ? FPSCR.VXSNAN : 0n);
  if (b.kind === 'infinity') return saturated(b.negative ? min : max);
  if (b.kind === 'zero') return exact(0n);
  const { kept, inexact, up } = roundMagnitude(b.magnitude, b.exponent, 0, rounding, b.negative);
  const value = b.negative ? -kept : kept;
  if (value < min || value > max) return saturated(value < min ? min : max);
  return { bits: BigInt.asUintN(64, value), exceptions: inexact ? FPSCR.XX : 0n, fi: inexact, fr: up };
}

export function fromInteger(value: bigint, format: Format, control: Control): Result {
  if (value === 0n) return exact(0n);
  return round(value < 0n, value < 0n ? -value : value, 0, format, control);
}

/** FPRF of a result (4.2.2, figure "Floating-Point Result Flags"), in place. */
export function resultFlags(bits: bigint): bigint {
  const v = unpack(bits);
  const flags = (c: number): bigint => BigInt(c) << 12n;
  if (isNan(v)) return flags(0b10001);
  switch (v.kind) {
    case 'infinity':
      return flags(v.negative ? 0b01001 : 0b00101);
    case 'zero':
      return flags(v.negative ? 0b10010 : 0b00010);
    default: {
      const denormal = (v.bits & INFINITY) === 0n;
      if (denormal) return flags(v.negative ? 0b11000 : 0b10100);
      return flags(v.negative ? 0b01000 : 0b00100);
    }
  }
}

/** FPCC of a comparison, 4 bits: less, greater, equal, unordered. */
export function compare(a: Unpacked, b: Unpacked): number {
  if (isNan(a) || isNan(b)) return 1;
  if (a.kind === 'zero' && b.kind === 'zero') return 2;
  const x = ordered(a.bits);
  const y = ordered(b.bits);
  return x < y ? 8 : x > y ? 4 : 2;
}

/** A number that orders as the double does. */
function ordered(bits: bigint): bigint {
  return bits >> 63n === 1n ? -(bits & ~SIGN) : bits;
}
