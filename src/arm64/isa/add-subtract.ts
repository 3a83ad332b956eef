import { i32, i64 } from '../../wasm/expr.ts';
import {
  type ArmInstruction,
  cut,
  type D,
  define,
  extended,
  low,
  operand,
  regOrStack,
  type S,
  setFlags,
  setReg,
  setRegOrStack,
  shifted,
  type W,
} from './common.ts';
import { TRAP } from './helpers.ts';
import { flagC } from './state.ts';

/** Add and subtract (Arm ARM, C6.2: ADD, ADDS, SUB, SUBS, ADC, ADCS, SBC, SBCS). */

interface Kind {
  readonly name: string;
  readonly op: 0 | 1;
  readonly setsFlags: 0 | 1;
}

const KINDS: readonly Kind[] = [
  { name: 'add', op: 0, setsFlags: 0 },
  { name: 'adds', op: 0, setsFlags: 1 },
  { name: 'sub', op: 1, setsFlags: 0 },
  { name: 'subs', op: 1, setsFlags: 1 },
];

const negative = (wide: boolean, value: D): W =>
  wide ? i64.ltS(value, i64.const(0)) : i32.ltS(low(value), i32.const(0));

/** Flags of a + b; both and the result are cut to the width and named. */
export function setAddFlags(s: S, wide: boolean, a: D, b: D, result: D): void {
  const n = negative(wide, result);
  const overflow = i64.and(i64.xor(a, result), i64.xor(b, result));
  const v = s.let(negative(wide, overflow));
  setFlags(s, { n, z: i64.eqz(result), c: i64.ltU(result, a), v, less: i32.xor(n, v) });
}

/** Flags of a - b; both and the result are cut to the width and named. */
export function setSubtractFlags(s: S, wide: boolean, a: D, b: D, result: D): void {
  const n = negative(wide, result);
  const less = wide ? i64.ltS(a, b) : i32.ltS(low(a), low(b));
  setFlags(s, { n, z: i64.eq(a, b), c: i64.geU(a, b), v: i32.xor(n, less), less });
}

/** Computes a ± b with the flags that the kind sets; `put` gets the result. */
function compute(s: S, kind: Kind, wide: boolean, left: D, right: D, put: (result: D) => void): void {
  if (kind.setsFlags === 0) return put(cut(wide, kind.op === 0 ? i64.add(left, right) : i64.sub(left, right)));
  const a = s.let(left);
  const b = s.let(right);
  const result = s.let(cut(wide, kind.op === 0 ? i64.add(a, b) : i64.sub(a, b)));
  put(result);
  if (kind.op === 0) setAddFlags(s, wide, a, b, result);
  else setSubtractFlags(s, wide, a, b, result);
}

const immediate = (kind: Kind): ArmInstruction =>
  define({
    name: kind.name,
    encoding: `sf:1 ${kind.op} ${kind.setsFlags} 100010 sh:1 imm12:12 Rn:5 Rd:5`,
    operands: kind.setsFlags ? '{Rd},{Rn|sp},{imm12}{sh?}' : '{Rd|sp},{Rn|sp},{imm12}{sh?}',
    split: ['sf', 'sh'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const value = i64.extendU(i32.shl(s.field('imm12'), i32.const(s.split('sh') * 12)));
      const put = kind.setsFlags ? setReg : setRegOrStack;
      compute(s, kind, wide, cut(wide, regOrStack(s, 'Rn')), value, (result) => put(s, 'Rd', result));
    },
  });

const shiftedRegister = (kind: Kind, wide: boolean): ArmInstruction =>
  define({
    name: kind.name,
    // Shifts of 32 and more are undefined in the 32-bit form.
    encoding: `${wide ? 1 : 0} ${kind.op} ${kind.setsFlags} 01011 shift:2 0 Rm:5 ${wide ? 'imm6:6' : '0 imm6:5'} Rn:5 Rd:5`,
    operands: '{Rd},{Rn},{Rm}{shift?}',
    split: ['shift', 'imm6=0'],
    meaning(s) {
      const type = s.split('shift');
      if (type === 3) return s.trap(TRAP.undefined);
      const right = shifted(wide, type, operand(s, 'Rm', wide), s.field('imm6'));
      compute(s, kind, wide, operand(s, 'Rn', wide), right, (result) => setReg(s, 'Rd', result));
    },
  });

const extendedRegister = (kind: Kind): ArmInstruction =>
  define({
    name: kind.name,
    encoding: `sf:1 ${kind.op} ${kind.setsFlags} 01011 00 1 Rm:5 option:3 imm3:3 Rn:5 Rd:5`,
    operands: kind.setsFlags ? '{Rd},{Rn|sp},{Rm:option}{extend?}' : '{Rd|sp},{Rn|sp},{Rm:option}{extend?}',
    split: ['sf', 'option'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const amount = s.field('imm3');
      // A shift of more than 4 is not allocated.
      s.if(i32.gtU(amount, i32.const(4)), () => s.trap(TRAP.undefined));
      const right = cut(wide, i64.shl(extended(s.split('option'), operand(s, 'Rm', true)), i64.extendU(amount)));
      const put = kind.setsFlags ? setReg : setRegOrStack;
      compute(s, kind, wide, cut(wide, regOrStack(s, 'Rn')), right, (result) => put(s, 'Rd', result));
    },
  });

/** a + b + C: its result and carry. For a subtraction b is inverted. */
const withCarry = ({ name, op, setsFlags }: Kind): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 ${op} ${setsFlags} 11010000 Rm:5 000000 Rn:5 Rd:5`,
    operands: '{Rd},{Rn},{Rm}',
    split: ['sf'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const a = s.let(operand(s, 'Rn', wide));
      const b = s.let(op === 0 ? operand(s, 'Rm', wide) : cut(wide, i64.not(operand(s, 'Rm', wide))));
      const carryIn = s.let(s.get(flagC));
      const result = s.let(cut(wide, i64.add(i64.add(a, b), i64.extendU(carryIn))));
      setReg(s, 'Rd', result);
      if (setsFlags === 0) return;
      const n = negative(wide, result);
      const v = s.let(negative(wide, i64.and(i64.xor(a, result), i64.xor(b, result))));
      const c = i32.or(i64.ltU(result, a), i32.and(carryIn, i64.eq(result, a)));
      setFlags(s, { n, z: i64.eqz(result), c, v, less: i32.xor(n, v) });
    },
  });

export const ADD_SUBTRACT: readonly ArmInstruction[] = [
  ...KINDS.flatMap((kind) => [
    immediate(kind),
    shiftedRegister(kind, false),
    shiftedRegister(kind, true),
    extendedRegister(kind),
  ]),
  withCarry({ name: 'adc', op: 0, setsFlags: 0 }),
  withCarry({ name: 'adcs', op: 0, setsFlags: 1 }),
  withCarry({ name: 'sbc', op: 1, setsFlags: 0 }),
  withCarry({ name: 'sbcs', op: 1, setsFlags: 1 }),
];
