import { expect, test } from 'vitest';
import { HostView } from '../../../src/machine/host-view.ts';
import { makeStore } from '../../../src/machine/make-store.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HostStorage, PAGE } from '../../../src/s390/kvm/host-storage.ts';
import { Random } from '../../support/random.ts';

const SIZE = 0x10_0000;

function machine(): HostView {
  const regions = [{ name: 'ram', base: 0 as RealAddress, size: SIZE, secure: false }];
  const store = makeStore(regions, 65536);
  return new HostView(new RealMemory(store, regions), { agent: 'hypervisor', secure: false }, null, () => 0n);
}

test('at random, what is given out is free, aligned, clear and never given out twice', () => {
  const view = machine();
  const storage = new HostStorage(view, [
    { base: 0x4000 as RealAddress, size: 0x6_0000 },
    { base: 0x8_0000 as RealAddress, size: 0x4_0000 },
  ]);
  const all = storage.free;
  const owner = new Map<number, number>();
  const live: { base: RealAddress; size: number }[] = [];
  const random = new Random(7);
  for (let step = 0; step < 4000; step++) {
    if (random.chance(50) && live.length > 0) {
      const [given] = live.splice(random.below(live.length), 1);
      if (given === undefined) continue;
      for (let at = given.base as number; at < given.base + given.size; at += PAGE) owner.delete(at);
      storage.release(given.base, given.size);
    } else {
      const size = PAGE * (1 + random.below(9));
      const alignment = PAGE << random.below(4);
      const lowest = random.chance(25) ? 0x8_0000 : 0;
      const base = storage.allocate(size, alignment, lowest);
      if (base === undefined) continue;
      expect(base % alignment).toBe(0);
      expect(base).toBeGreaterThanOrEqual(lowest);
      expect(view.read(base, size).every((byte) => byte === 0)).toBe(true);
      view.fill(base, size, 0xee);
      for (let at = base as number; at < base + size; at += PAGE) {
        expect(owner.has(at)).toBe(false);
        expect((at >= 0x4000 && at < 0x6_4000) || (at >= 0x8_0000 && at < 0xc_0000)).toBe(true);
        owner.set(at, step);
      }
      live.push({ base, size });
    }
    expect(storage.free).toBe(all - owner.size * PAGE);
  }
  for (const { base, size } of live) storage.release(base, size);
  expect(storage.free).toBe(all);
  // In one piece again.
  expect(storage.allocate(0x6_0000)).toBe(0x4000);
});

test('giving back twice is a mistake of ours', () => {
  const storage = new HostStorage(machine(), [{ base: 0x1000 as RealAddress, size: 0x1_0000 }]);
  const base = storage.allocate(PAGE) as RealAddress;
  storage.release(base, PAGE);
  expect(() => storage.release(base, PAGE)).toThrow('free already');
});
