import type { CpuContext } from '../../engine/cpu.ts';
import {
  add,
  divide,
  type Environment,
  multiply,
  multiplyAdd,
  nanOf,
  squareRoot,
  subtract,
} from '../../float/arithmetic.ts';
import { compare, convert, fromInteger, type Relation, toInteger, toIntegral } from '../../float/convert.ts';
import {
  ALTERNATIVE_HALF,
  DOUBLE,
  type Format,
  HALF,
  infinity,
  isDenormal,
  isNan,
  SINGLE,
  type Unpacked,
  unpack,
  zero,
} from '../../float/format.ts';
import { EXCEPTION, exact, type Result, ROUND } from '../../float/round.ts';
import { FPCR, FPSR, fpsrOf, nanRules, roundingOf } from './fpsr.ts';
import { armIsa } from './index.ts';
import type { ArmMode } from './mode.ts';
import { flagC, flagLess, flagN, flagV, flagZ, fpcr, fpsr, v, vHigh, x, ZERO } from './state.ts';

/**
 * Floating point instructions done in TypeScript: what `HELPER.float` and `TRAP.softFloat` stand for. The definitions (`float.ts`) check access and
 * the condition of FCCMP first.
 */

type Context = CpuContext<ArmMode>;

/** By ftype, bits 23 and 22 of the instruction. */
const FORMATS: readonly (Format | undefined)[] = [SINGLE, DOUBLE, undefined, HALF];

/** One instruction at work: its operands, and the exceptions that it has raised so far. */
class FloatWork {
  readonly context: Context;
  readonly word: number;
  readonly control: bigint;
  readonly format: Format;
  #flags = 0n;

  constructor(context: Context, word: number, format: Format) {
    this.context = context;
    this.word = word;
    this.control = context.get64(fpcr);
    this.format = format;
  }

  get rounding(): number {
    return roundingOf(this.control);
  }

  /** For results of a format: those of half precision are never flushed, as FPCR.FZ16 is not there. */
  environment(f: Format = this.format): Environment {
    const flushesTiny = (this.control & FPCR.FZ) !== 0n && f.bits !== HALF.bits;
    return { rounding: this.rounding, flushesTiny, nans: nanRules(this.control) };
  }

  register(shift: number): number {
    return (this.word >>> shift) & 31;
  }

  /** Bits of a V register as wide as a format. */
  bits(shift: number, f: Format = this.format): bigint {
    return BigInt.asUintN(f.bits, this.context.get64(v.slots[this.register(shift)] as (typeof v.slots)[number]));
  }

  /** FPUnpack: a denormal number is 0 where FPCR.FZ says so. */
  unpack(bits: bigint, f: Format = this.format): Unpacked {
    const number = unpack(bits, f);
    if (!isDenormal(number) || (this.control & FPCR.FZ) === 0n || f.bits === HALF.bits) return number;
    this.#flags |= FPSR.IDC;
    return unpack(zero(number.negative, f), f);
  }

  n(): Unpacked {
    return this.unpack(this.bits(5));
  }

  m(): Unpacked {
    return this.unpack(this.bits(16));
  }

  raise(exceptions: number): void {
    this.#flags |= fpsrOf(exceptions);
  }

  /** A result for Vd. */
  deliver({ bits, exceptions }: Pick<Result, 'bits' | 'exceptions'>): void {
    const target = this.register(0);
    this.raise(exceptions);
    this.context.set64(v.slots[target] as (typeof v.slots)[number], bits);
    this.context.set64(vHigh.slots[target] as (typeof vHigh.slots)[number], 0n);
  }

  finish(): void {
    this.context.set64(fpsr, this.context.get64(fpsr) | this.#flags);
  }
}

type Binary = (a: Unpacked, b: Unpacked, f: Format, env: Environment) => Result;

const binary =
  (operation: Binary, change: (result: bigint, f: Format) => bigint = (bits) => bits) =>
  (w: FloatWork): void => {
    const result = operation(w.n(), w.m(), w.format, w.environment());
    w.deliver({ ...result, bits: change(result.bits, w.format) });
  };

/** FMADD and its kin: the factor, the addend or both with their signs changed, those of NaNs too. */
const fused =
  (changesFactor: boolean, changesAddend: boolean) =>
  (w: FloatWork): void => {
    const operand = (shift: number, changes: boolean): Unpacked =>
      w.unpack(changes ? w.bits(shift) ^ w.format.sign : w.bits(shift));
    const [a, n] = [operand(10, changesAddend), operand(5, changesFactor)];
    w.deliver(multiplyAdd(n, w.m(), a, w.format, w.environment()));
  };

/** FPMin and FPMax; `number`: a number goes before a quiet NaN (FPMinNum, FPMaxNum). */
const extreme =
  (greatest: boolean, number: boolean) =>
  (w: FloatWork): void => {
    let [a, b] = [w.n(), w.m()];
    const last = (): Unpacked => unpack(infinity(greatest, w.format), w.format);
    if (number && a.kind === 'quiet' && b.kind !== 'quiet') a = last();
    else if (number && b.kind === 'quiet' && a.kind !== 'quiet') b = last();
    const nan = nanOf([a, b], w.format, w.environment());
    if (nan !== null) return w.deliver(nan);
    const relation = compare(a, b);
    const first = relation === 'equal' ? a.negative !== greatest : (relation === 'greater') === greatest;
    w.deliver(exact(first ? a.bits : b.bits));
  };

const integral =
  (rounding?: number, reportsInexact = false) =>
  (w: FloatWork): void => {
    const { bits, exceptions } = toIntegral(w.n(), rounding ?? w.rounding, w.environment());
    w.deliver({ bits, exceptions: reportsInexact ? exceptions : exceptions & ~EXCEPTION.inexact });
  };

/** NZCV of a comparison. */
const NZCV: Readonly<Record<Relation, number>> = { less: 0b1000, equal: 0b0110, greater: 0b0010, unordered: 0b0011 };

const comparison =
  (signalling: boolean, withZero: (word: number) => boolean) =>
  (w: FloatWork): void => {
    const a = w.n();
    const b = withZero(w.word) ? unpack(0n, w.format) : w.m();
    const relation = compare(a, b);
    const invalid = [a, b].some((o) => o.kind === 'signalling' || (signalling && isNan(o)));
    if (invalid) w.raise(EXCEPTION.signallingNan);
    const bit = (n: number): number => (NZCV[relation] >> n) & 1;
    [flagN, flagZ, flagC, flagV].forEach((flag, i) => {
      w.context.set32(flag, bit(3 - i));
    });
    w.context.set32(flagLess, bit(3) ^ bit(0));
  };

const isZeroForm = (word: number): boolean => (word & 8) !== 0;

/** FCVT between formats: what it converts to is in bits 15 and 16. */
function convertFormat(w: FloatWork): void {
  const alternative = (w.control & FPCR.AHP) !== 0n;
  const half = (f: Format): Format => (alternative && f === HALF ? ALTERNATIVE_HALF : f);
  const source = half(w.format);
  const target = half(FORMATS[(w.word >>> 15) & 3] as Format);
  const a = w.unpack(w.bits(5, source), source);
  // Neither NaNs nor infinities are there: 0, and the largest number.
  if (!target.hasSpecials && isNan(a)) {
    return w.deliver(exact(zero(a.negative, target), EXCEPTION.unrepresentable));
  }
  if (!target.hasSpecials && a.kind === 'infinity') {
    return w.deliver(exact(infinity(a.negative, target) - 1n, EXCEPTION.unrepresentable));
  }
  w.deliver(convert(a, target, w.environment(target)));
}

/** Bit 28 is set in the forms of Advanced SIMD, where integers are in V registers, and bit 30 too; bit 21 is clear in fixed-point forms. */
const isScalar = (word: number): boolean => word >>> 30 === 1;
const fractionBits = (word: number): number =>
  isScalar(word) || (word & (1 << 21)) !== 0 ? 0 : 64 - ((word >>> 10) & 63);
const integerWidth = (w: FloatWork): number => (isScalar(w.word) ? w.format.bits : w.word >>> 31 === 1 ? 64 : 32);

const toFixed =
  (signed: boolean, rounding: number) =>
  (w: FloatWork): void => {
    const width = integerWidth(w);
    const { integer, exceptions } = toInteger(w.n(), width, signed, rounding, fractionBits(w.word));
    const bits = BigInt.asUintN(width, integer);
    if (isScalar(w.word)) return w.deliver({ bits, exceptions });
    w.raise(exceptions);
    const target = w.register(0);
    if (target !== ZERO) w.context.set64(x.slots[target] as (typeof x.slots)[number], bits);
  };

const fromFixed =
  (signed: boolean) =>
  (w: FloatWork): void => {
    const width = integerWidth(w);
    const file = isScalar(w.word) ? v : x;
    const raw = w.context.get64(file.slots[w.register(5)] as (typeof file.slots)[number]);
    const integer = signed ? BigInt.asIntN(width, raw) : BigInt.asUintN(width, raw);
    w.deliver(fromInteger(integer, w.format, w.environment(), fractionBits(w.word)));
  };

const DIRECTIONS: readonly (readonly [letter: string, rounding: number])[] = [
  ['n', ROUND.nearest],
  ['p', ROUND.up],
  ['m', ROUND.down],
  ['z', ROUND.zero],
  ['a', ROUND.nearestAway],
];

type Execute = (w: FloatWork) => void;

const EXECUTE: Readonly<Record<string, Execute>> = {
  fadd: binary(add),
  // Unlike with FSUB of a negated operand, a NaN keeps its sign.
  fsub: binary(subtract),
  fmul: binary(multiply),
  fnmul: binary(multiply, (bits, f) => bits ^ f.sign),
  fdiv: binary(divide),
  fabd: binary(subtract, (bits, f) => bits & ~f.sign),
  fsqrt: (w) => w.deliver(squareRoot(w.n(), w.format, w.environment())),
  fmadd: fused(false, false),
  fmsub: fused(true, false),
  fnmadd: fused(true, true),
  fnmsub: fused(false, true),
  fmax: extreme(true, false),
  fmin: extreme(false, false),
  fmaxnm: extreme(true, true),
  fminnm: extreme(false, true),
  ...Object.fromEntries(DIRECTIONS.map(([letter, rounding]) => [`frint${letter}`, integral(rounding)])),
  frintx: integral(undefined, true),
  frinti: integral(),
  fcmp: comparison(false, isZeroForm),
  fcmpe: comparison(true, isZeroForm),
  fccmp: comparison(false, () => false),
  fccmpe: comparison(true, () => false),
  fcvt: convertFormat,
  ...Object.fromEntries(
    DIRECTIONS.flatMap(([letter, rounding]) => [
      [`fcvt${letter}s`, toFixed(true, rounding)],
      [`fcvt${letter}u`, toFixed(false, rounding)],
    ]),
  ),
  scvtf: fromFixed(true),
  ucvtf: fromFixed(false),
};

/** Executes a floating point instruction that `float.ts` leaves; pc stays. */
export function executeFloat(context: Context, word: number): void {
  const instruction = armIsa.decode(word >>> 0, 0);
  const execute = instruction && EXECUTE[instruction.name];
  if (execute === undefined) throw new Error(`0x${(word >>> 0).toString(16)} is no floating point instruction of ours`);
  const type = isScalar(word) ? (word >>> 22) & 1 : (word >>> 22) & 3;
  const work = new FloatWork(context, word, FORMATS[type] as Format);
  execute(work);
  work.finish();
}
