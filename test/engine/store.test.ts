import { describe, expect, it } from 'vitest';
import { readVirtual, writeVirtual } from '../../src/engine/access.ts';
import { STORE_LIMIT, Store } from '../../src/engine/store.ts';
import { ToyMachine } from './toy-model.ts';

describe('Store', () => {
  it('gives out aligned ranges that do not overlap, none at address 0', () => {
    const store = new Store(4 * 65536);
    const a = store.reserve(10, 16);
    const b = store.reserve(4096, 4096);
    const c = store.reserve(1, 1);
    expect(a).toBeGreaterThanOrEqual(65536);
    expect([a % 16, b % 4096]).toEqual([0, 0]);
    expect(b).toBeGreaterThanOrEqual(a + 10);
    expect(c).toBe(b + 4096);
  });

  it('says when it is full', () => {
    const store = new Store(2 * 65536);
    store.reserve(60000, 1);
    expect(() => store.reserve(6000, 1)).toThrow(new RangeError('the store has no 6000 bytes left'));
    expect(() => store.reserve(5536, 1)).not.toThrow();
  });

  it('has a limit, which it names', () => {
    expect(() => new Store(STORE_LIMIT + 1)).toThrow(/over the limit of 4294901760 bytes/);
  });

  it('tells of writes to pages with code, page by page', () => {
    const store = new Store(2 * 65536);
    const told: [number, number][] = [];
    store.watchCode({ codeChanged: (from, to) => void told.push([from, to]) });
    store.hasCode[16] = 1;
    store.hasCode[18] = 2;
    store.written(0x10000 - 8, 8);
    store.written(0x10000 - 4, 8);
    store.written(0x10ff0, 0x2020);
    store.written(0x11000, 0x1000);
    expect(told).toEqual([
      [0x10000, 0x10004],
      [0x10ff0, 0x11000],
      [0x12000, 0x13000],
    ]);
  });
});

describe('access to virtual memory', () => {
  it('carries from the low to the high half of an address', () => {
    const { cpu, ...machine } = prepared();
    cpu.map(0xfffff, { ram: 1 });
    cpu.map(0x100000, { ram: 3 });
    machine.memory.set([1, 2, 3], 0x1ffd);
    machine.memory.set([4, 5], 0x3000);
    expect([...(readVirtual(cpu.context, 0, -3, 5) ?? [])]).toEqual([1, 2, 3, 4, 5]);
    expect(writeVirtual(cpu.context, 0, -1, Uint8Array.of(9, 8))).toBe(true);
    expect([machine.memory[0x1fff], machine.memory[0x3000]]).toEqual([9, 8]);
  });

  it('gives the halves as signed numbers also at 2^63 and around 2^64', () => {
    const { cpu, ...machine } = prepared();
    // The toy's model throws on any other number; pages are the addresses without their last three digits.
    cpu.map(0x7fffffffffff, { ram: 1 });
    cpu.model.maps[0].set(Number(0x7ffffffffffffn), { ram: 1, write: true, execute: true });
    cpu.model.maps[0].set(Number(0x8000000000000n), { ram: 3, write: true, execute: true });
    machine.memory[0x1fff] = 0x11;
    machine.memory[0x3000] = 0x22;
    expect([...(readVirtual(cpu.context, 0x7fffffff, -1, 2) ?? [])]).toEqual([0x11, 0x22]);
    cpu.map(Number(0xfffffffffffffn), { ram: 1 });
    cpu.map(0, { ram: 3 });
    expect([...(readVirtual(cpu.context, -1, -1, 2) ?? [])]).toEqual([0x11, 0x22]);
  });

  it('writes nothing where a later page faults', () => {
    const { cpu, ...machine } = prepared();
    cpu.map(1);
    cpu.map(2, { write: false });
    expect(writeVirtual(cpu.context, 0, 0x1ffe, Uint8Array.of(1, 2, 3))).toBe(false);
    expect([...machine.memory.subarray(0x1ffe, 0x2001)]).toEqual([0, 0, 0]);
    cpu.model.deliverFault();
    expect(cpu.model.events).toEqual(['store fault at 0x2000, pc 0x0']);
  });

  function prepared() {
    const machine = new ToyMachine();
    return { cpu: machine.cpu, memory: machine.memory };
  }
});
