import { ImageError } from './error.ts';
import { hex } from './hex.ts';

/** e_machine of the processors whose images Cloister loads (System V gABI). */
export const EM_PPC = 20;
export const EM_PPC64 = 21;
export const EM_S390 = 22;
export const EM_AARCH64 = 183;

const MACHINES: readonly number[] = [EM_PPC, EM_PPC64, EM_S390, EM_AARCH64];
const ET_EXEC = 2;
const ET_DYN = 3;
const PT_LOAD = 1;
const PN_XNUM = 0xffff;

/** p_flags of a segment. */
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;

/** A PT_LOAD segment whose place in the file and in memory has been checked. */
export interface ElfSegment {
  /** Index of its program header. */
  readonly index: number;
  /** Where its bytes begin in the file. */
  readonly offset: number;
  readonly vaddr: bigint;
  readonly paddr: bigint;
  /** Bytes in the file. */
  readonly filesz: number;
  /** Bytes in memory, at least `filesz`: the rest is zero. Neither vaddr nor paddr plus memsz passes the address space. */
  readonly memsz: bigint;
  /** Sum of `PF_R`, `PF_W`, `PF_X` and bits of the system. */
  readonly flags: number;
}

/** The section header table, which nobody has looked into yet. */
export interface ElfSections {
  readonly offset: number;
  readonly entrySize: number;
  readonly count: number;
}

/** An ELF file as far as a loader needs it. `readElfSymbols` gives its symbols. */
export interface ElfFile {
  /** The name of the file, for messages. */
  readonly file: string;
  /** The whole file; segments are `bytes.subarray(offset, offset + filesz)`. */
  readonly bytes: Uint8Array;
  /** ELF32 or ELF64. */
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** One of the `EM_…`. */
  readonly machine: number;
  /** e_type is ET_DYN, a position-independent image, and not ET_EXEC. */
  readonly positionIndependent: boolean;
  /** e_flags, whose meaning is the machine's own (e.g. the ABI version of ppc64). */
  readonly flags: number;
  readonly entry: bigint;
  /** The PT_LOAD segments in the order of the file, possibly none. */
  readonly segments: readonly ElfSegment[];
  readonly sections: ElfSections;
}

/** Whether a file claims to be ELF: to tell it from a raw image before reading it. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * Reads the header and the loadable segments of an ELF32 or ELF64 executable of either byte order, for one of the
 * machines above (System V gABI chapters 4 and 5). Nothing in `bytes` is trusted; the result keeps a reference to them.
 * Throws `ImageError`, in which `file` names the file.
 */
export function readElf(bytes: Uint8Array, file: string): ElfFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (place: string, reason: string): never => {
    throw new ImageError(file, place, reason);
  };
  const inHeader = (field: string, at: number) => `ELF header, ${field} at ${hex(at)}`;

  if (!isElf(bytes)) fail('ELF header', 'no ELF magic');
  if (bytes.length < 16) fail('ELF header', `the file ends after ${bytes.length} bytes`);
  if (bytes[4] !== 1 && bytes[4] !== 2) fail(inHeader('EI_CLASS', 4), `${bytes[4]} is neither ELF32 nor ELF64`);
  if (bytes[5] !== 1 && bytes[5] !== 2) fail(inHeader('EI_DATA', 5), `${bytes[5]} is no byte order`);
  if (bytes[6] !== 1) fail(inHeader('EI_VERSION', 6), `unknown version ${bytes[6]}`);
  const bits = bytes[4] === 1 ? 32 : 64;
  const littleEndian = bytes[5] === 1;
  const layout = bits === 32 ? ELF32 : ELF64;
  if (bytes.length < layout.headerSize) fail('ELF header', `the file ends after ${bytes.length} bytes`);

  const u16 = (at: number) => view.getUint16(at, littleEndian);
  const u32 = (at: number) => view.getUint32(at, littleEndian);
  const address = (at: number) => (bits === 32 ? BigInt(u32(at)) : view.getBigUint64(at, littleEndian));

  const type = u16(16);
  if (type !== ET_EXEC && type !== ET_DYN) fail(inHeader('e_type', 16), `type ${type} is not an executable`);
  const machine = u16(18);
  if (!MACHINES.includes(machine)) fail(inHeader('e_machine', 18), `machine ${machine} is not supported`);
  if (u32(20) !== 1) fail(inHeader('e_version', 20), `unknown version ${u32(20)}`);

  const phoff = address(layout.phoff);
  const phentsize = u16(layout.phentsize);
  const phnum = u16(layout.phnum);
  if (phnum === PN_XNUM) fail(inHeader('e_phnum', layout.phnum), 'more program headers than are supported');
  if (phnum > 0 && phentsize !== layout.segmentSize) {
    fail(inHeader('e_phentsize', layout.phentsize), `${phentsize} instead of ${layout.segmentSize}`);
  }
  if (phnum > 0 && phoff + BigInt(phnum * phentsize) > BigInt(bytes.length)) {
    fail(inHeader('e_phoff', layout.phoff), `${phnum} program headers at ${hex(phoff)} pass the end of the file`);
  }

  const segments: ElfSegment[] = [];
  for (let index = 0; index < phnum; index++) {
    const at = Number(phoff) + index * phentsize;
    if (u32(at) !== PT_LOAD) continue;
    const place = `program header ${index} at ${hex(at)}`;
    const offset = address(at + layout.pOffset);
    const vaddr = address(at + layout.pVaddr);
    const paddr = address(at + layout.pPaddr);
    const filesz = address(at + layout.pFilesz);
    const memsz = address(at + layout.pMemsz);
    const limit = 1n << BigInt(bits);
    if (filesz > 0n && offset + filesz > BigInt(bytes.length)) {
      fail(place, `${hex(filesz)} bytes at ${hex(offset)} pass the end of the file`);
    }
    if (filesz > memsz) fail(place, `${hex(filesz)} bytes in the file are more than ${hex(memsz)} in memory`);
    if (vaddr + memsz > limit) fail(place, `virtual address ${hex(vaddr)} plus ${hex(memsz)} wraps around`);
    if (paddr + memsz > limit) fail(place, `physical address ${hex(paddr)} plus ${hex(memsz)} wraps around`);
    segments.push({
      index,
      offset: filesz > 0n ? Number(offset) : 0,
      vaddr,
      paddr,
      filesz: Number(filesz),
      memsz,
      flags: u32(at + layout.pFlags),
    });
  }

  return {
    file,
    bytes,
    bits,
    littleEndian,
    machine,
    positionIndependent: type === ET_DYN,
    flags: u32(layout.flags),
    entry: address(24),
    segments,
    sections: {
      offset: Number(address(layout.shoff)),
      entrySize: u16(layout.shentsize),
      count: u16(layout.shnum),
    },
  };
}

/** Offsets of the fields that differ between the two classes: in the ELF header, then in a program header. */
const ELF32 = {
  headerSize: 52,
  phoff: 28,
  shoff: 32,
  flags: 36,
  phentsize: 42,
  phnum: 44,
  shentsize: 46,
  shnum: 48,
  segmentSize: 32,
  pOffset: 4,
  pVaddr: 8,
  pPaddr: 12,
  pFilesz: 16,
  pMemsz: 20,
  pFlags: 24,
} as const;

const ELF64 = {
  headerSize: 64,
  phoff: 32,
  shoff: 40,
  flags: 48,
  phentsize: 54,
  phnum: 56,
  shentsize: 58,
  shnum: 60,
  segmentSize: 56,
  pOffset: 8,
  pVaddr: 16,
  pPaddr: 24,
  pFilesz: 32,
  pMemsz: 40,
  pFlags: 4,
} as const;
