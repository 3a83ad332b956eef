import { describe, expect, it } from 'vitest';
import { type DiskBackend, DiskError, MemoryDisk } from '../../src/devices/disk.ts';
import { VIRTIO_F, VIRTIO_STATUS, VirtioCore } from '../../src/devices/virtio.ts';
import { VirtioBlk } from '../../src/devices/virtio-blk.ts';
import { FlatMemory, TestDriver, WRITE } from './flat-memory.ts';

const IN = 0;
const OUT = 1;
const FLUSH = 4;
const GET_ID = 8;
const OK = 0;
const IOERR = 1;
const UNSUPP = 2;
const NONE = 0xff;

const HEADER = 0x4000;
const DATA = 0x5000;
const STATUS = 0x4800;
/** Out of the device's reach. */
const HOLE: readonly [number, number] = [0x7000, 0x7800];

const RUNNING = VIRTIO_STATUS.ACKNOWLEDGE | VIRTIO_STATUS.DRIVER | VIRTIO_STATUS.FEATURES_OK | VIRTIO_STATUS.DRIVER_OK;

interface Bench {
  readonly core: VirtioCore;
  readonly driver: TestDriver;
  readonly memory: FlatMemory;
  readonly disk: MemoryDisk;
}

function make(backend?: DiskBackend): Bench {
  const memory = new FlatMemory(0x8000, HOLE);
  const disk = new MemoryDisk(Uint8Array.from({ length: 8 * 512 }, (_, i) => i + (i >> 9)));
  const core = new VirtioCore(new VirtioBlk(backend ?? disk, 'serial-0123456789abcdef'), memory, false);
  const driver = new TestDriver(memory);
  core.setStatus(VIRTIO_STATUS.ACKNOWLEDGE | VIRTIO_STATUS.DRIVER);
  core.setDriverFeatures(VIRTIO_F.VERSION_1);
  core.setStatus(RUNNING);
  core.setQueueSize(0, driver.size);
  const { setup } = core.queues[0] ?? {};
  Object.assign(setup ?? {}, {
    enabled: true,
    descriptors: BigInt(driver.descriptors),
    available: BigInt(driver.available),
    used: BigInt(driver.used),
  });
  return { core, driver, memory, disk };
}

interface Request {
  readonly type: number;
  readonly sector?: number | bigint;
  readonly pieces?: readonly (readonly [address: number, length: number])[];
}

/** Makes a request. @returns its status, and the length that came back */
function request({ core, driver, memory }: Bench, { type, sector = 0, pieces = [] }: Request): [number, number] {
  memory.view.setUint32(HEADER, type, true);
  memory.view.setBigUint64(HEADER + 8, BigInt(sector), true);
  memory.bytes[STATUS] = NONE;
  const flags = type === OUT ? 0 : WRITE;
  driver.chain(0, { address: HEADER, length: 16 }, ...pieces.map(([address, length]) => ({ address, length, flags })), {
    address: STATUS,
    length: 1,
    flags: WRITE,
  });
  const before = driver.usedIndex;
  driver.offer(0);
  core.notify(0);
  return [memory.bytes[STATUS] as number, driver.usedIndex === before ? -1 : driver.usedEntry(before)[1]];
}

describe('a virtio block device (virtio 1.2, 5.2)', () => {
  it('tells its capacity, in sectors of 512 bytes', () => {
    const view = new DataView(new VirtioBlk(new MemoryDisk(new Uint8Array(8 * 512))).configuration.buffer);
    expect([view.getBigUint64(0, true), view.getUint32(20, true)]).toEqual([8n, 512]);
  });

  it('reads and writes, in pieces of any size', () => {
    const b = make();
    expect(
      request(b, {
        type: IN,
        sector: 1,
        pieces: [
          [DATA, 100],
          [DATA + 200, 924],
        ],
      }),
    ).toEqual([OK, 1025]);
    expect(b.memory.bytes.slice(DATA, DATA + 100)).toEqual(b.disk.bytes.slice(512, 612));
    expect(b.memory.bytes.slice(DATA + 200, DATA + 1124)).toEqual(b.disk.bytes.slice(612, 1536));
    b.memory.bytes.fill(7, DATA, DATA + 300);
    b.memory.bytes.fill(9, DATA + 300, DATA + 512);
    expect(
      request(b, {
        type: OUT,
        sector: 7,
        pieces: [
          [DATA, 300],
          [DATA + 300, 212],
        ],
      }),
    ).toEqual([OK, 1]);
    expect([b.disk.bytes[7 * 512], b.disk.bytes[7 * 512 + 299], b.disk.bytes[8 * 512 - 1]]).toEqual([7, 7, 9]);
    expect(b.core.isr).toBe(1);
  });

  it('flushes, tells its serial number, and knows nothing else', () => {
    const b = make();
    expect(request(b, { type: FLUSH })).toEqual([OK, 1]);
    expect(request(b, { type: GET_ID, pieces: [[DATA, 20]] })).toEqual([OK, 21]);
    expect(new TextDecoder().decode(b.memory.bytes.slice(DATA, DATA + 20))).toBe('serial-0123456789abc');
    expect(request(b, { type: 11, pieces: [[DATA, 16]] })).toEqual([UNSUPP, 0]);
  });

  const REFUSED: readonly [string, Request][] = [
    ['a read beyond the end', { type: IN, sector: 8, pieces: [[DATA, 512]] }],
    ['a read over the end', { type: IN, sector: 7, pieces: [[DATA, 1024]] }],
    ['a write over the end', { type: OUT, sector: 7, pieces: [[DATA, 1024]] }],
    ['a sector beyond all disks', { type: IN, sector: 0xffffffffffffffffn, pieces: [[DATA, 512]] }],
    ['half a sector', { type: OUT, sector: 0, pieces: [[DATA, 256]] }],
    ['a read of more than anybody wants at once', { type: IN, sector: 0, pieces: [[DATA, 0xfffffe00]] }],
    [
      'a write from memory out of reach',
      {
        type: OUT,
        sector: 0,
        pieces: [
          [DATA, 512],
          [HOLE[0], 512],
        ],
      },
    ],
    ['a read into memory out of reach', { type: IN, sector: 0, pieces: [[HOLE[0], 512]] }],
    ['a write partly from memory out of reach', { type: OUT, sector: 0, pieces: [[HOLE[0] - 256, 512]] }],
    ['a serial number into memory out of reach', { type: GET_ID, pieces: [[HOLE[0], 20]] }],
  ];

  it.each(REFUSED)('answers %s with an I/O error, and changes nothing', (_, wrong) => {
    const b = make();
    b.memory.bytes.fill(0x5e, DATA, 0x8000);
    const disk = b.disk.bytes.slice();
    expect(request(b, wrong)).toEqual([IOERR, 0]);
    expect(b.disk.bytes).toEqual(disk);
    expect(b.memory.bytes.slice(DATA).every((byte) => byte === 0x5e)).toBe(true);
    expect(request(b, { type: IN, pieces: [[DATA, 512]] })).toEqual([OK, 513]);
  });

  it('answers with an I/O error where the disk fails', () => {
    const fail = (): never => {
      throw new DiskError('no space left on device');
    };
    const b = make({ sectors: 8, readOnly: false, read: fail, write: fail, flush: fail });
    for (const type of [IN, OUT]) expect(request(b, { type, pieces: [[DATA, 512]] })).toEqual([IOERR, 0]);
    expect(request(b, { type: FLUSH })).toEqual([IOERR, 0]);
  });

  it('a read-only disk says so, and takes no write', () => {
    const disk = new MemoryDisk(new Uint8Array(512), true);
    expect(new VirtioBlk(disk).features & (1n << 5n)).not.toBe(0n);
    expect(request(make(disk), { type: OUT, pieces: [[DATA, 512]] })).toEqual([IOERR, 0]);
  });

  it('stops until it is reset where its answer cannot be given, or the request is none', () => {
    for (const [address, length] of [
      [HOLE[0], 1],
      [STATUS, 0],
    ] as const) {
      const b = make();
      b.driver.chain(0, { address: HEADER, length: 16 }, { address, length, flags: WRITE });
      b.driver.offer(0);
      b.core.notify(0);
      expect(b.core.status & VIRTIO_STATUS.NEEDS_RESET).not.toBe(0);
      expect(b.core.isr).toBe(2);
      expect(b.driver.usedIndex).toBe(0);
      b.core.notify(0);
      b.core.setStatus(0);
      expect([b.core.status, b.core.isr]).toEqual([0, 0]);
    }
  });

  it('a header that is too short stops it too', () => {
    const b = make();
    b.driver.chain(0, { address: HEADER, length: 8 }, { address: STATUS, length: 1, flags: WRITE });
    b.driver.offer(0);
    b.core.notify(0);
    expect(b.core.status & VIRTIO_STATUS.NEEDS_RESET).not.toBe(0);
  });
});

describe('features and status (virtio 1.2, 3.1.1)', () => {
  const CASES: readonly [string, boolean, bigint, boolean][] = [
    ['version 1', false, VIRTIO_F.VERSION_1, true],
    ['nothing', false, 0n, false],
    ['what was not offered', false, VIRTIO_F.VERSION_1 | 1n, false],
    ['version 1, where the platform must be respected', true, VIRTIO_F.VERSION_1, false],
    ['both', true, VIRTIO_F.VERSION_1 | VIRTIO_F.ACCESS_PLATFORM, true],
  ];

  it.each(CASES)('FEATURES_OK with %s', (_, platform, features, taken) => {
    const core = new VirtioCore(new VirtioBlk(new MemoryDisk(new Uint8Array(512))), new FlatMemory(16), platform);
    core.setStatus(VIRTIO_STATUS.DRIVER);
    core.setDriverFeatures(features);
    core.setStatus(VIRTIO_STATUS.DRIVER | VIRTIO_STATUS.FEATURES_OK);
    expect((core.status & VIRTIO_STATUS.FEATURES_OK) !== 0).toBe(taken);
    core.setDriverFeatures(0n);
    expect(core.driverFeatures).toBe(taken ? features : 0n);
  });

  it('takes no request before DRIVER_OK, and none on a queue that is off', () => {
    const b = make();
    b.core.reset();
    expect(request(b, { type: FLUSH })).toEqual([NONE, -1]);
    const c = make();
    (c.core.queues[0] ?? { setup: { enabled: true } }).setup.enabled = false;
    expect(request(c, { type: FLUSH })).toEqual([NONE, -1]);
    c.core.notify(17);
  });

  it.each([0, 3, 512, 65536])('refuses a queue of %i', (size) => {
    const { core } = make();
    if (core.queues[0]) core.queues[0].setup.enabled = false;
    expect(core.setQueueSize(0, size)).toBe(false);
    expect(core.queues[0]?.setup.size).toBe(8);
  });
});
