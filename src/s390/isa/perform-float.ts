import { add, divide, type Environment, multiply, multiplyAdd, squareRoot, subtract } from '../../float/arithmetic.ts';
import { compare, convert, fromInteger, type Relation, smallest, toInteger, toIntegral } from '../../float/convert.ts';
import { type Format, isNan, negated, type Unpacked, unpack } from '../../float/format.ts';
import { EXCEPTION, exact, INVALID, type Result, ROUND } from '../../float/round.ts';
import { PGM } from '../abi.ts';
import { classOf, dataClass, EXTENDED, flagsOf, IEEE, LONG, NAN_RULES, SHORT } from './bfp.ts';
import { fpc, fpr } from './state.ts';
import { type Performed, type Performer, type Performers, programException, type Work } from './work.ts';

/** Binary floating point (Principles of Operation, chapter 19). */

const FORMATS: Readonly<Record<string, Format>> = { e: SHORT, d: LONG, x: EXTENDED };

const slot = (n: number): (typeof fpr.slots)[number] => fpr.slots[n & 15] as (typeof fpr.slots)[number];

/** Bits of the number in a register: a short one is the left half, an extended one has its right half two registers on. */
function register(w: Work, n: number, f: Format): bigint {
  const left = w.context.get64(slot(n));
  if (f === SHORT) return left >> 32n;
  return f === LONG ? left : (left << 64n) | w.context.get64(slot(n + 2));
}

function setRegister(w: Work, n: number, f: Format, bits: bigint): void {
  const left = w.context.get64(slot(n));
  if (f === SHORT) w.context.set64(slot(n), (bits << 32n) | (left & 0xffffffffn));
  else if (f === LONG) w.context.set64(slot(n), bits);
  else {
    w.context.set64(slot(n), bits >> 64n);
    w.context.set64(slot(n + 2), bits & 0xffffffffffffffffn);
  }
}

/** Extended numbers have registers without bit 2 in their number. */
const badPair = (n: number, f: Format): boolean => f === EXTENDED && (n & 2) !== 0;
const specification = (): Performed => programException(PGM.SPECIFICATION);

const enabledOf = (w: Work): number => w.context.get32(fpc) >>> 24;

/** Modes of the FPC's rounding field; 4 to 6 are invalid there. */
const currentRounding = (w: Work): number => w.context.get32(fpc) & 7;

/** Rounding methods of instructions: 0 is the current mode. */
const METHODS: readonly (number | null)[] = [
  null,
  ROUND.nearestAway,
  null,
  ROUND.odd,
  ROUND.nearest,
  ROUND.zero,
  ROUND.up,
  ROUND.down,
];

function environment(w: Work, rounding = currentRounding(w)): Environment {
  const enabled = enabledOf(w);
  const [overflowTraps, underflowTraps] = [(enabled & IEEE.overflow) !== 0, (enabled & IEEE.underflow) !== 0];
  return { rounding, overflowTraps, underflowTraps, nans: NAN_RULES };
}

/**
 * Puts exceptions into the FPC and lets `commit` write the result, or ends in a data exception where one is enabled: invalid operation and
 * division by zero suppress, the others complete.
 */
function deliver(
  w: Work,
  { exceptions: raised, incremented }: Pick<Result, 'exceptions' | 'incremented'>,
  commit: () => void,
): Performed {
  const exceptions = flagsOf(raised);
  const enabled = exceptions & enabledOf(w);
  const suppressing = enabled & (IEEE.invalid | IEEE.divide);
  if (suppressing !== 0) return programException(PGM.DATA, suppressing);
  commit();
  const trapping = enabled & (IEEE.overflow | IEEE.underflow) || enabled & IEEE.inexact;
  // Exceptions that interrupt set no flags.
  const flags = trapping === 0 ? exceptions : exceptions & ~enabled & ~(trapping === IEEE.inexact ? 0 : IEEE.inexact);
  w.context.set32(fpc, w.context.get32(fpc) | (flags << 16));
  if (trapping === 0) return 'done';
  const inexact = (exceptions & IEEE.inexact) !== 0 ? IEEE.inexact | (incremented ? 4 : 0) : 0;
  return programException(PGM.DATA, trapping | inexact);
}

/** The second operand: a register, or storage. Null where it faults. */
function second(w: Work, f: Format): Unpacked | null {
  if (w.has('R2')) return unpack(register(w, w.field('R2'), f), f);
  const bytes = w.read(w.address(2), f.bits / 8);
  if (bytes === null) return null;
  return unpack(
    bytes.reduce((n, byte) => (n << 8n) | BigInt(byte), 0n),
    f,
  );
}

const first = (w: Work, f: Format): Unpacked => unpack(register(w, w.field('R1'), f), f);

function badOperands(w: Work, target: Format, source: Format): boolean {
  return badPair(w.field('R1'), target) || (w.has('R2') && badPair(w.field('R2'), source));
}

type Binary = (a: Unpacked, b: Unpacked, f: Format, env: Environment) => Result;

/** R1 and the second operand to R1, in a format that may be longer. */
function binary(source: Format, operation: Binary, setsCondition: boolean, target = source): Performer {
  return (w) => {
    if (badOperands(w, target, source)) return specification();
    const b = second(w, source);
    if (b === null) return 'fault';
    const result = operation(first(w, source), b, target, environment(w));
    return deliver(w, result, () => {
      setRegister(w, w.field('R1'), target, result.bits);
      if (setsCondition) w.setCc(classOf(unpack(result.bits, target)));
    });
  };
}

/** The second operand to R1. */
function unary(
  source: Format,
  target: Format,
  operation: (b: Unpacked, w: Work) => Result,
  setsCondition = false,
): Performer {
  return (w) => {
    if (badOperands(w, target, source)) return specification();
    const b = second(w, source);
    if (b === null) return 'fault';
    const result = operation(b, w);
    return deliver(w, result, () => {
      setRegister(w, w.field('R1'), target, result.bits);
      if (setsCondition) w.setCc(classOf(unpack(result.bits, target)));
    });
  };
}

/** Condition code of a comparison. */
const CONDITION: Readonly<Record<Relation, number>> = { equal: 0, less: 1, greater: 2, unordered: 3 };

function comparison(f: Format, signalling: boolean): Performer {
  return (w) => {
    if (badOperands(w, f, f)) return specification();
    const b = second(w, f);
    if (b === null) return 'fault';
    const a = first(w, f);
    const relation = compare(a, b);
    const invalid = a.kind === 'signalling' || b.kind === 'signalling' || (signalling && relation === 'unordered');
    return deliver(w, exact(0n, invalid ? EXCEPTION.signallingNan : 0), () => w.setCc(CONDITION[relation]));
  };
}

function fused(f: Format, subtracts: boolean): Performer {
  return (w) => {
    const b = second(w, f);
    if (b === null) return 'fault';
    const addend = first(w, f);
    const c = unpack(register(w, w.field('R3'), f), f);
    const result = multiplyAdd(c, b, subtracts ? negated(addend) : addend, f, environment(w));
    return deliver(w, result, () => setRegister(w, w.field('R1'), f, result.bits));
  };
}

/** The rounding method of field M3. */
function method(w: Work): number | null {
  const m = w.field('M3');
  if (m === 0) return currentRounding(w);
  return METHODS[m] ?? null;
}

/** Inexact is not reported where M4 says so. */
const quiet = <T extends Pick<Result, 'exceptions'>>(w: Work, result: T): T =>
  (w.field('M4') & 4) === 0 ? result : { ...result, exceptions: result.exceptions & ~EXCEPTION.inexact };

function rounded(
  source: Format,
  target: Format,
  operation: (b: Unpacked, rounding: number, w: Work) => Result,
): Performer {
  return (w) => {
    const rounding = method(w);
    if (rounding === null || badOperands(w, target, source)) return specification();
    const b = second(w, source) as Unpacked;
    const result = quiet(w, operation(b, rounding, w));
    return deliver(w, result, () => setRegister(w, w.field('R1'), target, result.bits));
  };
}

/** What does not fit is invalid and, if it is no NaN, inexact; a NaN becomes the smallest integer. */
function toFixed(f: Format, bits: 32 | 64, signed: boolean): Performer {
  return (w) => {
    const rounding = method(w);
    if (rounding === null || badPair(w.field('R2'), f)) return specification();
    const b = second(w, f) as Unpacked;
    const result = toInteger(b, bits, signed, rounding);
    const special = (result.exceptions & INVALID) !== 0;
    const exceptions = result.exceptions | (special && !isNan(b) ? EXCEPTION.inexact : 0);
    const integer = BigInt.asUintN(bits, isNan(b) ? smallest(bits, signed) : result.integer);
    return deliver(w, quiet(w, { ...result, exceptions }), () => {
      if (bits === 32) w.setGr32(w.field('R1'), Number(integer));
      else w.setGr(w.field('R1'), integer);
      w.setCc(special ? 3 : classOf(b));
    });
  };
}

function fromFixed(f: Format, bits: 32 | 64, signed: boolean): Performer {
  return (w) => {
    const rounding = method(w);
    if (rounding === null || badPair(w.field('R1'), f)) return specification();
    const raw = w.gr(w.field('R2'));
    const value = signed ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw);
    const result = quiet(w, fromInteger(value, f, environment(w, rounding)));
    return deliver(w, result, () => setRegister(w, w.field('R1'), f, result.bits));
  };
}

/** Sign changes: no exceptions, not even of NaNs. */
function signChange(f: Format, change: (bits: bigint, sign: bigint) => bigint): Performer {
  return unary(f, f, (b) => exact(change(b.bits, 1n << BigInt(f.bits - 1))), true);
}

function testClass(f: Format): Performer {
  return (w) => {
    if (badPair(w.field('R1'), f)) return specification();
    w.setCc((Number(w.address(2) & 0xfffn) & dataClass(first(w, f))) !== 0 ? 1 : 0);
    return 'done';
  };
}

/** Bits of the FPC that must be 0, and rounding modes that there are. */
const FPC_RESERVED = 0x03030088;
const validRounding = (mode: number): boolean => mode < 4 || mode === 7;

function setFpc(w: Work, value: number): Performed {
  if ((value & FPC_RESERVED) !== 0 || !validRounding(value & 7)) return specification();
  w.context.set32(fpc, value);
  return 'done';
}

function setRounding(w: Work, mode: number): Performed {
  if (!validRounding(mode)) return specification();
  w.context.set32(fpc, (w.context.get32(fpc) & ~7) | mode);
  return 'done';
}

function ofFormat(letter: string): Performers {
  const f = FORMATS[letter] as Format;
  const square: Performer = unary(f, f, (b, w) => squareRoot(b, f, environment(w)));
  // A load that tests quiets a NaN.
  const test: Performer = unary(f, f, (b, w) => (isNan(b) ? convert(b, f, environment(w)) : exact(b.bits)), true);
  const both = (stem: string, performer: Performer): Performers => ({ [`${stem}r`]: performer, [stem]: performer });
  return {
    ...both(`a${letter}b`, binary(f, add, true)),
    ...both(`s${letter}b`, binary(f, subtract, true)),
    ...both(`${letter === 'e' ? 'mee' : `m${letter}`}b`, binary(f, multiply, false)),
    ...both(`d${letter}b`, binary(f, divide, false)),
    ...both(`sq${letter}b`, square),
    ...both(`c${letter}b`, comparison(f, false)),
    ...both(`k${letter}b`, comparison(f, true)),
    ...both(`ma${letter}b`, fused(f, false)),
    ...both(`ms${letter}b`, fused(f, true)),
    [`lt${letter}br`]: test,
    [`lc${letter}br`]: signChange(f, (bits, sign) => bits ^ sign),
    [`lp${letter}br`]: signChange(f, (bits, sign) => bits & ~sign),
    [`ln${letter}br`]: signChange(f, (bits, sign) => bits | sign),
    [`tc${letter}b`]: testClass(f),
    [`fi${letter}br`]: rounded(f, f, (b, rounding, w) => toIntegral(b, rounding, environment(w))),
    [`cf${letter}br`]: toFixed(f, 32, true),
    [`cg${letter}br`]: toFixed(f, 64, true),
    [`clf${letter}br`]: toFixed(f, 32, false),
    [`clg${letter}br`]: toFixed(f, 64, false),
    [`c${letter}fbr`]: fromFixed(f, 32, true),
    [`c${letter}gbr`]: fromFixed(f, 64, true),
    [`c${letter}lfbr`]: fromFixed(f, 32, false),
    [`c${letter}lgbr`]: fromFixed(f, 64, false),
  };
}

const lengthen = (source: Format, target: Format): Performer =>
  unary(source, target, (b, w) => convert(b, target, environment(w)));
const shorten = (source: Format, target: Format): Performer =>
  rounded(source, target, (b, rounding, w) => convert(b, target, environment(w, rounding)));

export const PERFORM_FLOAT: Performers = {
  ...ofFormat('e'),
  ...ofFormat('d'),
  ...ofFormat('x'),
  mdeb: binary(SHORT, multiply, false, LONG),
  mdebr: binary(SHORT, multiply, false, LONG),
  mxdb: binary(LONG, multiply, false, EXTENDED),
  mxdbr: binary(LONG, multiply, false, EXTENDED),
  ldeb: lengthen(SHORT, LONG),
  ldebr: lengthen(SHORT, LONG),
  lxdb: lengthen(LONG, EXTENDED),
  lxdbr: lengthen(LONG, EXTENDED),
  lxeb: lengthen(SHORT, EXTENDED),
  lxebr: lengthen(SHORT, EXTENDED),
  ledbr: shorten(LONG, SHORT),
  ldxbr: shorten(EXTENDED, LONG),
  lexbr: shorten(EXTENDED, SHORT),
  lxr: unary(EXTENDED, EXTENDED, (b) => exact(b.bits)),
  lzxr(w) {
    if (badPair(w.field('R1'), EXTENDED)) return specification();
    setRegister(w, w.field('R1'), EXTENDED, 0n);
    return 'done';
  },
  sfpc: (w) => setFpc(w, w.gr32(w.field('R1'))),
  lfpc(w) {
    const bytes = w.read(w.address(2), 4);
    return bytes === null ? 'fault' : setFpc(w, new DataView(bytes.buffer).getUint32(0));
  },
  srnm: (w) => setRounding(w, Number(w.address(2) & 3n)),
  srnmb: (w) => setRounding(w, Number(w.address(2) & 0xffn)),
};
