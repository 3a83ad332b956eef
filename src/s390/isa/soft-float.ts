/**
 * Binary floating point over exact integers: short, long and extended BFP with the results, exceptions and scaled results of the Principles of
 * Operation, chapter 19. Nothing here knows a CPU.
 */

export interface Format {
  readonly bits: 32 | 64 | 128;
  /** Bits of the significand. */
  readonly precision: number;
  readonly maxExponent: number;
  /** By how much an enabled overflow or underflow moves the exponent. */
  readonly adjustment: number;
}

export const SHORT: Format = { bits: 32, precision: 24, maxExponent: 127, adjustment: 192 };
export const LONG: Format = { bits: 64, precision: 53, maxExponent: 1023, adjustment: 1536 };
export const EXTENDED: Format = { bits: 128, precision: 113, maxExponent: 16383, adjustment: 24576 };

/** Exceptions, as the flags byte of the FPC, its mask byte and the data exception code have them. */
export const IEEE = { invalid: 0x80, divide: 0x40, overflow: 0x20, underflow: 0x10, inexact: 0x08 } as const;

export const ROUND = { nearest: 0, zero: 1, up: 2, down: 3, nearestAway: 4, odd: 7 } as const;

/** A number taken apart: `magnitude * 2^exponent` where it is finite. */
export interface Unpacked {
  readonly kind: 'zero' | 'finite' | 'infinity' | 'quiet' | 'signalling';
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly exponent: number;
  readonly bits: bigint;
  readonly format: Format;
}

/** What rounding depends on. */
export interface Control {
  readonly rounding: number;
  /** Mask byte of the FPC: exceptions that interrupt. */
  readonly enabled: number;
}

export interface Result {
  readonly bits: bigint;
  /** `IEEE` exceptions raised. */
  readonly exceptions: number;
  /** The magnitude was rounded up. */
  readonly incremented: boolean;
}

const fractionBits = ({ precision }: Format): bigint => BigInt(precision - 1);
const signBit = ({ bits }: Format): bigint => 1n << BigInt(bits - 1);
const infinityBits = (f: Format): bigint => BigInt(2 * f.maxExponent + 1) << fractionBits(f);
const quietBit = (f: Format): bigint => 1n << (fractionBits(f) - 1n);

export function unpack(bits: bigint, format: Format): Unpacked {
  const negative = (bits & signBit(format)) !== 0n;
  const width = fractionBits(format);
  const fraction = bits & ((1n << width) - 1n);
  const biased = Number((bits & ~signBit(format)) >> width);
  const base = { negative, bits, format };
  if (biased === 2 * format.maxExponent + 1) {
    const kind = fraction === 0n ? 'infinity' : (fraction & quietBit(format)) !== 0n ? 'quiet' : 'signalling';
    return { ...base, kind, magnitude: 0n, exponent: 0 };
  }
  const lowest = 1 - format.maxExponent - (format.precision - 1);
  if (biased === 0)
    return { ...base, kind: fraction === 0n ? 'zero' : 'finite', magnitude: fraction, exponent: lowest };
  return { ...base, kind: 'finite', magnitude: fraction | (1n << width), exponent: lowest + biased - 1 };
}

export const isNan = ({ kind }: Unpacked): boolean => kind === 'quiet' || kind === 'signalling';
const zeroOf = (negative: boolean, f: Format): bigint => (negative ? signBit(f) : 0n);
const infinityOf = (negative: boolean, f: Format): bigint => zeroOf(negative, f) | infinityBits(f);
export const exact = (bits: bigint, exceptions = 0): Result => ({ bits, exceptions, incremented: false });
const invalid = (f: Format): Result => exact(infinityBits(f) | quietBit(f), IEEE.invalid);

function bitLength(v: bigint): number {
  return v === 0n ? 0 : v.toString(2).length;
}

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

interface Cut {
  readonly kept: bigint;
  readonly inexact: boolean;
  readonly up: boolean;
}

/** A magnitude cut to a multiple of `2^lowest`. */
function cut(magnitude: bigint, exponent: number, lowest: number, rounding: number, negative: boolean): Cut {
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

/** Bits of `magnitude * 2^exponent`, which the format must have. */
function pack(negative: boolean, magnitude: bigint, exponent: number, f: Format): bigint {
  if (magnitude === 0n) return zeroOf(negative, f);
  const lowest = 1 - f.maxExponent - (f.precision - 1);
  let [m, e] = [magnitude, exponent];
  while (bitLength(m) > f.precision) [m, e] = [m >> 1n, e + 1];
  const up = Math.min(f.precision - bitLength(m), e - lowest);
  [m, e] = [m << BigInt(up), e - up];
  const width = fractionBits(f);
  if (m >> width === 0n) return zeroOf(negative, f) | m;
  return zeroOf(negative, f) | (BigInt(e - lowest + 1) << width) | (m & ((1n << width) - 1n));
}

/**
 * Rounds `magnitude * 2^exponent`, not 0. A magnitude whose value goes on behind its last bit must have that bit set and be longer than the
 * format by at least two bits.
 */
export function round(negative: boolean, magnitude: bigint, exponent: number, f: Format, control: Control): Result {
  const { rounding, enabled } = control;
  const minExponent = 1 - f.maxExponent;
  const top = exponent + bitLength(magnitude) - 1;
  const tiny = top < minExponent;
  const scaled = tiny && (enabled & IEEE.underflow) !== 0;
  const lowest = (tiny && !scaled ? minExponent : top) - (f.precision - 1);
  const { kept, inexact, up } = cut(magnitude, exponent, lowest, rounding, negative);
  let exceptions: number = inexact ? IEEE.inexact : 0;
  if (scaled) {
    const bits = pack(negative, kept, lowest + f.adjustment, f);
    return { bits, exceptions: exceptions | IEEE.underflow, incremented: up };
  }
  if (tiny && inexact) exceptions |= IEEE.underflow;
  if (lowest + bitLength(kept) - 1 <= f.maxExponent) {
    return { bits: pack(negative, kept, lowest, f), exceptions, incremented: up };
  }
  exceptions |= IEEE.overflow;
  if ((enabled & IEEE.overflow) !== 0) {
    return { bits: pack(negative, kept, lowest - f.adjustment, f), exceptions, incremented: up };
  }
  const toInfinity = rounding !== ROUND.odd && roundsUp(rounding, negative, false, 1);
  const bits = toInfinity ? infinityOf(negative, f) : infinityOf(negative, f) - 1n;
  return { bits, exceptions: exceptions | IEEE.inexact, incremented: toInfinity };
}

/** The NaN that a result takes from its operands: the first signalling one, else the first, quieted. Null where there is none. */
function nanOf(operands: readonly Unpacked[]): Result | null {
  const signalling = operands.find(({ kind }) => kind === 'signalling');
  const nan = signalling ?? operands.find(isNan);
  if (nan === undefined) return null;
  return exact(nan.bits | quietBit(nan.format), signalling === undefined ? 0 : IEEE.invalid);
}

interface Signed {
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly exponent: number;
}

function sum(x: Signed, y: Signed, f: Format, control: Control): Result {
  const exponent = Math.min(x.exponent, y.exponent);
  const value = (v: Signed): bigint => {
    const m = v.magnitude << BigInt(v.exponent - exponent);
    return v.negative ? -m : m;
  };
  const total = value(x) + value(y);
  if (total !== 0n) return round(total < 0n, total < 0n ? -total : total, exponent, f, control);
  return exact(zeroOf(x.negative === y.negative ? x.negative : control.rounding === ROUND.down, f));
}

export function add(a: Unpacked, b: Unpacked, f: Format, control: Control): Result {
  const nan = nanOf([a, b]);
  if (nan !== null) return nan;
  if (a.kind === 'infinity') {
    return b.kind === 'infinity' && a.negative !== b.negative ? invalid(f) : exact(infinityOf(a.negative, f));
  }
  return b.kind === 'infinity' ? exact(infinityOf(b.negative, f)) : sum(a, b, f, control);
}

/** The operand with its sign changed; a NaN stays as it is. */
export const negated = (v: Unpacked): Unpacked =>
  isNan(v) ? v : { ...v, negative: !v.negative, bits: v.bits ^ signBit(v.format) };

export const subtract = (a: Unpacked, b: Unpacked, f: Format, control: Control): Result =>
  add(a, negated(b), f, control);

/** The product in a format that may be longer than the operands'. */
export function multiply(a: Unpacked, b: Unpacked, f: Format, control: Control): Result {
  const nan = nanOf([a, b]);
  if (nan !== null) return f === a.format ? nan : { ...widened(a, b, f), exceptions: nan.exceptions };
  const negative = a.negative !== b.negative;
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    return a.kind === 'zero' || b.kind === 'zero' ? invalid(f) : exact(infinityOf(negative, f));
  }
  if (a.kind === 'zero' || b.kind === 'zero') return exact(zeroOf(negative, f));
  return round(negative, a.magnitude * b.magnitude, a.exponent + b.exponent, f, control);
}

function widened(a: Unpacked, b: Unpacked, f: Format): Result {
  const nan = [a, b].find(({ kind }) => kind === 'signalling') ?? [a, b].find(isNan);
  return convert(nan as Unpacked, f, { rounding: 0, enabled: 0 });
}

export function divide(a: Unpacked, b: Unpacked, f: Format, control: Control): Result {
  const nan = nanOf([a, b]);
  if (nan !== null) return nan;
  const negative = a.negative !== b.negative;
  if (a.kind === 'infinity') return b.kind === 'infinity' ? invalid(f) : exact(infinityOf(negative, f));
  if (b.kind === 'infinity') return exact(zeroOf(negative, f));
  if (b.kind === 'zero') return a.kind === 'zero' ? invalid(f) : exact(infinityOf(negative, f), IEEE.divide);
  if (a.kind === 'zero') return exact(zeroOf(negative, f));
  const dividend = a.magnitude << 240n;
  const quotient = dividend / b.magnitude;
  const sticky = quotient * b.magnitude === dividend ? 0n : 1n;
  return round(negative, (quotient << 1n) | sticky, a.exponent - b.exponent - 241, f, control);
}

function integerRoot(v: bigint): bigint {
  let x = 1n << BigInt((bitLength(v) + 1) >> 1);
  for (;;) {
    const y = (x + v / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

export function squareRoot(b: Unpacked, f: Format, control: Control): Result {
  const nan = nanOf([b]);
  if (nan !== null) return nan;
  if (b.kind === 'zero') return exact(b.bits);
  if (b.negative) return invalid(f);
  if (b.kind === 'infinity') return exact(b.bits);
  const shift = 260 + (b.exponent & 1);
  const radicand = b.magnitude << BigInt(shift);
  const root = integerRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  return round(false, (root << 1n) | sticky, (b.exponent - shift) / 2 - 1, f, control);
}

/** b * c + a, rounded once. */
export function multiplyAdd(a: Unpacked, b: Unpacked, c: Unpacked, f: Format, control: Control): Result {
  const negative = b.negative !== c.negative;
  const zeroTimesInfinity =
    (b.kind === 'zero' && c.kind === 'infinity') || (b.kind === 'infinity' && c.kind === 'zero');
  const nan = nanOf([a, b, c]);
  if (nan !== null) return zeroTimesInfinity && a.kind === 'quiet' ? invalid(f) : nan;
  if (zeroTimesInfinity) return invalid(f);
  if (b.kind === 'infinity' || c.kind === 'infinity') {
    return a.kind === 'infinity' && a.negative !== negative ? invalid(f) : exact(infinityOf(negative, f));
  }
  if (a.kind === 'infinity') return exact(infinityOf(a.negative, f));
  return sum({ negative, magnitude: b.magnitude * c.magnitude, exponent: b.exponent + c.exponent }, a, f, control);
}

/** The same number in another format. */
export function convert(b: Unpacked, f: Format, control: Control): Result {
  if (isNan(b)) {
    const shift = f.precision - b.format.precision;
    const fraction = b.bits & ((1n << fractionBits(b.format)) - 1n);
    const moved = shift >= 0 ? fraction << BigInt(shift) : fraction >> BigInt(-shift);
    return exact(infinityOf(b.negative, f) | quietBit(f) | moved, b.kind === 'signalling' ? IEEE.invalid : 0);
  }
  if (b.kind === 'infinity') return exact(infinityOf(b.negative, f));
  if (b.kind === 'zero') return exact(zeroOf(b.negative, f));
  return round(b.negative, b.magnitude, b.exponent, f, control);
}

/** Rounded to an integer in the same format. */
export function toIntegral(b: Unpacked, f: Format, rounding: number): Result {
  const nan = nanOf([b]);
  if (nan !== null) return nan;
  if (b.kind !== 'finite' || b.exponent >= 0) return exact(b.bits);
  const { kept, inexact, up } = cut(b.magnitude, b.exponent, 0, rounding, b.negative);
  return { bits: pack(b.negative, kept, 0, f), exceptions: inexact ? IEEE.inexact : 0, incremented: up };
}

export function fromInteger(value: bigint, f: Format, control: Control): Result {
  return value === 0n ? exact(0n) : round(value < 0n, value < 0n ? -value : value, 0, f, control);
}

/** Conversion to an integer; what does not fit is invalid and saturates, and is inexact then if it is no NaN. `special`: condition code 3. */
export function toInteger(
  b: Unpacked,
  bits: 32 | 64,
  signed: boolean,
  rounding: number,
): Result & { readonly special: boolean } {
  const width = BigInt(bits);
  const min = signed ? -(1n << (width - 1n)) : 0n;
  const max = (1n << (signed ? width - 1n : width)) - 1n;
  const refuse = (value: bigint, inexact = 0): Result & { special: boolean } => ({
    ...exact(BigInt.asUintN(bits, value), IEEE.invalid | inexact),
    special: true,
  });
  if (isNan(b)) return refuse(min);
  if (b.kind === 'infinity') return refuse(b.negative ? min : max, IEEE.inexact);
  const { kept, inexact, up } = cut(b.magnitude, b.exponent, 0, rounding, b.negative);
  const value = b.negative ? -kept : kept;
  if (value < min || value > max) return refuse(value < min ? min : max, IEEE.inexact);
  return { bits: BigInt.asUintN(bits, value), exceptions: inexact ? IEEE.inexact : 0, incremented: up, special: false };
}

/** Condition code of a comparison: 0 equal, 1 low, 2 high, 3 unordered. */
export function compare(a: Unpacked, b: Unpacked): 0 | 1 | 2 | 3 {
  if (isNan(a) || isNan(b)) return 3;
  if (a.kind === 'zero' && b.kind === 'zero') return 0;
  const order = (v: Unpacked): bigint => {
    const magnitude = v.bits & ~signBit(v.format);
    return v.negative ? -magnitude : magnitude;
  };
  const [x, y] = [order(a), order(b)];
  return x === y ? 0 : x < y ? 1 : 2;
}

/** Condition code of a result: 0 zero, 1 less, 2 greater, 3 NaN. */
export function classOf(v: Unpacked): 0 | 1 | 2 | 3 {
  if (isNan(v)) return 3;
  return v.kind === 'zero' ? 0 : v.negative ? 1 : 2;
}

/** Bit of a number's data class, as TEST DATA CLASS selects it. */
export function dataClass(v: Unpacked): number {
  const normal = v.kind === 'finite' && v.magnitude >> fractionBits(v.format) !== 0n;
  const position =
    v.kind === 'zero'
      ? 0
      : v.kind === 'finite'
        ? normal
          ? 1
          : 2
        : v.kind === 'infinity'
          ? 3
          : v.kind === 'quiet'
            ? 4
            : 5;
  return 0x800 >> (2 * position + (v.negative ? 1 : 0));
}
