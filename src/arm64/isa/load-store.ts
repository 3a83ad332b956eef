import { i32, i64 } from '../../wasm/expr.ts';
import { ADDRESSINGS, type Addressing, addressOf, checkAligned, SIZES, SPACE, splitOf } from './address.ts';
import { type ArmInstruction, type D, define, reg, regOrStack, type S, setReg, setRegOrStack, zext } from './common.ts';
import { TRAP } from './helpers.ts';

/** Loads and stores of general registers (Arm ARM, C4.1.88). */

interface Row {
  readonly name: string;
  /** log2 of the size in bytes. */
  readonly size: 0 | 1 | 2 | 3;
  readonly opc: '00' | '01' | '10' | '11';
  readonly signed?: boolean;
  /** The target is a W register. */
  readonly narrow?: boolean;
}

const ROWS: readonly Row[] = [
  { name: 'strb', size: 0, opc: '00', narrow: true },
  { name: 'ldrb', size: 0, opc: '01', narrow: true },
  { name: 'ldrsb', size: 0, opc: '10', signed: true },
  { name: 'ldrsb', size: 0, opc: '11', signed: true, narrow: true },
  { name: 'strh', size: 1, opc: '00', narrow: true },
  { name: 'ldrh', size: 1, opc: '01', narrow: true },
  { name: 'ldrsh', size: 1, opc: '10', signed: true },
  { name: 'ldrsh', size: 1, opc: '11', signed: true, narrow: true },
  { name: 'str', size: 2, opc: '00', narrow: true },
  { name: 'ldr', size: 2, opc: '01', narrow: true },
  { name: 'ldrsw', size: 2, opc: '10', signed: true },
  { name: 'str', size: 3, opc: '00' },
  { name: 'ldr', size: 3, opc: '01' },
];

/** LDUR and LDTR: where the offset is not scaled, or the access is EL0's, the name says so. */
function nameIn(row: Row, how: Addressing): string {
  if (how.name === 'unscaled') return row.name.replace(/^(ld|st)r/, '$1ur');
  return how.name === 'unprivileged' ? row.name.replace(/^(ld|st)r/, '$1tr') : row.name;
}

const spaceOf = (how: Addressing): number => (how.name === 'unprivileged' ? SPACE.unprivileged : SPACE.current);
const sizeBits = (size: number): string => size.toString(2).padStart(2, '0');

/** An offset register that is extended from less than 32 bits is not allocated. */
export function refuseNarrowOffset(s: S, how: Addressing): boolean {
  if (how.name !== 'register' || (s.split('option') & 2) !== 0) return false;
  s.trap(TRAP.undefined);
  return true;
}

const single = (row: Row, how: Addressing): ArmInstruction =>
  define({
    name: nameIn(row, how),
    encoding: `${sizeBits(row.size)} 111 0 ${how.class} ${row.opc} ${how.rest} Rn:5 Rt:5`,
    operands: `{${row.narrow ? 'W' : 'X'}t},${how.operand}`,
    split: splitOf(how),
    meaning(s) {
      if (refuseNarrowOffset(s, how)) return;
      const { access, writeBack } = addressOf(s, how, row.size);
      const size = SIZES[row.size];
      const store = row.opc === '00';
      checkAligned(s, access, size, store);
      const options = { space: spaceOf(how), signed: row.signed ?? false };
      if (store) s.store(access, size, reg(s, 'Rt'), options);
      else {
        const value = s.load(access, size, options);
        setReg(s, 'Rt', row.signed && row.narrow ? zext(value) : value);
      }
      if (writeBack !== null) setRegOrStack(s, 'Rn', writeBack);
    },
  });

/** PRFM and PRFUM do nothing that can be seen. */
const prefetch = (how: Addressing): ArmInstruction =>
  define({
    name: how.name === 'unscaled' ? 'prfum' : 'prfm',
    encoding: `11 111 0 ${how.class} 10 ${how.rest} Rn:5 Rt:5`,
    operands: `{prfop},${how.operand}`,
    split: splitOf(how),
    meaning(s) {
      refuseNarrowOffset(s, how);
    },
  });

const literal = (name: string, opc: string, size: 2 | 3, signed: boolean, target: 'W' | 'X'): ArmInstruction =>
  define({
    name,
    encoding: `${opc} 011 0 00 imm19:19 Rt:5`,
    operands: `{${target}t},{imm19}`,
    meaning(s) {
      const address = s.let(i64.add(s.pc(), i64.extendS(i32.shl(s.signedField('imm19'), i32.const(2)))));
      checkAligned(s, address, SIZES[size], false);
      setReg(s, 'Rt', s.load(address, SIZES[size], { signed }));
    },
  });

/** How a pair's address is formed: bits 24 and 23. */
export const PAIRS = [
  { mode: '00', name: 'nontemporal', operand: '[{Xn|sp}{imm7?}]' },
  { mode: '01', name: 'post', operand: '[{Xn|sp}],{imm7}' },
  { mode: '10', name: 'offset', operand: '[{Xn|sp}{imm7?}]' },
  { mode: '11', name: 'pre', operand: '[{Xn|sp},{imm7}]!' },
] as const;
export type PairAddressing = (typeof PAIRS)[number];

/** Addresses of both halves and what the base becomes. @param scale log2 of the size of one register */
export function pairAddresses(
  s: S,
  how: PairAddressing,
  scale: number,
): { readonly first: D; readonly second: D; readonly writeBack: D | null } {
  const base = s.let(regOrStack(s, 'Rn'));
  const moved = s.let(i64.add(base, i64.extendS(i32.shl(s.signedField('imm7'), i32.const(scale)))));
  const first = how.name === 'post' ? base : moved;
  const second = s.let(i64.add(first, i64.const(1 << scale)));
  return { first, second, writeBack: how.name === 'post' || how.name === 'pre' ? moved : null };
}

const pair = (
  how: PairAddressing,
  row: {
    readonly name: string;
    readonly opc: string;
    readonly load: 0 | 1;
    readonly size: 2 | 3;
    readonly signed?: boolean;
  },
): ArmInstruction =>
  define({
    name: how.name === 'nontemporal' ? row.name.replace(/^(ld|st)p/, '$1np') : row.name,
    encoding: `${row.opc} 101 0 0${how.mode} ${row.load} imm7:7 Rt2:5 Rn:5 Rt:5`,
    operands: `{${row.size === 3 || row.signed ? 'X' : 'W'}t},{${row.size === 3 || row.signed ? 'X' : 'W'}t2},${how.operand}`,
    meaning(s) {
      const { first, second, writeBack } = pairAddresses(s, how, row.size);
      const size = SIZES[row.size];
      checkAligned(s, first, size, row.load === 0);
      if (row.load === 1) {
        const options = { signed: row.signed ?? false };
        const a = s.load(first, size, options);
        const b = s.load(second, size, options);
        setReg(s, 'Rt', a);
        setReg(s, 'Rt2', b);
      } else {
        s.store(first, size, reg(s, 'Rt'));
        s.store(second, size, reg(s, 'Rt2'));
      }
      if (writeBack !== null) setRegOrStack(s, 'Rn', writeBack);
    },
  });

export const LOAD_STORE: readonly ArmInstruction[] = [
  ...ROWS.flatMap((row) => ADDRESSINGS.map((how) => single(row, how))),
  ...ADDRESSINGS.filter(({ name }) => ['unsigned', 'unscaled', 'register'].includes(name)).map(prefetch),
  literal('ldr', '00', 2, false, 'W'),
  literal('ldr', '01', 3, false, 'X'),
  literal('ldrsw', '10', 2, true, 'X'),
  define({ name: 'prfm', encoding: '11 011 0 00 imm19:19 Rt:5', operands: '{prfop},{imm19}', meaning: () => {} }),
  ...PAIRS.flatMap((how) => [
    pair(how, { name: 'stp', opc: '00', load: 0, size: 2 }),
    pair(how, { name: 'ldp', opc: '00', load: 1, size: 2 }),
    pair(how, { name: 'stp', opc: '10', load: 0, size: 3 }),
    pair(how, { name: 'ldp', opc: '10', load: 1, size: 3 }),
  ]),
  ...PAIRS.filter(({ name }) => name !== 'nontemporal').map((how) =>
    pair(how, { name: 'ldpsw', opc: '01', load: 1, size: 2, signed: true }),
  ),
];
