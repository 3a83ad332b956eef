import { CONTROL_HELPERS } from './helpers.ts';

/** Work of control instructions that is the CPU model's. Arguments as in `helpers.ts`: the first four bytes of the instruction, and its last two. */
export const CONTROL = {
  /** Supervisor call; its number is in the second byte of the first argument. */
  svc: CONTROL_HELPERS,
  /** Any other: the CPU model finds the instruction by its text. */
  execute: CONTROL_HELPERS + 1,
} as const;
