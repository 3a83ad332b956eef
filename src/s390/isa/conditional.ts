import type { Expr } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import {
  address,
  define,
  gr,
  high,
  load,
  low,
  type S,
  type S390Instruction,
  setGrHigh,
  store,
  zext,
} from './common.ts';
import { isOneOf } from './condition.ts';
import { W32, W64, type Width } from './width.ts';

/** Load and store on condition (Principles of Operation, chapter 7). Storage is not touched where the condition does not hold. */

type Integer = I32 | I64;

const condition = (s: S): Expr<I32> => isOneOf(s, s.field('M3'));
const by =
  (bits: 32 | 64, meaning: <T extends Integer>(s: S, w: Width<T>) => void): ((s: S) => void) =>
  (s) =>
    bits === 32 ? meaning(s, W32) : meaning(s, W64);

function fromRegister(name: string, opcode: string, bits: 32 | 64): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RRFc',
    meaning: by(bits, (s, w) => w.set(s, 'R1', s.let(s.select(condition(s), w.get(s, 'R2'), w.get(s, 'R1'))))),
  });
}

function fromImmediate(name: string, opcode: string, bits: 32 | 64): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RIEg',
    meaning: by(bits, (s, w) =>
      w.set(s, 'R1', s.let(s.select(condition(s), w.signed(s.signedField('I2')), w.get(s, 'R1')))),
    ),
  });
}

function fromStorage(name: string, opcode: string, bits: 32 | 64): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RSYm',
    operands: '{R1},{S2},{M3}',
    meaning: by(bits, (s, w) => {
      const at = address(s, 2);
      s.if(condition(s), () => w.set(s, 'R1', w.from(load(s, at, w.bytes))));
    }),
  });
}

function toStorage(name: string, opcode: string, bits: 32 | 64): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RSYm',
    operands: '{R1},{S2},{M3}',
    meaning: by(bits, (s, w) => {
      const at = address(s, 2);
      s.if(condition(s), () => store(s, at, w.bytes, gr(s, 'R1')));
    }),
  });
}

export const CONDITIONAL: readonly S390Instruction[] = [
  fromRegister('locr', 'B9F2', 32),
  fromRegister('locgr', 'B9E2', 64),
  fromImmediate('lochi', 'EC42', 32),
  fromImmediate('locghi', 'EC46', 64),
  fromStorage('loc', 'EBF2', 32),
  fromStorage('locg', 'EBE2', 64),
  toStorage('stoc', 'EBF3', 32),
  toStorage('stocg', 'EBE3', 64),
  define({
    name: 'locfhr',
    opcode: 'B9E0',
    format: 'RRFc',
    meaning: (s) => setGrHigh(s, 'R1', s.let(s.select(condition(s), high(gr(s, 'R2')), high(gr(s, 'R1'))))),
  }),
  define({
    name: 'lochhi',
    opcode: 'EC4E',
    format: 'RIEg',
    meaning: (s) => setGrHigh(s, 'R1', s.let(s.select(condition(s), s.signedField('I2'), high(gr(s, 'R1'))))),
  }),
  define({
    name: 'locfh',
    opcode: 'EBE0',
    format: 'RSYm',
    operands: '{R1},{S2},{M3}',
    meaning(s) {
      const at = address(s, 2);
      s.if(condition(s), () => setGrHigh(s, 'R1', low(load(s, at, 4))));
    },
  }),
  define({
    name: 'stocfh',
    opcode: 'EBE1',
    format: 'RSYm',
    operands: '{R1},{S2},{M3}',
    meaning(s) {
      const at = address(s, 2);
      s.if(condition(s), () => store(s, at, 4, zext(high(gr(s, 'R1')))));
    },
  }),
];
