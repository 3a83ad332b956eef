import { i32, i64 } from '../../wasm/expr.ts';
import type { D, S, W } from './common.ts';
import { cc } from './state.ts';

/** The condition code as definitions set it and ask for it (`cc` in `state.ts`). */

const NEVER = i32.const(0);

/** Sets the condition code from the conditions for its four values, of which exactly one holds. They must be named if they read registers that are written. */
export function setConditions(s: S, conditions: readonly [W, W, W, W]): void {
  cc.slots.forEach((slot, i) => {
    s.set(slot, conditions[i] as W);
  });
}

/** Sets the condition code to a number that is computed, 0 to 3. */
export function setCondition(s: S, value: W): void {
  const v = s.let(value);
  setConditions(s, [i32.eqz(v), i32.eq(v, i32.const(1)), i32.eq(v, i32.const(2)), i32.eq(v, i32.const(3))]);
}

/** 0 equal, 1 low, 2 high. */
export function setComparison(s: S, equal: W, low: W, high: W): void {
  setConditions(s, [equal, low, high, NEVER]);
}

/** 0 zero, 1 not zero. */
export function setZero(s: S, zero: W): void {
  setConditions(s, [zero, i32.eqz(zero), NEVER, NEVER]);
}

/** The condition code as a number. */
export function conditionCode(s: S): W {
  const [, one, two, three] = cc.slots.map((slot) => s.get(slot)) as [W, W, W, W];
  return i32.or(one, i32.or(i32.shl(two, i32.const(1)), i32.mul(three, i32.const(3))));
}

/** Whether the condition code is one of a mask's: bit 8 stands for 0, bit 1 for 3. */
export function isOneOf(s: S, mask: W): W {
  const flags = cc.slots.map((slot) => s.get(slot));
  const known = s.known(mask);
  if (known === undefined) {
    const chosen = flags.map((flag, i) => i32.and(i32.shrU(mask, i32.const(3 - i)), flag));
    return i32.and(
      chosen.reduce((x, y) => i32.or(x, y)),
      i32.const(1),
    );
  }
  const members = (m: number): W => flags.filter((_, i) => (m & (8 >> i)) !== 0).reduce((x, y) => i32.or(x, y), NEVER);
  // Value 3 is often impossible, so the set that has it costs less than it seems to.
  const count = flags.filter((_, i) => (known & (8 >> i)) !== 0).length;
  const direct = count < 2 || (count === 2 && (known & 1) !== 0);
  return direct ? members(known) : i32.eqz(members(known ^ 15));
}

/** Conditions of a comparison with zero. */
export function setSign(s: S, v: D): void {
  setComparison(s, i64.eqz(v), i64.ltS(v, i64.const(0)), i64.gtS(v, i64.const(0)));
}
