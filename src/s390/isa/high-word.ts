import type { AccessSize } from '../../engine/ir.ts';
import { i32 } from '../../wasm/expr.ts';
import { addLogical, addSigned, finish, type Operation, subtractLogical, subtractSigned } from './arithmetic.ts';
import {
  address,
  define,
  gr,
  gr32,
  high,
  immediate,
  load,
  low,
  relative,
  type S,
  type S390Instruction,
  setGrHigh,
  store,
  type W,
  zext,
} from './common.ts';
import { setComparison } from './condition.ts';
import type { Format } from './formats.ts';
import { W32 } from './width.ts';

/** The high-word facility: 32-bit instructions on the high halves of registers (Principles of Operation, chapter 7). */

const highOf = (s: S, field: string): W => high(gr(s, field));

function loading(name: string, opcode: string, size: AccessSize, signed: boolean): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RXY',
    meaning: (s) => setGrHigh(s, 'R1', low(load(s, address(s, 2), size, { signed }))),
  });
}

function storing(name: string, opcode: string, size: AccessSize): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RXY',
    meaning: (s) => store(s, address(s, 2), size, zext(highOf(s, 'R1'))),
  });
}

/** R1 high from R2 high and R3 high or low. */
function threeOperands(name: string, opcode: string, operation: Operation, third: 'high' | 'low'): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RRFa',
    meaning(s) {
      const b = s.let(third === 'high' ? highOf(s, 'R3') : gr32(s, 'R3'));
      const outcome = operation(s, W32, s.let(highOf(s, 'R2')), b);
      setGrHigh(s, 'R1', outcome.result);
      finish(s, operation, outcome);
    },
  });
}

/** Adds an immediate; the condition code is optional. */
function addImmediate(name: string, opcode: string, operation: Operation, setsCondition: boolean): S390Instruction {
  return define({
    name,
    opcode,
    format: 'RIL',
    meaning(s) {
      const outcome = operation(s, W32, s.let(highOf(s, 'R1')), immediate(s));
      setGrHigh(s, 'R1', outcome.result);
      if (setsCondition) finish(s, operation, outcome);
    },
  });
}

type Second = 'high' | 'low' | 'storage' | 'immediate';
const FORMAT: Readonly<Record<Second, Format>> = { high: 'RRE', low: 'RRE', storage: 'RXY', immediate: 'RIL' };

function comparing(name: string, opcode: string, signed: boolean, second: Second): S390Instruction {
  const operand = (s: S): W => {
    switch (second) {
      case 'high':
        return highOf(s, 'R2');
      case 'low':
        return gr32(s, 'R2');
      case 'storage':
        return low(load(s, address(s, 2), 4));
      case 'immediate':
        return immediate(s);
    }
  };
  return define({
    name,
    opcode,
    format: FORMAT[second],
    meaning(s) {
      const b = s.let(operand(s));
      const a = s.let(highOf(s, 'R1'));
      if (signed) setComparison(s, i32.eq(a, b), i32.ltS(a, b), i32.gtS(a, b));
      else setComparison(s, i32.eq(a, b), i32.ltU(a, b), i32.gtU(a, b));
    },
  });
}

export const HIGH_WORD: readonly S390Instruction[] = [
  loading('lbh', 'E3C0', 1, true),
  loading('llch', 'E3C2', 1, false),
  loading('lhh', 'E3C4', 2, true),
  loading('llhh', 'E3C6', 2, false),
  loading('lfh', 'E3CA', 4, false),
  storing('stch', 'E3C3', 1),
  storing('sthh', 'E3C7', 2),
  storing('stfh', 'E3CB', 4),
  threeOperands('ahhhr', 'B9C8', addSigned, 'high'),
  threeOperands('ahhlr', 'B9D8', addSigned, 'low'),
  threeOperands('shhhr', 'B9C9', subtractSigned, 'high'),
  threeOperands('shhlr', 'B9D9', subtractSigned, 'low'),
  threeOperands('alhhhr', 'B9CA', addLogical, 'high'),
  threeOperands('alhhlr', 'B9DA', addLogical, 'low'),
  threeOperands('slhhhr', 'B9CB', subtractLogical, 'high'),
  threeOperands('slhhlr', 'B9DB', subtractLogical, 'low'),
  addImmediate('aih', 'CC8', addSigned, true),
  addImmediate('alsih', 'CCA', addLogical, true),
  addImmediate('alsihn', 'CCB', addLogical, false),
  comparing('chhr', 'B9CD', true, 'high'),
  comparing('chlr', 'B9DD', true, 'low'),
  comparing('chf', 'E3CD', true, 'storage'),
  comparing('cih', 'CCD', true, 'immediate'),
  comparing('clhhr', 'B9CF', false, 'high'),
  comparing('clhlr', 'B9DF', false, 'low'),
  comparing('clhf', 'E3CF', false, 'storage'),
  comparing('clih', 'CCF', false, 'immediate'),
  define({
    name: 'brcth',
    opcode: 'CC6',
    format: 'RILb',
    meaning(s) {
      const count = s.let(i32.sub(highOf(s, 'R1'), i32.const(1)));
      setGrHigh(s, 'R1', count);
      s.jump(relative(s, 'RI2'), { condition: i32.ne(count, i32.const(0)), how: 'direct' });
    },
  }),
];
