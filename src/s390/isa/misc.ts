import { i32, i64 } from '../../wasm/expr.ts';
import { PSW_PROGRAM_MASK_SHIFT } from '../abi.ts';
import { byHelper, define, gr32, low, type S390Instruction, setGr32 } from './common.ts';
import { conditionCode } from './condition.ts';
import { HELPER } from './helpers.ts';
import { psw } from './state.ts';

/** What fits nowhere else: the program mask, the clock, hints. */

const noOperation = (): void => {};

export const MISC: readonly S390Instruction[] = [
  define({
    name: 'ipm',
    opcode: 'B222',
    format: 'RRE1',
    meaning(s) {
      const programMask = i32.and(low(i64.shrU(s.get(psw), i64.const(PSW_PROGRAM_MASK_SHIFT))), i32.const(15));
      const byte = i32.or(i32.shl(conditionCode(s), i32.const(4)), programMask);
      setGr32(s, 'R1', i32.or(i32.and(gr32(s, 'R1'), i32.const(0xffffff)), i32.shl(byte, i32.const(24))));
    },
  }),
  define({ name: 'stck', opcode: 'B205', format: 'S', meaning: (s) => byHelper(s, HELPER.storeClock) }),
  define({ name: 'stckf', opcode: 'B27C', format: 'S', meaning: (s) => byHelper(s, HELPER.storeClock) }),
  define({ name: 'stcke', opcode: 'B278', format: 'S', meaning: (s) => byHelper(s, HELPER.storeClock) }),
  // Hints: they look at no operand.
  define({ name: 'pfd', opcode: 'E336', format: 'RXYm', meaning: noOperation }),
  define({ name: 'pfdrl', opcode: 'C62', format: 'RILc', meaning: noOperation }),
  define({ name: 'bpp', opcode: 'C7', format: 'SMI', meaning: noOperation }),
  define({ name: 'bprp', opcode: 'C5', format: 'MII', meaning: noOperation }),
  define({ name: 'niai', opcode: 'B2FA', format: 'IE', meaning: noOperation }),
];
