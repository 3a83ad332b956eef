import { describe, expect, it } from 'vitest';
import type { ArmInstruction } from '../../src/arm64/isa/common.ts';
import { FLOAT } from '../../src/arm64/isa/float.ts';
import { executeFloat } from '../../src/arm64/isa/float-execute.ts';
import { FLOAT_MOVE } from '../../src/arm64/isa/float-move.ts';
import { HELPER, TRAP } from '../../src/arm64/isa/helpers.ts';
import { CaseSet, differences, encode, type State, type Tolerance } from '../arm64/isa/cases.ts';
import type { FlatWork } from '../arm64/isa/flat-machine.ts';
import { randomFields, randomState } from '../arm64/isa/generate.ts';
import { RECORD, TOOLS } from '../arm64/isa/qemu-program.ts';
import { Random } from '../support/random.ts';
import { requireTool } from '../support/tools.ts';

const available = TOOLS.every((tool) => requireTool(tool).available);

const CORNERS = {
  64: [
    0n,
    0x3ff0000000000000n,
    0x4000000000000000n,
    0x3fe0000000000000n,
    0x4004000000000000n,
    0x7ff0000000000000n,
    0x7ff8000000000000n,
    0x7ff8000012345678n,
    0x7ff0000000000001n,
    0x7ff4000000abcdefn,
    1n,
    0xfffffffffffffn,
    0x10000000000000n,
    0x10000000000001n,
    0x7fefffffffffffffn,
    0x47efffffe0000000n,
    0x47effffff0000000n,
    0x3810000000000000n,
    0x380fffffffffffffn,
    0x36a0000000000000n,
    0x41dfffffffc00000n,
    0x41e0000000000000n,
    0x41efffffffe00000n,
    0x41f0000000000000n,
    0x43e0000000000000n,
    0x43dfffffffffffffn,
    0x43efffffffffffffn,
    0x43f0000000000000n,
    0x4330000000000001n,
    0x40f0000000000000n,
    0x3f10000000000000n,
  ],
  32: [
    0n,
    0x3f800000n,
    0x40000000n,
    0x3f000000n,
    0x40200000n,
    0x7f800000n,
    0x7fc00000n,
    0x7fc12345n,
    0x7f800001n,
    0x7fa0abcdn,
    1n,
    0x7fffffn,
    0x800000n,
    0x800001n,
    0x7f7fffffn,
    0x477fe000n,
    0x477fefffn,
    0x477ff000n,
    0x33000000n,
    0x387fffffn,
    0x4effffffn,
    0x4f000000n,
    0x4f7fffffn,
    0x4f800000n,
    0x5effffffn,
    0x5f000000n,
    0x5f800000n,
    0x4b000001n,
  ],
  16: [0n, 0x3c00n, 0x4000n, 0x7c00n, 0x7e00n, 0x7c01n, 0x7d55n, 1n, 0x3ffn, 0x400n, 0x7bffn, 0x3555n],
} as const;

const FRACTIONS = { 64: 52, 32: 23, 16: 10 } as const;
type Width = keyof typeof FRACTIONS;

/** An operand of any kind, as often as not near enough to others for something to happen. */
function anything(random: Random, width: Width): bigint {
  const fractionBits = FRACTIONS[width];
  const exponentBits = width - 1 - fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = random.chance(40) ? 1n << BigInt(width - 1) : 0n;
  const raw = BigInt.asUintN(fractionBits, random.doubleword());
  const fraction = random.chance(40) ? (raw >> BigInt(random.below(fractionBits))) << BigInt(random.below(8)) : raw;
  const number = (from: number, range: number): bigint => {
    const biased = Math.min(2 ** exponentBits - 1, Math.max(0, from + random.below(range)));
    return sign | (BigInt(biased) << BigInt(fractionBits)) | BigInt.asUintN(fractionBits, fraction);
  };
  switch (random.below(7)) {
    case 0:
    case 1:
      return sign | random.pick(CORNERS[width] as readonly bigint[]);
    case 2:
      return BigInt.asUintN(width, random.doubleword());
    case 3:
      return number(bias - 3, 6);
    case 4:
      return number(bias - 70, 140);
    case 5:
      return number(0, fractionBits + 4);
    default:
      return number(bias - 10, 20);
  }
}

/** A number that generated code takes. */
function ordinary(random: Random, width: Width): bigint {
  const fractionBits = FRACTIONS[width];
  const bias = 2 ** (width - 2 - fractionBits) - 1;
  const sign = random.chance(40) ? 1n << BigInt(width - 1) : 0n;
  if (random.chance(5)) return sign;
  const dropped = random.chance(30) ? BigInt(random.below(fractionBits)) : 0n;
  const fraction = (BigInt.asUintN(fractionBits, random.doubleword()) >> dropped) << dropped;
  return sign | (BigInt(bias - 12 + random.below(24)) << BigInt(fractionBits)) | fraction;
}

/** The width of the numbers that an instruction reads. */
function widthOf(i: ArmInstruction): Width {
  const type = (i.pattern.value >>> 22) & 3;
  const scalar = i.pattern.value >>> 28 === 5 || i.pattern.value >>> 28 === 7;
  if (scalar) return (type & 1) === 1 ? 64 : 32;
  return type === 3 ? 16 : type === 1 ? 64 : 32;
}

const word = (random: Random): bigint =>
  BigInt.asUintN(64, BigInt.asIntN(random.pick([8, 16, 31, 32, 33, 54, 63, 64]), random.doubleword()));

function stateWith(random: Random, v: (random: Random) => bigint, fpcr: bigint, fpsr: bigint): State {
  const state = randomState(random, word);
  for (let n = 0; n < 32; n++) state.v[n] = v(random);
  return { ...state, fpcr, fpsr };
}

/** RMode, FZ and DN, and alternative half-precision. */
const control = (random: Random): bigint => (random.chance(30) ? 0n : (BigInt(random.below(32)) << 22n) & 0x07c00000n);
const flags = (random: Random): bigint => (random.chance(50) ? 0n : BigInt(random.below(32)));

function addCases(set: CaseSet, i: ArmInstruction, random: Random, count: number, operand: typeof anything): void {
  const width = widthOf(i);
  for (let n = 0; n < count; n += 8) {
    const words = [encode(i, randomFields(i, random))];
    const stub = set.stubs.add(words);
    for (let k = 0; k < 8; k++) {
      const plain = operand === ordinary;
      const v = (r: Random): bigint =>
        width === 64 || plain
          ? operand(r, width)
          : (operand(r, width) | (r.doubleword() << BigInt(width))) & (2n ** 64n - 1n);
      set.add(
        i.name,
        words,
        stub,
        stateWith(random, v, plain ? 0n : control(random), plain ? (random.chance(50) ? 0n : 16n) : flags(random)),
      );
    }
  }
}

const helpers = new Map<number, FlatWork>([
  [
    HELPER.float,
    (context, instruction) => {
      executeFloat(context, instruction);
      return true;
    },
  ],
]);

/** Counts what generated code left. */
function traps(): { readonly work: Map<number, FlatWork>; left: number } {
  const counted = {
    left: 0,
    work: new Map<number, FlatWork>([
      [
        TRAP.softFloat,
        (context, instruction) => {
          counted.left++;
          executeFloat(context, instruction);
          context.pc += 4n;
          return true;
        },
      ],
    ]),
  };
  return counted;
}

const TOLERANCES: readonly Tolerance[] = [
  {
    name: /^msr$/,
    part: /^fp[cs]r$/,
    reason: 'QEMU keeps half-precision flushing (FEAT_FP16) and the condition flags of AArch32, which our PE has not',
  },
];

function program(fill: (set: CaseSet, random: Random) => void): { set: CaseSet; expected: Uint8Array } {
  const set = new CaseSet();
  fill(set, new Random(51));
  return { set, expected: available ? set.onQemu() : new Uint8Array() };
}

const COMPUTING = FLOAT.filter(({ name }) => !/^m[rs][sr]$/.test(name));

describe.skipIf(!available)('scalar floating point against qemu-aarch64', () => {
  const any = program((set, random) => {
    for (const i of FLOAT) addCases(set, i, random, 160, anything);
  });
  const plain = program((set, random) => {
    for (const i of COMPUTING) addCases(set, i, random, 80, ordinary);
  });
  const sequences = program((set, random) => {
    const from = [...COMPUTING, ...FLOAT_MOVE].filter((i) => widthOf(i) === 64);
    for (let n = 0; n < 800; n++) {
      const few = Array.from({ length: 5 }, () => random.below(27));
      const words = Array.from({ length: 4 + random.below(16) }, () => {
        const i = random.pick(from);
        return encode(
          i,
          randomFields(i, random, (field) => (/^R/.test(field) ? random.pick(few) : undefined)),
        );
      });
      const operand = random.chance(70) ? ordinary : anything;
      const fpcr = random.chance(70) ? 0n : control(random);
      set.add(
        'sequence',
        words,
        set.stubs.add(words),
        stateWith(random, (r) => operand(r, 64), fpcr, flags(random)),
      );
    }
  });

  it('covers every form', () => {
    expect(FLOAT.length).toBeGreaterThan(150);
  });

  it('finds a planted fault', () => {
    const wrong = Uint8Array.from(any.expected);
    wrong[RECORD.fpsr] = (wrong[RECORD.fpsr] as number) ^ 16;
    const run = any.set.onEngine({ translate: false, helpers, traps: traps().work });
    expect(differences(any.set, wrong, run, TOLERANCES)).toHaveLength(1);
  });

  it.each([false, true])('gives the same for any operands and modes (translated: %s)', (translate) => {
    const run = any.set.onEngine({ translate, helpers, traps: traps().work });
    expect(differences(any.set, any.expected, run, TOLERANCES).slice(0, 20)).toEqual([]);
  });

  it.each([
    false,
    true,
  ])('gives the same for ordinary numbers, mostly in generated code (translated: %s)', (translate) => {
    const counted = traps();
    const run = plain.set.onEngine({ translate, helpers, traps: counted.work });
    expect(differences(plain.set, plain.expected, run, TOLERANCES).slice(0, 20)).toEqual([]);
    expect(counted.left).toBeLessThan(0.1 * plain.set.cases.length);
  });

  it.each([false, true])('gives the same in sequences (translated: %s)', (translate) => {
    const run = sequences.set.onEngine({ translate, helpers, traps: traps().work });
    expect(differences(sequences.set, sequences.expected, run, TOLERANCES).slice(0, 20)).toEqual([]);
  });
});
