import { InstructionSet } from '../../engine/instruction.ts';
import { ARITHMETIC } from './arithmetic.ts';
import { ATOMICS } from './atomics.ts';
import { BRANCH } from './branch.ts';
import { BY_PERFORMER } from './by-performer.ts';
import { COMPARE } from './compare.ts';
import { CONDITIONAL } from './conditional.ts';
import { CONTROL_INSTRUCTIONS } from './control.ts';
import { EXECUTE } from './execute.ts';
import { FLOAT } from './float.ts';
import { HIGH_WORD } from './high-word.ts';
import { LOAD_STORE } from './load-store.ts';
import { LOGICAL } from './logical.ts';
import { MISC } from './misc.ts';
import type { S390Mode } from './mode.ts';
import { MULTIPLE } from './multiple.ts';
import { MULTIPLY_DIVIDE } from './multiply-divide.ts';
import { SHIFT } from './shift.ts';
import { STORAGE } from './storage.ts';

/** The two leftmost bits of an instruction tell its length. */
const LENGTHS = [2, 4, 4, 6] as const;

/** Length in bytes of the instruction that starts with this halfword. */
export function lengthOf(firstHalfword: number): 2 | 4 | 6 {
  return LENGTHS[firstHalfword >>> 14] as 2 | 4 | 6;
}

/** The instructions of z/Architecture that we execute. */
export const s390Isa: InstructionSet<S390Mode> = new InstructionSet(
  [
    ...ARITHMETIC,
    ...LOGICAL,
    ...SHIFT,
    ...MULTIPLY_DIVIDE,
    ...COMPARE,
    ...BRANCH,
    ...LOAD_STORE,
    ...MULTIPLE,
    ...CONDITIONAL,
    ...HIGH_WORD,
    ...STORAGE,
    ...ATOMICS,
    ...BY_PERFORMER,
    ...EXECUTE,
    ...FLOAT,
    ...MISC,
    ...CONTROL_INSTRUCTIONS,
  ],
  2,
  lengthOf,
);
