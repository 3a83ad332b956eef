import { type DeviceMemory, DmaFault } from '../../src/devices/device-memory.ts';

/** Memory from address 0 with a hole that no device may reach. */
export class FlatMemory implements DeviceMemory {
  readonly bytes: Uint8Array;
  readonly hole: readonly [number, number];

  constructor(size: number, hole: readonly [number, number] = [0, 0]) {
    this.bytes = new Uint8Array(size);
    this.hole = hole;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.bytes.slice(this.#at(address, length), Number(address) + length);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at(address, bytes.length));
  }

  #at(address: bigint, length: number): number {
    const at = Number(address);
    const [start, end] = this.hole;
    if (address + BigInt(length) > BigInt(this.bytes.length) || (at < end && start < at + length)) {
      throw new DmaFault(address, length);
    }
    return at;
  }

  get view(): DataView {
    return new DataView(this.bytes.buffer);
  }
}

/** A descriptor as the driver writes it. */
export interface TestDescriptor {
  readonly address: number;
  readonly length: number;
  readonly flags?: number;
  readonly next?: number;
}

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;

/** The driver's side of a split queue, laid out as the specification says (virtio 1.2, 2.7). */
export class TestDriver {
  readonly memory: FlatMemory;
  readonly size: number;
  readonly descriptors = 0x1000;
  readonly available = 0x2000;
  readonly used = 0x3000;

  constructor(memory: FlatMemory, size = 8) {
    this.memory = memory;
    this.size = size;
  }

  describe(table: number, index: number, { address, length, flags = 0, next = 0 }: TestDescriptor): void {
    const at = table + 16 * index;
    const { view } = this.memory;
    view.setBigUint64(at, BigInt(address), true);
    view.setUint32(at + 8, length, true);
    view.setUint16(at + 12, flags, true);
    view.setUint16(at + 14, next, true);
  }

  /** A chain of descriptors from `first` on. */
  chain(first: number, ...pieces: readonly TestDescriptor[]): void {
    for (const [i, piece] of pieces.entries()) {
      const more = i + 1 < pieces.length ? NEXT : 0;
      const flags = (piece.flags ?? 0) | more;
      this.describe(this.descriptors, first + i, { ...piece, flags, next: first + i + 1 });
    }
  }

  offer(head: number): void {
    const { view } = this.memory;
    const index = view.getUint16(this.available + 2, true);
    view.setUint16(this.available + 4 + 2 * (index % this.size), head, true);
    view.setUint16(this.available + 2, (index + 1) & 0xffff, true);
  }

  get usedIndex(): number {
    return this.memory.view.getUint16(this.used + 2, true);
  }

  usedEntry(n: number): [id: number, length: number] {
    const at = this.used + 4 + 8 * (n % this.size);
    return [this.memory.view.getUint32(at, true), this.memory.view.getUint32(at + 4, true)];
  }
}
