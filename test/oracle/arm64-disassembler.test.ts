import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SYSTEM_REGISTERS } from '../../src/arm64/cpu/register-table.ts';
import type { ArmInstruction } from '../../src/arm64/isa/common.ts';
import { disassemble } from '../../src/arm64/isa/disassemble.ts';
import { armIsa } from '../../src/arm64/isa/index.ts';
import { encode } from '../arm64/isa/cases.ts';
import { Random } from '../support/random.ts';
import { requireTool } from '../support/tools.ts';

const tool = requireTool('aarch64-linux-gnu-objdump');

/** Where the words lie: relative operands reach backwards without going below 0. */
const BASE = 0x10_0000_0000n;

/** What objdump says of each word, without comments, its columns joined by one space. */
function objdump(words: readonly number[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-objdump-'));
  try {
    const bytes = Buffer.alloc(words.length * 4);
    for (const [i, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, i * 4);
    const file = join(folder, 'code.bin');
    writeFileSync(file, bytes);
    const options = ['-D', '-z', '-b', 'binary', '-m', 'aarch64', `--adjust-vma=0x${BASE.toString(16)}`];
    const { status, stdout, stderr } = spawnSync('aarch64-linux-gnu-objdump', [...options, file], {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    });
    if (status !== 0) throw new Error(`objdump: ${stderr}`);
    const texts = new Map<bigint, string>();
    for (const line of stdout.split('\n')) {
      const match = /^\s*([0-9a-f]+):\t[^\t]*\t(.*)$/.exec(line);
      const text = match?.[2]
        ?.replace(/\s*\/\/.*$/, '')
        .trim()
        .replace(/\s+/g, ' ');
      if (match && text !== undefined) texts.set(BigInt(`0x${match[1]}`), text);
    }
    return words.map((_, i) => texts.get(BASE + BigInt(4 * i)) ?? 'nothing');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const registerName = (encoding: number): string | undefined => SYSTEM_REGISTERS.get(encoding)?.name;

/** A value for a field: a corner half of the time. */
function fieldValue(width: number, random: Random): number {
  const all = 2 ** width - 1;
  return random.chance(50) ? random.pick([0, 1, all, 2 ** (width - 1)]) : random.word() & all;
}

/** Binutils knows names of system registers and operations of SYS that we do not have. */
function isNumbered(text: string): boolean {
  return /\bs[0-3]_\d_c\d+_c\d+_\d/.test(text) || /^sysl? /.test(text);
}

/** Every definition with corner and random fields; bits that are ignored are 1, as assemblers make them. */
function defined(each: number, random: Random): { word: number; instruction: ArmInstruction }[] {
  const instructions = armIsa.instructions as readonly ArmInstruction[];
  return instructions.flatMap((instruction) =>
    Array.from({ length: each }, () => {
      const { pattern } = instruction;
      const fields: Record<string, number> = {};
      let free = ~pattern.mask;
      for (const { name, shift, width } of pattern.fields.values()) {
        fields[name] = fieldValue(width, random);
        free &= ~((2 ** width - 1) << shift);
      }
      return { word: (encode(instruction, fields) | free) >>> 0, instruction };
    }),
  );
}

function differences(each: number, seed: number, read = disassemble): string[] {
  const cases = defined(each, new Random(seed));
  const theirs = objdump(cases.map(({ word }) => word));
  return cases.flatMap(({ word, instruction }, i) => {
    const ours = read(word, BASE + BigInt(4 * i), registerName);
    if (ours === theirs[i] || isNumbered(ours)) return [];
    return [`${instruction.name} ${word.toString(16)} objdump: ${theirs[i]}, ours: ${ours}`];
  });
}

describe.skipIf(!tool.available)('disassembler against objdump', () => {
  test('every definition with corner and random fields', () => {
    expect(differences(300, 1)).toEqual([]);
  });

  test('system registers by their names', () => {
    const words = [...SYSTEM_REGISTERS.keys()].map((encoding) => (0xd5200000 | ((encoding & 0xffff) << 5) | 1) >>> 0);
    const theirs = objdump(words);
    const ours = words.map((word) => disassemble(word, BASE, registerName));
    expect(ours).toEqual(theirs);
  });

  test('a planted fault is found', () => {
    const wrong: typeof disassemble = (word, pc, names) => disassemble(word, pc, names).replace('uxtw', 'sxtw');
    expect(differences(20, 2, wrong).length).toBeGreaterThan(10);
  });
});
