import { type DeviceMemory, DmaFault } from './device-memory.ts';
import { type DiskBackend, DiskError, SECTOR_BYTES } from './disk.ts';
import type { VirtioDevice } from './virtio.ts';
import { type Chain, QueueError, type Segment } from './virtqueue.ts';

export const VIRTIO_ID_BLOCK = 2;

/** Feature bits (virtio 1.2, 5.2.3). */
export const VIRTIO_BLK_F = { SEG_MAX: 1n << 2n, RO: 1n << 5n, BLK_SIZE: 1n << 6n, FLUSH: 1n << 9n } as const;

/** Requests (5.2.6). */
const REQUEST = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8 } as const;

/** The last byte of each answer. */
export const VIRTIO_BLK_S = { OK: 0, IOERR: 1, UNSUPP: 2 } as const;

const HEADER_BYTES = 16;
const ID_BYTES = 20;
/** Beside header and status, each a descriptor of its own, as QEMU has it. */
const QUEUE_SIZE = 256;
const SEGMENTS = QUEUE_SIZE - 2;

/** More than any driver asks for at once; what does not fit is an I/O error. */
const MOST_BYTES = 64 * 2 ** 20;

const CONFIGURATION_BYTES = 24;
const CAPACITY = 0;
const SEG_MAX = 12;
const BLK_SIZE = 20;

/**
 * A virtio block device (virtio 1.2, 5.2) over a disk. A write goes to the disk before its request is answered, as a whole or not at all; a
 * flush makes sure of all writes before it. A request that names memory out of the device's reach fails with an I/O error: nothing of that
 * memory gets to the disk, nor of the disk there.
 */
export class VirtioBlk implements VirtioDevice {
  readonly type = VIRTIO_ID_BLOCK;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configuration: Uint8Array;
  readonly #disk: DiskBackend;
  readonly #id: Uint8Array;

  /** @param id what the driver gets for a serial number: up to 20 characters of ASCII */
  constructor(disk: DiskBackend, id = '') {
    this.#disk = disk;
    this.#id = new Uint8Array(ID_BYTES);
    this.#id.set(new TextEncoder().encode(id).subarray(0, ID_BYTES));
    const { SEG_MAX: segMax, BLK_SIZE: blkSize, FLUSH, RO } = VIRTIO_BLK_F;
    this.features = segMax | blkSize | FLUSH | (disk.readOnly ? RO : 0n);
    this.configuration = new Uint8Array(CONFIGURATION_BYTES);
    const view = new DataView(this.configuration.buffer);
    view.setBigUint64(CAPACITY, BigInt(disk.sectors), true);
    view.setUint32(SEG_MAX, SEGMENTS, true);
    view.setUint32(BLK_SIZE, SECTOR_BYTES, true);
  }

  request(memory: DeviceMemory, _queue: number, { readable, writable }: Chain): number {
    const room = totalLength(writable);
    const given = totalLength(readable);
    if (given < HEADER_BYTES || room < 1) throw new QueueError('a block request without header or status');
    const header = gather(memory, cut(readable, 0, HEADER_BYTES));
    const view = new DataView(header.buffer, header.byteOffset, header.length);
    const data = { in: cut(writable, 0, room - 1), out: cut(readable, HEADER_BYTES, given - HEADER_BYTES) };
    const status = this.#serve(memory, view.getUint32(0, true), view.getBigUint64(8, true), data);
    scatter(memory, cut(writable, room - 1, 1), Uint8Array.of(status));
    return status === VIRTIO_BLK_S.OK ? room : 0;
  }

  #serve(memory: DeviceMemory, type: number, sector: bigint, data: { in: Segment[]; out: Segment[] }): number {
    try {
      switch (type) {
        case REQUEST.IN:
          return this.#read(memory, sector, data.in);
        case REQUEST.OUT:
          return this.#write(memory, sector, data.out);
        case REQUEST.FLUSH:
          this.#disk.flush();
          return VIRTIO_BLK_S.OK;
        case REQUEST.GET_ID:
          scatter(memory, data.in, this.#id);
          return VIRTIO_BLK_S.OK;
        default:
          return VIRTIO_BLK_S.UNSUPP;
      }
    } catch (error) {
      if (error instanceof DmaFault || error instanceof DiskError) return VIRTIO_BLK_S.IOERR;
      throw error;
    }
  }

  #read(memory: DeviceMemory, sector: bigint, data: readonly Segment[]): number {
    const bytes = totalLength(data);
    if (!this.#has(sector, bytes)) return VIRTIO_BLK_S.IOERR;
    scatter(memory, data, this.#disk.read(Number(sector), bytes / SECTOR_BYTES));
    return VIRTIO_BLK_S.OK;
  }

  #write(memory: DeviceMemory, sector: bigint, data: readonly Segment[]): number {
    if (this.#disk.readOnly || !this.#has(sector, totalLength(data))) return VIRTIO_BLK_S.IOERR;
    this.#disk.write(Number(sector), gather(memory, data));
    return VIRTIO_BLK_S.OK;
  }

  /** Whether a range of whole sectors is on the disk, and not too much at once. */
  #has(sector: bigint, bytes: number): boolean {
    if (bytes > MOST_BYTES) return false;
    return bytes % SECTOR_BYTES === 0 && sector + BigInt(bytes / SECTOR_BYTES) <= BigInt(this.#disk.sectors);
  }
}

function totalLength(segments: readonly Segment[]): number {
  return segments.reduce((sum, { length }) => sum + length, 0);
}

/** The pieces of `segments` that hold `length` bytes from `offset` on. */
function cut(segments: readonly Segment[], offset: number, length: number): Segment[] {
  const pieces: Segment[] = [];
  let skip = offset;
  let left = length;
  for (const segment of segments) {
    const start = Math.min(skip, segment.length);
    skip -= start;
    const taken = Math.min(segment.length - start, left);
    if (taken > 0) pieces.push({ address: segment.address + BigInt(start), length: taken });
    left -= taken;
  }
  return pieces;
}

function gather(memory: DeviceMemory, segments: readonly Segment[]): Uint8Array {
  const bytes = new Uint8Array(totalLength(segments));
  let at = 0;
  for (const { address, length } of segments) {
    bytes.set(memory.read(address, length), at);
    at += length;
  }
  return bytes;
}

/** Writes as many of the bytes as there is room for. */
function scatter(memory: DeviceMemory, segments: readonly Segment[], bytes: Uint8Array): void {
  let at = 0;
  for (const { address, length } of segments) {
    if (at >= bytes.length) return;
    memory.write(address, bytes.subarray(at, at + length));
    at += length;
  }
}
