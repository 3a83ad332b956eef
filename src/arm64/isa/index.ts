import { InstructionSet } from '../../engine/instruction.ts';
import { ADD_SUBTRACT } from './add-subtract.ts';
import { BIT_FIELD } from './bit-field.ts';
import { BRANCH } from './branch.ts';
import { EXCLUSIVE } from './exclusive.ts';
import { FLOAT } from './float.ts';
import { FLOAT_MOVE } from './float-move.ts';
import { INTEGER } from './integer.ts';
import { LOAD_STORE } from './load-store.ts';
import { LOGICAL } from './logical.ts';
import type { ArmMode } from './mode.ts';
import { SYSTEM } from './system.ts';
import { VECTOR_BITS } from './vector-bits.ts';
import { VECTOR_REGISTERS } from './vector-registers.ts';

/** The A64 instructions that we execute. */
export const armIsa: InstructionSet<ArmMode> = new InstructionSet(
  [
    ...[...ADD_SUBTRACT, ...LOGICAL, ...BIT_FIELD, ...INTEGER, ...BRANCH, ...LOAD_STORE, ...EXCLUSIVE, ...SYSTEM],
    ...[...VECTOR_REGISTERS, ...VECTOR_BITS, ...FLOAT_MOVE, ...FLOAT],
  ],
  4,
);
