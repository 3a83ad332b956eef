import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { disassemble } from '../../src/powerpc/isa/disassemble.ts';
import { powerIsa } from '../../src/powerpc/isa/index.ts';
import { TRANSACTIONAL } from '../../src/powerpc/isa/transactional.ts';
import { VECTOR } from '../../src/powerpc/isa/vector.ts';
import { UNDEFINED } from '../powerpc/isa/objdump-differences.ts';
import { requireTool } from '../support/tools.ts';

const tool = requireTool('powerpc64le-linux-gnu-objdump');

type ByteOrder = 'big' | 'little';

/** Where the words lie: branches reach backwards without going below 0. */
const BASE = 0x1_0000_0000n;

/** What objdump says of each word, its columns joined by one space. */
function objdump(words: readonly number[], order: ByteOrder): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-objdump-'));
  try {
    const bytes = new DataView(new ArrayBuffer(words.length * 4));
    words.forEach((word, i) => {
      bytes.setUint32(i * 4, word, order === 'little');
    });
    const file = join(folder, 'words.bin');
    writeFileSync(file, new Uint8Array(bytes.buffer));
    const options = ['-D', '-z', '-M', 'power9', '-b', 'binary', '-m', 'powerpc:common64'];
    const place = [`--adjust-vma=0x${BASE.toString(16)}`, order === 'big' ? '-EB' : '-EL'];
    const { status, stdout, stderr } = spawnSync('powerpc64le-linux-gnu-objdump', [...options, ...place, file], {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    });
    if (status !== 0) throw new Error(`objdump: ${stderr}`);
    const lines = stdout.split('\n').filter((line) => /^\s*[0-9a-f]+:\t/.test(line));
    if (lines.length !== words.length) throw new Error(`objdump gave ${lines.length} lines for ${words.length} words`);
    return lines.map((line) => line.split('\t').slice(2).join(' ').trim().replace(/\s+/g, ' '));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** xorshift32, so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const COARSE: ReadonlySet<unknown> = new Set([...TRANSACTIONAL, ...VECTOR]);
const undefinedMnemonics = new Set(UNDEFINED.flatMap(({ words }) => Object.keys(words)));

function isListedAsUndefined(text: string): boolean {
  const mnemonic = text.split(' ')[0] as string;
  return undefinedMnemonics.has(mnemonic) || undefinedMnemonics.has(mnemonic.replace(/\.$/, ''));
}

/** Mnemonics under which objdump knows them. */
const COARSE_MNEMONIC =
  /^(t(begin|end|endall|suspend|resume|abort[wd]?c?i?|reclaim|rechkpt|sr)\.|tcheck|v|x|bcd|lv|stv|lxs|lxv|stx[sv]|m[ft]v|m[ft]fpr)/;

/** Words that we read differently, with both texts. What is listed as undefined here must be undefined. */
function differences(words: readonly number[], order: ByteOrder, read = disassemble): string[] {
  const found: string[] = [];
  objdump(words, order).forEach((theirs, i) => {
    const word = words[i] as number;
    const ours = read(word, BASE + BigInt(i * 4));
    const instruction = powerIsa.decode(word, 0);
    const differ = (): void => {
      found.push(`0x${word.toString(16).padStart(8, '0')} objdump: ${theirs}, ours: ${ours} (${instruction?.name})`);
    };
    if (instruction !== undefined && COARSE.has(instruction)) {
      // Our patterns cover whole facilities, with the words in them that are no instruction.
      if (!theirs.startsWith('.long') && !COARSE_MNEMONIC.test(theirs)) differ();
    } else if (theirs !== ours && (instruction !== undefined || !isListedAsUndefined(theirs))) {
      differ();
    }
  });
  return found;
}

/** A value for a field: a corner half of the time. */
function fieldValue(width: number, next: () => number): number {
  const all = 2 ** width - 1;
  switch (next() & 7) {
    case 0:
      return 0;
    case 1:
      return all;
    case 2:
      return 1;
    case 3:
      return 2 ** (width - 1);
    default:
      return next() & all;
  }
}

/** Words of every definition, with corner and random values in its fields. */
function definedWords(each: number, seed: number): number[] {
  const next = random(seed);
  return powerIsa.instructions.flatMap(({ pattern }) =>
    Array.from({ length: each }, () => {
      let word = pattern.value | (next() & next() & ~pattern.mask);
      for (const { shift, width } of pattern.fields.values()) {
        word &= ~((2 ** width - 1) << shift);
        word |= fieldValue(width, next) << shift;
      }
      return word >>> 0;
    }),
  );
}

/** Words of every definition with one of its fixed bits inverted: just outside, or another instruction. */
function neighbours(each: number, seed: number): number[] {
  const next = random(seed);
  return powerIsa.instructions.flatMap(({ pattern: { mask, value } }) =>
    Array.from({ length: 32 }, (_, bit) => 2 ** bit)
      .filter((bit) => (mask & bit) !== 0)
      .flatMap((bit) => Array.from({ length: each }, () => ((value ^ bit) | (next() & next() & ~mask)) >>> 0)),
  );
}

/** Every primary opcode with every extended one of 10 bits and both values of the last bit, the rest random or empty. */
function opcodeSpace(seed: number): number[] {
  const next = random(seed);
  const words: number[] = [];
  for (let opcode = 0; opcode < 64; opcode++) {
    for (let rest = 0; rest < 2048; rest++) {
      const fixed = ((opcode << 26) | rest) >>> 0;
      words.push(fixed, (fixed | (next() & 0x03fff800)) >>> 0, (fixed | (next() & next() & 0x03fff800)) >>> 0);
    }
  }
  return words;
}

describe.skipIf(!tool.available)('disassembler against objdump', () => {
  test.each<ByteOrder>(['big', 'little'])('every definition with corner and random fields, %s-endian', (order) => {
    expect(differences(definedWords(300, 1), order)).toEqual([]);
  });

  test('words next to a definition', () => {
    expect(differences(neighbours(8, 2), 'big')).toEqual([]);
  });

  test('the whole opcode space', () => {
    expect(differences(opcodeSpace(3), 'little')).toEqual([]);
  });

  test('random words', () => {
    const next = random(4);
    expect(differences(Array.from({ length: 300_000 }, next), 'big')).toEqual([]);
  });

  test('what is listed as undefined is known to objdump and undefined here', () => {
    const listed = UNDEFINED.flatMap(({ words }) => Object.entries(words));
    const texts = objdump(
      listed.map(([, word]) => word),
      'big',
    );
    expect(texts.map((text) => text.split(' ')[0])).toEqual(listed.map(([mnemonic]) => mnemonic));
    expect(listed.filter(([, word]) => powerIsa.decode(word, 0) !== undefined)).toEqual([]);
  });

  test('a planted fault is found', () => {
    const wrong = (word: number, pc: bigint): string =>
      disassemble(word, pc).replace(/^mr\b/, 'or').replace('r31', 'r30');
    expect(differences([0x7c832378, 0x38630001, 0x7fe3fb78], 'big', wrong)).toEqual([
      '0x7c832378 objdump: mr r3,r4, ours: or r3,r4 (or)',
      '0x7fe3fb78 objdump: mr r3,r31, ours: or r3,r30 (or)',
    ]);
    expect(differences(definedWords(20, 5), 'big', wrong).length).toBeGreaterThan(100);
  });
});
