import { describe, expect, it } from 'vitest';
import type { PowerInstruction } from '../../src/powerpc/isa/common.ts';
import { FLOAT } from '../../src/powerpc/isa/float.ts';
import { executeFloat } from '../../src/powerpc/isa/float-execute.ts';
import { HELPER, TRAP } from '../../src/powerpc/isa/helpers.ts';
import { type Case, CaseSet, differences, emptyState, encode, type Tolerance } from '../powerpc/isa/cases.ts';
import type { FlatHelper, FlatRepair } from '../powerpc/isa/flat-model.ts';
import { randomFields } from '../powerpc/isa/generate.ts';
import { BIG, LITTLE, RECORD, type Target } from '../powerpc/isa/qemu-program.ts';
import { Random } from '../support/random.ts';
import { requireTool } from '../support/tools.ts';

const TOOLS = ['qemu-ppc64le', 'powerpc64le-linux-gnu-as', 'powerpc64-linux-gnu-as', 'powerpc64-linux-gnu-ld'] as const;
const available = TOOLS.every((tool) => requireTool(tool).available);

const SIGN = 1n << 63n;
const CORNERS: readonly bigint[] = [
  0n,
  0x3ff0000000000000n,
  0x4000000000000000n,
  0x3fe0000000000000n,
  0x3ff8000000000000n,
  0x4004000000000000n,
  0x7ff0000000000000n,
  0x7ff8000000000000n,
  0x7ff8000012345678n,
  0x7ff0000000000001n,
  0x7ff4000000abcdefn,
  1n,
  0xfffffffffffffn,
  0x10000000000000n,
  0x7fefffffffffffffn,
  0x47efffffe0000000n,
  0x47effffff0000000n,
  0x3810000000000000n,
  0x380fffffffffffffn,
  0x36a0000000000000n,
  0x369fffffffffffffn,
  0x41dfffffffc00000n,
  0x41e0000000000000n,
  0x41efffffffe00000n,
  0x41f0000000000000n,
  0x43e0000000000000n,
  0x43efffffffffffffn,
  0x43f0000000000000n,
  0x4330000000000001n,
];

function operand(random: Random): bigint {
  const sign = random.chance(40) ? SIGN : 0n;
  const fraction = random.chance(40)
    ? (random.doubleword() >> 12n) & ~((1n << BigInt(random.below(53))) - 1n)
    : random.doubleword() >> 12n;
  const exponent = (base: number, range: number): bigint => BigInt(base + random.below(range)) << 52n;
  switch (random.below(8)) {
    case 0:
    case 1:
      return sign | random.pick(CORNERS);
    case 2:
      return random.doubleword();
    case 3:
      return sign | exponent(1023 - 3, 6) | fraction;
    case 4:
      return sign | exponent(1023 - 70, 140) | fraction;
    case 5:
      // A single.
      return sign | exponent(1023 - 126, 253) | (fraction & ~0x1fffffffn);
    case 6:
      return sign | exponent(0, 60) | fraction;
    default:
      return sign | exponent(1023 - 10, 20) | (fraction & ~((1n << 44n) - 1n));
  }
}

/** Sticky bits, and for some cases enables, with summaries as they must be. */
function status(random: Random, enables: bigint): bigint {
  let value = BigInt(random.word()) & 0x9ffff703n & ~0x60000000n;
  // With enables and their exceptions set, the program itself would end when it loads them.
  if (enables !== 0n || random.chance(50)) value &= 0x0001f003n;
  value = (value & ~0xf8n) | (enables & 0xf8n);
  if ((value & 0x01f80700n) !== 0n) value |= 0x20000000n;
  return value;
}

function addFloatCases(set: CaseSet, i: PowerInstruction, random: Random, sets: number, enables = 0n): void {
  for (let n = 0; n < sets; n += 5) {
    // With Rc=1 an enabled exception comes before CR1 in QEMU.
    const word = encode(
      i,
      randomFields(i, random, (field) => (field === 'Rc' && enables !== 0n ? 0 : undefined)),
    );
    const stub = set.stubs.add([word]);
    for (let k = 0; k < 5; k++) {
      const state = emptyState();
      for (let f = 0; f < 32; f++) state.fpr[f] = operand(random);
      state.fpscr = status(random, enables);
      state.cr = random.word();
      set.add(i.name, [word], stub, state);
    }
  }
}

/** A helper that ends the case with SIGFPE where Linux would: user programs run with MSR[FE0,FE1] set under QEMU. */
const helpers = new Map<number, FlatHelper>([
  [
    HELPER.float,
    (context, word, _b, end) =>
      executeFloat(context, word) ? end({ kind: 'signal', signal: 8, text: 'enabled' }) : true,
  ],
]);

/** What the CPU model does for a definition that found its operands too special. */
const repairs = new Map<number, FlatRepair>([
  [
    TRAP.softFloat,
    (context, word) => {
      if (executeFloat(context, word)) return false;
      context.pc += 4n;
      return true;
    },
  ],
]);

const ALL = /./;
const low = (bits: bigint): bigint => BigInt.asUintN(64, ~bits);
const FR = 0x40000n;
const FX = 0x80000000n;
const sticky = (c: Case): boolean => (c.state.fpscr & 0x9ff80700n) !== 0n;
/** The register that the field at a position of the instruction names. */
const operandOf = (c: Case, shift: number): bigint => c.state.fpr[((c.words[0] as number) >>> shift) & 31] as bigint;
/** An enabled overflow or underflow, and an operand outside the range of singles. */
function tooFarForSingle(c: Case): boolean {
  const outside = (bits: bigint): boolean => {
    const exponent = Number((bits >> 52n) & 0x7ffn) - 1023;
    return (bits & ~SIGN) !== 0n && (exponent < -126 || exponent > 127) && exponent !== 1024;
  };
  return (c.state.fpscr & 0x60n) !== 0n && [16, 11, 6].some((shift) => outside(operandOf(c, shift)));
}

const directed = (c: Case): boolean => (c.state.fpscr & 3n) >= 2n;

/** Where QEMU 7.2 is not as Power ISA 3.0B says; the first that fits counts. */
const TOLERANCES: readonly Tolerance[] = [
  ...['fpscr', ...Array.from({ length: 32 }, (_, n) => `f${n}`)].flatMap((part) => [
    {
      name: /^f(div|mul|sqrt|add|sub|n?madd|n?msub)s$|^frsp$/,
      part,
      mask: 0n,
      when: tooFarForSingle,
      reason: 'ISA 4.3.5.1, 4.4.3: undefined for operands that no single holds, also after the adjustment',
    },
    {
      name: /^fcfi/,
      part,
      mask: 0n,
      when: (c: Case) => (c.state.fpscr & 8n) !== 0n,
      reason: 'QEMU does not write FRT where the inexact exception is enabled; ISA 4.4.5',
    },
    {
      name: /^fcmpo$/,
      part,
      mask: low(0xb0000n | FX | FR),
      when: (c: Case) => (c.state.fpscr & 0x80n) !== 0n,
      reason: 'QEMU sets VXVC with VXSNAN also where VE=1; ISA 4.6.8',
    },
  ]),
  ...Array.from({ length: 32 }, (_, n) => ({
    name: /^fnm/,
    part: `f${n}`,
    mask: 0n,
    when: directed,
    reason: 'QEMU negates before it rounds; ISA 4.6.6.2: as if fmadd or fmsub, then negated',
  })),
  { name: /^fnm/, part: 'fpscr', mask: 0n, when: directed, reason: 'the same' },
  { name: /^fnm/, part: 'cr', mask: 0xf0ffffffn, when: directed, reason: 'the same' },
  ...['fpscr', ...Array.from({ length: 32 }, (_, n) => `f${n}`)].map((part) => ({
    name: /^fres?$/,
    part,
    mask: 0n,
    when: (c: Case) => (operandOf(c, 11) & ~SIGN) === 0n,
    reason: 'QEMU estimates 1/0 as 0.5; ISA 4.6.6.1: infinity',
  })),
  {
    name: /^fcmpo$/,
    part: 'fpscr',
    mask: low(FX | FR | 0x30000n),
    reason: 'QEMU clears FI and sets C with VXVC; ISA 4.6.8 names neither',
  },
  {
    name: /^mtfsf$/,
    part: 'fpscr',
    mask: 0xffffffffn,
    when: (c) => (operandOf(c, 11) & 0xf8n) !== 0n,
    reason: 'a signal frame of QEMU holds the low word only',
  },
  {
    name: /^fcmp/,
    part: 'fpscr',
    mask: low(FX | FR | 0x20000n),
    reason: 'QEMU clears FI; the ISA (4.6.8) does not name it',
  },
  {
    name: /^fcfi(dus?|ds)$/,
    part: 'fpscr',
    mask: low(FX | FR | 0x1f000n),
    reason: 'QEMU leaves FPRF alone; ISA 4.6.7.2 sets it',
  },
  { name: /^mtfsb1$/, part: 'cr', mask: 0xf7ffffffn, reason: 'a copy of FX' },
  {
    name: /^mtfsb1$/,
    part: 'fpscr',
    mask: low(FX),
    reason: 'QEMU does not set FX; ISA 4.2.2: all but mtfsf and mtfsfi do',
  },
  {
    name: ALL,
    part: 'fpscr',
    mask: low(FX | FR),
    when: sticky,
    reason: 'QEMU sets FX also where the exception bit was 1 before; ISA 4.2.2',
  },
  { name: ALL, part: 'cr', mask: 0xf7ffffffn, when: sticky, reason: 'a copy of FX' },
  { name: ALL, part: 'fpscr', mask: low(FR), reason: 'QEMU 7.2 never changes FR' },
];

interface Program {
  readonly set: CaseSet;
  readonly expected: Uint8Array;
}

function program(target: Target, fill: (set: CaseSet, random: Random) => void): Program {
  const set = new CaseSet(target);
  fill(set, new Random(4711));
  return { set, expected: set.onQemu() };
}

const ENABLES = [0x80n, 0x40n, 0x20n, 0x10n, 0x08n, 0xf8n];

describe.skipIf(!available).each(available ? [LITTLE, BIG] : [])('floating point against $name', (target) => {
  const programs: Record<string, Program> = {
    'with exceptions disabled': program(target, (set, random) => {
      for (const i of FLOAT) addFloatCases(set, i, random, 300);
    }),
    'with exceptions enabled': program(target, (set, random) => {
      for (const i of FLOAT.filter(({ name }) => !name.startsWith('mt'))) {
        for (const enables of ENABLES) addFloatCases(set, i, random, 40, enables);
      }
    }),
  };

  it.each(
    Object.keys(programs).flatMap((name) => [
      [name, 'interpreted', false] as const,
      [name, 'translated', true] as const,
    ]),
  )('agrees %s, %s', (name, _how, translate) => {
    const { set, expected } = programs[name] as Program;
    const run = set.onEngine({ translate, helpers, repairs });
    expect(differences(set, expected, run, TOLERANCES).slice(0, 20)).toEqual([]);
  });
});

/** Instructions whose result is rounded, and that tell by FR whether it was incremented. */
const ROUNDED = /^f(add|sub|mul|div|sqrt|madd|msub|nmadd|nmsub)s?$|^frsp$|^fctidz?$|^fctiwz?$|^fcfid/;

/** An ordinary number; for singles one that is a single. */
function ordinary(random: Random, single: boolean): bigint {
  const sign = random.chance(40) ? SIGN : 0n;
  if (random.chance(5)) return sign;
  const length = random.chance(30) ? random.below(53) : 0;
  const fraction = ((random.doubleword() >> 12n) >> BigInt(length)) << BigInt(length);
  const biased = BigInt(1023 - 30 + random.below(60));
  return sign | (biased << 52n) | (single ? fraction & ~0x1fffffffn : fraction);
}

describe.skipIf(!available)('ordinary numbers, rounded to nearest', () => {
  const { set, expected } = available
    ? program(LITTLE, (cases, random) => {
        for (const i of FLOAT.filter(({ name }) => ROUNDED.test(name))) {
          let word = 0;
          let stub = cases.stubs.add([]);
          for (let n = 0; n < 400; n++) {
            if (n % 8 === 0) {
              word = encode(
                i,
                randomFields(i, random, (field) => (field === 'Rc' ? 0 : undefined)),
              );
              stub = cases.stubs.add([word]);
            }
            const state = emptyState();
            for (let f = 0; f < 32; f++) {
              const whole = /^fcfi/.test(i.name) && random.chance(80);
              state.fpr[f] = whole
                ? BigInt.asUintN(64, BigInt(random.word() - 2 ** 31))
                : ordinary(random, /s$/.test(i.name));
            }
            // The same twice: rounded to nearest, and cut.
            for (const rounding of [0n, 1n]) cases.add(i.name, [word], stub, { ...state, fpscr: rounding });
          }
        }
      })
    : { set: new CaseSet(LITTLE), expected: new Uint8Array() };
  const view = new DataView(expected.buffer, expected.byteOffset);

  it.each([false, true])('has FR where the result was incremented (translated: %s)', (translate) => {
    let left = 0;
    const counted = new Map<number, FlatRepair>([
      [
        TRAP.softFloat,
        (context, word) => {
          left++;
          return (repairs.get(TRAP.softFloat) as FlatRepair)(context, word);
        },
      ],
    ]);
    const run = set.onEngine({ translate, helpers, repairs: counted });
    expect(differences(set, expected, run, TOLERANCES).slice(0, 20)).toEqual([]);
    const ours = new DataView(run.records.buffer);
    const wrong: string[] = [];
    for (let i = 0; i < set.cases.length; i += 2) {
      const c = set.cases[i] as Case;
      const target = RECORD.fpr + 8 * (((c.words[0] as number) >>> 21) & 31);
      const result = (n: number): bigint => view.getBigUint64((i + n) * RECORD.bytes + target, true);
      const incremented = result(0) !== result(1);
      const fr = (ours.getBigUint64(i * RECORD.bytes + RECORD.fpscr, true) & FR) !== 0n;
      if (/z$/.test(c.name) ? fr : fr !== incremented)
        wrong.push(`${c.name} ${(c.words[0] as number).toString(16)}: ${fr}`);
    }
    expect(wrong).toEqual([]);
    // Half of the cases are cut, and those always go to TypeScript.
    expect(left).toBeLessThan(0.65 * set.cases.length);
  });
});

/** Instructions in which QEMU is exact but for FR and FX, and that read neither. */
const SEQUENCED = /^f(add|sub|mul|div|sqrt|madd|msub)s?$|^f(mr|neg|abs|nabs|cpsgn|sel|rsp|cfid|ri[nzpm])$|^fcti[dw]z?$/;

describe.skipIf(!available)('pieces of code', () => {
  const { set, expected } = available
    ? program(LITTLE, (cases, random) => {
        const from = FLOAT.filter(({ name }) => SEQUENCED.test(name));
        for (let n = 0; n < 600; n++) {
          const few = Array.from({ length: 5 }, () => random.below(32));
          const choose = (field: string): number | undefined =>
            field.startsWith('FR') ? random.pick(few) : field === 'Rc' ? 0 : undefined;
          const words = Array.from({ length: 4 + random.below(16) }, () => {
            const i = random.pick(from);
            return encode(i, randomFields(i, random, choose));
          });
          const stub = cases.stubs.add(words);
          const state = emptyState();
          for (let f = 0; f < 32; f++) state.fpr[f] = random.chance(85) ? ordinary(random, false) : operand(random);
          state.fpscr = random.chance(80) ? 0n : BigInt(random.below(4));
          cases.add('sequence', words, stub, state);
        }
      })
    : { set: new CaseSet(LITTLE), expected: new Uint8Array() };
  const exceptFrAndFx: readonly Tolerance[] = [
    { name: ALL, part: 'fpscr', mask: low(FR | FX), reason: 'as in single instructions' },
  ];

  it.each([false, true])('leave the same registers (translated: %s)', (translate) => {
    const run = set.onEngine({ translate, helpers, repairs });
    expect(differences(set, expected, run, exceptFrAndFx).slice(0, 20)).toEqual([]);
  });
});
