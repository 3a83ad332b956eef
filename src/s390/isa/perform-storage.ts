import type { Performed, Performers, Work } from './work.ts';

/** Instructions from storage to storage with lengths in the instruction (Principles of Operation, chapter 7). */

type Combine = (first: number, second: number) => number;

/** Byte by byte from left to right: where the first operand begins within the second, bytes that were just stored are taken. */
const combining =
  (combine: Combine | null) =>
  (w: Work): Performed => {
    const length = w.field('L1') + 1;
    const [to, from] = [w.address(1), w.address(2)];
    const second = w.read(from, length);
    if (second === null) return 'fault';
    const first = combine === null ? second : w.read(to, length);
    if (first === null) return 'fault';
    const distance = Number(BigInt.asUintN(w.addressBits, to - from) & 0xffffffffn);
    const near = BigInt.asUintN(w.addressBits, to - from) < BigInt(length) && distance > 0;
    const result = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const b = near && i >= distance ? (result[i - distance] as number) : (second[i] as number);
      result[i] = combine === null ? b : combine(first[i] as number, b);
    }
    if (!w.write(to, result)) return 'fault';
    if (combine !== null && SETS_CONDITION.has(combine)) w.setCc(result.some((byte) => byte !== 0) ? 1 : 0);
    return 'done';
  };

const and: Combine = (a, b) => a & b;
const or: Combine = (a, b) => a | b;
const xor: Combine = (a, b) => a ^ b;
const SETS_CONDITION: ReadonlySet<Combine> = new Set([and, or, xor]);

/** Condition code of a comparison of bytes as unsigned numbers, from left to right. */
export function comparisonOf(a: Uint8Array, b: Uint8Array): 0 | 1 | 2 {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return (a[i] as number) < (b[i] as number) ? 1 : 2;
  }
  return 0;
}

function compareStorage(w: Work): Performed {
  const length = w.field('L1') + 1;
  const first = w.read(w.address(1), length);
  const second = first && w.read(w.address(2), length);
  if (first === null || second === null) return 'fault';
  w.setCc(comparisonOf(first, second));
  return 'done';
}

/** Compare logical under mask, where generated code leaves it. */
const compareUnderMask =
  (word: (w: Work) => number) =>
  (w: Work): Performed => {
    const value = word(w);
    const bytes = [3, 2, 1, 0].filter((p) => ((w.field('M3') >> p) & 1) !== 0).map((p) => (value >>> (8 * p)) & 0xff);
    const storage = w.read(w.address(2), bytes.length);
    if (storage === null) return 'fault';
    w.setCc(comparisonOf(new Uint8Array(bytes), storage));
    return 'done';
  };

/** The second operand is named by its rightmost byte and read leftwards. */
function moveInverse(w: Work): Performed {
  const length = w.field('L1') + 1;
  const to = w.address(1);
  const from = w.inMode(w.address(2) - BigInt(length - 1));
  const bytes = w.read(from, length);
  if (bytes === null) return 'fault';
  return w.write(to, bytes.reverse()) ? 'done' : 'fault';
}

/** The bytes of a translation table that are looked at. */
class Table {
  readonly #work: Work;
  readonly #at: bigint;
  readonly #whole: Uint8Array | null;

  constructor(work: Work, at: bigint) {
    this.#work = work;
    this.#at = at;
    this.#whole = work.read(at, 256);
  }

  /** @returns null where the byte cannot be read: only those that are needed have to be there */
  get(index: number): number | null {
    if (this.#whole !== null) return this.#whole[index] as number;
    return this.#work.read(this.#work.inMode(this.#at + BigInt(index)), 1)?.[0] ?? null;
  }
}

function translate(w: Work): Performed {
  const length = w.field('L1') + 1;
  const [at, tableAt] = [w.address(1), w.address(2)];
  const bytes = w.read(at, length);
  if (bytes === null) return 'fault';
  const table = new Table(w, tableAt);
  const result = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const index = bytes[i] as number;
    const inOperand = w.inMode(tableAt + BigInt(index) - at);
    const found = inOperand < BigInt(i) ? (result[Number(inOperand)] as number) : table.get(index);
    if (found === null) return 'fault';
    result[i] = found;
  }
  return w.write(at, result) ? 'done' : 'fault';
}

/** Looks for a byte whose entry in the table is not 0; its address goes to register 1, the entry to register 2. */
const translateAndTest =
  (step: 1 | -1) =>
  (w: Work): Performed => {
    const length = w.field('L1') + 1;
    const at = w.address(1);
    const bytes = w.read(step === 1 ? at : w.inMode(at - BigInt(length - 1)), length);
    if (bytes === null) return 'fault';
    if (step === -1) bytes.reverse();
    const table = new Table(w, w.address(2));
    for (let i = 0; i < length; i++) {
      const entry = table.get(bytes[i] as number);
      if (entry === null) return 'fault';
      if (entry === 0) continue;
      w.setAddress(1, w.inMode(at + BigInt(step * i)));
      w.setGr32(2, (w.gr32(2) & ~0xff) | entry);
      w.setCc(i === length - 1 ? 2 : 1);
      return 'done';
    }
    w.setCc(0);
    return 'done';
  };

export const PERFORM_STORAGE: Performers = {
  mvc: combining(null),
  mvn: combining((a, b) => (a & 0xf0) | (b & 0x0f)),
  mvz: combining((a, b) => (a & 0x0f) | (b & 0xf0)),
  nc: combining(and),
  oc: combining(or),
  xc: combining(xor),
  clc: compareStorage,
  clm: compareUnderMask((w) => w.gr32(w.field('R1'))),
  clmy: compareUnderMask((w) => w.gr32(w.field('R1'))),
  clmh: compareUnderMask((w) => Number(w.gr(w.field('R1')) >> 32n)),
  mvcin: moveInverse,
  tr: translate,
  trt: translateAndTest(1),
  trtr: translateAndTest(-1),
};
