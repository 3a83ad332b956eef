import { Store } from '../../../src/engine/store.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import {
  PATE_DW1,
  PTE,
  packPde,
  packPte,
  packRadixRoot,
  RADIX_ROOT,
  SECURE_ADDRESS_BIT,
} from '../../../src/powerpc/abi.ts';

export const NORMAL_SIZE = 0x800000;
export const SECURE_BASE = SECURE_ADDRESS_BIT;
export const SECURE_SIZE = 0x400000;

/** Leaf size → bits of each level below the 13-bit root (sheet 2.4). */
export const LEVELS = {
  12: [13, 9, 9, 9],
  16: [13, 9, 9, 5],
  21: [13, 9, 9],
  30: [13, 9],
} as const;
export type PageShift = keyof typeof LEVELS;

/** Everything allowed, R and C preset: nothing is left to update. */
export const ALL = PTE.R | PTE.C | PTE.READ | PTE.WRITE | PTE.EXECUTE;

/** RAM with normal memory at 0 and secure memory at its high addresses, in a store with room for `extra` bytes beside it. */
export function makeMemory(extra = 0): RealMemory {
  const store = new Store(NORMAL_SIZE + SECURE_SIZE + 0x100000 + extra);
  return new RealMemory(store, [
    { name: 'normal', base: 0 as RealAddress, size: NORMAL_SIZE, secure: false },
    { name: 'secure', base: SECURE_BASE as RealAddress, size: SECURE_SIZE, secure: true },
  ]);
}

/** Reads and writes RAM behind the CPU's back. */
export class Ram {
  readonly memory: RealMemory;

  constructor(memory: RealMemory) {
    this.memory = memory;
  }

  host(address: number): number {
    const region = this.memory.find(address, 8);
    if (region === undefined) throw new Error(`no RAM at 0x${address.toString(16)}`);
    return region.host + (address - region.base);
  }

  get(address: number): bigint {
    return this.memory.store.view.getBigUint64(this.host(address));
  }

  put(address: number, value: bigint): void {
    this.memory.store.view.setBigUint64(this.host(address), value);
  }
}

/** A radix tree over 52 bits in RAM, made by the layout of sheet 2.4. */
export class Tree {
  readonly root: number;
  readonly #ram: Ram;
  readonly #allocate: (bytes: number) => number;
  readonly #toReal: (address: number) => number;

  /**
   * @param allocate gives zeroed, aligned memory in the space that the tables' addresses are in
   * @param toReal where such an address is in real memory
   */
  constructor(ram: Ram, allocate: (bytes: number) => number, toReal: (address: number) => number = (a) => a) {
    this.#ram = ram;
    this.#allocate = allocate;
    this.#toReal = toReal;
    this.root = allocate(8 << 13);
  }

  /** Dw0 of the process table entry. */
  get dw0(): bigint {
    return packRadixRoot({ base: BigInt(this.root), rootBits: 13, rts: 21 });
  }

  /** Maps the page at `offset` of the tree's space. @returns address of the leaf, in the tables' space */
  map(offset: number, target: number, shift: PageShift = 12, attributes: bigint = ALL): number {
    const at = this.slot(offset, shift);
    this.#ram.put(this.#toReal(at), packPte(BigInt(target), attributes));
    return at;
  }

  /** Address of the leaf slot of a page, with the directories above it made. */
  slot(offset: number, shift: PageShift): number {
    const levels = LEVELS[shift];
    let table = this.root;
    let left = 52;
    for (const [i, bits] of levels.entries()) {
      left -= bits;
      const at = table + (Math.floor(offset / 2 ** left) % 2 ** bits) * 8;
      if (i === levels.length - 1) return at;
      const next = levels[i + 1] as number;
      const entry = this.#ram.get(this.#toReal(at));
      if (entry === 0n) {
        table = this.#allocate(8 << next);
        this.#ram.put(this.#toReal(at), packPde(BigInt(table), next));
      } else {
        table = Number(entry & 0x0fffffffffffff00n);
      }
    }
    throw new Error('unreachable');
  }
}

/** Hands out zeroed memory upwards from `start`. */
export function bump(start: number): (bytes: number) => number {
  let next = start;
  return (bytes) => {
    const at = Math.ceil(next / bytes) * bytes;
    next = at + bytes;
    return at;
  };
}

export const pateDw0 = (tree: Tree): bigint => RADIX_ROOT.HR | tree.dw0;
export const pateDw1 = (processTable: number, prts = 0n): bigint => PATE_DW1.GR | BigInt(processTable) | prts;
