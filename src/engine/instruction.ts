import { type Field, type Pattern, parsePattern } from './pattern.ts';
import type { Mode, Semantics } from './semantics.ts';

/** What an instruction set says about one instruction. */
export interface InstructionSpec<M extends Mode> {
  /** The base mnemonic, as the architecture spells it. */
  readonly name: string;
  /** The encoding; see `parsePattern`. */
  readonly encoding: string;
  /**
   * Assembler operands with fields in braces, e.g. `'{RT},{RA},{RB}'`; the architecture's disassembler says how each field is printed.
   */
  readonly operands: string;
  /**
   * Fields whose every value gets an interpreter handler of its own, where they are constants. `'RA=0'` splits on whether the field is
   * zero only; `known(field('RA'))` is then 0 in one handler and unknown in the other.
   */
  readonly split?: readonly string[];
  /** What it does. */
  readonly meaning: (s: Semantics<M>) => void;
}

/** One instruction of an instruction set. */
export class Instruction<M extends Mode = Mode> {
  readonly name: string;
  readonly pattern: Pattern;
  readonly operands: string;
  readonly split: readonly string[];
  readonly meaning: (s: Semantics<M>) => void;

  constructor(spec: InstructionSpec<M>) {
    this.name = spec.name;
    this.pattern = parsePattern(spec.encoding);
    this.operands = spec.operands;
    this.split = spec.split ?? [];
    this.meaning = spec.meaning;
    for (const s of this.split) this.field(s.replace(/=0$/, ''));
  }

  /** @throws Error if the encoding has no such field: a mistake in the definition. */
  field(name: string): Field {
    const field = this.pattern.fields.get(name);
    if (field === undefined) throw new Error(`${this.name} has no field ${name}`);
    return field;
  }
}

/** An instruction set: its instructions, in no particular order. Of two encodings that match, the one with more fixed bits wins. */
export class InstructionSet<M extends Mode = Mode> {
  readonly instructions: readonly Instruction<M>[];
  /** Smallest distance of two instructions in bytes. */
  readonly alignment: 2 | 4;
  /** Length of the instruction that starts with this halfword. */
  readonly lengthOf: (firstHalfword: number) => 2 | 4 | 6;
  readonly #byFirstByte: Instruction<M>[][] = [];

  /** @param lengthOf needed where lengths differ; by default all instructions are `alignment` bytes long */
  constructor(
    instructions: readonly Instruction<M>[],
    alignment: 2 | 4,
    lengthOf: (firstHalfword: number) => 2 | 4 | 6 = () => alignment,
  ) {
    this.instructions = instructions;
    this.alignment = alignment;
    this.lengthOf = lengthOf;
    const bySpecificity = [...instructions].sort((x, y) => fixedBits(y.pattern) - fixedBits(x.pattern));
    for (let first = 0; first < 256; first++) {
      this.#byFirstByte.push(
        bySpecificity.filter(({ pattern }) => {
          const shift = pattern.length === 2 ? 8 : 24;
          const mask = (pattern.mask >>> shift) & 0xff;
          return (first & mask) === ((pattern.value >>> shift) & 0xff);
        }),
      );
    }
  }

  /**
   * @param head the first four bytes as a big-endian number (missing bytes as 0)
   * @param tail bytes 4 and 5
   * @returns undefined where no encoding matches
   */
  decode(head: number, tail: number): Instruction<M> | undefined {
    for (const instruction of this.#byFirstByte[head >>> 24] as Instruction<M>[]) {
      const { pattern } = instruction;
      const word = pattern.length === 2 ? head >>> 16 : head;
      if ((word & pattern.mask) >>> 0 === pattern.value && (tail & pattern.tailMask) === pattern.tailValue) {
        return instruction;
      }
    }
    return undefined;
  }
}

function fixedBits(p: Pattern): number {
  return popcount(p.mask) + popcount(p.tailMask);
}

function popcount(v: number): number {
  let n = 0;
  for (let x = v >>> 0; x !== 0; x &= x - 1) n++;
  return n;
}
