import { I32, I64, type ValType } from '../wasm/types.ts';
import { CONTEXT, MAX_FLAG_GROUPS } from './layout.ts';

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

/** Flags that instructions set together as a rule, such as the conditions of one comparison. Their slots follow each other. */
export interface FlagGroup {
  /** Position among the groups of the layout. */
  readonly number: number;
  readonly slots: readonly Slot<I32>[];
}

/**
 * The CPU state of one instruction set as instructions see it. Slots are little-endian in memory, whatever the guest's byte order.
 * Declare everything before the first interpreter is built.
 */
export class StateLayout {
  readonly slots: Slot[] = [];
  readonly groups: FlagGroup[] = [];
  readonly #groupOf = new Map<number, FlagGroup>();
  readonly #seldomWritten = new Set<number>();
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

  /** Declares that the flags are set together as a rule: translated code then needs not compute them one by one. */
  setTogether(slots: readonly Slot<I32>[]): void {
    const [first] = slots;
    if (first === undefined || slots.some((s, i) => s.width !== 8 || s.offset !== first.offset + i)) {
      throw new Error('a group of flags must lie side by side');
    }
    if (this.groups.length === MAX_FLAG_GROUPS) throw new Error(`over ${MAX_FLAG_GROUPS} groups of flags`);
    const group = { number: this.groups.length, slots };
    this.groups.push(group);
    for (const s of slots) this.#groupOf.set(s.index, group);
  }

  /** The group that a slot belongs to. */
  groupOf(slotIndex: number): FlagGroup | undefined {
    return this.#groupOf.get(slotIndex);
  }

  /** Declares a flag that many comparisons copy and few instructions write. */
  setSeldom(slot: Slot<I32>): void {
    this.#seldomWritten.add(slot.index);
  }

  isSeldomWritten(slotIndex: number): boolean {
    return this.#seldomWritten.has(slotIndex);
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
