import type { CpuContext } from '../../engine/cpu.ts';
import { add, divide, type Environment, multiply, multiplyAdd, squareRoot, subtract } from '../../float/arithmetic.ts';
import { compare, convert, fromInteger, type Relation, smallest, toInteger, toIntegral } from '../../float/convert.ts';
import { DOUBLE, type Format, isNan, negated, type Unpacked, unpack } from '../../float/format.ts';
import { EXCEPTION, exact, INVALID, type Result, ROUND } from '../../float/round.ts';
import { FPSCR, fpscrOf, NAN_RULES, resultFlags, SINGLE_IN_REGISTER } from './fpscr.ts';
import { setCr } from './helper-arithmetic.ts';
import type { PowerMode } from './mode.ts';
import { fpr, fpscr } from './state.ts';

/**
 * Floating point instructions done in TypeScript: what `HELPER.float` and `TRAP.softFloat` stand for. The definitions (`float.ts`) check
 * MSR[FP] first.
 */

/** Exception bits: what makes FX where it becomes 1. */
const EXCEPTIONS = FPSCR.OX | FPSCR.UX | FPSCR.ZX | FPSCR.XX | FPSCR.ALL_VX;
const SIGN = 1n << 63n;

type Context = CpuContext<PowerMode>;

const field = (word: number, shift: number): number => (word >>> shift) & 31;

function read(context: Context, n: number): bigint {
  return context.get64(fpr.slots[n] as (typeof fpr.slots)[number]);
}

function write(context: Context, n: number, value: bigint): void {
  context.set64(fpr.slots[n] as (typeof fpr.slots)[number], value);
}

/** The FPSCR with its summary bits VX and FEX as the other bits make them. */
export function summarized(value: bigint): bigint {
  let v = value & ~(FPSCR.VX | FPSCR.FEX);
  if ((v & FPSCR.ALL_VX) !== 0n) v |= FPSCR.VX;
  const enabled =
    ((v & FPSCR.VX) !== 0n && (v & FPSCR.VE) !== 0n) ||
    ((v & FPSCR.OX) !== 0n && (v & FPSCR.OE) !== 0n) ||
    ((v & FPSCR.UX) !== 0n && (v & FPSCR.UE) !== 0n) ||
    ((v & FPSCR.ZX) !== 0n && (v & FPSCR.ZE) !== 0n) ||
    ((v & FPSCR.XX) !== 0n && (v & FPSCR.XE) !== 0n);
  return enabled ? v | FPSCR.FEX : v;
}

/** Adds exceptions to the FPSCR: FX where one is new, and the summaries. */
function withExceptions(old: bigint, exceptions: bigint): bigint {
  const fresh = exceptions & ~old & EXCEPTIONS;
  return summarized(old | exceptions | (fresh !== 0n ? FPSCR.FX : 0n));
}

/** Those of the exceptions that are enabled. */
function enabledOf(exceptions: bigint, control: bigint): boolean {
  return (summarized(exceptions | (control & 0xf8n)) & FPSCR.FEX) !== 0n;
}

/** How FPRF follows from a result: its class, or for integers not at all unless the conversion was invalid, which counts as a NaN. */
type Flags = 'class' | 'integer';
const NAN_FLAGS = 0x11000n;

/**
 * Puts a result into FRT and its exceptions into the FPSCR.
 * @returns whether an enabled exception was raised
 */
function deliver(context: Context, target: number, result: Result, flags: Flags = 'class'): boolean {
  const old = context.get64(fpscr);
  const exceptions = fpscrOf(result.exceptions);
  let value = withExceptions(old & ~(FPSCR.FR | FPSCR.FI), exceptions);
  if ((result.exceptions & EXCEPTION.inexact) !== 0) value |= FPSCR.FI;
  // Undefined where an overflow that does not interrupt made the result (4.4.3).
  const replaced = (result.exceptions & EXCEPTION.overflow) !== 0 && (old & FPSCR.OE) === 0n;
  if (result.incremented && !replaced) value |= FPSCR.FR;
  const invalid = (result.exceptions & INVALID) !== 0;
  const suppressed =
    (invalid && (old & FPSCR.VE) !== 0n) || ((exceptions & FPSCR.ZX) !== 0n && (old & FPSCR.ZE) !== 0n);
  if (!suppressed) {
    write(context, target, result.bits);
    if (flags === 'class') value = (value & ~FPSCR.FPRF) | resultFlags(result.bits);
    else if (invalid) value = (value & ~FPSCR.FPRF) | NAN_FLAGS;
  }
  context.set64(fpscr, value);
  return enabledOf(exceptions, old);
}

/** CR1: a copy of FX, FEX, VX and OX, which Rc=1 asks for. */
function recordInCr1(context: Context): void {
  const top = Number((context.get64(fpscr) >> 28n) & 15n);
  setCr(context, 1, [top >> 3, (top >> 2) & 1, (top >> 1) & 1, top & 1]);
}

interface Operands {
  readonly a: Unpacked;
  readonly b: Unpacked;
  readonly c: Unpacked;
  readonly format: Format;
  readonly control: Environment;
}

/** Negated result of a multiply-add: not of a NaN, and with the exceptions of the sum (4.6.6.2). */
function negatedResult(result: Result): Result {
  return isNan(unpack(result.bits, DOUBLE)) ? result : { ...result, bits: result.bits ^ SIGN };
}

const ONE = unpack(0x3ff0000000000000n, DOUBLE);

/** A form, by extended opcode of 5 bits, under opcodes 59 (single) and 63 (double). */
const ARITHMETIC: Readonly<Record<number, (o: Operands) => Result>> = {
  18: ({ a, b, format, control }) => divide(a, b, format, control),
  20: ({ a, b, format, control }) => subtract(a, b, format, control),
  21: ({ a, b, format, control }) => add(a, b, format, control),
  22: ({ b, format, control }) => squareRoot(b, format, control),
  24: ({ b, format, control }) => reciprocal(b, format, control),
  25: ({ a, c, format, control }) => multiply(a, c, format, control),
  26: ({ b, format, control }) => reciprocalRoot(b, format, control),
  28: ({ a, b, c, format, control }) => multiplyAdd(a, c, negated(b), format, control),
  29: ({ a, b, c, format, control }) => multiplyAdd(a, c, b, format, control),
  30: ({ a, b, c, format, control }) => negatedResult(multiplyAdd(a, c, negated(b), format, control)),
  31: ({ a, b, c, format, control }) => negatedResult(multiplyAdd(a, c, b, format, control)),
};

/** An estimate may be better than asked for (4.6.6.1): it is the rounded quotient, as QEMU gives it. */
function reciprocal(b: Unpacked, format: Format, control: Environment): Result {
  return divide(ONE, b, format, control);
}

function reciprocalRoot(b: Unpacked, format: Format, control: Environment): Result {
  if (b.kind === 'zero' || isNan(b)) return divide(ONE, b, format, control);
  const root = squareRoot(b, DOUBLE, control);
  if ((root.exceptions & INVALID) !== 0) return root;
  const estimate = divide(ONE, unpack(root.bits, DOUBLE), format, control);
  return { ...estimate, exceptions: estimate.exceptions | root.exceptions };
}

type Converter = (b: Unpacked, rounding: number, control: Environment) => Result;

/** Conversion to an integer in the low bits of the result (4.6.7.2). The upper half of a word is undefined: as QEMU leaves it. */
const integer =
  (bits: 32 | 64, signed: boolean, rounding?: number): Converter =>
  (b, current) => {
    const { integer: value, ...result } = toInteger(b, bits, signed, rounding ?? current);
    return { ...result, bits: isNan(b) ? BigInt.asUintN(bits, smallest(bits, signed)) : BigInt.asUintN(64, value) };
  };

/** Rounds to an integral value in floating point format; never inexact (4.6.7.3). */
const integral =
  (rounding: number): Converter =>
  (b, _rounding, control) => {
    const { bits, exceptions } = toIntegral(b, rounding, control);
    return exact(bits, exceptions & ~EXCEPTION.inexact);
  };

/** X form conversions to integers under opcode 63, by extended opcode of 10 bits. */
const TO_INTEGER: Readonly<Record<number, Converter>> = {
  14: integer(32, true),
  15: integer(32, true, ROUND.zero),
  142: integer(32, false),
  143: integer(32, false, ROUND.zero),
  814: integer(64, true),
  815: integer(64, true, ROUND.zero),
  942: integer(64, false),
  943: integer(64, false, ROUND.zero),
};

const fromBits =
  (signed: boolean, format: Format): Converter =>
  (b, _rounding, control) =>
    fromInteger(signed ? BigInt.asIntN(64, b.bits) : b.bits, format, control);

/** X form conversions with a floating point result: `opcode << 10 | extended opcode`. */
const TO_FLOAT: Readonly<Record<number, Converter>> = {
  [(63 << 10) | 12]: (b, _rounding, control) => convert(b, SINGLE_IN_REGISTER, control),
  [(63 << 10) | 392]: integral(ROUND.nearestAway),
  [(63 << 10) | 424]: integral(ROUND.zero),
  [(63 << 10) | 456]: integral(ROUND.up),
  [(63 << 10) | 488]: integral(ROUND.down),
  [(63 << 10) | 846]: fromBits(true, DOUBLE),
  [(63 << 10) | 974]: fromBits(false, DOUBLE),
  [(59 << 10) | 846]: fromBits(true, SINGLE_IN_REGISTER),
  [(59 << 10) | 974]: fromBits(false, SINGLE_IN_REGISTER),
};

/**
 * Executes a floating point instruction: arithmetic, conversion, comparison or an FPSCR instruction.
 * @returns true where it raised an enabled exception: a program interrupt where MSR[FE0,FE1] are not 0
 */
export function executeFloat(context: Context, word: number): boolean {
  const raised = execute(context, word);
  if ((word & 1) !== 0) recordInCr1(context);
  return raised;
}

function execute(context: Context, word: number): boolean {
  const opcode = word >>> 26;
  const extended = (word >>> 1) & 0x3ff;
  const target = field(word, 21);
  const status = context.get64(fpscr);
  const control: Environment = {
    rounding: Number(status & FPSCR.RN),
    overflowTraps: (status & FPSCR.OE) !== 0n,
    underflowTraps: (status & FPSCR.UE) !== 0n,
    nans: NAN_RULES,
  };
  const operand = (shift: number): Unpacked => unpack(read(context, field(word, shift)), DOUBLE);
  const b = operand(11);
  const arithmetic = ARITHMETIC[extended & 31];
  if (arithmetic !== undefined) {
    // NaNs whose payload is no single's give undefined results in single precision (4.3.5.1): the payload is cut, as in QEMU.
    const format = opcode === 59 ? SINGLE_IN_REGISTER : DOUBLE;
    return deliver(context, target, arithmetic({ a: operand(16), b, c: operand(6), format, control }));
  }
  const toFloat = TO_FLOAT[(opcode << 10) | extended];
  if (toFloat !== undefined) return deliver(context, target, toFloat(b, control.rounding, control));
  const converted = TO_INTEGER[extended];
  if (opcode === 63 && converted !== undefined) {
    return deliver(context, target, converted(b, control.rounding, control), 'integer');
  }
  if (opcode === 63 && (extended === 0 || extended === 32)) return compareInto(context, word, extended === 32);
  return executeStatus(context, word, extended);
}

/** FPCC of a comparison. */
const FPCC: Readonly<Record<Relation, number>> = { less: 8, greater: 4, equal: 2, unordered: 1 };

/** fcmpu, fcmpo (4.6.8). */
function compareInto(context: Context, word: number, isOrdered: boolean): boolean {
  const [a, b] = [16, 11].map((shift) => unpack(read(context, field(word, shift)), DOUBLE)) as [Unpacked, Unpacked];
  const old = context.get64(fpscr);
  const result = FPCC[compare(a, b)];
  let exceptions = 0n;
  if (a.kind === 'signalling' || b.kind === 'signalling') {
    exceptions = FPSCR.VXSNAN;
    if (isOrdered && (old & FPSCR.VE) === 0n) exceptions |= FPSCR.VXVC;
  } else if (isOrdered && result === 1) exceptions = FPSCR.VXVC;
  const value = withExceptions((old & ~FPSCR.FPCC) | (BigInt(result) << 12n), exceptions);
  context.set64(fpscr, value);
  setCr(context, (word >>> 23) & 7, [result >> 3, (result >> 2) & 1, (result >> 1) & 1, result & 1]);
  return enabledOf(exceptions, old);
}

/** FPSCR bits that instructions can write; VX and FEX follow from the others, and one bit is reserved. */
const WRITABLE = 0xfffff7ffn & ~(FPSCR.VX | FPSCR.FEX);

/** Writes the bits of `mask`; FX only explicitly (4.6.9). @returns whether an enabled exception stands in it now */
function setStatus(context: Context, mask: bigint, value: bigint): boolean {
  const old = context.get64(fpscr);
  const result = summarized((old & ~mask) | (value & mask));
  context.set64(fpscr, result);
  return (result & FPSCR.FEX) !== 0n;
}

/** FPSCR instructions (4.6.9). */
function executeStatus(context: Context, word: number, extended: number): boolean {
  const target = field(word, 21);
  const old = context.get64(fpscr);
  switch (extended) {
    case 583:
      return moveFromStatus(context, word, old);
    case 711: {
      const all = (word & 0x02000000) !== 0;
      const upper = (word & 0x00010000) !== 0;
      let mask = 0n;
      for (let n = 0; n < 8; n++) {
        if (((word >>> (17 + n)) & 1) !== 0) mask |= 0xfn << BigInt(4 * n + (upper ? 32 : 0));
      }
      const wanted = all ? WRITABLE | FPSCR.DRN : mask & (WRITABLE | FPSCR.DRN);
      return setStatus(context, wanted, read(context, field(word, 11)));
    }
    case 134: {
      const shift = BigInt(4 * (7 - ((word >>> 23) & 7)) + ((word & 0x00010000) !== 0 ? 32 : 0));
      const value = BigInt((word >>> 12) & 15) << shift;
      return setStatus(context, (0xfn << shift) & (WRITABLE | FPSCR.DRN), value);
    }
    case 70:
      return setStatus(context, (1n << BigInt(31 - target)) & WRITABLE, 0n);
    case 38: {
      // NI cannot be set: there is no other mode than that of IEEE.
      const bit = (1n << BigInt(31 - target)) & WRITABLE & ~0x4n;
      const value = (bit & EXCEPTIONS) !== 0n ? withExceptions(old, bit) : summarized(old | bit);
      context.set64(fpscr, value);
      return (value & FPSCR.FEX) !== 0n && bit !== 0n;
    }
    case 64: {
      const shift = BigInt(4 * (7 - ((word >>> 18) & 7)));
      const bits = Number((old >> shift) & 15n);
      const cleared = (0xfn << shift) & (EXCEPTIONS | FPSCR.FX);
      setStatus(context, cleared, 0n);
      setCr(context, (word >>> 23) & 7, [bits >> 3, (bits >> 2) & 1, (bits >> 1) & 1, bits & 1]);
      return false;
    }
    default:
      throw new Error(`0x${(word >>> 0).toString(16)} is no floating point instruction of ours`);
  }
}

/** mffs and the forms that came with ISA 3.0, told apart by bits 11 to 15. */
function moveFromStatus(context: Context, word: number, old: bigint): boolean {
  const target = field(word, 21);
  const source = field(word, 11);
  const enables = 0xf8n;
  const controls = FPSCR.DRN | enables | 0x4n | FPSCR.RN;
  const set = (mask: bigint, value: bigint): boolean => {
    setStatus(context, mask, value);
    return false;
  };
  switch (field(word, 16)) {
    case 0:
      write(context, target, old);
      return false;
    case 1:
      write(context, target, old);
      return set(enables, 0n);
    case 20: {
      const value = read(context, source);
      write(context, target, old & controls);
      return set(FPSCR.DRN, value);
    }
    case 21:
      write(context, target, old & controls);
      return set(FPSCR.DRN, BigInt(source & 7) << 32n);
    case 22: {
      const value = read(context, source);
      write(context, target, old & controls);
      return set(FPSCR.RN, value);
    }
    case 23:
      write(context, target, old & controls);
      return set(FPSCR.RN, BigInt(source & 3));
    default:
      write(context, target, old & (controls | FPSCR.FR | FPSCR.FI | FPSCR.FPRF));
      return false;
  }
}
