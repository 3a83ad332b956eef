/** A seeded source of numbers (xorshift64 on two 32-bit halves): failures can be repeated. */
export class Random {
  #a: number;
  #b: number;

  constructor(seed: number) {
    this.#a = seed | 1;
    this.#b = (seed * 0x9e3779b1) | 1;
    for (let i = 0; i < 16; i++) this.word();
  }

  /** 32 random bits, unsigned (xoroshiro64**). */
  word(): number {
    const a = this.#a;
    const b = this.#b ^ a;
    const product = Math.imul(a, 0x9e3779bb);
    this.#a = ((a << 26) | (a >>> 6)) ^ b ^ (b << 9);
    this.#b = (b << 13) | (b >>> 19);
    return Math.imul((product << 5) | (product >>> 27), 5) >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  doubleword(): bigint {
    return (BigInt(this.word()) << 32n) | BigInt(this.word());
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const MASK = (1n << 64n) - 1n;

/** Numbers at which arithmetic goes wrong. */
export const CORNERS: readonly bigint[] = [
  0n,
  1n,
  MASK,
  1n << 63n,
  (1n << 63n) - 1n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  MASK - 0x7fffffffn,
];

const MORE: readonly bigint[] = [
  2n,
  3n,
  31n,
  32n,
  63n,
  64n,
  100n,
  127n,
  128n,
  0xffn,
  0x8000n,
  0x1_0000_0000n,
  MASK - 1n,
];

/** A register value: a corner, a small number of either sign, a run of ones, or anything. */
export function operand(random: Random): bigint {
  switch (random.below(6)) {
    case 0:
      return random.pick(CORNERS);
    case 1:
      return random.pick(MORE);
    case 2:
      return BigInt.asUintN(64, BigInt(random.below(512) - 256));
    case 3:
      return (MASK >> BigInt(random.below(64))) & (MASK << BigInt(random.below(64))) & MASK;
    case 4:
      return BigInt(random.word());
    default:
      return random.doubleword();
  }
}
