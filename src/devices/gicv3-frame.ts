import { type InterruptBank, PRIORITY_MASK } from './gicv3-bank.ts';

/** Registers with one bit for each interrupt: the same offsets in the distributor and in a redistributor's SGI frame (Arm IHI 0069H, 12.8, 12.10). */
interface BitRegister {
  readonly base: number;
  read(bank: InterruptBank, i: number): number;
  /** @param bit as it is written */
  write(bank: InterruptBank, i: number, bit: number): void;
}

const put =
  (of: (bank: InterruptBank) => Uint8Array, when: 0 | 1 | 'both', value: 0 | 1 | 'same') =>
  (bank: InterruptBank, i: number, bit: number): void => {
    if (when === 'both' || bit === when) of(bank)[i] = value === 'same' ? bit : value;
  };

const enabled = (bank: InterruptBank): Uint8Array => bank.enabled;
const latched = (bank: InterruptBank): Uint8Array => bank.latched;
const active = (bank: InterruptBank): Uint8Array => bank.active;
const group = (bank: InterruptBank): Uint8Array => bank.group;
const bitOf =
  (of: (bank: InterruptBank) => Uint8Array) =>
  (bank: InterruptBank, i: number): number =>
    of(bank)[i] as number;
const pending = (bank: InterruptBank, i: number): number => Number(bank.isPending(i));

const BIT_REGISTERS: readonly BitRegister[] = [
  { base: 0x080, read: bitOf(group), write: put(group, 'both', 'same') },
  { base: 0x100, read: bitOf(enabled), write: put(enabled, 1, 1) },
  { base: 0x180, read: bitOf(enabled), write: put(enabled, 1, 0) },
  { base: 0x200, read: pending, write: put(latched, 1, 1) },
  { base: 0x280, read: pending, write: put(latched, 1, 0) },
  { base: 0x300, read: bitOf(active), write: put(active, 1, 1) },
  { base: 0x380, read: bitOf(active), write: put(active, 1, 0) },
];
const BIT_REGISTER_BYTES = 0x80;
const PRIORITIES = { base: 0x400, bytes: 0x400 } as const;
/** Two bits for each interrupt, of which the upper one says that it is edge-triggered. */
const CONFIGURATION = { base: 0xc00, bytes: 0x100 } as const;
const SGIS = 16;

/** Peripheral identification, in a word for each byte, from 0xffd0 (12.8.37: PIDR2 says GICv3). */
const ID_BASE = 0xffd0;
const ID = [0x44, 0x00, 0x00, 0x00, 0, 0xb4, 0x3b, 0x00, 0x0d, 0xf0, 0x05, 0xb1] as const;

/** An identification register; null at another offset. @param part low byte of the part number */
export function identification(at: number, part: number): number | null {
  if (at < ID_BASE) return null;
  const index = (at - ID_BASE) >> 2;
  return index === 4 ? part : (ID[index] ?? 0);
}

/** The registers of a bank of interrupts. What no interrupt stands behind reads as zero and ignores writes. */
export class Frame {
  readonly #bank: InterruptBank;

  constructor(bank: InterruptBank) {
    this.#bank = bank;
  }

  /** @param at offset of an aligned word */
  read(at: number): number {
    const bank = this.#bank;
    const register = BIT_REGISTERS.find(({ base }) => at >= base && at < base + BIT_REGISTER_BYTES);
    if (register !== undefined) {
      return this.#gather((at - register.base) * 8, 1, (i) => register.read(bank, i));
    }
    if (at >= PRIORITIES.base && at < PRIORITIES.base + PRIORITIES.bytes) {
      return this.#gather(at - PRIORITIES.base, 8, (i) => bank.priority[i] as number);
    }
    if (at >= CONFIGURATION.base && at < CONFIGURATION.base + CONFIGURATION.bytes) {
      return this.#gather((at - CONFIGURATION.base) * 4, 2, (i) => (bank.edge[i] as number) << 1);
    }
    return 0;
  }

  /** @param at offset of an aligned word */
  write(at: number, value: number): void {
    const bank = this.#bank;
    const register = BIT_REGISTERS.find(({ base }) => at >= base && at < base + BIT_REGISTER_BYTES);
    if (register !== undefined) {
      this.#scatter((at - register.base) * 8, 1, value, (i, bit) => register.write(bank, i, bit));
    } else if (at >= PRIORITIES.base && at < PRIORITIES.base + PRIORITIES.bytes) {
      this.#scatter(at - PRIORITIES.base, 8, value, (i, byte) => {
        bank.priority[i] = byte & PRIORITY_MASK;
      });
    } else if (at >= CONFIGURATION.base && at < CONFIGURATION.base + CONFIGURATION.bytes) {
      this.#scatter((at - CONFIGURATION.base) * 4, 2, value, (i, bits) => {
        if (bank.base + i >= SGIS) bank.edge[i] = bits >> 1;
      });
    }
  }

  /** Only priorities can be written by bytes. */
  writeByte(at: number, value: number): void {
    const intid = at - PRIORITIES.base;
    const i = this.#bank.at(intid);
    if (intid < PRIORITIES.bytes && i >= 0 && i < this.#bank.count) this.#bank.priority[i] = value & PRIORITY_MASK;
  }

  /** A word of fields of `width` bits, the first of them for the interrupt `intid`. */
  #gather(intid: number, width: number, field: (i: number) => number): number {
    let word = 0;
    for (let n = 0; n < 32 / width; n++) {
      const i = this.#bank.at(intid + n);
      if (i >= 0 && i < this.#bank.count) word |= field(i) << (n * width);
    }
    return word >>> 0;
  }

  #scatter(intid: number, width: number, word: number, put: (i: number, field: number) => void): void {
    const mask = 2 ** width - 1;
    for (let n = 0; n < 32 / width; n++) {
      const i = this.#bank.at(intid + n);
      if (i >= 0 && i < this.#bank.count) put(i, (word >>> (n * width)) & mask);
    }
  }
}
