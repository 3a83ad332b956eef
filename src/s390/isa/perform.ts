import { readVirtual } from '../../engine/access.ts';
import { CONTEXT } from '../../engine/layout.ts';
import { lengthOf, s390Isa } from './index.ts';
import { PERFORM_DECIMAL } from './perform-decimal.ts';
import { PERFORM_FLOAT } from './perform-float.ts';
import { PERFORM_LONG } from './perform-long.ts';
import { PERFORM_REGISTERS } from './perform-registers.ts';
import { PERFORM_STORAGE } from './perform-storage.ts';
import { type Context, halves, type Performed, type Performer, Work } from './work.ts';

export type { Performed } from './work.ts';

const PERFORMERS: ReadonlyMap<string, Performer> = new Map(
  Object.entries({ ...PERFORM_REGISTERS, ...PERFORM_STORAGE, ...PERFORM_LONG, ...PERFORM_DECIMAL, ...PERFORM_FLOAT }),
);

/**
 * Does what `HELPER.perform` and `TRAP.perform` stand for.
 * @param head the instruction's first four bytes (of a shorter one: left-aligned)
 * @param tail its last two bytes
 */
export function perform(context: Context, head: number, tail: number): Performed {
  const instruction = s390Isa.decode(head >>> 0, tail);
  const performer = instruction && PERFORMERS.get(instruction.name);
  if (instruction === undefined || performer === undefined) {
    throw new Error(`nothing performs 0x${(head >>> 0).toString(16)} 0x${tail.toString(16)}`);
  }
  const { pattern } = instruction;
  return performer(new Work(context, pattern, pattern.length === 2 ? head >>> 16 : head, tail));
}

/** What stands at pc: the instruction itself, or the one that an EXECUTE there has made of its target. */
export interface InstructionText {
  readonly head: number;
  readonly tail: number;
  /** Length in bytes of what stands at pc: what the interruption's instruction-length code says, and where the next one is. */
  readonly length: 2 | 4 | 6;
}

const EX = 0x44;
/** EXECUTE RELATIVE LONG: its second byte, of which the low half counts. */
const EXRL = 0xc6;

/**
 * The instruction at hand, for a trap that left it undone. Its bytes were just executed, so they can be fetched.
 * @throws Error if they cannot
 */
export function instructionText(context: Context): InstructionText {
  const [high, low] = halves(context.pc);
  const first = readVirtual(context, high, low, 2, 0, 'fetch');
  const length = first === null ? 2 : lengthOf(((first[0] as number) << 8) | (first[1] as number));
  const bytes = readVirtual(context, high, low, length, 0, 'fetch');
  if (bytes === null) throw new Error(`the instruction at 0x${context.pc.toString(16)} is gone`);
  const executes = bytes[0] === EX || (bytes[0] === EXRL && ((bytes[1] as number) & 15) === 0);
  if (!executes) return { ...words(bytes), length };
  const at = context.base + CONTEXT.executeText;
  const text = context.store.bytes.subarray(at, at + 6);
  return { ...words(text.subarray(0, lengthOf(((text[0] as number) << 8) | (text[1] as number)))), length };
}

function words(bytes: Uint8Array): { head: number; tail: number } {
  const at = (i: number): number => bytes[i] ?? 0;
  return { head: ((at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3)) >>> 0, tail: (at(4) << 8) | at(5) };
}
