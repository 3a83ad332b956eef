import { i32, i64 } from '../../wasm/expr.ts';
import { HFSCR, MSR } from '../abi.ts';
import { type D, define, inMode, low, type PowerInstruction, type S, type W } from './common.ts';
import { TRAP } from './helpers.ts';
import { cr, ctr, fscr, hfscr, lr, msr, tar } from './state.ts';

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

/** Also where the kind has a field `t` that says not to test it. */
function crBitHolds(s: S, kind: Kind): W {
  const holds = as(s.getAt(cr, s.field('BI')), s.field('v'));
  return kind.bo.startsWith('t') ? i32.or(s.field('t'), holds) : holds;
}

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
  if (kind.tests) taken = taken === null ? crBitHolds(s, kind) : i32.and(taken, crBitHolds(s, kind));
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
  return s.let(kind.tests ? i32.and(passes, crBitHolds(s, kind)) : passes);
}

/** The same for any BO, in one handler: for branches that hardly anyone uses. */
function anyCondition(s: S): W {
  const part = (bit: number): W => i32.and(i32.shrU(s.field('BO'), i32.const(bit)), i32.const(1));
  const keeps = s.let(part(2));
  const counts = i32.xor(keeps, i32.const(1));
  const count = s.let(i64.sub(s.get(ctr), i64.extendU(counts)));
  s.set(ctr, count);
  const isZero = s.mode.sixtyFour ? i64.eqz(count) : i32.eqz(low(count));
  const counted = i32.or(keeps, as(isZero, part(1)));
  return s.let(i32.and(counted, i32.or(part(4), as(s.getAt(cr, s.field('BI')), part(3)))));
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

const IMMEDIATE: readonly PowerInstruction[] = [
  ...['b', 'ba'].map((name, absolute) =>
    define({
      name,
      encoding: `010010 LI:24 ${absolute} LK:1`,
      operands: '{LI}',
      split: ['LK'],
      meaning(s) {
        const target = displaced(s, 'LI', absolute === 1);
        s.jump(target, { how: 'direct', call: link(s) });
      },
    }),
  ),
  ...KINDS.map((kind) =>
    define({
      name: 'bc',
      encoding: `010000 ${kind.bo} BI:5 BD:14 0 LK:1`,
      operands: '{BO},{BI},{BD}',
      split: [...kind.split, 'LK'],
      meaning(s) {
        const target = displaced(s, 'BD', false);
        const taken = condition(s, kind);
        s.jump(target, { condition: taken, how: 'direct', call: link(s) });
      },
    }),
  ),
  define({
    name: 'bca',
    encoding: '010000 BO:5 BI:5 BD:14 1 LK:1',
    operands: '{BO},{BI},{BD}',
    split: ['LK'],
    meaning(s) {
      const target = displaced(s, 'BD', true);
      const taken = anyCondition(s);
      s.jump(target, { condition: taken, how: 'direct', call: link(s) });
    },
  }),
];

/** Addresses in registers lose their two lowest bits. */
const aligned = (s: S, address: D): D => s.let(inMode(s, i64.and(address, i64.const(-4n))));

/** Branches to registers that count are rare: one kind for all of them. */
const REGISTER_KINDS: readonly Kind[] = [
  ...KINDS.slice(0, 2),
  { bo: 't:1 v:1 0 z:1 .1', counts: true, tests: true, split: [] },
];

const REGISTER: readonly PowerInstruction[] = REGISTER_KINDS.flatMap((kind) => [
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
]);

/** FSCR[TAR] in problem state, and HFSCR[TAR] below the hypervisor (book III, 6.2.10 and 6.2.11). */
function requireTar(s: S): void {
  const state = s.let(s.get(msr));
  const off = (register: D, guarded: W): W => i32.and(guarded, i64.eqz(i64.and(register, i64.const(HFSCR.TAR))));
  const problem = i64.ne(i64.and(state, i64.const(MSR.PR)), i64.const(0));
  const guest = i64.eqz(i64.and(state, i64.const(MSR.HV)));
  const refused = i32.or(off(s.get(fscr), problem), off(s.get(hfscr), guest));
  s.if(refused, () => s.trap(TRAP.targetAddressRegister));
}

const TO_TAR = define({
  name: 'bctar',
  encoding: '010011 BO:5 BI:5 000 BH:2 1000110000 LK:1',
  operands: '{BO},{BI},{BH}',
  split: ['LK'],
  meaning(s) {
    requireTar(s);
    const target = aligned(s, s.get(tar));
    const taken = anyCondition(s);
    s.jump(target, { condition: taken, how: 'indirect', call: link(s) });
  },
});

export const BRANCH: readonly PowerInstruction[] = [...IMMEDIATE, ...REGISTER, TO_TAR];
