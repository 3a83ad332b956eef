import { Instruction, type InstructionSpec } from '../../engine/instruction.ts';
import type { Field } from '../../engine/pattern.ts';
import type { Semantics } from '../../engine/semantics.ts';
import { type Expr, i32, i64, isConst, select } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import type { ArmMode } from './mode.ts';
import { flagC, flagLess, flagN, flagV, flagZ, x, ZERO } from './state.ts';

/** What a definition speaks. */
export type S = Semantics<ArmMode>;
export type W = Expr<I32>;
export type D = Expr<I64>;

export type ArmInstruction = Instruction<ArmMode>;

/** The whole instruction word as a field, for helpers that take it apart themselves. */
const WORD: Field = { name: 'word', shift: 0, width: 32 };

class DefinedInstruction extends Instruction<ArmMode> {
  override field(name: string): Field {
    return name === WORD.name ? WORD : super.field(name);
  }
}

/** One instruction of A64. */
export function define(spec: InstructionSpec<ArmMode>): ArmInstruction {
  return new DefinedInstruction(spec);
}

/** The instruction itself. */
export const instructionWord = (s: S): W => s.field(WORD.name);

const LOW_32 = 0xffffffffn;

export const low = (value: D): W => i32.wrap(value);
/** Low word, zero-extended. */
export const zext = (value: D): D =>
  isConst(value) ? i64.and(value, i64.const(LOW_32)) : i64.extendU(i32.wrap(value));
/** Low word, sign-extended. */
export const sext = (value: D): D => i64.extend32(value);
/** `value` cut to the operation's width. */
export const cut = (wide: boolean, value: D): D => (wide ? value : zext(value));

/** The register that a field names, where 31 is the zero register. */
export function reg(s: S, field: string): D {
  const n = s.known(s.field(field));
  return n === ZERO ? i64.const(0) : s.getAt(x, s.field(field));
}

/** The register that a field names in the operation's width, zero-extended. */
export const operand = (s: S, field: string, wide: boolean): D => cut(wide, reg(s, field));

/** Writes the register that a field names; writes to the zero register are lost. */
export function setReg(s: S, field: string, value: D): void {
  const n = s.known(s.field(field));
  if (n === ZERO) return;
  s.setAt(x, s.field(field), value);
  if (n === undefined) s.setAt(x, i32.const(ZERO), i64.const(0));
}

/** Position of the register that a field names, where 31 is the stack pointer. */
function orStack(s: S, field: string): W {
  const n = s.field(field);
  return i32.add(n, i32.eq(n, i32.const(ZERO)));
}

/** The register that a field names, where 31 is the stack pointer. */
export const regOrStack = (s: S, field: string): D => s.getAt(x, orStack(s, field));
export const setRegOrStack = (s: S, field: string, value: D): void => s.setAt(x, orStack(s, field), value);

/** N, Z, C and V from conditions. */
export function setFlags(
  s: S,
  flags: { readonly n: W; readonly z: W; readonly c: W; readonly v: W; readonly less: W },
): void {
  const n = flags.n;
  s.set(flagN, n);
  s.set(flagZ, flags.z);
  s.set(flagC, flags.c);
  s.set(flagV, flags.v);
  s.set(flagLess, flags.less);
}

/** N and Z from a result that is already cut to the width; C and V become 0. */
export function setLogicalFlags(s: S, wide: boolean, result: D): void {
  const value = s.let(result);
  const n = wide ? i64.ltS(value, i64.const(0)) : i32.ltS(low(value), i32.const(0));
  setFlags(s, { n, z: i64.eqz(value), c: i32.const(0), v: i32.const(0), less: n });
}

/** N, Z, C and V as a number, N in bit 3. */
export function nzcv(s: S): W {
  const at = (flag: W, bit: number): W => i32.shl(flag, i32.const(bit));
  return i32.or(i32.or(at(s.get(flagN), 3), at(s.get(flagZ), 2)), i32.or(at(s.get(flagC), 1), s.get(flagV)));
}

/** Sets the flags from a number as `nzcv` gives it. */
export function setNzcv(s: S, value: W): void {
  const bits = s.let(value);
  const bit = (n: number): W => i32.and(i32.shrU(bits, i32.const(n)), i32.const(1));
  setFlags(s, { n: bit(3), z: bit(2), c: bit(1), v: bit(0), less: i32.xor(bit(3), bit(0)) });
}

/** The conditions with an even number; each odd one is the opposite of the one before (Arm ARM, C1.2.4). */
const CONDITIONS: readonly ((s: S) => W)[] = [
  (s) => s.get(flagZ),
  (s) => s.get(flagC),
  (s) => s.get(flagN),
  (s) => s.get(flagV),
  (s) => i32.and(s.get(flagC), i32.eqz(s.get(flagZ))),
  (s) => i32.eqz(s.get(flagLess)),
  (s) => i32.eqz(i32.or(s.get(flagLess), s.get(flagZ))),
  () => i32.const(1),
];

/** Whether the condition holds that a field of four bits names; both AL and NV always do. */
export function holds(s: S, field: string): W {
  const cond = s.field(field);
  const n = s.known(cond);
  if (n !== undefined) {
    const condition = (CONDITIONS[n >> 1] as (s: S) => W)(s);
    return (n & 1) !== 0 && n !== 15 ? i32.eqz(condition) : condition;
  }
  const all = CONDITIONS.map((condition, i) => i32.shl(condition(s), i32.const(i))).reduce(i32.or);
  const held = i32.and(i32.shrU(all, i32.shrU(cond, i32.const(1))), i32.const(1));
  return i32.xor(held, i32.and(i32.and(cond, i32.const(1)), i32.ne(cond, i32.const(15))));
}

/** The low `n` bits, 1 to 64 of them. `n` is one less. */
export const ones = (last: W): D => i64.sub(i64.shl(i64.const(2), i64.extendU(last)), i64.const(1));

/** A value shifted as DecodeShift says: 0 LSL, 1 LSR, 2 ASR, 3 ROR; `amount` is below the width, the value zero-extended to 64 bits. */
export function shifted(wide: boolean, type: number, value: D, amount: W): D {
  const by = i64.extendU(amount);
  if (type === 0) return cut(wide, i64.shl(value, by));
  if (type === 1) return i64.shrU(value, by);
  if (type === 2) return wide ? i64.shrS(value, by) : zext(i64.shrS(sext(value), by));
  return wide ? i64.rotr(value, by) : i64.extendU(i32.rotr(low(value), amount));
}

/** A value extended as ExtendReg says: bits 0 and 1 of `option` are log2 of its bytes, bit 2 that it is signed. */
export function extended(option: number, value: D): D {
  switch (option) {
    case 0:
      return i64.and(value, i64.const(0xff));
    case 1:
      return i64.and(value, i64.const(0xffff));
    case 2:
      return zext(value);
    case 4:
      return i64.extend8(value);
    case 5:
      return i64.extend16(value);
    case 6:
      return sext(value);
    default:
      return value;
  }
}

/** `value` where `condition` holds, else 0. */
export const orZero = (condition: W, value: D): D => select(condition, value, i64.const(0));
