import { InstructionSet } from '../../engine/instruction.ts';
import { ARITHMETIC } from './arithmetic.ts';
import { BRANCH } from './branch.ts';
import { COMPARE } from './compare.ts';
import { CONTROL_INSTRUCTIONS } from './control.ts';
import { LOAD_STORE } from './load-store.ts';
import type { S390Mode } from './mode.ts';

/** The two leftmost bits of an instruction tell its length. */
const LENGTHS = [2, 4, 4, 6] as const;

/** Length in bytes of the instruction that starts with this halfword. */
export function lengthOf(firstHalfword: number): 2 | 4 | 6 {
  return LENGTHS[firstHalfword >>> 14] as 2 | 4 | 6;
}

/** The instructions of z/Architecture that we execute. */
export const s390Isa: InstructionSet<S390Mode> = new InstructionSet(
  [...ARITHMETIC, ...BRANCH, ...COMPARE, ...LOAD_STORE, ...CONTROL_INSTRUCTIONS],
  2,
  lengthOf,
);
