import type { DeviceMemory } from './device-memory.ts';

/** Bits of a descriptor's flags (virtio 1.2, 2.7.5). */
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

/** Bit of the available ring's flags: the driver wants no interrupts (2.7.7). */
const NO_INTERRUPT = 1;

const DESCRIPTOR_BYTES = 16;
const RING_HEADER = 4;
const USED_BYTES = 8;
const INDEX_MASK = 0xffff;

/** The largest queue that virtio allows (2.7). */
export const MAX_QUEUE_SIZE = 32768;

/** The driver broke the rules of the queue: the device stops until it is reset (virtio 1.2, 2.1.2). */
export class QueueError extends Error {
  override readonly name = 'QueueError';
}

/** A piece of memory that a descriptor names. */
export interface Segment {
  readonly address: bigint;
  readonly length: number;
}

/** A chain of descriptors that the driver made available. */
export interface Chain {
  /** The index of its first descriptor, by which it is given back. */
  readonly head: number;
  /** What the device may read, then what it may write. */
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

/** What the driver set up for a queue, as plain data. */
export interface QueueSetup {
  /** Number of descriptors, a power of two. */
  size: number;
  enabled: boolean;
  /** Device addresses of descriptor table, available ring and used ring. */
  descriptors: bigint;
  available: bigint;
  used: bigint;
}

/** The features of a queue that driver and device agreed on. */
export interface QueueFeatures {
  readonly indirect: boolean;
  readonly eventIndex: boolean;
}

/**
 * The device's side of a split virtqueue (virtio 1.2, 2.7): little-endian rings in guest memory, each index read once and checked. Its own
 * state is two indices.
 */
export class SplitQueue {
  readonly setup: QueueSetup;
  /** The next entry of the available ring to look at, and of the used ring to fill, both modulo 2^16. */
  lastAvailable = 0;
  lastUsed = 0;
  /** `lastUsed` when the driver was last interrupted. */
  #signalled = 0;

  constructor(size: number) {
    this.setup = { size, enabled: false, descriptors: 0n, available: 0n, used: 0n };
  }

  /** As it is before the driver sets it up. */
  reset(size: number): void {
    Object.assign(this.setup, { size, enabled: false, descriptors: 0n, available: 0n, used: 0n });
    this.lastAvailable = 0;
    this.lastUsed = 0;
    this.#signalled = 0;
  }

  /** The next chain, or undefined if there is none. @throws QueueError, DmaFault */
  pop(memory: DeviceMemory, features: QueueFeatures): Chain | undefined {
    const { size, available, used } = this.setup;
    const waiting = (readU16(memory, available + 2n) - this.lastAvailable) & INDEX_MASK;
    if (waiting === 0) {
      // The driver is to say when there is more.
      const event = used + BigInt(RING_HEADER + USED_BYTES * size);
      if (features.eventIndex) memory.write(event, u16(this.lastAvailable));
      return undefined;
    }
    if (waiting > size) throw new QueueError(`${waiting} entries are available in a queue of ${size}`);
    const head = readU16(memory, available + BigInt(RING_HEADER + 2 * (this.lastAvailable % size)));
    if (head >= size) throw new QueueError(`descriptor ${head} is not in a queue of ${size}`);
    const chain = this.#chain(memory, features, head);
    this.lastAvailable = (this.lastAvailable + 1) & INDEX_MASK;
    return chain;
  }

  /** Gives a chain back, of whose writable part the first `written` bytes hold something. @throws DmaFault */
  push(memory: DeviceMemory, head: number, written: number): void {
    const { size, used } = this.setup;
    const entry = new Uint8Array(USED_BYTES);
    const view = new DataView(entry.buffer);
    view.setUint32(0, head, true);
    view.setUint32(4, written, true);
    memory.write(used + BigInt(RING_HEADER + USED_BYTES * (this.lastUsed % size)), entry);
    this.lastUsed = (this.lastUsed + 1) & INDEX_MASK;
    memory.write(used + 2n, u16(this.lastUsed));
  }

  /** Whether the driver wants to be interrupted for what was given back since it last was (2.7.7, 2.7.10). @throws DmaFault */
  wantsInterrupt(memory: DeviceMemory, features: QueueFeatures): boolean {
    const given = (this.lastUsed - this.#signalled) & INDEX_MASK;
    if (given === 0) return false;
    const { size, available } = this.setup;
    const before = this.#signalled;
    this.#signalled = this.lastUsed;
    if (!features.eventIndex) return (readU16(memory, available) & NO_INTERRUPT) === 0;
    const event = readU16(memory, available + BigInt(RING_HEADER + 2 * size));
    return ((event - before) & INDEX_MASK) < given;
  }

  #chain(memory: DeviceMemory, features: QueueFeatures, head: number): Chain {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.setup.descriptors;
    let { size } = this.setup;
    let inTable = false;
    let index = head;
    for (let seen = 0; ; ) {
      const { address, length, flags, next } = readDescriptor(memory, table, index);
      if ((flags & INDIRECT) !== 0) {
        if (!features.indirect || inTable || (flags & NEXT) !== 0 || seen > 0) {
          throw new QueueError('an indirect descriptor where none may be');
        }
        if (length === 0 || length % DESCRIPTOR_BYTES !== 0 || length / DESCRIPTOR_BYTES > MAX_QUEUE_SIZE) {
          throw new QueueError(`an indirect table of ${length} bytes`);
        }
        inTable = true;
        table = address;
        size = length / DESCRIPTOR_BYTES;
        index = 0;
        continue;
      }
      if (length === 0) throw new QueueError('a descriptor of 0 bytes');
      if ((flags & WRITE) !== 0) writable.push({ address, length });
      else if (writable.length > 0) throw new QueueError('what the device reads is behind what it writes');
      else readable.push({ address, length });
      if ((flags & NEXT) === 0) return { head, readable, writable };
      seen += 1;
      if (seen >= size) throw new QueueError('a chain of descriptors that is longer than its table');
      if (next >= size) throw new QueueError(`descriptor ${next} is not in a table of ${size}`);
      index = next;
    }
  }
}

interface Descriptor extends Segment {
  readonly flags: number;
  readonly next: number;
}

function readDescriptor(memory: DeviceMemory, table: bigint, index: number): Descriptor {
  const view = viewOf(memory.read(table + BigInt(DESCRIPTOR_BYTES * index), DESCRIPTOR_BYTES));
  return {
    address: view.getBigUint64(0, true),
    length: view.getUint32(8, true),
    flags: view.getUint16(12, true),
    next: view.getUint16(14, true),
  };
}

function readU16(memory: DeviceMemory, address: bigint): number {
  return viewOf(memory.read(address, 2)).getUint16(0, true);
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, value >> 8);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
