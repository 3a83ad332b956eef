import { byHelper, define, type S390Instruction } from './common.ts';
import { CONTROL } from './control-helpers.ts';

/** Control instructions, and those that change the PSW: the CPU model does their work (Principles of Operation, chapter 10). */
export const CONTROL_INSTRUCTIONS: readonly S390Instruction[] = [
  define({ name: 'svc', opcode: '0A', format: 'I', meaning: (s) => byHelper(s, CONTROL.svc) }),
];
