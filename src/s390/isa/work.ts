import { readVirtual, writeVirtual } from '../../engine/access.ts';
import type { CpuContext } from '../../engine/cpu.ts';
import { extractField, type Pattern } from '../../engine/pattern.ts';
import type { S390Mode } from './mode.ts';
import { ar, gpr, setCc } from './state.ts';

export type Context = CpuContext<S390Mode>;

/** How an instruction that was done in TypeScript ended. */
export type Performed =
  /** Go on behind it. */
  | 'done'
  /** An interruptible one did a part, and registers say which: it is to be executed again. */
  | 'again'
  /** An access of its own faulted; `CpuModel.deliverFault` knows which. Registers and storage are as before, or as after a part that is done. */
  | 'fault'
  /** It ends in a program interruption. Where that completes the instruction, all it does is done. */
  | { readonly code: number; readonly dataException: number };

export type Performer = (work: Work) => Performed;

/** Performers by mnemonic. */
export type Performers = Readonly<Record<string, Performer>>;

/** An address as the engine takes it. */
export function halves(address: bigint): [high: number, low: number] {
  return [Number(BigInt.asIntN(32, address >> 32n)), Number(BigInt.asIntN(32, address))];
}

export function programException(code: number, dataException = 0): Performed {
  return { code, dataException };
}

/** An instruction that is performed: its fields, its operands, and the CPU's registers and storage. */
export class Work {
  readonly context: Context;
  readonly #pattern: Pattern;
  readonly #head: number;
  readonly #tail: number;

  /** @param head the first four bytes, or the only two, right-aligned */
  constructor(context: Context, pattern: Pattern, head: number, tail: number) {
    this.context = context;
    this.#pattern = pattern;
    this.#head = head;
    this.#tail = tail;
  }

  has(name: string): boolean {
    return this.#pattern.fields.has(name);
  }

  /** A field of the instruction, unsigned. */
  field(name: string): number {
    const field = this.#pattern.fields.get(name);
    if (field === undefined) throw new Error(`the instruction has no field ${name}`);
    return extractField(field, this.#head, this.#tail);
  }

  /** A general register, unsigned. Numbers behind 15 begin again at 0. */
  gr(n: number): bigint {
    return this.context.get64(gpr.slots[n & 15] as (typeof gpr.slots)[number]);
  }

  setGr(n: number, value: bigint): void {
    this.context.set64(gpr.slots[n & 15] as (typeof gpr.slots)[number], BigInt.asUintN(64, value));
  }

  /** Its low half. */
  gr32(n: number): number {
    return Number(this.gr(n) & 0xffffffffn);
  }

  /** Sets the low half and keeps the high one. */
  setGr32(n: number, value: number): void {
    this.setGr(n, (this.gr(n) & 0xffffffff00000000n) | BigInt(value >>> 0));
  }

  /** An access register. */
  ar(n: number): number {
    return Number(this.context.get64(ar.slots[n & 15] as (typeof ar.slots)[number]));
  }

  setAr(n: number, value: number): void {
    this.context.set64(ar.slots[n & 15] as (typeof ar.slots)[number], BigInt(value >>> 0));
  }

  setCc(value: number): void {
    setCc(this.context, value);
  }

  get addressBits(): 24 | 31 | 64 {
    return this.context.mode.addressBits;
  }

  /** An address cut to what the addressing mode has. */
  inMode(address: bigint): bigint {
    return BigInt.asUintN(this.addressBits, address);
  }

  /** Address of a storage operand with base and displacement. */
  address(n: 1 | 2 | 4): bigint {
    const register = this.field(`B${n}`);
    const long = this.has(`DH${n}`);
    const displacement = long
      ? BigInt(((this.field(`DH${n}`) << 24) >> 12) | this.field(`DL${n}`))
      : BigInt(this.field(`D${n}`));
    const index = this.has(`X${n}`) && this.field(`X${n}`) !== 0 ? this.gr(this.field(`X${n}`)) : 0n;
    return this.inMode((register === 0 ? 0n : this.gr(register)) + index + displacement);
  }

  /** The address that a register holds. */
  addressIn(n: number): bigint {
    return this.inMode(this.gr(n));
  }

  /** Puts an address into a register: as many bits of it as the mode has, and in 31-bit mode a 0 before them. */
  setAddress(n: number, address: bigint): void {
    const { addressBits } = this;
    if (addressBits === 64) this.setGr(n, address);
    else if (addressBits === 31) this.setGr32(n, Number(address & 0x7fffffffn));
    else this.setGr32(n, (this.gr32(n) & 0xff000000) | Number(address & 0xffffffn));
  }

  /** A length in a register: 64 bits in 64-bit mode, else 32. */
  lengthIn(n: number): bigint {
    return this.addressBits === 64 ? this.gr(n) : BigInt(this.gr32(n));
  }

  setLength(n: number, length: bigint): void {
    if (this.addressBits === 64) this.setGr(n, length);
    else this.setGr32(n, Number(length & 0xffffffffn));
  }

  /** @returns null where some byte cannot be read */
  read(at: bigint, length: number): Uint8Array | null {
    return readVirtual(this.context, ...halves(at), length);
  }

  /** @returns false where some byte cannot be written: none was */
  write(at: bigint, bytes: Uint8Array): boolean {
    return writeVirtual(this.context, ...halves(at), bytes);
  }
}
