import { i32, select } from '../../wasm/expr.ts';
import { type D, define, fromWord, low, type PowerInstruction, reg, type S, setReg, type W } from './common.ts';
import { ca, ca32, cr, ov, ov32 } from './state.ts';

/** Condition register instructions (Power ISA 3.0B, book I, 2.5, 3.3.17). */

function logical(name: string, xo: string, meaning: (a: W, b: W) => W): PowerInstruction {
  return define({
    name,
    encoding: `010011 BT:5 BA:5 BB:5 ${xo} 0`,
    operands: '{BT},{BA},{BB}',
    meaning(s) {
      const value = meaning(s.getAt(cr, s.field('BA')), s.getAt(cr, s.field('BB')));
      // crclr and crset in translated code: the old value does not matter.
      if ((name === 'crxor' || name === 'creqv') && sameKnown(s, 'BA', 'BB')) {
        return s.setAt(cr, s.field('BT'), i32.const(name === 'creqv' ? 1 : 0));
      }
      s.setAt(cr, s.field('BT'), value);
    },
  });
}

function sameKnown(s: S, one: string, other: string): boolean {
  const known = s.known(s.field(one));
  return known !== undefined && known === s.known(s.field(other));
}

const not = (v: W): W => i32.xor(v, i32.const(1));

const LOGICAL: readonly PowerInstruction[] = [
  logical('crand', '0100000001', (a, b) => i32.and(a, b)),
  logical('cror', '0111000001', (a, b) => i32.or(a, b)),
  logical('crxor', '0011000001', (a, b) => i32.xor(a, b)),
  logical('crnand', '0011100001', (a, b) => not(i32.and(a, b))),
  logical('crnor', '0000100001', (a, b) => not(i32.or(a, b))),
  logical('creqv', '0100100001', (a, b) => not(i32.xor(a, b))),
  logical('crandc', '0010000001', (a, b) => i32.and(a, not(b))),
  logical('crorc', '0110100001', (a, b) => i32.or(a, not(b))),
];

/** CR fields `first` to `last` as bits of the low word. */
function gather(s: S, first: number, last: number): D {
  let value: W = i32.const(0);
  for (let bit = 4 * first; bit < 4 * last + 4; bit++) {
    value = i32.or(value, i32.shl(s.get(crSlot(bit)), i32.const(31 - bit)));
  }
  return fromWord(value);
}

function crSlot(bit: number): (typeof cr.slots)[number] {
  const slot = cr.slots[bit];
  if (slot === undefined) throw new RangeError(`no CR bit ${bit}`);
  return slot;
}

/** Sets field `field` from the same bits of a word. */
function scatter(s: S, field: number, word: W): void {
  for (let bit = 4 * field; bit < 4 * field + 4; bit++) {
    s.set(crSlot(bit), i32.and(i32.shrU(word, i32.const(31 - bit)), i32.const(1)));
  }
}

const FIELDS = [0, 1, 2, 3, 4, 5, 6, 7];

/** The one field that FXM of mfocrf and mtocrf selects, and whether it is one. */
function selectedField(s: S): { single: W; field: W } {
  const fxm = s.field('FXM');
  const known = s.known(fxm);
  if (known !== undefined) {
    const number = (Math.clz32(known) - 24) & 7;
    return { single: i32.const(known === 0x80 >> number ? 1 : 0), field: i32.const(number) };
  }
  const single = s.let(i32.eq(i32.popcnt(fxm), i32.const(1)));
  // Without any bit the number would be 8: kept in range.
  return { single, field: s.let(i32.and(i32.sub(i32.clz(fxm), i32.const(24)), i32.const(7))) };
}

const MOVES: readonly PowerInstruction[] = [
  define({
    name: 'mcrf',
    encoding: '010011 BF:3 00 BFA:3 00 00000 0000000000 0',
    operands: '{BF},{BFA}',
    meaning(s) {
      const from = s.let(i32.shl(s.field('BFA'), i32.const(2)));
      const to = s.let(i32.shl(s.field('BF'), i32.const(2)));
      const bits = [0, 1, 2, 3].map((i) => s.let(s.getAt(cr, i32.add(from, i32.const(i)))));
      bits.forEach((bit, i) => {
        s.setAt(cr, i32.add(to, i32.const(i)), bit);
      });
    },
  }),
  define({
    name: 'mcrxrx',
    encoding: '011111 BF:3 00 00000 00000 1001000000 0',
    operands: '{BF}',
    meaning(s) {
      const to = s.let(i32.shl(s.field('BF'), i32.const(2)));
      [ov, ov32, ca, ca32].forEach((flag, i) => {
        s.setAt(cr, i32.add(to, i32.const(i)), s.get(flag));
      });
    },
  }),
  define({
    name: 'mfcr',
    encoding: '011111 RT:5 0 000000000 0000010011 0',
    operands: '{RT}',
    meaning: (s) => setReg(s, 'RT', gather(s, 0, 7)),
  }),
  define({
    name: 'mfocrf',
    encoding: '011111 RT:5 1 FXM:8 0 0000010011 0',
    operands: '{RT},{FXM}',
    meaning(s) {
      const { single, field } = selectedField(s);
      const base = s.let(i32.shl(field, i32.const(2)));
      let value: W = i32.const(0);
      for (let i = 0; i < 4; i++) {
        value = i32.or(value, i32.shl(s.getAt(cr, i32.add(base, i32.const(i))), i32.const(3 - i)));
      }
      const placed = i32.shl(value, i32.sub(i32.const(28), base));
      // Undefined with more or fewer than one field; QEMU then leaves the register alone.
      setReg(s, 'RT', select(single, fromWord(placed), reg(s, 'RT')));
    },
  }),
  define({
    name: 'mtocrf',
    encoding: '011111 RS:5 1 FXM:8 0 0010010000 0',
    operands: '{FXM},{RS}',
    meaning(s) {
      const { single, field } = selectedField(s);
      const base = s.let(i32.shl(field, i32.const(2)));
      const value = s.let(i32.shrU(low(reg(s, 'RS')), i32.sub(i32.const(28), base)));
      s.if(single, () => {
        for (let i = 0; i < 4; i++) {
          s.setAt(cr, i32.add(base, i32.const(i)), i32.and(i32.shrU(value, i32.const(3 - i)), i32.const(1)));
        }
      });
    },
  }),
  define({
    name: 'mtcrf',
    encoding: '011111 RS:5 0 FXM:8 0 0010010000 0',
    operands: '{FXM},{RS}',
    meaning(s) {
      const word = s.let(low(reg(s, 'RS')));
      for (const field of FIELDS) {
        const wanted = i32.and(i32.shrU(s.field('FXM'), i32.const(7 - field)), i32.const(1));
        s.if(wanted, () => scatter(s, field, word));
      }
    },
  }),
];

export const CONDITION_REGISTER: readonly PowerInstruction[] = [...LOGICAL, ...MOVES];
