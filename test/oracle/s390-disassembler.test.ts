import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { S390Instruction } from '../../src/s390/isa/common.ts';
import { disassemble } from '../../src/s390/isa/disassemble.ts';
import { s390Isa } from '../../src/s390/isa/index.ts';
import { encode } from '../s390/isa/cases.ts';
import { Random } from '../support/random.ts';
import { requireTool } from '../support/tools.ts';

const tool = requireTool('s390x-linux-gnu-objdump');

/** Where the bytes lie: relative operands reach backwards without going below 0. */
const BASE = 0x10_0000_0000n;

/** What objdump says of each instruction, its columns joined by one space; each lies in 8 bytes of its own. */
function objdump(codes: readonly (readonly number[])[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-objdump-'));
  try {
    // Instructions of two bytes fill up what is shorter.
    const bytes = new Uint8Array(codes.length * 8).fill(7);
    codes.forEach((code, i) => {
      bytes.set(code, i * 8);
    });
    const file = join(folder, 'code.bin');
    writeFileSync(file, bytes);
    const options = ['-D', '-z', '-b', 'binary', '-m', 's390:64-bit', `--adjust-vma=0x${BASE.toString(16)}`];
    const { status, stdout, stderr } = spawnSync('s390x-linux-gnu-objdump', [...options, file], {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    });
    if (status !== 0) throw new Error(`objdump: ${stderr}`);
    const texts = new Map<bigint, string>();
    for (const line of stdout.split('\n')) {
      const match = /^\s*([0-9a-f]+):\t[^\t]*\t(.*)$/.exec(line);
      if (match) texts.set(BigInt(`0x${match[1]}`), match[2].trim().replace(/\s+/g, ' '));
    }
    return codes.map((_, i) => texts.get(BASE + BigInt(8 * i)) ?? 'nothing');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const words = (code: readonly number[]): [head: number, tail: number] => {
  const at = (i: number): number => code[i] ?? 0;
  return [((at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3)) >>> 0, (at(4) << 8) | at(5)];
};

/** A value for a field: a corner half of the time. */
function fieldValue(width: number, random: Random): number {
  const all = 2 ** width - 1;
  return random.chance(50) ? random.pick([0, 1, all, 2 ** (width - 1)]) : random.word() & all;
}

/** Instructions that binutils 2.40 does not know. */
const UNKNOWN: ReadonlySet<string> = new Set(['servc', 'sthyi', 'chsc', 'uvc']);

/** Every definition with corner and random fields; bits that are ignored are 0, which assemblers make them. */
function defined(each: number, random: Random): { code: number[]; instruction: S390Instruction }[] {
  const instructions = (s390Isa.instructions as readonly S390Instruction[]).filter(({ name }) => !UNKNOWN.has(name));
  return instructions.flatMap((instruction) =>
    Array.from({ length: each }, () => {
      const fields: Record<string, number> = {};
      for (const { name, width } of instruction.pattern.fields.values()) fields[name] = fieldValue(width, random);
      return { code: encode(instruction, fields), instruction };
    }),
  );
}

function differences(each: number, seed: number, read = disassemble): string[] {
  const cases = defined(each, new Random(seed));
  const theirs = objdump(cases.map(({ code }) => code));
  return cases.flatMap(({ code, instruction }, i) => {
    const ours = read(...words(code), BASE + BigInt(8 * i));
    // Binutils 2.40 forgets the base, and with it a parenthesis, of a `nop` with an index only.
    if (ours === theirs[i] || (ours === `${theirs[i]},%r0)` && ours.startsWith('nop '))) return [];
    return [`${instruction.name} ${Buffer.from(code).toString('hex')} objdump: ${theirs[i]}, ours: ${ours}`];
  });
}

describe.skipIf(!tool.available)('disassembler against objdump', () => {
  test('every definition with corner and random fields', () => {
    expect(differences(300, 1)).toEqual([]);
  });

  test('a planted fault is found', () => {
    const wrong = (head: number, tail: number, pc: bigint): string =>
      disassemble(head, tail, pc)
        .replace(/^lgr\b/, 'lr')
        .replace('%r14', '%r13');
    expect(differences(20, 2, wrong).length).toBeGreaterThan(100);
  });
});
