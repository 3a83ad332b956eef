import { i32, i64 } from '../../wasm/expr.ts';
import { type D, define, inMode, low, type PowerInstruction, type S, type W } from './common.ts';
import { cr, ctr, lr, tar } from './state.ts';

/** Branch instructions (Power ISA 3.0B, book I, 2.4). */

/** Bits of BO. */
const BO = { ignoreCondition: 0x10, conditionValue: 0x08, keepCtr: 0x04, ctrZero: 0x02 } as const;

/**
 * Whether the branch is taken, null for always; counts CTR down where BO says so. In 32-bit mode only the low word of CTR is tested.
 */
function condition(s: S): W | null {
  const bo = s.split('BO');
  let taken: W | null = null;
  if ((bo & BO.keepCtr) === 0) {
    const count = s.let(i64.sub(s.get(ctr), i64.const(1)));
    s.set(ctr, count);
    const isZero = s.mode.sixtyFour ? i64.eqz(count) : i32.eqz(low(count));
    taken = (bo & BO.ctrZero) !== 0 ? isZero : i32.eqz(isZero);
  }
  if ((bo & BO.ignoreCondition) === 0) {
    const bit = s.getAt(cr, s.field('BI'));
    const holds = (bo & BO.conditionValue) !== 0 ? bit : i32.xor(bit, i32.const(1));
    taken = taken === null ? holds : i32.and(taken, holds);
  }
  return taken === null ? null : s.let(taken);
}

/** LR gets the next address where LK is 1, taken or not. */
function link(s: S): boolean {
  const links = s.split('LK') === 1;
  if (links) s.set(lr, s.nextPc());
  return links;
}

/** Target of a relative or absolute displacement of instructions. */
function displaced(s: S, field: string): D {
  const displacement = i64.extendS(i32.shl(s.signedField(field), i32.const(2)));
  return inMode(s, s.split('AA') === 1 ? displacement : i64.add(s.pc(), displacement));
}

const IMMEDIATE: readonly PowerInstruction[] = [
  define({
    name: 'b',
    encoding: '010010 LI:24 AA:1 LK:1',
    operands: '{LI}',
    split: ['AA', 'LK'],
    meaning(s) {
      const target = s.let(displaced(s, 'LI'));
      s.jump(target, { how: 'direct', call: link(s) });
    },
  }),
  define({
    name: 'bc',
    encoding: '010000 BO:5 BI:5 BD:14 AA:1 LK:1',
    operands: '{BO},{BI},{BD}',
    split: ['BO', 'AA', 'LK'],
    meaning(s) {
      const target = s.let(displaced(s, 'BD'));
      const taken = condition(s);
      s.jump(target, { condition: taken, how: 'direct', call: link(s) });
    },
  }),
];

/** Addresses in registers lose their two lowest bits. */
const aligned = (s: S, address: D): D => inMode(s, i64.and(address, i64.const(-4n)));

const REGISTER: readonly PowerInstruction[] = [
  define({
    name: 'bclr',
    encoding: '010011 BO:5 BI:5 .3 BH:2 0000010000 LK:1',
    operands: '{BO},{BI},{BH}',
    split: ['BO', 'LK'],
    meaning(s) {
      const target = s.let(aligned(s, s.get(lr)));
      const taken = condition(s);
      const call = link(s);
      s.jump(target, { condition: taken, how: call ? 'indirect' : 'return', call });
    },
  }),
  define({
    name: 'bcctr',
    encoding: '010011 BO:5 BI:5 .3 BH:2 1000010000 LK:1',
    operands: '{BO},{BI},{BH}',
    split: ['BO', 'LK'],
    meaning(s) {
      // BO that counts CTR down is an invalid form; the count is then done, as hardware and QEMU do it, before CTR is read.
      const taken = condition(s);
      s.jump(aligned(s, s.get(ctr)), { condition: taken, how: 'indirect', call: link(s) });
    },
  }),
  define({
    name: 'bctar',
    encoding: '010011 BO:5 BI:5 .3 BH:2 1000110000 LK:1',
    operands: '{BO},{BI},{BH}',
    split: ['BO', 'LK'],
    meaning(s) {
      const target = s.let(aligned(s, s.get(tar)));
      const taken = condition(s);
      s.jump(target, { condition: taken, how: 'indirect', call: link(s) });
    },
  }),
];

export const BRANCH: readonly PowerInstruction[] = [...IMMEDIATE, ...REGISTER];
