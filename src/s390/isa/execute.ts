import { i32, i64 } from '../../wasm/expr.ts';
import { PGM } from '../abi.ts';
import {
  address,
  type D,
  define,
  gr,
  load,
  low,
  relative,
  type S,
  type S390Instruction,
  type W,
  zext,
} from './common.ts';
import { SPACE } from './helpers.ts';
import { placeOf } from './multiple.ts';

/** EXECUTE (Principles of Operation, chapter 7): one instruction from elsewhere, with bits of R1 put into its second byte. */

/** The first halfword's two leftmost bits tell whether there are a second and a third one: only these are fetched. */
function targetText(s: S, at: D): D {
  const options = { space: SPACE.instruction };
  const first = load(s, at, 2, options);
  const kind = s.let(i32.and(low(i64.shrU(first, i64.const(14))), i32.const(3)));
  const halfword = (n: number, exists: W): D => load(s, s.let(s.select(exists, placeOf(s, at, 2 * n), at)), 2, options);
  const second = halfword(1, i32.ne(kind, i32.const(0)));
  const third = halfword(2, i32.eq(kind, i32.const(3)));
  const place = (v: D, by: number): D => i64.shl(v, i64.const(by));
  return i64.or(place(first, 48), i64.or(place(second, 32), place(third, 16)));
}

function execute(s: S, target: D): void {
  const at = s.let(target);
  s.if(i32.and(low(at), i32.const(1)), () => s.trap(PGM.SPECIFICATION));
  const text = s.let(targetText(s, at));
  const opcode = i64.shrU(text, i64.const(56));
  const isExrl = i64.eq(i64.and(text, i64.const(0xff0f000000000000n)), i64.const(0xc600000000000000n));
  s.if(i32.or(i64.eq(opcode, i64.const(0x44)), isExrl), () => s.trap(PGM.EXECUTE));
  const register = s.field('R1');
  const bits = s.select(i32.ne(register, i32.const(0)), i64.and(gr(s, 'R1'), i64.const(0xff)), zext(i32.const(0)));
  s.execute(i64.or(text, i64.shl(bits, i64.const(48))));
}

export const EXECUTE: readonly S390Instruction[] = [
  define({ name: 'ex', opcode: '44', format: 'RX', meaning: (s) => execute(s, address(s, 2)) }),
  define({ name: 'exrl', opcode: 'C60', format: 'RILb', meaning: (s) => execute(s, relative(s, 'RI2')) }),
];
