import { Instruction, type InstructionSpec } from '../../engine/instruction.ts';
import type { Field } from '../../engine/pattern.ts';
import type { Semantics } from '../../engine/semantics.ts';
import { type Expr, i32, i64, isConst, select } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import type { PowerMode } from './mode.ts';
import { ca, ca32, cr, gpr, ov, ov32, so } from './state.ts';

/** What a definition speaks. */
export type S = Semantics<PowerMode>;
export type W = Expr<I32>;
export type D = Expr<I64>;

export type PowerInstruction = Instruction<PowerMode>;

/** The whole instruction word as a field, for helpers that take it apart themselves. */
const WORD: Field = { name: 'word', shift: 0, width: 32 };

class DefinedInstruction extends Instruction<PowerMode> {
  override field(name: string): Field {
    return name === WORD.name ? WORD : super.field(name);
  }
}

/** One instruction of the Power ISA. */
export function define(spec: InstructionSpec<PowerMode>): PowerInstruction {
  return new DefinedInstruction(spec);
}

/** The instruction itself. */
export const instructionWord = (s: S): W => s.field(WORD.name);

const LOW_32 = 0xffffffffn;

/** The register that a field names. */
export function reg(s: S, field: string): D {
  return s.getAt(gpr, s.field(field));
}

export function setReg(s: S, field: string, value: D): void {
  s.setAt(gpr, s.field(field), value);
}

/** Names a result, writes it, and gives it back for what follows. */
export function putReg(s: S, field: string, value: D): D {
  const result = s.let(value);
  setReg(s, field, result);
  return result;
}

/** (RA|0). A definition that splits on `RA=0` is faster, one that does not is smaller. */
export function ra0(s: S): D {
  const known = s.known(s.field('RA'));
  if (known !== undefined) return known === 0 ? i64.const(0) : reg(s, 'RA');
  const { split } = s.instruction as PowerInstruction;
  if (split.includes('RA=0')) return reg(s, 'RA');
  return s.let(select(s.field('RA'), reg(s, 'RA'), i64.const(0)));
}

/** A signed field as a doubleword. */
export function simm(s: S, field: string): D {
  return i64.extendS(s.signedField(field));
}

/** An unsigned field as a doubleword. */
export function uimm(s: S, field: string): D {
  return i64.extendU(s.field(field));
}

export const low = (v: D): W => i32.wrap(v);
/** Low word, zero-extended. */
export const zext = (v: D): D => (isConst(v) ? i64.and(v, i64.const(LOW_32)) : i64.extendU(i32.wrap(v)));
/** Low word, sign-extended. */
export const sext = (v: D): D => i64.extend32(v);
export const fromWord = (v: W): D => i64.extendU(v);
export const bit = (v: W): D => i64.extendU(v);

/** An effective address in the mode's width, named (Power ISA 3.0B, book I, 1.10.3). */
export function effective(s: S, base: D, displacement: D): D {
  const sum = i64.add(base, displacement);
  return s.let(s.mode.sixtyFour ? sum : zext(sum));
}

/** An address that is not computed by addition, cut to the mode's width. */
export function inMode(s: S, address: D): D {
  return s.mode.sixtyFour ? address : zext(address);
}

/** Sets a CR field from three conditions and a copy of XER[SO]. `field` is the number of the field. */
export function setCrField(s: S, field: W, lt: W, gt: W, eq: W): void {
  const base = s.let(i32.shl(field, i32.const(2)));
  const summary = s.get(so);
  s.setAt(cr, base, lt);
  s.setAt(cr, i32.add(base, i32.const(1)), gt);
  s.setAt(cr, i32.add(base, i32.const(2)), eq);
  s.setAt(cr, i32.add(base, i32.const(3)), summary);
}

/** Signed or unsigned comparison into a CR field. */
export function compare(s: S, field: W, signed: boolean, left: D, right: D): void {
  const a = s.let(left);
  const b = s.let(right);
  const [lt, gt] = signed ? [i64.ltS(a, b), i64.gtS(a, b)] : [i64.ltU(a, b), i64.gtU(a, b)];
  setCrField(s, field, lt, gt, i64.eq(a, b));
}

/** What Rc=1 does: CR0 from a signed comparison of the result with 0, in the mode's width. */
export function record(s: S, result: D): void {
  compare(s, i32.const(0), true, s.mode.sixtyFour ? result : sext(result), i64.const(0));
}

/** Does it where the instruction's Rc field is 1. Frequent instructions split on it. */
export function recordIfRc(s: S, result: D): void {
  s.if(s.field('Rc'), () => record(s, result));
}

/** OV and OV32, and SO with OV. */
export function setOverflow(s: S, overflow: W, overflow32: W): void {
  const o = s.let(overflow);
  s.set(so, i32.or(s.get(so), o));
  s.set(ov, o);
  s.set(ov32, overflow32);
}

/** CA and CA32. */
export function setCarry(s: S, carry: W, carry32: W): void {
  s.set(ca, carry);
  s.set(ca32, carry32);
}

/** Bit `n` of a CR as the condition register holds it, 0 or 1. */
export function crBit(s: S, n: W): W {
  return s.getAt(cr, n);
}

/** A mask of ones from bit `begin` to bit `end` of 64 (IBM numbering), wrapping where begin > end. */
export function mask64(begin: W, end: W): D {
  const right = i64.shrU(i64.const(-1n), i64.extendU(begin));
  const left = i64.shl(i64.const(-1n), i64.extendU(i32.sub(i32.const(63), end)));
  if (isConst(begin) && isConst(end)) {
    return (begin.imm as number) <= (end.imm as number) ? i64.and(right, left) : i64.or(right, left);
  }
  return select(i32.gtU(begin, end), i64.or(right, left), i64.and(right, left));
}
