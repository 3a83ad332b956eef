/** Binary interchange formats of IEEE 754-2008 (3.4), and numbers of them taken apart. */

export interface Format {
  /** Bits of the encoding. */
  readonly bits: number;
  /** Bits of the significand, with the one that is not stored. */
  readonly precision: number;
  readonly minExponent: number;
  readonly maxExponent: number;
  /** Exponent of the last place of the smallest numbers. */
  readonly lowest: number;
  /** By how much an overflow or underflow that traps moves the exponent (IEEE 754-1985, 7.3, 7.4). */
  readonly adjustment: number;
  /** Whether the largest biased exponent stands for infinity and NaNs; where not, for finite numbers too. */
  readonly hasSpecials: boolean;
  readonly sign: bigint;
  /** Encoding of infinity; without specials one more than the largest number's. */
  readonly infinity: bigint;
  /** The bit that makes a NaN quiet. */
  readonly quiet: bigint;
  /** Stored bits of the significand, and their mask. */
  readonly fractionBits: bigint;
  readonly fraction: bigint;
  /** The format whose encoding holds the numbers: itself but for `heldIn`. */
  readonly encoding: Format;
}

type Parameters = Pick<Format, 'bits' | 'precision' | 'hasSpecials'>;

class InterchangeFormat implements Format {
  readonly bits: number;
  readonly precision: number;
  readonly minExponent: number;
  readonly maxExponent: number;
  readonly lowest: number;
  readonly adjustment: number;
  readonly hasSpecials: boolean;
  readonly sign: bigint;
  readonly infinity: bigint;
  readonly quiet: bigint;
  readonly fractionBits: bigint;
  readonly fraction: bigint;
  readonly encoding: Format = this;

  constructor({ bits, precision, hasSpecials }: Parameters) {
    const exponentBits = bits - precision;
    const bias = 2 ** (exponentBits - 1) - 1;
    this.bits = bits;
    this.precision = precision;
    this.hasSpecials = hasSpecials;
    this.minExponent = 1 - bias;
    this.maxExponent = hasSpecials ? bias : bias + 1;
    this.lowest = this.minExponent - (precision - 1);
    this.adjustment = 3 * 2 ** (exponentBits - 2);
    this.fractionBits = BigInt(precision - 1);
    this.fraction = (1n << this.fractionBits) - 1n;
    this.sign = 1n << BigInt(bits - 1);
    this.infinity = BigInt(hasSpecials ? 2 * bias + 1 : 2 * bias + 2) << this.fractionBits;
    this.quiet = 1n << (this.fractionBits - 1n);
  }
}

export const HALF: Format = new InterchangeFormat({ bits: 16, precision: 11, hasSpecials: true });
/** Half precision that has numbers up to 131008 in the place of infinity and NaNs (Arm ARM, A1.4.2: alternative half-precision). */
export const ALTERNATIVE_HALF: Format = new InterchangeFormat({ bits: 16, precision: 11, hasSpecials: false });
export const SINGLE: Format = new InterchangeFormat({ bits: 32, precision: 24, hasSpecials: true });
export const DOUBLE: Format = new InterchangeFormat({ bits: 64, precision: 53, hasSpecials: true });
export const QUAD: Format = new InterchangeFormat({ bits: 128, precision: 113, hasSpecials: true });

/** Precision and range of one format in the encoding of a longer one, as registers that know only that one hold it. */
export const heldIn = (format: Format, encoding: Format): Format => ({ ...format, encoding });

/** A number taken apart: `magnitude * 2^exponent` where it is finite. */
export interface Unpacked {
  readonly kind: 'zero' | 'finite' | 'infinity' | 'quiet' | 'signalling';
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly exponent: number;
  /** The encoding, and the format that it is one of. */
  readonly bits: bigint;
  readonly format: Format;
}

/** Takes a number apart; `bits` are no more than the format's. */
export function unpack(bits: bigint, format: Format): Unpacked {
  const negative = (bits & format.sign) !== 0n;
  const size = negative ? bits ^ format.sign : bits;
  const fraction = size & format.fraction;
  const number = (kind: Unpacked['kind'], magnitude: bigint, exponent: number): Unpacked => ({
    kind,
    negative,
    magnitude,
    exponent,
    bits,
    format,
  });
  if (size >= format.infinity) {
    const kind = fraction === 0n ? 'infinity' : (fraction & format.quiet) !== 0n ? 'quiet' : 'signalling';
    return number(kind, 0n, 0);
  }
  const biased = Number(size >> format.fractionBits);
  if (biased === 0) return number(fraction === 0n ? 'zero' : 'finite', fraction, format.lowest);
  return number('finite', fraction | (format.fraction + 1n), format.lowest + biased - 1);
}

export const isNan = ({ kind }: Unpacked): boolean => kind === 'quiet' || kind === 'signalling';
/** Whether it is below the smallest normal number of its format, and not 0. */
export const isDenormal = (v: Unpacked): boolean => v.kind === 'finite' && v.magnitude <= v.format.fraction;

/** The operand with its sign changed; a NaN stays as it is. */
export const negated = (v: Unpacked): Unpacked =>
  isNan(v) ? v : { ...v, negative: !v.negative, bits: v.bits ^ v.format.sign };

export const zero = (negative: boolean, { encoding }: Format): bigint => (negative ? encoding.sign : 0n);
export const infinity = (negative: boolean, { encoding }: Format): bigint =>
  negative ? encoding.sign | encoding.infinity : encoding.infinity;
/** The quiet NaN without sign and payload. */
export const defaultNan = ({ encoding }: Format): bigint => encoding.infinity | encoding.quiet;

/** Bits of a magnitude, 0 for 0. */
export function bitLength(v: bigint): number {
  if (v === 0n) return 0;
  const digits = v.toString(16);
  return digits.length * 4 - Math.clz32(Number.parseInt(digits[0] as string, 16)) + 28;
}

/** Encodes `magnitude * 2^exponent`, which the format's encoding must have. */
export function pack(negative: boolean, magnitude: bigint, exponent: number, { encoding }: Format): bigint {
  const sign = zero(negative, encoding);
  if (magnitude === 0n) return sign;
  const length = bitLength(magnitude);
  const top = exponent + length - 1;
  if (top < encoding.minExponent) {
    const up = exponent - encoding.lowest;
    return sign | (up >= 0 ? magnitude << BigInt(up) : magnitude >> BigInt(-up));
  }
  const up = encoding.precision - length;
  const significand = up >= 0 ? magnitude << BigInt(up) : magnitude >> BigInt(-up);
  const biased = BigInt(top - encoding.minExponent + 1);
  return sign | (biased << encoding.fractionBits) | (significand & encoding.fraction);
}

/** The NaN of another format with the sign and the upper payload of this one, quieted. */
export function carriedNan(v: Unpacked, format: Format): bigint {
  const fraction = v.bits & v.format.fraction;
  const moved = move(move(fraction, v.format, format), format, format.encoding);
  return infinity(v.negative, format) | format.encoding.quiet | moved;
}

function move(fraction: bigint, from: Format, to: Format): bigint {
  const up = to.fractionBits - from.fractionBits;
  return up >= 0n ? fraction << up : fraction >> -up;
}
