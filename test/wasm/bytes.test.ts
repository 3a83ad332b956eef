import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/wasm/bytes.ts';

const SEED = 0x10eb128;

function written(write: (w: ByteWriter) => void): number[] {
  const w = new ByteWriter();
  write(w);
  expect(w.length).toBe(w.view().length);
  return [...w.finish()];
}

/** A decoder that follows the DWARF pseudo code word by word, to judge the encoder. */
function decode(bytes: readonly number[], signed: boolean): { value: bigint; length: number } {
  let value = 0n;
  let shift = 0n;
  let at = 0;
  for (;;) {
    const byte = bytes[at++];
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if ((byte & 0x80) === 0) {
      if (signed && (byte & 0x40) !== 0) value -= 1n << shift;
      return { value, length: at };
    }
  }
}

/** Fewest groups of 7 bits that hold the value. */
function shortest(value: bigint, signed: boolean): number {
  for (let n = 1; ; n++) {
    const width = 7 * n;
    if ((signed ? BigInt.asIntN(width, value) : BigInt.asUintN(width, value)) === value) return n;
  }
}

describe('LEB128', () => {
  // Wikipedia "LEB128", DWARF 4 figures 22 and 23, and the limits of WebAssembly's u32.
  it.each([
    [0, [0x00]],
    [2, [0x02]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [129, [0x81, 0x01]],
    [12857, [0xb9, 0x64]],
    [624485, [0xe5, 0x8e, 0x26]],
    [0xffffffff, [0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])('encodes unsigned %d', (value, bytes) => {
    expect(written((w) => w.u32(value))).toEqual(bytes);
  });

  it.each([
    [0, [0x00]],
    [2, [0x02]],
    [-2, [0x7e]],
    [63, [0x3f]],
    [64, [0xc0, 0x00]],
    [-64, [0x40]],
    [-65, [0xbf, 0x7f]],
    [127, [0xff, 0x00]],
    [-127, [0x81, 0x7f]],
    [128, [0x80, 0x01]],
    [-128, [0x80, 0x7f]],
    [129, [0x81, 0x01]],
    [-129, [0xff, 0x7e]],
    [-123456, [0xc0, 0xbb, 0x78]],
    [0x7fffffff, [0xff, 0xff, 0xff, 0xff, 0x07]],
    [-0x80000000, [0x80, 0x80, 0x80, 0x80, 0x78]],
  ])('encodes signed %d, alike at 32 and 64 bits', (value, bytes) => {
    expect(written((w) => w.s32(value))).toEqual(bytes);
    expect(written((w) => w.s64(BigInt(value)))).toEqual(bytes);
  });

  it.each([
    [0x80000000n, [0x80, 0x80, 0x80, 0x80, 0x08]],
    [-0x80000001n, [0xff, 0xff, 0xff, 0xff, 0x77]],
    [0x7fffffffffffffffn, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00]],
    [-0x8000000000000000n, [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]],
  ])('encodes signed %d at 64 bits', (value, bytes) => {
    expect(written((w) => w.s64(value))).toEqual(bytes);
  });

  it('gives the shortest encoding that decodes to the value', () => {
    const check = (bytes: number[], value: bigint, signed: boolean): void => {
      expect(decode(bytes, signed)).toEqual({ value, length: bytes.length });
      expect(bytes).toHaveLength(shortest(value, signed));
    };
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.integer({ min: 0, max: 63 }),
        (v, shift) => {
          const value = v >> BigInt(shift);
          check(
            written((w) => w.s64(value)),
            value,
            true,
          );
          const narrow = Number(BigInt.asIntN(32, value));
          check(
            written((w) => w.s32(narrow)),
            BigInt(narrow),
            true,
          );
          check(
            written((w) => w.u32(narrow)),
            BigInt(narrow >>> 0),
            false,
          );
        },
      ),
      { seed: SEED, numRuns: 1000 },
    );
  });
});

describe('ByteWriter', () => {
  it('writes doubles in little-endian IEEE 754', () => {
    // 0.1 = 0x3fb999999999999a and the signed zero, which `===` would lose.
    expect(written((w) => w.f64(0.1))).toEqual([0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f]);
    expect(written((w) => w.f64(-0))).toEqual([0, 0, 0, 0, 0, 0, 0, 0x80]);
  });

  it('counts a name in bytes of UTF-8', () => {
    expect(written((w) => w.name('aé'))).toEqual([3, 0x61, 0xc3, 0xa9]);
  });

  it('keeps its bytes when it grows, and gives out a copy', () => {
    const w = new ByteWriter();
    for (let i = 0; i < 1000; i++) w.byte(i & 0xff);
    w.append(new Uint8Array(5000).fill(7));
    w.u32(624485);
    const first = w.finish();
    w.byte(1);
    expect(first).toHaveLength(6003);
    expect([...first.slice(254, 258)]).toEqual([254, 255, 0, 1]);
    expect([...first.slice(-4)]).toEqual([7, 0xe5, 0x8e, 0x26]);
  });
});
