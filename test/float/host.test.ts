import { describe, expect, it } from 'vitest';
import { add, divide, type Environment, multiply, squareRoot } from '../../src/float/arithmetic.ts';
import { compare, convert } from '../../src/float/convert.ts';
import { DOUBLE, type Format, heldIn, SINGLE, type Unpacked, unpack } from '../../src/float/format.ts';
import { type Result, ROUND } from '../../src/float/round.ts';
import { Random } from '../support/random.ts';

/** Rounded to nearest, the host's own arithmetic is the judge of random operands. */
const NEAREST: Environment = {
  rounding: ROUND.nearest,
  nans: { signallingFirst: true, fusedOrder: [0, 1, 2], nanBeforeInvalidProduct: false },
};
/** Single precision as Power's registers hold it. */
const NARROW = heldIn(SINGLE, DOUBLE);

const view = new DataView(new ArrayBuffer(8));

function bitsOf(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

function numberOf(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

function operand(random: Random): number {
  switch (random.below(5)) {
    case 0:
      return random.pick([
        0,
        -0,
        1,
        -1,
        0.5,
        Infinity,
        -Infinity,
        Number.NaN,
        Number.MIN_VALUE,
        Number.MAX_VALUE,
        2 ** -1022,
      ]);
    case 1:
      return random.below(2000) - 1000;
    case 2:
      return numberOf(random.doubleword());
    case 3:
      return Math.fround((random.word() / 2 ** 16) * 2 ** (random.below(60) - 30));
    default:
      return (random.word() + random.word() / 2 ** 32) * 2 ** (random.below(200) - 100);
  }
}

type Binary = (a: Unpacked, b: Unpacked, format: Format, env: Environment) => Result;
const OPERATIONS: readonly (readonly [string, Binary, (a: number, b: number) => number])[] = [
  ['add', add, (a, b) => a + b],
  ['multiply', multiply, (a, b) => a * b],
  ['divide', divide, (a, b) => a / b],
  ['square root', (_a, b, format, env) => squareRoot(b, format, env), (_a, b) => Math.sqrt(b)],
];

const same = (bits: bigint, value: number): boolean => Object.is(numberOf(bits), value);

describe.each(OPERATIONS)('%s', (_name, ours, host) => {
  it('gives the double that the host gives', () => {
    const random = new Random(1);
    for (let n = 0; n < 20_000; n++) {
      const [a, b] = [operand(random), operand(random)];
      const { bits } = ours(unpack(bitsOf(a), DOUBLE), unpack(bitsOf(b), DOUBLE), DOUBLE, NEAREST);
      if (!same(bits, host(a, b))) throw new Error(`${a}, ${b}: ${numberOf(bits)}, host ${host(a, b)}`);
    }
  });

  it('gives the single that the host gives for singles', () => {
    const random = new Random(2);
    for (let n = 0; n < 20_000; n++) {
      const [a, b] = [Math.fround(operand(random)), Math.fround(operand(random))];
      const { bits } = ours(unpack(bitsOf(a), DOUBLE), unpack(bitsOf(b), DOUBLE), NARROW, NEAREST);
      // Rounding twice is harmless for these operations on singles.
      const expected = Math.fround(host(a, b));
      if (!same(bits, expected)) throw new Error(`${a}, ${b}: ${numberOf(bits)}, host ${expected}`);
    }
  });
});

it('rounds to single precision like the host', () => {
  const random = new Random(3);
  for (let n = 0; n < 20_000; n++) {
    const a = operand(random);
    expect(numberOf(convert(unpack(bitsOf(a), DOUBLE), NARROW, NEAREST).bits)).toBe(Math.fround(a));
  }
});

it('compares like the host', () => {
  const random = new Random(4);
  for (let n = 0; n < 20_000; n++) {
    const [a, b] = [operand(random), operand(random)];
    const expected = a < b ? 'less' : a > b ? 'greater' : a === b ? 'equal' : 'unordered';
    expect(compare(unpack(bitsOf(a), DOUBLE), unpack(bitsOf(b), DOUBLE))).toBe(expected);
  }
});
