import { I32, I64, type ValType } from '../wasm/types.ts';
import { CONTEXT } from './layout.ts';

/** How many bits a slot takes in memory. 8-bit slots hold small unsigned values (flags) and read as i32. */
export type SlotWidth = 8 | 32 | 64;

/** One architected register, flag or other piece of CPU state, at a fixed offset from the context's base address. */
export interface Slot<T extends ValType = ValType> {
  readonly name: string;
  readonly type: T;
  readonly width: SlotWidth;
  /** Bytes from the context's base address. */
  readonly offset: number;
  /** Position in the layout; the translator's register sets are indexed by it. */
  readonly index: number;
}

/** Registers that instructions select by number: consecutive slots of one kind. */
export interface SlotFile<T extends ValType = ValType> {
  readonly name: string;
  readonly type: T;
  readonly width: SlotWidth;
  readonly offset: number;
  /** log2 of the distance of two registers in bytes. */
  readonly shift: number;
  readonly slots: readonly Slot<T>[];
}

/**
 * The CPU state of one instruction set as instructions see it. Slots are little-endian in memory, whatever the guest's byte order.
 * Declare everything before the first interpreter is built.
 */
export class StateLayout {
  readonly slots: Slot[] = [];
  #next: number = CONTEXT.state;

  /** End of the state in bytes from the context's base address. */
  get end(): number {
    return this.#next;
  }

  /** A 64-bit register. */
  i64(name: string): Slot<I64> {
    return this.#slot(name, I64, 64);
  }

  /** A 32-bit register. */
  i32(name: string): Slot<I32> {
    return this.#slot(name, I32, 32);
  }

  /** A flag or small field, 0 to 255. */
  flag(name: string): Slot<I32> {
    return this.#slot(name, I32, 8);
  }

  /** `count` 64-bit registers, named by number. */
  i64File(name: string, count: number): SlotFile<I64> {
    return this.#file(name, I64, 64, 3, count);
  }

  /** `count` flags, named by number. */
  flagFile(name: string, count: number): SlotFile<I32> {
    return this.#file(name, I32, 8, 0, count);
  }

  #file<T extends ValType>(name: string, type: T, width: SlotWidth, shift: number, count: number): SlotFile<T> {
    this.#align(width);
    const offset = this.#next;
    const slots = Array.from({ length: count }, (_, i) => this.#slot(`${name}${i}`, type, width));
    return { name, type, width, offset, shift, slots };
  }

  #slot<T extends ValType>(name: string, type: T, width: SlotWidth): Slot<T> {
    this.#align(width);
    const slot = { name, type, width, offset: this.#next, index: this.slots.length };
    this.#next += width / 8;
    if (this.#next > CONTEXT.end) throw new Error(`CPU state ${name} does not fit a context of ${CONTEXT.end} bytes`);
    this.slots.push(slot);
    return slot;
  }

  #align(width: SlotWidth): void {
    const bytes = width / 8;
    this.#next = Math.ceil(this.#next / bytes) * bytes;
  }
}
