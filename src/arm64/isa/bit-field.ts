import { i32, i64 } from '../../wasm/expr.ts';
import { type ArmInstruction, cut, type D, define, low, ones, operand, type S, setReg, type W } from './common.ts';
import { TRAP } from './helpers.ts';

/** Bitfield moves (Arm ARM, C6.2: SBFM, BFM, UBFM) and EXTR. */

type Kind = 'sbfm' | 'bfm' | 'ubfm';

/** One where both fields are known: the field is taken out, or put elsewhere, with a shift or two. */
function known(s: S, kind: Kind, wide: boolean, r: number, last: number): D {
  const width = wide ? 64 : 32;
  const source = operand(s, 'Rn', wide);
  const [length, from, to] = last >= r ? [last - r + 1, r, 0] : [last + 1, 0, width - r];
  if (kind === 'sbfm') {
    const up = i64.shl(source, i64.const(64 - from - length));
    const field = i64.shrS(up, i64.const(64 - length));
    return cut(wide, i64.shl(field, i64.const(to)));
  }
  const mask = (1n << BigInt(length)) - 1n;
  const whole = from + length === width && kind === 'ubfm';
  const taken = i64.shrU(source, i64.const(from));
  const field = i64.shl(whole ? taken : i64.and(taken, i64.const(mask)), i64.const(to));
  if (kind === 'ubfm') return cut(wide, field);
  return i64.or(i64.and(operand(s, 'Rd', wide), i64.const(~(mask << BigInt(to)))), field);
}

const rotateRight = (wide: boolean, value: D, by: W): D =>
  wide ? i64.rotr(value, i64.extendU(by)) : i64.extendU(i32.rotr(low(value), by));

/** As the manual has it: rotated right, with a mask for what is taken and one for where it ends. */
function general(s: S, kind: Kind, wide: boolean): D {
  const r = s.field('immr');
  const last = s.field('imms');
  const top = i32.and(i32.sub(last, r), i32.const(wide ? 63 : 31));
  const source = s.let(operand(s, 'Rn', wide));
  const taken = s.let(rotateRight(wide, ones(last), r));
  const kept = s.let(ones(top));
  const rotated = rotateRight(wide, source, r);
  if (kind === 'bfm') {
    const target = s.let(operand(s, 'Rd', wide));
    const both = i64.and(taken, kept);
    return i64.or(i64.and(target, i64.not(both)), i64.and(rotated, both));
  }
  const field = i64.and(i64.and(rotated, taken), kept);
  if (kind === 'ubfm') return field;
  const sign = i64.neg(i64.and(i64.shrU(source, i64.extendU(last)), i64.const(1)));
  return cut(wide, i64.or(field, i64.and(sign, i64.not(kept))));
}

const bitField = (kind: Kind, opc: string, wide: boolean): ArmInstruction =>
  define({
    name: kind,
    encoding: wide ? `1 ${opc} 100110 1 immr:6 imms:6 Rn:5 Rd:5` : `0 ${opc} 100110 0 0 immr:5 0 imms:5 Rn:5 Rd:5`,
    operands: '{Rd},{Rn},{immr},{imms}',
    meaning(s) {
      const r = s.known(s.field('immr'));
      const last = s.known(s.field('imms'));
      setReg(s, 'Rd', r === undefined || last === undefined ? general(s, kind, wide) : known(s, kind, wide, r, last));
    },
  });

const EXTRACT = define({
  name: 'extr',
  encoding: 'sf:1 00 100111 N:1 0 Rm:5 imms:6 Rn:5 Rd:5',
  operands: '{Rd},{Rn},{Rm},{imms}',
  split: ['sf', 'N'],
  meaning(s) {
    const wide = s.split('sf') === 1;
    if (wide !== (s.split('N') === 1)) return s.trap(TRAP.undefined);
    const amount = s.field('imms');
    if (wide) {
      const left = i64.shl(i64.shl(operand(s, 'Rn', true), i64.const(1)), i64.extendU(i32.xor(amount, i32.const(63))));
      return setReg(s, 'Rd', i64.or(i64.shrU(operand(s, 'Rm', true), i64.extendU(amount)), left));
    }
    s.if(i32.gtU(amount, i32.const(31)), () => s.trap(TRAP.undefined));
    const both = i64.or(i64.shl(operand(s, 'Rn', true), i64.const(32)), operand(s, 'Rm', false));
    setReg(s, 'Rd', cut(false, i64.shrU(both, i64.extendU(amount))));
  },
});

export const BIT_FIELD: readonly ArmInstruction[] = [
  ...(
    [
      ['sbfm', '00'],
      ['bfm', '01'],
      ['ubfm', '10'],
    ] as const
  ).flatMap(([kind, opc]) => [bitField(kind, opc, false), bitField(kind, opc, true)]),
  EXTRACT,
];
