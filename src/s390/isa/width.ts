import type { Expr } from '../../wasm/expr.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { PGM } from '../abi.ts';
import {
  address,
  type D,
  gr,
  gr32,
  immediate,
  load,
  low,
  relative,
  type S,
  type S390Instruction,
  setGr,
  setGr32,
  sext,
  type W,
  zext,
} from './common.ts';

/** Operations that exist on 32 and on 64 bits. */
export interface Operations<T extends I32 | I64> {
  const(v: number): Expr<T>;
  add(a: Expr<T>, b: Expr<T>): Expr<T>;
  sub(a: Expr<T>, b: Expr<T>): Expr<T>;
  mul(a: Expr<T>, b: Expr<T>): Expr<T>;
  and(a: Expr<T>, b: Expr<T>): Expr<T>;
  or(a: Expr<T>, b: Expr<T>): Expr<T>;
  xor(a: Expr<T>, b: Expr<T>): Expr<T>;
  shl(a: Expr<T>, b: Expr<T>): Expr<T>;
  shrS(a: Expr<T>, b: Expr<T>): Expr<T>;
  shrU(a: Expr<T>, b: Expr<T>): Expr<T>;
  rotl(a: Expr<T>, b: Expr<T>): Expr<T>;
  divS(a: Expr<T>, b: Expr<T>): Expr<T>;
  divU(a: Expr<T>, b: Expr<T>): Expr<T>;
  remS(a: Expr<T>, b: Expr<T>): Expr<T>;
  remU(a: Expr<T>, b: Expr<T>): Expr<T>;
  eqz(a: Expr<T>): W;
  eq(a: Expr<T>, b: Expr<T>): W;
  ne(a: Expr<T>, b: Expr<T>): W;
  ltS(a: Expr<T>, b: Expr<T>): W;
  ltU(a: Expr<T>, b: Expr<T>): W;
  gtS(a: Expr<T>, b: Expr<T>): W;
  gtU(a: Expr<T>, b: Expr<T>): W;
}

/** A width of integers: what makes one definition serve instructions on 32 and on 64 bits. */
export interface Width<T extends I32 | I64> {
  readonly bits: 32 | 64;
  readonly bytes: 4 | 8;
  readonly ops: Operations<T>;
  get(s: S, field: string): Expr<T>;
  set(s: S, field: string, value: Expr<T>): void;
  /** The low bits of a doubleword. */
  from(v: D): Expr<T>;
  /** A word, sign-extended. */
  signed(v: W): Expr<T>;
  /** A word, zero-extended. */
  unsigned(v: W): Expr<T>;
  /** As a doubleword, the upper bits zero. */
  toD(v: Expr<T>): D;
}

const same = <T>(v: T): T => v;

export const W32: Width<I32> = {
  bits: 32,
  bytes: 4,
  ops: i32,
  get: gr32,
  set: setGr32,
  from: low,
  signed: same,
  unsigned: same,
  toD: zext,
};
export const W64: Width<I64> = {
  bits: 64,
  bytes: 8,
  ops: i64,
  get: gr,
  set: setGr,
  from: same,
  signed: sext,
  unsigned: zext,
  toD: same,
};

/**
 * Where the last operand of an instruction comes from: a register (of the format's last register field) of the same width, or of 32 bits
 * extended with its sign or zeros; storage of the same width, a word or halfword extended, at an address or relative to the instruction;
 * an immediate, signed or not.
 */
export type Source =
  | 'r'
  | 'rs'
  | 'rz'
  | 'm'
  | 'ms'
  | 'mz'
  | 'mh'
  | 'mhz'
  | 'rel'
  | 'rels'
  | 'relz'
  | 'relh'
  | 'relhz'
  | 'i'
  | 'iz';

/** The last register field of formats with two sources. */
function lastRegister(s: S): string {
  return (s.instruction as S390Instruction).has('R3') ? 'R3' : 'R2';
}

/** Address of a relative storage operand, which must be aligned to its size. */
export function relativeAddress(s: S, size: 2 | 4 | 8): D {
  const at = s.let(relative(s, 'RI2'));
  if (size > 2) s.if(i32.and(low(at), i32.const(size - 1)), () => s.trap(PGM.SPECIFICATION));
  return at;
}

export function operand<T extends I32 | I64>(s: S, width: Width<T>, source: Source): Expr<T> {
  const at = (size: 2 | 4 | 8): D => (source.startsWith('rel') ? relativeAddress(s, size) : address(s, 2));
  switch (source) {
    case 'r':
      return width.get(s, lastRegister(s));
    case 'rs':
      return width.signed(gr32(s, lastRegister(s)));
    case 'rz':
      return width.unsigned(gr32(s, lastRegister(s)));
    case 'm':
    case 'rel':
      return width.from(load(s, at(width.bytes), width.bytes));
    case 'ms':
    case 'rels':
      return width.from(load(s, at(4), 4, { signed: true }));
    case 'mz':
    case 'relz':
      return width.from(load(s, at(4), 4));
    case 'mh':
    case 'relh':
      return width.from(load(s, at(2), 2, { signed: true }));
    case 'mhz':
    case 'relhz':
      return width.from(load(s, at(2), 2));
    case 'i':
      return width.signed(immediate(s));
    case 'iz':
      return width.unsigned(immediate(s));
  }
}

/** The first source of an instruction: where there are three operands it is not the target. */
export function firstSource(s: S): string {
  const instruction = s.instruction as S390Instruction;
  if (!instruction.has('R3')) return 'R1';
  return instruction.has('R2') ? 'R2' : 'R3';
}
