import { Instruction } from '../../engine/instruction.ts';
import type { AccessSize } from '../../engine/ir.ts';
import type { Field } from '../../engine/pattern.ts';
import type { AccessOptions, Semantics } from '../../engine/semantics.ts';
import { type Expr, i32, i64, select } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { PGM } from '../abi.ts';
import { encodingOf, FORMATS, type Format } from './formats.ts';
import { HELPER } from './helpers.ts';
import type { S390Mode } from './mode.ts';
import { gpr } from './state.ts';

/** What a definition speaks. */
export type S = Semantics<S390Mode>;
export type W = Expr<I32>;
export type D = Expr<I64>;

/** The instruction's first four bytes, or its only two, as one field; and bytes 4 and 5. */
const HEAD = { name: 'head', shift: 0, width: 32 } as const;
const TAIL = { name: 'tail', shift: 32, width: 16 } as const;

export class S390Instruction extends Instruction<S390Mode> {
  override field(name: string): Field {
    if (name === HEAD.name) return HEAD;
    return name === TAIL.name ? TAIL : super.field(name);
  }

  has(name: string): boolean {
    return this.pattern.fields.has(name);
  }
}

/** What a definition says of an instruction; the rest follows from its format. */
export interface Definition {
  readonly name: string;
  /** All hexadecimal digits of the opcode, in order. */
  readonly opcode: string;
  readonly format: Format;
  /** Where it is not the format's. */
  readonly operands?: string;
  readonly split?: readonly string[];
  readonly meaning: (s: S) => void;
}

/** One instruction of z/Architecture. */
export function define({ name, opcode, format, operands, split, meaning }: Definition): S390Instruction {
  return new S390Instruction({
    name,
    encoding: encodingOf(format, opcode),
    operands: operands ?? FORMATS[format].operands,
    ...(split && { split }),
    meaning,
  });
}

const HIGH_32 = i64.const(0xffffffff00000000n);
const LOW_32 = i64.const(0xffffffffn);

export const low = (v: D): W => i32.wrap(v);
export const high = (v: D): W => i32.wrap(i64.shrU(v, i64.const(32)));
export const zext = (v: W): D => i64.extendU(v);
export const sext = (v: W): D => i64.extendS(v);

/** The general register that a field names. */
export function gr(s: S, field: string): D {
  return s.getAt(gpr, s.field(field));
}

export function setGr(s: S, field: string, value: D): void {
  s.setAt(gpr, s.field(field), value);
}

/** Its low half. */
export function gr32(s: S, field: string): W {
  return low(gr(s, field));
}

/** Sets the low half and keeps the high one. */
export function setGr32(s: S, field: string, value: W): void {
  setGr(s, field, withLow(gr(s, field), value));
}

/** Sets the high half and keeps the low one. */
export function setGrHigh(s: S, field: string, value: W): void {
  setGr(s, field, i64.or(i64.and(gr(s, field), LOW_32), i64.shl(zext(value), i64.const(32))));
}

export function withLow(register: D, value: W): D {
  return i64.or(i64.and(register, HIGH_32), zext(value));
}

/** The odd register of the even-odd pair that a field names. */
export function odd(s: S, field: string): W {
  return i32.or(s.field(field), i32.const(1));
}

/** A pair of registers must be named by the even one. */
export function requireEven(s: S, ...fields: readonly string[]): void {
  for (const f of fields) s.if(i32.and(s.field(f), i32.const(1)), () => s.trap(PGM.SPECIFICATION));
}

/** A base or index register: number 0 is no register. A definition that splits on it is faster, one that does not is smaller. */
export function base(s: S, field: string): D {
  const known = s.known(s.field(field));
  if (known !== undefined) return known === 0 ? i64.const(0) : gr(s, field);
  if (s.instruction instanceof S390Instruction && s.instruction.split.includes(`${field}=0`)) return gr(s, field);
  return select(s.field(field), gr(s, field), i64.const(0));
}

function displacement(s: S, n: number): D {
  const instruction = s.instruction as S390Instruction;
  if (!instruction.has(`DH${n}`)) return zext(s.field(`D${n}`));
  return sext(i32.or(i32.shl(s.signedField(`DH${n}`), i32.const(12)), s.field(`DL${n}`)));
}

/** An address cut to what the addressing mode has. */
export function inMode(s: S, address: D): D {
  const { addressBits } = s.mode;
  return addressBits === 64 ? address : i64.and(address, i64.const((1n << BigInt(addressBits)) - 1n));
}

/** Address of storage operand `n`: base, displacement, and index where the format has one. Named. */
export function address(s: S, n: 1 | 2 | 3 | 4): D {
  const instruction = s.instruction as S390Instruction;
  let sum = base(s, `B${n}`);
  if (instruction.has(`X${n}`)) sum = i64.add(sum, base(s, `X${n}`));
  return s.let(inMode(s, i64.add(sum, displacement(s, n))));
}

/** A signed immediate I2 of 8, 16 or 32 bits. */
export function immediate(s: S): W {
  const instruction = s.instruction as S390Instruction;
  return instruction.has('I2H') ? i32.or(i32.shl(s.field('I2H'), i32.const(16)), s.field('I2L')) : s.signedField('I2');
}

/** Target of a relative operand: its field counts halfwords from the instruction. */
export function relative(s: S, field: string): D {
  const instruction = s.instruction as S390Instruction;
  const halfwords = instruction.has(`${field}H`)
    ? i32.or(i32.shl(s.field(`${field}H`), i32.const(16)), s.field(`${field}L`))
    : s.signedField(field);
  return inMode(s, i64.add(s.pc(), i64.shl(sext(halfwords), i64.const(1))));
}

/** Loads a storage operand. */
export function load(s: S, at: D, size: AccessSize, options: AccessOptions = {}): D {
  return s.load(at, size, options);
}

/** Stores a storage operand. */
export function store(s: S, at: D, size: AccessSize, value: D, options: AccessOptions = {}): void {
  s.store(at, size, value, options);
}

/** Leaves the whole instruction to TypeScript: `perform`, or a helper of the CPU model's. */
export function byHelper(s: S, helper: number = HELPER.perform): void {
  const { length } = (s.instruction as S390Instruction).pattern;
  const head = s.field('head');
  s.helper(helper, length === 2 ? i32.shl(head, i32.const(16)) : head, length === 6 ? s.field('tail') : i32.const(0));
}
