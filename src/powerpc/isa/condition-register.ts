import { i32 } from '../../wasm/expr.ts';
import { type D, define, fromWord, low, type PowerInstruction, reg, type S, setReg, type W } from './common.ts';
import { ca, ca32, cr, ov, ov32 } from './state.ts';

/** Condition register instructions (Power ISA 3.0B, book I, 2.5, 3.3.17). */

function logical(name: string, xo: string, meaning: (a: W, b: W) => W): PowerInstruction {
  return define({
    name,
    encoding: `010011 BT:5 BA:5 BB:5 ${xo} .1`,
    operands: '{BT},{BA},{BB}',
    meaning(s) {
      const value = meaning(s.getAt(cr, s.field('BA')), s.getAt(cr, s.field('BB')));
      s.setAt(cr, s.field('BT'), value);
    },
  });
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

const MOVES: readonly PowerInstruction[] = [
  define({
    name: 'mcrf',
    encoding: '010011 BF:3 .2 BFA:3 .2 .5 0000000000 .1',
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
    encoding: '011111 BF:3 .2 .5 .5 1001000000 .1',
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
    encoding: '011111 RT:5 0 .9 0000010011 .1',
    operands: '{RT}',
    meaning: (s) => setReg(s, 'RT', gather(s, 0, 7)),
  }),
  define({
    name: 'mfocrf',
    encoding: '011111 RT:5 1 FXM:8 .1 0000010011 .1',
    operands: '{RT},{FXM}',
    meaning(s) {
      // With more or fewer than one bit in FXM the result is undefined; all selected fields are then given.
      let value: W = i32.const(0);
      for (const field of FIELDS) {
        const wanted = i32.and(i32.shrU(s.field('FXM'), i32.const(7 - field)), i32.const(1));
        const bits = low(gather(s, field, field));
        value = i32.or(value, i32.and(bits, i32.sub(i32.const(0), wanted)));
      }
      setReg(s, 'RT', fromWord(value));
    },
  }),
  ...['0', '1'].map((one) =>
    define({
      name: one === '1' ? 'mtocrf' : 'mtcrf',
      encoding: `011111 RS:5 ${one} FXM:8 .1 0010010000 .1`,
      operands: '{FXM},{RS}',
      meaning(s) {
        const word = s.let(low(reg(s, 'RS')));
        for (const field of FIELDS) {
          const wanted = i32.and(i32.shrU(s.field('FXM'), i32.const(7 - field)), i32.const(1));
          s.if(wanted, () => scatter(s, field, word));
        }
      },
    }),
  ),
];

export const CONDITION_REGISTER: readonly PowerInstruction[] = [...LOGICAL, ...MOVES];
