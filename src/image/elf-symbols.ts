import type { ElfFile } from './elf.ts';
import { ImageError } from './error.ts';
import { hex } from './hex.ts';

const SHT_SYMTAB = 2;
const SHT_STRTAB = 3;
const STT_SECTION = 3;
const STT_FILE = 4;
const STB_LOCAL = 0;

/** Longer than any name in a kernel, and short enough that a table of long overlapping names costs no time. */
const MAX_NAME_BYTES = 1024;

/** A symbol that the file defines. */
export interface ElfSymbol {
  readonly name: string;
  readonly value: bigint;
  readonly size: bigint;
  /** Function, object, … : the low half of st_info. */
  readonly type: number;
}

/**
 * The symbols that an ELF file defines, by name, from its SHT_SYMTAB section (System V gABI chapter 4); empty if it has
 * none. Where several have one name, the first one that is not local wins, else the first one.
 * Throws `ImageError` if the sections or the symbol table are damaged.
 */
export function readElfSymbols(elf: ElfFile): Map<string, ElfSymbol> {
  const symbols = new Map<string, ElfSymbol>();
  const sections = sectionHeaders(elf);
  const table = sections.find((section) => section.type === SHT_SYMTAB);
  if (!table) return symbols;
  const names = sections[table.link] as Section | undefined;
  if (names === undefined || names.type !== SHT_STRTAB) {
    throw new ImageError(elf.file, table.place, `its string table, section ${table.link}, is none`);
  }
  checkContent(elf, table);
  checkContent(elf, names);

  const view = viewOf(elf);
  const le = elf.littleEndian;
  const entrySize = elf.bits === 32 ? 16 : 24;
  if (table.entrySize !== BigInt(entrySize) || table.size % BigInt(entrySize) !== 0n) {
    throw new ImageError(elf.file, table.place, `${hex(table.size)} bytes are no table of ${entrySize}-byte symbols`);
  }
  const locals = new Set<string>();
  for (let at = Number(table.offset); at < Number(table.offset + table.size); at += entrySize) {
    const info = view.getUint8(at + (elf.bits === 32 ? 12 : 4));
    const section = view.getUint16(at + (elf.bits === 32 ? 14 : 6), le);
    const type = info & 0xf;
    if (section === 0 || type === STT_SECTION || type === STT_FILE) continue;
    const name = symbolName(elf, names, view.getUint32(at, le), at);
    if (name === '') continue;
    const local = info >> 4 === STB_LOCAL;
    if (symbols.has(name) && (local || !locals.has(name))) continue;
    if (local) locals.add(name);
    else locals.delete(name);
    symbols.set(
      name,
      elf.bits === 32
        ? { name, value: BigInt(view.getUint32(at + 4, le)), size: BigInt(view.getUint32(at + 8, le)), type }
        : { name, value: view.getBigUint64(at + 8, le), size: view.getBigUint64(at + 16, le), type },
    );
  }
  return symbols;
}

/** One section header. */
export interface Section {
  readonly place: string;
  readonly type: number;
  /** SHF_ALLOC and others: the low half of sh_flags. */
  readonly flags: number;
  readonly offset: bigint;
  readonly size: bigint;
  readonly link: number;
  readonly entrySize: bigint;
}

/** The section headers, possibly none. @throws ImageError if they pass the end of the file */
export function sectionHeaders(elf: ElfFile): Section[] {
  const { offset, entrySize, count } = elf.sections;
  if (count === 0) return [];
  const expected = elf.bits === 32 ? 40 : 64;
  if (entrySize !== expected) {
    throw new ImageError(elf.file, 'ELF header, e_shentsize', `${entrySize} instead of ${expected}`);
  }
  if (offset + count * entrySize > elf.bytes.length) {
    throw new ImageError(elf.file, 'ELF header, e_shoff', `${count} section headers at ${hex(offset)} pass the end`);
  }
  const view = viewOf(elf);
  const le = elf.littleEndian;
  return Array.from({ length: count }, (_, index) => {
    const at = offset + index * entrySize;
    const place = `section header ${index} at ${hex(at)}`;
    const type = view.getUint32(at + 4, le);
    return elf.bits === 32
      ? {
          place,
          type,
          flags: view.getUint32(at + 8, le),
          offset: BigInt(view.getUint32(at + 16, le)),
          size: BigInt(view.getUint32(at + 20, le)),
          link: view.getUint32(at + 24, le),
          entrySize: BigInt(view.getUint32(at + 36, le)),
        }
      : {
          place,
          type,
          flags: Number(view.getBigUint64(at + 8, le) & 0xffffffffn),
          offset: view.getBigUint64(at + 24, le),
          size: view.getBigUint64(at + 32, le),
          link: view.getUint32(at + 40, le),
          entrySize: view.getBigUint64(at + 56, le),
        };
  });
}

function checkContent(elf: ElfFile, section: Section): void {
  if (section.offset + section.size > BigInt(elf.bytes.length)) {
    throw new ImageError(
      elf.file,
      section.place,
      `${hex(section.size)} bytes at ${hex(section.offset)} pass the end of the file`,
    );
  }
}

function symbolName(elf: ElfFile, names: Section, offset: number, at: number): string {
  const start = Number(names.offset) + offset;
  const end = Math.min(Number(names.offset + names.size), start + MAX_NAME_BYTES);
  const length = elf.bytes.subarray(start, end).indexOf(0);
  if (start >= end || length < 0) {
    throw new ImageError(elf.file, `symbol at ${hex(at)}`, `its name at ${hex(offset)} has no end in the string table`);
  }
  return decoder.decode(elf.bytes.subarray(start, start + length));
}

const decoder = new TextDecoder();

function viewOf(elf: ElfFile): DataView {
  return new DataView(elf.bytes.buffer, elf.bytes.byteOffset, elf.bytes.byteLength);
}
