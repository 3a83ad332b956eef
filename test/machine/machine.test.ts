import { describe, expect, it } from 'vitest';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { STORE_LIMIT, Store } from '../../src/engine/store.ts';
import { HostView } from '../../src/machine/host-view.ts';
import { compareViews, HypervisorView } from '../../src/machine/hypervisor-view.ts';
import { RealMemory } from '../../src/machine/memory.ts';
import { RandomSource } from '../../src/machine/random.ts';
import { MachineClock, runMachine, type ScheduledCpu, startOfSchedule } from '../../src/machine/scheduler.ts';
import { AccessRefused, type RealAddress, realAddress } from '../../src/machine/types.ts';
import { MemoryTrace } from '../../src/trace/memory.ts';

const at = (n: number): RealAddress => n as RealAddress;
const SECURE = 0x0001_0000_0000_0000;
const K64 = 0x10000;

function memory(): RealMemory {
  return new RealMemory(new Store(0x100000), [
    { name: 'normal', base: at(0), size: 2 * K64, secure: false },
    { name: 'secure', base: at(SECURE), size: K64, secure: true },
  ]);
}

function view(ram: RealMemory, secure: boolean, trace = new MemoryTrace()): HostView {
  return new HostView(ram, { agent: secure ? 'ultravisor' : 'hypervisor', secure }, trace, () => 7n);
}

describe('real addresses', () => {
  it.each([
    [0n, 0],
    [0x0001_0000_0000_0000n, SECURE],
    [2n ** 52n - 1n, 2 ** 52 - 1],
    [2n ** 52n, undefined],
    [-1n, undefined],
    [2n ** 64n - 1n, undefined],
    [1.5, undefined],
  ])('%s', (value, expected) => expect(realAddress(value)).toBe(expected));
});

describe('RAM is a map of regions', () => {
  it('refuses regions that overlap, are unaligned or empty', () => {
    const region = (base: number, size: number) => ({ name: 'r', base: at(base), size, secure: false });
    const make = (...regions: ReturnType<typeof region>[]) => new RealMemory(new Store(0x100000), regions);
    expect(() => make(region(0, K64), region(0, K64))).toThrow(RangeError);
    expect(() => make(region(1, K64))).toThrow(RangeError);
    expect(() => make(region(0, 100))).toThrow(RangeError);
    expect(() => make(region(0, 0))).toThrow(RangeError);
    expect(() => make(region(2 ** 52 - K64, 2 * K64))).toThrow(RangeError);
  });

  it('finds a range only if one region holds all of it', () => {
    const ram = memory();
    expect(ram.find(2 * K64 - 8, 8)?.name).toBe('normal');
    expect(ram.find(2 * K64 - 8, 9)).toBeUndefined();
    expect(ram.find(SECURE, 1)?.name).toBe('secure');
  });

  it('refuses more than a 32-bit memory holds', () => {
    expect(() => new Store(STORE_LIMIT + 1)).toThrow(/over the limit/);
  });
});

describe('a host view is a capability', () => {
  it('reads and writes big-endian values', () => {
    const v = view(memory(), false);
    v.writeU64(at(8), 0x0102030405060708n);
    v.writeU32(at(16), 0xdeadbeef);
    expect([...v.read(at(8), 4)]).toEqual([1, 2, 3, 4]);
    expect(v.readU64(at(8))).toBe(0x0102030405060708n);
    expect(v.readU32(at(16))).toBe(0xdeadbeef);
  });

  it('refuses secure memory to whoever is not secure, changes nothing, and says so in the trace', () => {
    const ram = memory();
    const trusted = view(ram, true);
    trusted.writeU64(at(SECURE), 42n);
    const trace = new MemoryTrace();
    const untrusted = view(ram, false, trace);
    const tries = [
      () => untrusted.read(at(SECURE), 8),
      () => untrusted.readU64(at(SECURE)),
      () => untrusted.readU32(at(SECURE)),
      () => untrusted.write(at(SECURE), new Uint8Array(8)),
      () => untrusted.writeU64(at(SECURE), 0n),
      () => untrusted.writeU32(at(SECURE), 0),
      () => untrusted.fill(at(SECURE), 8, 0),
    ];
    for (const attempt of tries) expect(attempt).toThrow(AccessRefused);
    expect(trusted.readU64(at(SECURE))).toBe(42n);
    const refused = trace.ofType('refused-access');
    expect(refused.map((e) => e.write)).toEqual([false, false, false, true, true, true, true]);
    expect(refused[0]).toMatchObject({ agent: 'hypervisor', address: BigInt(SECURE), size: 8, at: 7n });
    expect(untrusted.reaches(at(SECURE), 1)).toBe(false);
    expect(untrusted.reachable().map((r) => r.name)).toEqual(['normal']);
    expect(trusted.reachable().map((r) => r.name)).toEqual(['normal', 'secure']);
  });

  it('refuses pages that a guard closes, to all but secure software', () => {
    const ram = memory();
    ram.guard = (address, length) => address + length <= 0x2000 || address >= 0x3000;
    const v = view(ram, false);
    v.writeU64(at(0x1ff8), 1n);
    expect(v.readU64(at(0x3000))).toBe(0n);
    for (const address of [0x1ffc, 0x2000, 0x2ffc]) {
      expect(() => v.writeU64(at(address), 2n)).toThrow(/secure memory/);
      expect(v.reaches(at(address), 8)).toBe(false);
    }
    expect(v.readU64(at(0x1ff8))).toBe(1n);
    expect(view(ram, true).readU64(at(0x2000))).toBe(0n);
  });

  it('refuses what is not populated, also at the end of a region', () => {
    const v = view(memory(), true);
    expect(() => v.read(at(2 * K64 - 4), 8)).toThrow(/unpopulated/);
  });

  it('records what it read, and nothing it was refused', () => {
    const v = view(memory(), true);
    v.read(at(16), 4);
    v.readU64(at(0x1ffc));
    v.read(at(0x5000), 0);
    v.peek(at(SECURE), 0x1001);
    expect(() => v.read(at(2 * K64 - 4), 8)).toThrow();
    v.writeU32(at(0x8000), 1);
    expect([...v.pagesRead]).toEqual([0, 1, 2, SECURE / 4096, SECURE / 4096 + 1]);
    const open = view(memory(), false);
    expect(() => open.read(at(SECURE), 1)).toThrow();
    expect([...open.pagesRead]).toEqual([]);
  });
});

describe('randomness', () => {
  it('is a function of the seed, alike under both providers, and separate by purpose', () => {
    const draw = (seed: string, purpose: string, provider = nodeProvider) =>
      [...new RandomSource(provider, seed).stream(purpose)(8)].join();
    expect(draw('1', 'keys')).toBe(draw('1', 'keys'));
    expect(draw('1', 'keys')).toBe(draw('1', 'keys', nobleProvider));
    expect(new Set([draw('1', 'keys'), draw('2', 'keys'), draw('1', 'cookies')]).size).toBe(3);
  });

  it('can vary one stream alone', () => {
    const one = new RandomSource(nodeProvider, '1');
    const other = new RandomSource(nodeProvider, '1', new Map([['secret', 'x']]));
    expect(other.stream('keys')(8)).toEqual(one.stream('keys')(8));
    expect(other.stream('secret')(8)).not.toEqual(one.stream('secret')(8));
  });
});

describe('the scheduler', () => {
  class Cpu implements ScheduledCpu {
    waiting = false;
    deadline: number | null = null;
    readonly log: [start: number, budget: number][] = [];
    readonly #clock: MachineClock;

    constructor(clock: MachineClock) {
      this.#clock = clock;
    }

    run(budget: number): number {
      if (this.deadline !== null && this.deadline <= this.#clock.now) {
        this.waiting = false;
        this.deadline = null;
      }
      if (this.waiting) return 0;
      this.log.push([this.#clock.now, budget]);
      this.#clock.advance(budget);
      return budget;
    }
  }

  it('gives CPUs equal slices in a fixed order and stops at exactly the limit', () => {
    const clock = new MachineClock();
    const [a, b] = [new Cpu(clock), new Cpu(clock)];
    expect(runMachine([a, b], clock, () => false, 120_001)).toBe('limit');
    expect(clock.now).toBe(120_001);
    const slice = a.log[0]?.[1] ?? 0;
    expect(b.log[0]).toEqual([slice, slice]);
    expect(a.log[1]?.[0]).toBe(2 * slice);
  });

  it('goes on where a limit stopped it: limits do not change whose turn it is', () => {
    const whole = new MachineClock();
    const [a, b] = [new Cpu(whole), new Cpu(whole)];
    runMachine([a, b], whole, () => false, 300_000);
    const parts = new MachineClock();
    const [c, d] = [new Cpu(parts), new Cpu(parts)];
    const position = startOfSchedule();
    for (let limit = 0; limit <= 300_000; limit += 7001) runMachine([c, d], parts, () => false, limit, position);
    runMachine([c, d], parts, () => false, 300_000, position);
    const turns = (x: Cpu, y: Cpu) => {
      const executed = [...x.log.map((l) => [...l, 0]), ...y.log.map((l) => [...l, 1])].sort(
        (l, m) => (l[0] ?? 0) - (m[0] ?? 0),
      );
      return executed.filter(([, , cpu], i) => cpu !== executed[i - 1]?.[2]).map(([start, , cpu]) => [start, cpu]);
    };
    expect(turns(c, d)).toEqual(turns(a, b));
  });

  it('ends a slice at the next deadline', () => {
    const clock = new MachineClock();
    const cpu = new Cpu(clock);
    cpu.deadline = 100;
    runMachine([cpu], clock, () => cpu.log.length >= 2);
    expect(cpu.log[0]).toEqual([0, 100]);
  });

  it('jumps to the first deadline when all wait', () => {
    const clock = new MachineClock();
    const [a, b] = [new Cpu(clock), new Cpu(clock)];
    a.waiting = b.waiting = true;
    a.deadline = 5000;
    b.deadline = 3000;
    runMachine([a, b], clock, () => b.log.length > 0);
    expect(b.log[0]?.[0]).toBe(3000);
    expect(a.log).toEqual([]);
  });

  it('reports a deadlock when all wait for nothing, and the limit when the deadline lies behind it', () => {
    const clock = new MachineClock();
    const cpu = new Cpu(clock);
    cpu.waiting = true;
    expect(runMachine([cpu], clock, () => false)).toBe('deadlock');
    cpu.deadline = 10;
    expect(runMachine([cpu], clock, () => false, 5)).toBe('limit');
    expect([clock.now, clock.idle]).toEqual([5, 5]);
    expect(() => clock.advance(-1)).toThrow(RangeError);
  });
});

describe('what a hypervisor sees', () => {
  const secret = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  const moment = (registers: Record<string, bigint> = {}) =>
    ({ clock: 1, cpu: 0, cause: 'trap', nia: 0xc00n, registers }) as const;

  it('finds a planted secret in registers of either byte order and in memory, also over a page border', () => {
    const ram = memory();
    const watch = new HypervisorView(ram, nodeProvider, { secrets: [secret], digests: false });
    watch.observe(moment({ R3: 0x0001020304050607n, R4: 0x0706050403020100n, R5: 0x0706050403020101n }));
    view(ram, false).write(at(K64 - 3), secret);
    watch.observe(moment());
    expect(watch.sightings.map(({ observation, where }) => [observation, where])).toEqual([
      [0, 'R3'],
      [0, 'R4'],
      [1, `0x${(K64 - 3).toString(16)}`],
    ]);
  });

  it('does not see secure memory', () => {
    const ram = memory();
    view(ram, true).write(at(SECURE), secret);
    const watch = new HypervisorView(ram, nodeProvider, { secrets: [secret], digests: true });
    watch.observe(moment());
    expect(watch.sightings).toEqual([]);
    expect([...(watch.observations[0]?.pages.keys() ?? [])]).toEqual([0, K64]);
  });

  it('compares two runs in registers, time, count and memory, and leaves ciphertext out', () => {
    const run = (register: bigint, byte: number, count: number) => {
      const ram = memory();
      const watch = new HypervisorView(ram, nodeProvider, { secrets: [], digests: true });
      view(ram, false).write(at(K64), Uint8Array.of(byte));
      for (let i = 0; i < count; i++) watch.observe(moment({ R3: register }));
      return watch.observations;
    };
    const none = new Set<RealAddress>();
    const what = (b: ReturnType<typeof run>, left = none) => compareViews(run(1n, 1, 1), b, left).map((d) => d.what);
    expect(what(run(1n, 1, 1))).toEqual([]);
    expect(what(run(2n, 1, 1))).toEqual(['R3']);
    expect(what(run(1n, 2, 1))).toEqual(['0x10000']);
    expect(what(run(1n, 2, 1), new Set([at(K64)]))).toEqual([]);
    expect(what(run(1n, 1, 2))).toEqual(['count']);
  });
});
