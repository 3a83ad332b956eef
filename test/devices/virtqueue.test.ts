import { describe, expect, it } from 'vitest';
import { DmaFault } from '../../src/devices/device-memory.ts';
import { QueueError, SplitQueue } from '../../src/devices/virtqueue.ts';
import { FlatMemory, INDIRECT, NEXT, TestDriver, WRITE } from './flat-memory.ts';

const PLAIN = { indirect: false, eventIndex: false };
const ALL = { indirect: true, eventIndex: true };

function make(size = 8): { memory: FlatMemory; driver: TestDriver; queue: SplitQueue } {
  const memory = new FlatMemory(0x8000);
  const driver = new TestDriver(memory, size);
  const queue = new SplitQueue(size);
  Object.assign(queue.setup, {
    enabled: true,
    descriptors: BigInt(driver.descriptors),
    available: BigInt(driver.available),
    used: BigInt(driver.used),
  });
  return { memory, driver, queue };
}

describe('a split virtqueue (virtio 1.2, 2.7)', () => {
  it('gives chains in the order in which they were made available, and nothing after the last', () => {
    const { memory, driver, queue } = make();
    driver.chain(2, { address: 0x4000, length: 16 }, { address: 0x5000, length: 512, flags: WRITE });
    driver.chain(5, { address: 0x6000, length: 1, flags: WRITE });
    driver.offer(2);
    driver.offer(5);
    expect(queue.pop(memory, PLAIN)).toEqual({
      head: 2,
      readable: [{ address: 0x4000n, length: 16 }],
      writable: [{ address: 0x5000n, length: 512 }],
    });
    expect(queue.pop(memory, PLAIN)).toEqual({ head: 5, readable: [], writable: [{ address: 0x6000n, length: 1 }] });
    expect(queue.pop(memory, PLAIN)).toBeUndefined();
  });

  it('gives chains back with their lengths, round and round', () => {
    const { memory, driver, queue } = make(4);
    for (let n = 0; n < 70000; n += 9999) {
      const head = n % 4;
      driver.chain(head, { address: 0x4000, length: 4, flags: WRITE });
      driver.offer(head);
      const chain = queue.pop(memory, PLAIN);
      queue.push(memory, chain?.head ?? -1, n);
      expect(driver.usedEntry(queue.lastUsed - 1)).toEqual([head, n]);
    }
    expect(driver.usedIndex).toBe(8);
  });

  it('wraps its indices at 2^16', () => {
    const { memory, driver, queue } = make(4);
    queue.lastAvailable = 0xffff;
    queue.lastUsed = 0xffff;
    memory.view.setUint16(driver.available + 2, 0xffff, true);
    driver.chain(3, { address: 0x4000, length: 4, flags: WRITE });
    driver.offer(3);
    const chain = queue.pop(memory, PLAIN);
    expect(chain?.head).toBe(3);
    queue.push(memory, 3, 1);
    expect([queue.lastAvailable, queue.lastUsed, driver.usedIndex]).toEqual([0, 0, 0]);
    expect(driver.usedEntry(3)).toEqual([3, 1]);
  });

  it('follows an indirect table where that was agreed on (2.7.5.3)', () => {
    const { memory, driver, queue } = make();
    driver.describe(0x7000, 0, { address: 0x4000, length: 16, flags: NEXT, next: 2 });
    driver.describe(0x7000, 2, { address: 0x5000, length: 3, flags: WRITE });
    driver.describe(driver.descriptors, 1, { address: 0x7000, length: 48, flags: INDIRECT });
    driver.offer(1);
    expect(queue.pop(memory, ALL)).toEqual({
      head: 1,
      readable: [{ address: 0x4000n, length: 16 }],
      writable: [{ address: 0x5000n, length: 3 }],
    });
    const other = make();
    other.driver.describe(other.driver.descriptors, 1, { address: 0x7000, length: 48, flags: INDIRECT });
    other.driver.offer(1);
    expect(() => other.queue.pop(other.memory, PLAIN)).toThrow(QueueError);
  });

  const piece = { address: 0x4000, length: 16 };
  const BROKEN: readonly [string, (driver: TestDriver) => void][] = [
    ['more entries than it has', (d) => d.memory.view.setUint16(d.available + 2, 9, true)],
    ['a head that is no descriptor', (d) => d.offer(8)],
    [
      'a next that is no descriptor',
      (d) => {
        d.describe(d.descriptors, 0, { ...piece, flags: NEXT, next: 8 });
        d.offer(0);
      },
    ],
    [
      'a circle',
      (d) => {
        d.describe(d.descriptors, 0, { ...piece, flags: NEXT, next: 1 });
        d.describe(d.descriptors, 1, { ...piece, flags: NEXT, next: 0 });
        d.offer(0);
      },
    ],
    [
      'a descriptor of 0 bytes',
      (d) => {
        d.chain(0, { ...piece, length: 0 });
        d.offer(0);
      },
    ],
    [
      'what the device reads behind what it writes',
      (d) => {
        d.chain(0, { ...piece, flags: WRITE }, piece);
        d.offer(0);
      },
    ],
    [
      'an indirect table of half a descriptor',
      (d) => {
        d.describe(d.descriptors, 0, { address: 0x7000, length: 24, flags: INDIRECT });
        d.offer(0);
      },
    ],
    [
      'an empty indirect table',
      (d) => {
        d.describe(d.descriptors, 0, { address: 0x7000, length: 0, flags: INDIRECT });
        d.offer(0);
      },
    ],
    [
      'an indirect table in another',
      (d) => {
        d.describe(0x7000, 0, { address: 0x7000, length: 16, flags: INDIRECT });
        d.describe(d.descriptors, 0, { address: 0x7000, length: 16, flags: INDIRECT });
        d.offer(0);
      },
    ],
    [
      'an indirect table that goes on',
      (d) => {
        d.describe(d.descriptors, 0, { address: 0x7000, length: 16, flags: INDIRECT | NEXT, next: 1 });
        d.offer(0);
      },
    ],
  ];

  it.each(BROKEN)('refuses %s, and stays where it was', (_, prepare) => {
    const { memory, driver, queue } = make();
    prepare(driver);
    const before = memory.bytes.slice();
    expect(() => queue.pop(memory, ALL)).toThrow(QueueError);
    expect([queue.lastAvailable, queue.lastUsed]).toEqual([0, 0]);
    expect(memory.bytes).toEqual(before);
  });

  it('lets through that it cannot reach its rings', () => {
    const { memory, queue } = make();
    queue.setup.available = 0x7fff_ffff_ffffn;
    expect(() => queue.pop(memory, PLAIN)).toThrow(DmaFault);
  });

  describe('interrupts', () => {
    const serve = (driver: TestDriver, queue: SplitQueue, features: typeof PLAIN): boolean => {
      driver.chain(0, { address: 0x4000, length: 4, flags: WRITE });
      driver.offer(0);
      queue.push(driver.memory, queue.pop(driver.memory, features)?.head ?? -1, 4);
      queue.pop(driver.memory, features);
      return queue.wantsInterrupt(driver.memory, features);
    };

    it('come once for what was given back, unless the driver turned them off (2.7.7)', () => {
      const { memory, driver, queue } = make();
      expect(serve(driver, queue, PLAIN)).toBe(true);
      expect(queue.wantsInterrupt(memory, PLAIN)).toBe(false);
      memory.view.setUint16(driver.available, 1, true);
      expect(serve(driver, queue, PLAIN)).toBe(false);
    });

    it('come when the index that the driver named is passed (2.7.10)', () => {
      const { memory, driver, queue } = make();
      const want = (index: number) => memory.view.setUint16(driver.available + 4 + 2 * 8, index, true);
      want(1);
      expect([1, 2, 3].map(() => serve(driver, queue, ALL))).toEqual([false, true, false]);
      want(3);
      expect(serve(driver, queue, ALL)).toBe(true);
      // And the device says from which entry on it wants to be told.
      expect(memory.view.getUint16(driver.used + 4 + 8 * 8, true)).toBe(4);
    });
  });
});
