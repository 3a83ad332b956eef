import { readVirtual, writeVirtual } from '../../engine/access.ts';
import type { S390Instruction } from '../isa/common.ts';
import { instructionText } from '../isa/perform.ts';
import { halves, Work } from '../isa/work.ts';
import type { Core } from './core.ts';
import type { ServiceAnswer } from './port.ts';
import type { Psw } from './psw.ts';

/** A control instruction that is being done. */
export class ControlWork extends Work {
  readonly core: Core;
  readonly name: string;
  /** First four and last two bytes of the instruction, of an EXECUTE the target's. */
  readonly head: number;
  readonly tail: number;

  constructor(core: Core, { name, pattern }: S390Instruction, head: number, tail: number) {
    super(core.context, pattern, pattern.length === 2 ? head >>> 16 : head, tail);
    this.core = core;
    this.name = name;
    this.head = head;
    this.tail = tail;
  }

  /** Length of what stands at the PSW: of an EXECUTE its own. */
  get length(): 2 | 4 | 6 {
    return instructionText(this.core.context).length;
  }

  /** A register field, 0 where the format has none. */
  register(n: 1 | 2 | 3): number {
    return this.has(`R${n}`) ? this.field(`R${n}`) : 0;
  }

  /** Big-endian storage operand. @returns null where it is refused */
  load(at: bigint, bytes: 1 | 2 | 4 | 8, space = 0): bigint | null {
    const data = readVirtual(this.context, ...halves(at), bytes, space);
    return data === null ? null : data.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  /** @returns false where it is refused */
  store(at: bigint, bytes: 1 | 2 | 4 | 8, value: bigint, space = 0): boolean {
    const data = new Uint8Array(8);
    new DataView(data.buffer).setBigUint64(0, BigInt.asUintN(64, value));
    return writeVirtual(this.context, ...halves(at), data.subarray(8 - bytes), space);
  }

  readSpace(at: bigint, length: number, space: number): Uint8Array | null {
    return readVirtual(this.context, ...halves(at), length, space);
  }

  writeSpace(at: bigint, bytes: Uint8Array, space: number): boolean {
    return writeVirtual(this.context, ...halves(at), bytes, space);
  }
}

/** How a control instruction ended: as a `ServiceHandler` says it. */
export type ControlAnswer =
  | ServiceAnswer
  /** With a PSW to be loaded, which may be invalid. */
  | { readonly psw: Psw; readonly length: 2 | 4 | 6 }
  /** With a monitor event. */
  | { readonly monitor: { readonly class: number; readonly code: bigint } };

/** Does a control instruction. */
export type Control = (work: ControlWork) => ControlAnswer;
export type Controls = Readonly<Record<string, Control>>;
