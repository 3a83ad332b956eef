import type { NanRules } from '../../float/arithmetic.ts';
import { DOUBLE, isDenormal, isNan, QUAD, SINGLE, type Unpacked } from '../../float/format.ts';
import { EXCEPTION, INVALID } from '../../float/round.ts';

/** What binary floating point of the Principles of Operation, chapter 19, has of its own. */

export { DOUBLE as LONG, QUAD as EXTENDED, SINGLE as SHORT };

/** Exceptions, as the flags byte of the FPC, its mask byte and the data exception code have them. */
export const IEEE = { invalid: 0x80, divide: 0x40, overflow: 0x20, underflow: 0x10, inexact: 0x08 } as const;

const IEEE_OF: readonly (readonly [exceptions: number, flag: number])[] = [
  [INVALID, IEEE.invalid],
  [EXCEPTION.divideByZero, IEEE.divide],
  [EXCEPTION.overflow, IEEE.overflow],
  [EXCEPTION.underflow, IEEE.underflow],
  [EXCEPTION.inexact, IEEE.inexact],
];

/** `IEEE` of exceptions as `EXCEPTION` has them. */
export function flagsOf(exceptions: number): number {
  let flags = 0;
  for (const [those, flag] of IEEE_OF) if ((exceptions & those) !== 0) flags |= flag;
  return flags;
}

/** The first signalling NaN, else the first NaN; of a multiply-and-add the addend (operand 1) comes before the factors (operands 3, 2). */
export const NAN_RULES: NanRules = { signallingFirst: true, fusedOrder: [2, 0, 1], nanBeforeInvalidProduct: false };

/** Condition code of a result: 0 zero, 1 less, 2 greater, 3 NaN. */
export function classOf(v: Unpacked): 0 | 1 | 2 | 3 {
  if (isNan(v)) return 3;
  return v.kind === 'zero' ? 0 : v.negative ? 1 : 2;
}

/** Places of the data classes that TEST DATA CLASS selects: two bits each, of the number with and without sign. */
const CLASSES: Readonly<Record<Unpacked['kind'] | 'denormal', number>> = {
  zero: 0,
  finite: 1,
  denormal: 2,
  infinity: 3,
  quiet: 4,
  signalling: 5,
};

/** Bit of a number's data class, as TEST DATA CLASS selects it. */
export function dataClass(v: Unpacked): number {
  const place = CLASSES[isDenormal(v) ? 'denormal' : v.kind];
  return 0x800 >> (2 * place + (v.negative ? 1 : 0));
}
