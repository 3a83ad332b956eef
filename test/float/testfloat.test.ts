import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  add,
  divide,
  type Environment,
  multiply,
  multiplyAdd,
  squareRoot,
  subtract,
} from '../../src/float/arithmetic.ts';
import { compare, convert, fromInteger, toInteger, toIntegral } from '../../src/float/convert.ts';
import { DOUBLE, type Format, HALF, isNan, QUAD, SINGLE, type Unpacked, unpack } from '../../src/float/format.ts';
import { EXCEPTION, INVALID, ROUND } from '../../src/float/round.ts';

/**
 * Judge: Berkeley TestFloat 3e over SoftFloat 3e (built with SPECIALIZE_TYPE=RISCV, where every NaN result is the default one).
 * `testfloat.txt` is a choice, for each operation and rounding of each combination of flags, from
 * `testfloat_gen -level 1 -tininessbefore -r<rounding> [-exact] <function>`. Each line has operands, result and flags as that program prints them.
 */

const FORMATS: Readonly<Record<string, Format>> = { f16: HALF, f32: SINGLE, f64: DOUBLE, f128: QUAD };
const ROUNDINGS: Readonly<Record<string, number>> = {
  near_even: ROUND.nearest,
  minMag: ROUND.zero,
  max: ROUND.up,
  min: ROUND.down,
  near_maxMag: ROUND.nearestAway,
  odd: ROUND.odd,
};
/** The program's flags. */
const FLAGS: readonly (readonly [exceptions: number, flag: number])[] = [
  [EXCEPTION.inexact, 1],
  [EXCEPTION.underflow, 2],
  [EXCEPTION.overflow, 4],
  [EXCEPTION.divideByZero, 8],
  [INVALID, 16],
];

type Answer = { readonly bits: bigint | null; readonly exceptions: number };
type Operation = (operands: readonly bigint[], env: Environment) => Answer;

const BINARY = { add, sub: subtract, mul: multiply, div: divide };
const RELATIONS: Readonly<Record<string, readonly string[]>> = {
  eq: ['equal'],
  lt_quiet: ['less'],
  le_quiet: ['less', 'equal'],
};

function arithmetic(name: string, f: Format): Operation | undefined {
  const operand = (operands: readonly bigint[], n: number): Unpacked => unpack(operands[n] as bigint, f);
  const binary = BINARY[name as keyof typeof BINARY];
  if (binary !== undefined) return (o, env) => binary(operand(o, 0), operand(o, 1), f, env);
  const relations = RELATIONS[name];
  if (relations !== undefined) {
    return (o) => {
      const pair = [operand(o, 0), operand(o, 1)] as const;
      const signals = pair.some(({ kind }) => kind === 'signalling');
      const holds = relations.includes(compare(...pair));
      return { bits: holds ? 1n : 0n, exceptions: signals ? EXCEPTION.signallingNan : 0 };
    };
  }
  if (name === 'sqrt') return (o, env) => squareRoot(operand(o, 0), f, env);
  if (name === 'mulAdd') return (o, env) => multiplyAdd(operand(o, 0), operand(o, 1), operand(o, 2), f, env);
  if (name === 'roundToInt') return (o, env) => toIntegral(operand(o, 0), env.rounding, env);
  return undefined;
}

function conversion(from: string, to: string): Operation {
  const [source, target] = [FORMATS[from], FORMATS[to]];
  if (source !== undefined && target !== undefined) {
    return (o, env) => convert(unpack(o[0] as bigint, source), target, env);
  }
  const [, unsigned, digits] = /^(u?)i(\d+)$/.exec(source === undefined ? from : to) as unknown as [
    string,
    string,
    string,
  ];
  const width = Number(digits);
  if (target !== undefined) {
    return ([o], env) => fromInteger(unsigned ? (o as bigint) : BigInt.asIntN(width, o as bigint), target, env);
  }
  return (o, env) => {
    const v = unpack(o[0] as bigint, source as Format);
    const { integer, exceptions } = toInteger(v, width, unsigned === '', env.rounding);
    // Which integer a NaN becomes is not the same anywhere.
    return { bits: isNan(v) ? null : BigInt.asUintN(width, integer), exceptions };
  };
}

function operationOf(name: string): Operation {
  const [head, ...tail] = name.split('_') as [string, ...string[]];
  if (tail[0] === 'to') return conversion(head, tail[1] as string);
  const found = arithmetic(tail.join('_'), FORMATS[head] as Format);
  if (found === undefined) throw new Error(`no operation ${name}`);
  return found;
}

interface Group {
  readonly name: string;
  readonly rounding: number;
  readonly lines: string[];
}

function groups(text: string): Group[] {
  const all: Group[] = [];
  for (const line of text.trim().split('\n')) {
    const head = /^([a-z]\S+) (\w+)$/.exec(line);
    if (head === null) (all.at(-1) as Group).lines.push(line);
    else all.push({ name: head[1] as string, rounding: ROUNDINGS[head[2] as string] as number, lines: [] });
  }
  return all;
}

/** Lines of a group that we answer otherwise. */
function wrong({ name, rounding, lines }: Group): string[] {
  const operation = operationOf(name);
  const nans = {
    signallingFirst: true,
    makesDefault: true,
    fusedOrder: [0, 1, 2],
    nanBeforeInvalidProduct: false,
  } as const;
  return lines.flatMap((line) => {
    const numbers = line.split(' ').map((digits) => BigInt(`0x${digits}`));
    const [result, flags] = numbers.slice(-2);
    const { bits, exceptions } = operation(numbers.slice(0, -2), { rounding, nans });
    const ours = FLAGS.reduce((sum, [those, flag]) => sum | ((exceptions & those) !== 0 ? flag : 0), 0);
    const same = (bits === null || bits === result) && BigInt(ours) === flags;
    return same ? [] : [`${name} ${rounding}: ${line}: ${bits?.toString(16)} ${ours}`];
  });
}

describe('soft float against TestFloat', () => {
  const all = groups(readFileSync(new URL('testfloat.txt', import.meta.url), 'utf8'));
  const names = [...new Set(all.map(({ name }) => name))];

  it('has every operation in every format', () => {
    expect(names.length).toBe(4 * (6 + 1 + 3 + 4 + 4 + 3));
    for (const { lines } of all) expect(lines.length).toBeGreaterThan(0);
  });

  it.each(names)('%s', (name) => {
    expect(all.filter((group) => group.name === name).flatMap(wrong)).toEqual([]);
  });

  it('finds a planted fault', () => {
    expect(
      wrong({
        name: 'f64_add',
        rounding: ROUND.nearest,
        lines: ['3FF0000000000000 3FF0000000000000 4000000000000001 00'],
      }),
    ).toHaveLength(1);
  });
});
