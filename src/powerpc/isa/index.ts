import { InstructionSet } from '../../engine/instruction.ts';
import { ATOMICS } from './atomics.ts';
import { BRANCH } from './branch.ts';
import { CONDITION_REGISTER } from './condition-register.ts';
import { FIXED_ARITHMETIC } from './fixed-arithmetic.ts';
import { FIXED_COMPARE } from './fixed-compare.ts';
import { FIXED_LOGICAL } from './fixed-logical.ts';
import { FIXED_ROTATE } from './fixed-rotate.ts';
import { FLOAT } from './float.ts';
import { LOAD_STORE } from './load-store.ts';
import { MEMORY_ATOMICS } from './memory-atomics.ts';
import type { PowerMode } from './mode.ts';
import { SYSTEM } from './system.ts';
import { TRANSACTIONAL } from './transactional.ts';
import { VECTOR } from './vector.ts';

/** The instructions of Power ISA 3.0B that we execute. */
export const powerIsa: InstructionSet<PowerMode> = new InstructionSet(
  [
    ...FIXED_ARITHMETIC,
    ...FIXED_LOGICAL,
    ...FIXED_ROTATE,
    ...FIXED_COMPARE,
    ...BRANCH,
    ...CONDITION_REGISTER,
    ...LOAD_STORE,
    ...ATOMICS,
    ...MEMORY_ATOMICS,
    ...FLOAT,
    ...SYSTEM,
    ...TRANSACTIONAL,
    ...VECTOR,
  ],
  4,
);
