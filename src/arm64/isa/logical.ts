import { i32, i64 } from '../../wasm/expr.ts';
import { bitMask } from './bit-masks.ts';
import {
  type ArmInstruction,
  cut,
  type D,
  define,
  operand,
  type S,
  setLogicalFlags,
  setReg,
  setRegOrStack,
  shifted,
} from './common.ts';
import { TRAP } from './helpers.ts';

/** Logical operations (Arm ARM, C6.2: AND, BIC, ORR, ORN, EOR, EON, ANDS, BICS) and wide moves (MOVZ, MOVN, MOVK). */

interface Kind {
  readonly name: string;
  readonly inverted: string;
  readonly opc: string;
  readonly operation: (a: D, b: D) => D;
}

const KINDS: readonly Kind[] = [
  { name: 'and', inverted: 'bic', opc: '00', operation: i64.and },
  { name: 'orr', inverted: 'orn', opc: '01', operation: i64.or },
  { name: 'eor', inverted: 'eon', opc: '10', operation: i64.xor },
  { name: 'ands', inverted: 'bics', opc: '11', operation: i64.and },
];

const immediate = ({ name, opc, operation }: Kind): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 ${opc} 100100 N:1 immr:6 imms:6 Rn:5 Rd:5`,
    operands: opc === '11' ? '{Rd},{Rn},{mask}' : '{Rd|sp},{Rn},{mask}',
    split: ['sf'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const { value, allocated } = bitMask(s, wide);
      s.if(i32.eqz(allocated), () => s.trap(TRAP.undefined));
      const result = operation(operand(s, 'Rn', wide), value);
      if (opc !== '11') return setRegOrStack(s, 'Rd', result);
      putWithFlags(s, wide, result);
    },
  });

function putWithFlags(s: S, wide: boolean, value: D): void {
  const result = s.let(value);
  setReg(s, 'Rd', result);
  setLogicalFlags(s, wide, result);
}

const register = ({ name, inverted, opc, operation }: Kind, invert: 0 | 1, wide: boolean): ArmInstruction =>
  define({
    name: invert ? inverted : name,
    // Shifts of 32 and more are undefined in the 32-bit form.
    encoding: `${wide ? 1 : 0} ${opc} 01010 shift:2 ${invert} Rm:5 ${wide ? 'imm6:6' : '0 imm6:5'} Rn:5 Rd:5`,
    operands: '{Rd},{Rn},{Rm}{shift?}',
    split: ['shift', 'imm6=0'],
    meaning(s) {
      const amount = s.field('imm6');
      const second = shifted(wide, s.known(amount) === 0 ? 0 : s.split('shift'), operand(s, 'Rm', wide), amount);
      const right = invert ? cut(wide, i64.not(second)) : second;
      const result = operation(operand(s, 'Rn', wide), right);
      if (opc === '11') putWithFlags(s, wide, result);
      else setReg(s, 'Rd', result);
    },
  });

const moveWide = (name: string, opc: string, value: (s: S, placed: D, field: D) => D): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 ${opc} 100101 hw:2 imm16:16 Rd:5`,
    operands: '{Rd},{imm16}{hw?}',
    split: ['sf', 'hw'],
    meaning(s) {
      const wide = s.split('sf') === 1;
      const hw = s.split('hw');
      if (!wide && hw > 1) return s.trap(TRAP.undefined);
      const placed = i64.shl(i64.extendU(s.field('imm16')), i64.const(16 * hw));
      setReg(s, 'Rd', cut(wide, value(s, placed, i64.const(0xffffn << BigInt(16 * hw)))));
    },
  });

const MOVES: readonly ArmInstruction[] = [
  moveWide('movn', '00', (_, placed) => i64.not(placed)),
  moveWide('movz', '10', (_, placed) => placed),
  moveWide('movk', '11', (s, placed, field) => i64.or(i64.and(operand(s, 'Rd', true), i64.not(field)), placed)),
];

export const LOGICAL: readonly ArmInstruction[] = [
  ...KINDS.flatMap((kind) => [
    immediate(kind),
    ...([0, 1] as const).flatMap((invert) => [register(kind, invert, false), register(kind, invert, true)]),
  ]),
  ...MOVES,
];
