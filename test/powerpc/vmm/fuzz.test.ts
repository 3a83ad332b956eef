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
