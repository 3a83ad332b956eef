import { i32, i64 } from '../../wasm/expr.ts';
import { type ArmInstruction, type D, define, holds, low, operand, reg, type S, type W } from './common.ts';
import { x } from './state.ts';

/** Branches (Arm ARM, C6.2: B, BL, B.cond, CBZ, CBNZ, TBZ, TBNZ, BR, BLR, RET). */

/** The address that a field names as a signed number of instructions from here. */
function target(s: S, field: string): D {
  return i64.add(s.pc(), i64.extendS(i32.shl(s.signedField(field), i32.const(2))));
}

const LINK = 30;

function link(s: S): void {
  s.setAt(x, i32.const(LINK), s.nextPc());
}

const compareAndBranch = (name: string, op: 0 | 1): ArmInstruction =>
  define({
    name,
    encoding: `sf:1 011010 ${op} imm19:19 Rt:5`,
    operands: '{Rt},{imm19}',
    split: ['sf'],
    meaning(s) {
      const zero = i64.eqz(operand(s, 'Rt', s.split('sf') === 1));
      s.jump(s.let(target(s, 'imm19')), { condition: op === 0 ? zero : i32.eqz(zero), how: 'direct' });
    },
  });

const testAndBranch = (name: string, op: 0 | 1): ArmInstruction =>
  define({
    name,
    encoding: `b5:1 011011 ${op} b40:5 imm14:14 Rt:5`,
    operands: '{Rt:b5},{b40},{imm14}',
    split: ['b5'],
    meaning(s) {
      const bit = i32.or(i32.const(s.split('b5') * 32), s.field('b40'));
      const known = s.known(bit);
      const set: W =
        known === undefined
          ? i32.and(low(i64.shrU(reg(s, 'Rt'), i64.extendU(bit))), i32.const(1))
          : i64.ne(i64.and(reg(s, 'Rt'), i64.const(1n << BigInt(known))), i64.const(0));
      s.jump(s.let(target(s, 'imm14')), { condition: op === 0 ? i32.eqz(set) : set, how: 'direct' });
    },
  });

export const BRANCH: readonly ArmInstruction[] = [
  define({
    name: 'b',
    encoding: '0 00101 imm26:26',
    operands: '{imm26}',
    meaning: (s) => s.jump(s.let(target(s, 'imm26')), { how: 'direct' }),
  }),
  define({
    name: 'bl',
    encoding: '1 00101 imm26:26',
    operands: '{imm26}',
    meaning(s) {
      link(s);
      s.jump(s.let(target(s, 'imm26')), { how: 'direct', call: true });
    },
  }),
  define({
    name: 'b.',
    encoding: '0101010 0 imm19:19 0 cond:4',
    operands: '{imm19}',
    split: ['cond'],
    meaning: (s) => s.jump(s.let(target(s, 'imm19')), { condition: holds(s, 'cond'), how: 'direct' }),
  }),
  compareAndBranch('cbz', 0),
  compareAndBranch('cbnz', 1),
  testAndBranch('tbz', 0),
  testAndBranch('tbnz', 1),
  define({
    name: 'br',
    encoding: '1101011 0000 11111 000000 Rn:5 00000',
    operands: '{Xn}',
    meaning: (s) => s.jump(s.let(reg(s, 'Rn')), { how: 'indirect' }),
  }),
  define({
    name: 'blr',
    encoding: '1101011 0001 11111 000000 Rn:5 00000',
    operands: '{Xn}',
    meaning(s) {
      const to = s.let(reg(s, 'Rn'));
      link(s);
      s.jump(to, { how: 'indirect', call: true });
    },
  }),
  define({
    name: 'ret',
    encoding: '1101011 0010 11111 000000 Rn:5 00000',
    operands: '{Xn?}',
    meaning: (s) => s.jump(s.let(reg(s, 'Rn')), { how: 'return' }),
  }),
];
