import { i32, i64, select } from '../../wasm/expr.ts';
import {
  compare,
  crBit,
  type D,
  define,
  type PowerInstruction,
  ra0,
  reg,
  type S,
  setReg,
  sext,
  simm,
  uimm,
  type W,
  zext,
} from './common.ts';
import { cr } from './state.ts';

/** Fixed-point compare, select and trap instructions (Power ISA 3.0B, book I, 3.3.10, 3.3.11, 3.3.12). */

const ra = (s: S): D => reg(s, 'RA');
const rb = (s: S): D => reg(s, 'RB');

const COMPARES: readonly PowerInstruction[] = [
  define({
    name: 'cmpi',
    encoding: '001011 BF:3 .1 L:1 RA:5 SI:16',
    operands: '{BF},{L},{RA},{SI}',
    split: ['L'],
    meaning: (s) => compare(s, s.field('BF'), true, s.split('L') === 1 ? ra(s) : sext(ra(s)), simm(s, 'SI')),
  }),
  define({
    name: 'cmpli',
    encoding: '001010 BF:3 .1 L:1 RA:5 UI:16',
    operands: '{BF},{L},{RA},{UI}',
    split: ['L'],
    meaning: (s) => compare(s, s.field('BF'), false, s.split('L') === 1 ? ra(s) : zext(ra(s)), uimm(s, 'UI')),
  }),
  define({
    name: 'cmp',
    encoding: '011111 BF:3 0 L:1 RA:5 RB:5 0000000000 0',
    operands: '{BF},{L},{RA},{RB}',
    split: ['L'],
    meaning(s) {
      const wide = s.split('L') === 1;
      compare(s, s.field('BF'), true, wide ? ra(s) : sext(ra(s)), wide ? rb(s) : sext(rb(s)));
    },
  }),
  define({
    name: 'cmpl',
    encoding: '011111 BF:3 0 L:1 RA:5 RB:5 0000100000 0',
    operands: '{BF},{L},{RA},{RB}',
    split: ['L'],
    meaning(s) {
      const wide = s.split('L') === 1;
      compare(s, s.field('BF'), false, wide ? ra(s) : zext(ra(s)), wide ? rb(s) : zext(rb(s)));
    },
  }),
];

const byteOf = (v: D, n: number): D => i64.and(i64.shrU(v, i64.const(8 * n)), i64.const(0xff));

/** CR field: GT where the condition holds, the other bits 0. */
function setMatch(s: S, matches: W): void {
  const base = s.let(i32.shl(s.field('BF'), i32.const(2)));
  const found = s.let(matches);
  for (let i = 0; i < 4; i++) s.setAt(cr, i32.add(base, i32.const(i)), i === 1 ? found : i32.const(0));
}

const BYTE_COMPARES: readonly PowerInstruction[] = [
  define({
    name: 'cmprb',
    encoding: '011111 BF:3 0 L:1 RA:5 RB:5 0011000000 0',
    operands: '{BF},{L},{RA},{RB}',
    split: ['L'],
    meaning(s) {
      const value = s.let(byteOf(ra(s), 0));
      const bounds = s.let(rb(s));
      const within = (lowByte: number): W =>
        i32.and(i64.leU(byteOf(bounds, lowByte), value), i64.leU(value, byteOf(bounds, lowByte + 1)));
      setMatch(s, s.split('L') === 1 ? i32.or(within(0), within(2)) : within(0));
    },
  }),
  define({
    name: 'cmpeqb',
    encoding: '011111 BF:3 00 RA:5 RB:5 0011100000 0',
    operands: '{BF},{RA},{RB}',
    meaning(s) {
      const value = s.let(byteOf(ra(s), 0));
      const bytes = s.let(rb(s));
      let found: W = i32.const(0);
      for (let i = 0; i < 8; i++) found = i32.or(found, i64.eq(byteOf(bytes, i), value));
      setMatch(s, found);
    },
  }),
];

const SELECTS: readonly PowerInstruction[] = [
  define({
    name: 'isel',
    encoding: '011111 RT:5 RA:5 RB:5 BC:5 01111 .1',
    operands: '{RT},{RA},{RB},{BC}',
    meaning: (s) => setReg(s, 'RT', select(crBit(s, s.field('BC')), ra0(s), rb(s))),
  }),
  define({
    name: 'setb',
    encoding: '011111 RT:5 BFA:3 00 00000 0010000000 0',
    operands: '{RT},{BFA}',
    meaning(s) {
      const base = s.let(i32.shl(s.field('BFA'), i32.const(2)));
      const gt = i64.extendU(s.getAt(cr, i32.add(base, i32.const(1))));
      setReg(s, 'RT', select(s.getAt(cr, base), i64.const(-1n), gt));
    },
  }),
];

export const FIXED_COMPARE: readonly PowerInstruction[] = [...COMPARES, ...BYTE_COMPARES, ...SELECTS];

/** Whether a trap instruction's condition holds for TO, the five bits <, >, =, <u, >u. */
export function trapCondition(s: S, left: D, right: D): W {
  const a = s.let(left);
  const b = s.let(right);
  const tests = [i64.ltS(a, b), i64.gtS(a, b), i64.eq(a, b), i64.ltU(a, b), i64.gtU(a, b)];
  const to = s.field('TO');
  const known = s.known(to);
  let holds: W = i32.const(0);
  tests.forEach((test, i) => {
    const wanted = known === undefined ? i32.and(i32.shrU(to, i32.const(4 - i)), i32.const(1)) : null;
    if (wanted !== null) holds = i32.or(holds, i32.and(wanted, test));
    else if ((((known as number) >> (4 - i)) & 1) === 1) holds = i32.or(holds, test);
  });
  return known === 31 ? i32.const(1) : holds;
}
