import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ElfFile, readElf } from '../../src/image/elf.ts';
import { readElfSymbols } from '../../src/image/elf-symbols.ts';
import { requireTool } from '../support/tools.ts';

const assembly = `
  .text
  .globl _start, twice
_start:
  nop
twice:
  nop
  nop
  .type twice, @function
  .size twice, 8
  .data
table: .long 1, 2, 3
  .globl table
  .bss
  .globl buffer
buffer: .space 0x1234
`;

const kinds = [
  { name: 'ELF64 big-endian', as: ['-a64', '-mbig'], ld: 'elf64ppc' },
  { name: 'ELF64 little-endian', as: ['-a64', '-mlittle'], ld: 'elf64lppc' },
  { name: 'ELF32 big-endian', as: ['-a32', '-mbig'], ld: 'elf32ppc' },
  { name: 'ELF32 little-endian', as: ['-a32', '-mlittle'], ld: 'elf32lppc' },
];

const available =
  requireTool('powerpc64-linux-gnu-as').available &&
  requireTool('powerpc64-linux-gnu-ld').available &&
  requireTool('powerpc64le-linux-gnu-readelf').available;

describe.skipIf(!available).each(kinds)('readelf on $name', (kind) => {
  let directory: string;
  let path: string;
  let elf: ElfFile;
  const readelf = (option: string) =>
    execFileSync('powerpc64le-linux-gnu-readelf', [option, '-W', path], { encoding: 'utf8' });
  afterAll(() => rmSync(directory, { recursive: true }));

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'cloister-elf-'));
    path = join(directory, 'a.elf');
    const object = join(directory, 'a.o');
    writeFileSync(join(directory, 'a.s'), assembly);
    execFileSync('powerpc64-linux-gnu-as', [...kind.as, join(directory, 'a.s'), '-o', object]);
    execFileSync('powerpc64-linux-gnu-ld', ['-m', kind.ld, '-Ttext=0x400000', object, '-o', path]);
    elf = readElf(readFileSync(path), path);
  });

  it('agrees on the header', () => {
    const header = readelf('-h');
    const value = (field: string) => header.match(new RegExp(`^ +${field}: +(.*)$`, 'm'))?.[1];
    expect(`ELF${elf.bits}`).toBe(value('Class'));
    expect(elf.littleEndian).toBe(value('Data')?.includes('little endian'));
    expect(elf.machine).toBe(value('Machine') === 'PowerPC' ? 20 : 21);
    expect(`0x${elf.entry.toString(16)}`).toBe(value('Entry point address'));
    expect(`0x${elf.flags.toString(16)}`).toBe(value('Flags')?.split(',')[0]);
  });

  it('agrees on the segments', () => {
    const rows = readelf('-l').matchAll(/^ +LOAD +(0x\w+) (0x\w+) (0x\w+) (0x\w+) (0x\w+) ([R ])([W ])([E ])/gm);
    const expected = [...rows].map(([, offset, vaddr, paddr, filesz, memsz, r, w, e]) => ({
      offset: Number(filesz) > 0 ? Number(offset) : 0,
      vaddr: BigInt(vaddr),
      paddr: BigInt(paddr),
      filesz: Number(filesz),
      memsz: BigInt(memsz),
      flags: (r === 'R' ? 4 : 0) + (w === 'W' ? 2 : 0) + (e === 'E' ? 1 : 0),
    }));
    expect(expected.length).toBeGreaterThan(1);
    expect(elf.segments.map(({ index: _, ...segment }) => segment)).toEqual(expected);
  });

  it('agrees on the symbols', () => {
    const rows = readelf('-s').matchAll(/^ +\d+: (\w+) +(\w+) (\w+) +(\w+) +\w+ +(\w+) (\w+)$/gm);
    const expected = [...rows]
      .filter(([, , , type, , section]) => section !== 'UND' && type !== 'SECTION' && type !== 'FILE')
      .map(([, value, size, , , , name]) => ({ name, value: BigInt(`0x${value}`), size: BigInt(size) }));
    expect(expected.map(({ name }) => name)).toEqual(expect.arrayContaining(['_start', 'twice', 'table', 'buffer']));
    const symbols = [...readElfSymbols(elf).values()].map(({ type: _, ...symbol }) => symbol);
    expect(symbols).toEqual(expected);
  });
});
