import { describe, expect, it } from 'vitest';
import { EM_AARCH64, EM_PPC, EM_PPC64, EM_S390, isElf, readElf } from '../../src/image/elf.ts';
import { readElfSymbols } from '../../src/image/elf-symbols.ts';
import { ImageError } from '../../src/image/error.ts';
import { buildElf, type ElfParts } from './elf-builder.ts';
import { mutate, random } from './random.ts';

const kinds = ([32, 64] as const).flatMap((bits) => [true, false].map((littleEndian) => ({ bits, littleEndian })));

function sample(kind: Pick<ElfParts, 'bits' | 'littleEndian'>): ElfParts {
  return {
    ...kind,
    machine: EM_S390,
    entry: 0x20010n,
    flags: 2,
    segments: [
      { vaddr: 0x20000n, data: Uint8Array.of(1, 2, 3, 4, 5), memsz: 0x100n, flags: 5 },
      { type: 0x6474e551, vaddr: 0n, data: new Uint8Array(0) },
      { vaddr: 0x80001000n, paddr: 0x30000n, data: Uint8Array.of(6, 7, 8), flags: 6 },
      { vaddr: 0xfffff000n, paddr: 0x40000n, data: new Uint8Array(0), memsz: 0x1000n },
    ],
    symbols: [
      { name: 'mark', value: 1n, info: 0x00 },
      { name: 'only_local', value: 2n, info: 0x00 },
      { name: 'elf.c', value: 3n, info: 0x04 },
      { name: 'section', value: 4n, info: 0x03 },
      { name: 'mark', value: 0x20010n, size: 8n, info: 0x12 },
      { name: 'mark', value: 5n, info: 0x22 },
      { name: 'elsewhere', value: 6n, section: 0 },
    ],
  };
}

/** `bytes` with a 1-, 2-, 4- or 8-byte field replaced. */
function patch(bytes: Uint8Array, littleEndian: boolean, at: number, size: number, value: bigint): Uint8Array {
  const out = bytes.slice();
  for (let i = 0; i < size; i++) out[at + (littleEndian ? i : size - 1 - i)] = Number((value >> BigInt(8 * i)) & 0xffn);
  return out;
}

function failure(act: () => unknown): ImageError {
  try {
    act();
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
  throw new Error('the file was read');
}

describe.each(kinds)('readElf, ELF$bits, little-endian $littleEndian', (kind) => {
  const bytes = buildElf(sample(kind));
  const wide = kind.bits === 64;
  const ehsize = wide ? 64 : 52;
  const phentsize = wide ? 56 : 32;

  it('reads the header and the loadable segments', () => {
    const elf = readElf(bytes, 'a.elf');
    expect(elf).toMatchObject({ ...kind, machine: 22, positionIndependent: false, flags: 2, entry: 0x20010n });
    const offset = ehsize + 4 * phentsize;
    expect(elf.segments).toEqual([
      { index: 0, offset, vaddr: 0x20000n, paddr: 0x20000n, filesz: 5, memsz: 0x100n, flags: 5 },
      { index: 2, offset: offset + 5, vaddr: 0x80001000n, paddr: 0x30000n, filesz: 3, memsz: 3n, flags: 6 },
      { index: 3, offset: 0, vaddr: 0xfffff000n, paddr: 0x40000n, filesz: 0, memsz: 0x1000n, flags: 7 },
    ]);
    const second = elf.segments[1];
    expect(elf.bytes.subarray(second.offset, second.offset + second.filesz)).toEqual(Uint8Array.of(6, 7, 8));
  });

  it('reads the symbols that the file defines, global ones before local ones', () => {
    expect([...readElfSymbols(readElf(bytes, 'a.elf')).values()]).toEqual([
      { name: 'mark', value: 0x20010n, size: 8n, type: 2 },
      { name: 'only_local', value: 2n, size: 0n, type: 0 },
    ]);
  });

  it('reads files that begin anywhere in their buffer', () => {
    const shifted = new Uint8Array(bytes.length + 3).subarray(3);
    shifted.set(bytes);
    expect(readElf(shifted, 'a.elf').segments).toEqual(readElf(bytes, 'a.elf').segments);
    expect(readElfSymbols(readElf(shifted, 'a.elf')).size).toBe(2);
  });

  it('reads files without segments or sections', () => {
    const elf = readElf(buildElf(kind), 'a.elf');
    expect(elf.segments).toEqual([]);
    expect(readElfSymbols(elf).size).toBe(0);
  });

  const field = (at: number, size: number, value: bigint) => patch(bytes, kind.littleEndian, at, size, value);
  const all = (1n << BigInt(kind.bits)) - 1n;
  const word = wide ? 8 : 4;
  const segment = (index: number, at64: number, at32: number) => ehsize + index * phentsize + (wide ? at64 : at32);
  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /ELF header: no ELF magic/],
    ['another magic', field(0, 1, 0n), /ELF header: no ELF magic/],
    ['four bytes', bytes.slice(0, 4), /ELF header: the file ends after 4/],
    ['half a header', bytes.slice(0, ehsize - 1), /ELF header: the file ends/],
    ['another class', field(4, 1, 3n), /EI_CLASS at 0x4: 3/],
    ['another byte order', field(5, 1, 0n), /EI_DATA at 0x5: 0/],
    ['another version', field(6, 1, 2n), /EI_VERSION at 0x6: .*2/],
    ['another version behind the ident', field(20, 4, 2n), /e_version at 0x14/],
    ['an object file', field(16, 2, 1n), /e_type at 0x10: type 1/],
    ['a core dump', field(16, 2, 4n), /e_type at 0x10: type 4/],
    ['another machine', field(18, 2, 62n), /e_machine at 0x12: machine 62/],
    ['too many program headers', field(wide ? 56 : 44, 2, 0xffffn), /e_phnum/],
    ['program headers of another size', field(wide ? 54 : 42, 2, 40n), /e_phentsize/],
    ['program headers past the end', field(wide ? 32 : 28, word, BigInt(bytes.length)), /e_phoff/],
    ['program headers far away', field(wide ? 32 : 28, word, all), /e_phoff/],
    [
      'data past the end',
      field(segment(0, 8, 4), word, BigInt(bytes.length - 4)),
      /program header 0 at .*pass the end/,
    ],
    ['data far away', field(segment(2, 8, 4), word, all), /program header 2 at .*pass the end/],
    ['more data than there is', field(segment(2, 32, 16), word, all), /program header 2 at .*pass the end/],
    ['less memory than data', field(segment(0, 40, 20), word, 4n), /program header 0 at .*more than 0x4 in memory/],
    ['memory that wraps around', field(segment(0, 16, 8), word, all - 0xfen), /program header 0 .*virtual .*wraps/],
    ['physical memory that wraps', field(segment(0, 24, 12), word, all - 0xfen), /program header 0 .*physical .*wraps/],
  ])('refuses %s', (_what, damaged, message) => {
    const error = failure(() => readElf(damaged, 'a.elf'));
    expect(error.message).toMatch(message);
    expect(error.message).toBe(`a.elf: ${error.place}: ${error.reason}`);
  });

  it('lets memory end at the very end of the address space', () => {
    expect(readElf(field(segment(0, 16, 8), word, all - 0xffn), 'a.elf').segments[0].vaddr).toBe(all - 0xffn);
  });

  const shentsize = wide ? 64 : 40;
  const shoff = bytes.length - 3 * shentsize;
  const section = (index: number, at64: number, at32: number) => shoff + index * shentsize + (wide ? at64 : at32);
  const symbolName = (index: number) =>
    shoff - 'xmarkxonly_localxelf.cxsectionxmarkxmarkxelsewherex'.length - (8 - index) * (wide ? 24 : 16);
  it.each<[string, Uint8Array, RegExp]>([
    ['section headers of another size', field(wide ? 58 : 46, 2, 1n), /e_shentsize/],
    ['section headers past the end', field(wide ? 60 : 48, 2, 4n), /e_shoff/],
    ['section headers far away', field(wide ? 40 : 32, word, all), /e_shoff/],
    ['symbols past the end', field(section(1, 24, 16), word, all), /section header 1 .*pass the end/],
    ['symbols of another size', field(section(1, 56, 36), word, 20n), /section header 1 .*no table/],
    ['part of a symbol', field(section(1, 32, 20), word, 10n), /section header 1 .*no table/],
    ['no string table', field(section(1, 40, 24), 4, 7n), /section header 1 .*string table, section 7/],
    ['another section as string table', field(section(1, 40, 24), 4, 1n), /section header 1 .*string table, section 1/],
    ['strings past the end', field(section(2, 32, 20), word, all), /section header 2 .*pass the end/],
    ['a name past the strings', field(symbolName(1), 4, 0xffffffffn), /symbol at .*0xffffffff has no end/],
    ['a name without an end', field(section(2, 32, 20), word, 3n), /symbol at .*has no end/],
  ])('refuses symbols with %s, but reads the segments', (_what, damaged, message) => {
    const elf = readElf(damaged, 'a.elf');
    expect(elf.segments).toHaveLength(3);
    expect(failure(() => readElfSymbols(elf)).message).toMatch(message);
  });
});

describe('readElf', () => {
  it.each([EM_PPC, EM_PPC64, EM_S390, EM_AARCH64])('takes machine %i', (machine) => {
    expect(readElf(buildElf({ bits: 64, littleEndian: true, machine }), 'a.elf').machine).toBe(machine);
  });

  it('tells a position-independent image', () => {
    expect(readElf(buildElf({ bits: 64, littleEndian: true, type: 3 }), 'a.elf').positionIndependent).toBe(true);
  });

  it('reads 64-bit addresses', () => {
    const data = Uint8Array.of(1);
    const vaddr = 0xc000_0000_0123_4567n;
    const [segment] = readElf(
      buildElf({ bits: 64, littleEndian: false, segments: [{ vaddr, paddr: 0x4567n, data, memsz: 1n << 40n }] }),
      'a.elf',
    ).segments;
    expect(segment).toMatchObject({ vaddr, paddr: 0x4567n, memsz: 1n << 40n });
  });

  it('refuses very long names, which many symbols could share', () => {
    const symbols = Array.from({ length: 20_000 }, () => ({ name: '', value: 0n }));
    const name = 'x'.repeat(1 << 20);
    const elf = readElf(buildElfWithSharedName(symbols, name), 'a.elf');
    expect(failure(() => readElfSymbols(elf)).message).toMatch(/has no end/);
  });
});

// `buildElf` gives each symbol the offset of its own name; here all names begin at the long one.
function buildElfWithSharedName(symbols: NonNullable<ElfParts['symbols']>, name: string): Uint8Array {
  const kind = { bits: 64, littleEndian: true } as const;
  const short = buildElf({ ...kind, symbols });
  const long = new Uint8Array(short.length + name.length + 1);
  long.set(short);
  long.set(new TextEncoder().encode(name), short.length);
  const strings = short.length - 64;
  return patch(
    patch(long, true, strings + 24, 8, BigInt(short.length)),
    true,
    strings + 32,
    8,
    BigInt(name.length + 1),
  );
}

describe('isElf', () => {
  it('looks at the magic only', () => {
    expect(isElf(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46))).toBe(true);
    expect(isElf(Uint8Array.of(0x7f, 0x45, 0x4c))).toBe(false);
    expect(isElf(new Uint8Array(64))).toBe(false);
  });
});

describe('a damaged ELF file', () => {
  it('is refused with an ImageError or read with everything in bounds, whatever the damage', () => {
    const next = random(0xe1f);
    const originals = kinds.map((kind) => buildElf(sample(kind)));
    let refused = 0;
    for (let i = 0; i < 8000; i++) {
      const bytes = mutate(originals[i % originals.length], next);
      try {
        const elf = readElf(bytes, 'a.elf');
        for (const { offset, filesz, memsz, vaddr } of elf.segments) {
          expect(offset + filesz).toBeLessThanOrEqual(bytes.length);
          expect(BigInt(filesz) <= memsz && vaddr + memsz <= 1n << 64n).toBe(true);
        }
        readElfSymbols(elf);
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
    expect(refused).toBeLessThan(8000);
  });
});
