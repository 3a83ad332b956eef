import { i32, i64 } from '../../wasm/expr.ts';
import { type ArmInstruction, define, instructionWord, low, nzcv, reg, type S, setNzcv, setReg } from './common.ts';
import { HELPER, TRAP } from './helpers.ts';

/** Exceptions, hints, barriers and system registers (Arm ARM, C4.1.86), and ADR and ADRP. */

const exception = (name: string, opc: string, ll: string, trap: number): ArmInstruction =>
  define({
    name,
    encoding: `11010100 ${opc} imm16:16 000 ${ll}`,
    operands: '{imm16#}',
    meaning: (s) => s.trap(trap, s.field('imm16')),
  });

const byHelper = (name: string, encoding: string, operands: string, helper: number): ArmInstruction =>
  define({ name, encoding, operands, meaning: (s) => s.helper(helper, instructionWord(s)) });

/** All there is to a barrier where one PE runs at a time, and to a hint that means nothing here. */
const nothing = (name: string, encoding: string, operands: string): ArmInstruction =>
  define({ name, encoding, operands, meaning: () => {} });

const address = (name: string, op: 0 | 1): ArmInstruction =>
  define({
    name,
    encoding: `${op} immlo:2 10000 immhi:19 Rd:5`,
    operands: '{Xd},{immhi:immlo}',
    meaning(s) {
      const offset = i64.or(i64.shl(i64.extendS(s.signedField('immhi')), i64.const(2)), i64.extendU(s.field('immlo')));
      const page = i64.and(s.pc(), i64.const(-4096));
      setReg(s, 'Rd', op === 0 ? i64.add(s.pc(), offset) : i64.add(page, i64.shl(offset, i64.const(12))));
    },
  });

const hint = (name: string, number: number, helper: number): ArmInstruction => {
  const bits = number.toString(2).padStart(7, '0');
  return byHelper(name, `1101010100 0 00 011 0010 ${bits.slice(0, 4)} ${bits.slice(4)} 11111`, '', helper);
};

/** NZCV as MRS and MSR see it: bits 31 to 28. */
const NZCV_SHIFT = 28;

function readNzcv(s: S): void {
  setReg(s, 'Rt', i64.shl(i64.extendU(nzcv(s)), i64.const(NZCV_SHIFT)));
}

function writeNzcv(s: S): void {
  setNzcv(s, i32.and(i32.shrU(low(reg(s, 'Rt')), i32.const(NZCV_SHIFT)), i32.const(15)));
}

export const SYSTEM: readonly ArmInstruction[] = [
  address('adr', 0),
  address('adrp', 1),
  exception('svc', '000', '01', TRAP.svc),
  exception('hvc', '000', '10', TRAP.hvc),
  exception('smc', '000', '11', TRAP.smc),
  exception('brk', '001', '00', TRAP.brk),
  exception('hlt', '010', '00', TRAP.hlt),
  define({
    name: 'udf',
    encoding: '0000000000000000 imm16:16',
    operands: '{imm16#}',
    meaning: (s) => s.trap(TRAP.undefined),
  }),
  byHelper('eret', '1101011 0100 11111 000000 11111 00000', '', HELPER.eret),
  hint('wfe', 2, HELPER.wfe),
  hint('wfi', 3, HELPER.wfi),
  hint('sev', 4, HELPER.sev),
  hint('sevl', 5, HELPER.sevl),
  nothing('hint', '1101010100 0 00 011 0010 CRm:4 op2:3 11111', '{CRm:op2}'),
  nothing('dsb', '1101010100 0 00 011 0011 CRm:4 100 11111', '{CRm}'),
  nothing('dmb', '1101010100 0 00 011 0011 CRm:4 101 11111', '{CRm}'),
  byHelper('isb', '1101010100 0 00 011 0011 CRm:4 110 11111', '{CRm?}', HELPER.isb),
  byHelper('msr', '1101010100 0 00 op1:3 0100 CRm:4 op2:3 11111', '{pstatefield},{CRm}', HELPER.msrImmediate),
  byHelper('sys', '1101010100 0 01 op1:3 CRn:4 CRm:4 op2:3 Rt:5', '{op1},{CRn},{CRm},{op2}{Xt?}', HELPER.sys),
  byHelper('sysl', '1101010100 1 01 op1:3 CRn:4 CRm:4 op2:3 Rt:5', '{Xt},{op1},{CRn},{CRm},{op2}', HELPER.sys),
  byHelper('msr', '1101010100 0 1 o0:1 op1:3 CRn:4 CRm:4 op2:3 Rt:5', '{sysreg},{Xt}', HELPER.msr),
  byHelper('mrs', '1101010100 1 1 o0:1 op1:3 CRn:4 CRm:4 op2:3 Rt:5', '{Xt},{sysreg}', HELPER.mrs),
  define({
    name: 'msr',
    encoding: '1101010100 0 1 1 011 0100 0010 000 Rt:5',
    operands: 'nzcv,{Xt}',
    meaning: writeNzcv,
  }),
  define({
    name: 'mrs',
    encoding: '1101010100 1 1 1 011 0100 0010 000 Rt:5',
    operands: '{Xt},nzcv',
    meaning: readNzcv,
  }),
];
