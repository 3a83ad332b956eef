import { i32, i64 } from '../../wasm/expr.ts';
import { type D, define, inMode, low, type PowerInstruction, type S, type W } from './common.ts';
import { cr, ctr, lr, tar } from './state.ts';

/** Branch instructions (Power ISA 3.0B, book I, 2.4). */

/**
 * What BO says, in kinds that get interpreter handlers of their own. `v` is the CR bit's wanted value, `z` whether CTR shall be 0; the rest of BO
 * are hints. `split` lists what is worth a handler for each value in the most frequent instruction, bc.
 */
interface Kind {
  readonly bo: string;
  readonly counts: boolean;
  readonly tests: boolean;
  readonly split: readonly string[];
}

const KINDS: readonly Kind[] = [
  { bo: '1 .1 1 .2', counts: false, tests: false, split: [] },
  { bo: '0 v:1 1 .2', counts: false, tests: true, split: ['v'] },
  { bo: '1 .1 0 z:1 .1', counts: true, tests: false, split: ['z'] },
  { bo: '0 v:1 0 z:1 .1', counts: true, tests: true, split: [] },
];

/** A flag, or its opposite where `wanted` is 0. */
const as = (flag: W, wanted: W): W => i32.xor(flag, i32.xor(wanted, i32.const(1)));

const crBitHolds = (s: S): W => as(s.getAt(cr, s.field('BI')), s.field('v'));

/** In 32-bit mode only the low word of CTR is tested. */
const ctrHolds = (s: S, count: D): W => as(s.mode.sixtyFour ? i64.eqz(count) : i32.eqz(low(count)), s.field('z'));

/** Whether the branch is taken, null for always; counts CTR down where BO says so. */
function condition(s: S, kind: Kind): W | null {
  let taken: W | null = null;
  if (kind.counts) {
    const count = s.let(i64.sub(s.get(ctr), i64.const(1)));
    s.set(ctr, count);
    taken = ctrHolds(s, count);
  }
  if (kind.tests) taken = taken === null ? crBitHolds(s) : i32.and(taken, crBitHolds(s));
  return taken === null ? null : s.let(taken);
}

/**
 * bcctr that counts is an invalid form, which POWER9 and QEMU execute as "test and decrement": CTR is tested as it is, and counted where the
 * test holds. Linux flushes the count cache with it.
 */
function testThenCount(s: S, kind: Kind): W {
  const count = s.let(s.get(ctr));
  const passes = s.let(ctrHolds(s, count));
  s.set(ctr, i64.sub(count, i64.extendU(passes)));
  return s.let(kind.tests ? i32.and(passes, crBitHolds(s)) : passes);
}

/** LR gets the next address where LK is 1, taken or not. */
function link(s: S): boolean {
  const links = s.split('LK') === 1;
  if (links) s.set(lr, s.nextPc());
  return links;
}

/** Target of a relative or absolute displacement of instructions. */
function displaced(s: S, field: string, absolute: boolean): D {
  const displacement = i64.extendS(i32.shl(s.signedField(field), i32.const(2)));
  return s.let(inMode(s, absolute ? displacement : i64.add(s.pc(), displacement)));
}

const IMMEDIATE: readonly PowerInstruction[] = ['0', '1'].flatMap((aa) => [
  define({
    name: aa === '0' ? 'b' : 'ba',
    encoding: `010010 LI:24 ${aa} LK:1`,
    operands: '{LI}',
    split: ['LK'],
    meaning(s) {
      const target = displaced(s, 'LI', aa === '1');
      s.jump(target, { how: 'direct', call: link(s) });
    },
  }),
  ...KINDS.map((kind) =>
    define({
      name: aa === '0' ? 'bc' : 'bca',
      encoding: `010000 ${kind.bo} BI:5 BD:14 ${aa} LK:1`,
      operands: '{BO},{BI},{BD}',
      split: aa === '0' ? [...kind.split, 'LK'] : ['LK'],
      meaning(s) {
        const target = displaced(s, 'BD', aa === '1');
        const taken = condition(s, kind);
        s.jump(target, { condition: taken, how: 'direct', call: link(s) });
      },
    }),
  ),
]);

/** Addresses in registers lose their two lowest bits. */
const aligned = (s: S, address: D): D => s.let(inMode(s, i64.and(address, i64.const(-4n))));

const REGISTER: readonly PowerInstruction[] = KINDS.flatMap((kind) => [
  define({
    name: 'bclr',
    encoding: `010011 ${kind.bo} BI:5 000 BH:2 0000010000 LK:1`,
    operands: '{BO},{BI},{BH}',
    split: ['LK'],
    meaning(s) {
      const target = aligned(s, s.get(lr));
      const taken = condition(s, kind);
      const call = link(s);
      s.jump(target, { condition: taken, how: call ? 'indirect' : 'return', call });
    },
  }),
  define({
    name: 'bcctr',
    encoding: `010011 ${kind.bo} BI:5 000 BH:2 1000010000 LK:1`,
    operands: '{BO},{BI},{BH}',
    split: ['LK'],
    meaning(s) {
      const target = aligned(s, s.get(ctr));
      const taken = kind.counts ? testThenCount(s, kind) : condition(s, kind);
      s.jump(target, { condition: taken, how: 'indirect', call: link(s) });
    },
  }),
  define({
    name: 'bctar',
    encoding: `010011 ${kind.bo} BI:5 000 BH:2 1000110000 LK:1`,
    operands: '{BO},{BI},{BH}',
    split: ['LK'],
    meaning(s) {
      const target = aligned(s, s.get(tar));
      const taken = condition(s, kind);
      s.jump(target, { condition: taken, how: 'indirect', call: link(s) });
    },
  }),
]);

export const BRANCH: readonly PowerInstruction[] = [...IMMEDIATE, ...REGISTER];
