import { describe, expect, it } from 'vitest';
import { ImageError } from '../../../src/image/error.ts';
import { HCALL, type Hcall } from '../../../src/powerpc/abi.ts';
import { placeKernel } from '../../../src/powerpc/vmm/kernel-image.ts';
import { elf, Guest, MIB } from './machine.ts';

/** A reproducible source of numbers below `limit` (xorshift32). */
function source(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const INTERESTING = [0, 1, 2, 3, 4, 7, 8, 12, 15, 16, 17, 0x1000, 0x10000, 0x20000, 0x7fffff, 0x800000, 0xffffffff];

/** All but H_CEDE, after which the guest sleeps. */
const NAMES = (Object.keys(HCALL) as Hcall[]).filter((name) => name !== 'H_CEDE');

describe('whatever a guest calls', () => {
  it('is answered by a status: 20,000 hypercalls with random arguments', () => {
    const next = source(1);
    const any = (): bigint => {
      const base = BigInt(INTERESTING[next(INTERESTING.length)]);
      switch (next(4)) {
        case 0:
          return base;
        case 1:
          return base + BigInt(next(256));
        case 2:
          return base << BigInt(next(48));
        default:
          return (BigInt(next(2 ** 32)) << 32n) | BigInt(next(2 ** 32));
      }
    };
    let g = new Guest();
    for (let i = 0; i < 20_000; i++) {
      const name = NAMES[next(NAMES.length)];
      const secure = g.vm.secureGuest !== 0 || next(4) === 0;
      g.call(
        name,
        Array.from({ length: 9 }, () => any()),
        secure,
      );
      if (g.vm.end !== null) g = new Guest();
    }
  });

  it('of RTAS and the firmware: 20,000 random blocks', () => {
    const next = source(2);
    const services = [
      'finddevice',
      'getprop',
      'nextprop',
      'setprop',
      'claim',
      'release',
      'open',
      'write',
      'call-method',
    ];
    let g = new Guest({ memory: 4 * MIB + 4 * MIB, cpus: 2 });
    for (let i = 0; i < 20_000; i++) {
      const at = 0x20000 + 4 * next(64);
      const rtas = next(2) === 0;
      const nargs = next(12);
      g.string(0x30000, rtas ? 'text' : services[next(services.length)]);
      const first = rtas ? 0x2000 + next(0x30) : 0x30000;
      const args = Array.from({ length: 13 }, () =>
        next(3) === 0 ? INTERESTING[next(INTERESTING.length)] : [0x30000, 0x1112 + next(16), next(8)][next(3)],
      );
      g.words(at, first, nargs, next(6), ...args);
      expect(g.call(rtas ? 'H_RTAS' : 'H_VOF_CLIENT', [at])).not.toBeUndefined();
      if (g.vm.end !== null) g = new Guest({ cpus: 2 });
    }
  });
});

describe('whatever a client of the firmware says', () => {
  /** More than the guest has, so that it never runs out. */
  const HOST_MEMORY = 12 * MIB;
  const BLOCK = 0x20000;
  const TEXTS = 0x30000;
  const BUFFER = 0x40000;
  const PATHS = [
    '/',
    '/chosen',
    '/memory@0',
    '/cpus',
    '/cpus/PowerPC,POWER9@0',
    '/vdevice/vty',
    '/rtas',
    'cpus',
    '//',
    '@',
    '',
  ];
  const PROPERTIES = [
    'name',
    'reg',
    'bootargs',
    'linux,initrd-start',
    'linux,initrd-end',
    'stdout',
    'available',
    'phandle',
    '',
  ];
  const METHODS = ['instantiate-rtas', 'ibm,client-architecture-support', 'close', ''];
  /** Calls as clients make them: strings, P for a phandle, I for an ihandle, B for a buffer, numbers. */
  const CALLS: readonly (readonly [
    service: string,
    ...args: readonly (readonly string[] | 'P' | 'I' | 'B' | number)[],
  ])[] = [
    ['test', ['finddevice', 'nothing']],
    ['peer', 'P'],
    ['child', 'P'],
    ['parent', 'P'],
    ['finddevice', PATHS],
    ['getprop', 'P', PROPERTIES, 'B', 256],
    ['getproplen', 'P', PROPERTIES],
    ['nextprop', 'P', PROPERTIES, 'B'],
    ['setprop', 'P', PROPERTIES, 'B', 8],
    ['package-to-path', 'P', 'B', 64],
    ['instance-to-path', 'I', 'B', 64],
    ['instance-to-package', 'I'],
    ['open', PATHS],
    ['close', 'I'],
    ['write', 'I', 'B', 16],
    ['claim', 0x500000, 0x10000, 0],
    ['claim', 0, 0x20000, 0x10000],
    ['release', 0x500000, 0x10000],
    ['call-method', METHODS, 'I', 'B'],
    ['interpret', ['1 2 +']],
    ['milliseconds'],
    ['quiesce'],
  ];

  it('is answered, also call after call on the tree and the memory that it left: 20,000 mutated calls', () => {
    const next = source(4);
    const one = <T>(from: readonly T[]): T => from[next(from.length)] as T;
    let g = new Guest({}, HOST_MEMORY);
    const handles = { P: [0, 0x1112], I: [1] };
    const outcome = { answered: 0, refused: 0, failed: 0 };
    for (let i = 0; i < 20_000; i++) {
      if (i % 500 === 499)
        g = new Guest(
          { cpus: 1 + next(3), initrd: next(2) === 0 ? null : { file: 'i', bytes: new Uint8Array(100) } },
          HOST_MEMORY,
        );
      const [service, ...args] = one(CALLS);
      let text = TEXTS;
      const put = (value: string): number => {
        g.string(text, value);
        text += value.length + 1;
        return text - value.length - 1;
      };
      const words = [
        put(service),
        args.length,
        1 + next(2),
        ...args.map((arg) => {
          if (arg === 'B') return BUFFER + next(64);
          if (arg === 'P' || arg === 'I') return one(handles[arg]) + (next(8) === 0 ? next(40) : 0);
          return typeof arg === 'number' ? arg : put(one(arg));
        }),
      ];
      for (let changes = next(3); changes > 0; changes--) {
        const at = next(words.length);
        const old = words[at] as number;
        words[at] =
          one([old ^ (1 << next(32)), old + next(9) - 4, one(INTERESTING), next(2 ** 32), BLOCK, 0x7ffff8]) >>> 0;
      }
      // Bytes that a call reads from a buffer, and now and then a string without its end.
      for (let n = next(4); n > 0; n--) g.words(BUFFER + 4 * next(64), next(4) === 0 ? next(2 ** 32) : next(300));
      if (next(16) === 0) g.words(TEXTS + 4 * next(16), next(2 ** 32));
      const at = next(12) === 0 ? one([0, BLOCK + 1, 0x7ffffc, 0x800000, 0xfffffffc, next(2 ** 32)]) : BLOCK;
      g.words(BLOCK, ...words, ...new Array<number>(4).fill(0));
      const status = g.call('H_VOF_CLIENT', [at]);
      if (Number.isNaN(status)) outcome.failed++;
      else if (status === 0) outcome.answered++;
      else outcome.refused++;
      const result = g.readWords(BLOCK + 12 + 4 * args.length, 1)[0] as number;
      if (result > 0 && ['peer', 'child', 'finddevice'].includes(service)) handles.P.push(result);
      if (result > 0 && service === 'open') handles.I.push(result);
      if (g.vm.end !== null) g = new Guest({}, HOST_MEMORY);
    }
    expect(outcome.answered).toBeGreaterThan(8000);
    expect(outcome.refused).toBeGreaterThan(1000);
    expect(outcome.failed).toBe(0);
  });
});

describe('whatever is in an image', () => {
  it('it is placed in memory or refused with an ImageError: 10,000 mutations', () => {
    const next = source(3);
    const good = elf([
      { paddr: 0, bytes: Uint8Array.of(1, 2, 3, 4), memsz: 100 },
      { paddr: 0x2000, bytes: new Uint8Array(64) },
    ]);
    let placed = 0;
    for (let i = 0; i < 10_000; i++) {
      const bytes = good.slice(0, next(8) === 0 ? next(good.length) : good.length);
      for (let n = next(4); n >= 0 && bytes.length > 0; n--) bytes[next(bytes.length)] = next(256);
      try {
        const image = placeKernel({ file: 'f', bytes }, 16 * MIB);
        placed += 1;
        for (const { base, end, bytes: data } of image.segments) {
          expect(base).toBeGreaterThanOrEqual(0x400000);
          expect(end).toBeLessThanOrEqual(16 * MIB);
          expect(data.length).toBeLessThanOrEqual(end - base);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(ImageError);
      }
    }
    expect(placed).toBeGreaterThan(100);
  });
});
