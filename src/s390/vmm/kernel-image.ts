import { EM_S390, isElf, readElf } from '../../image/elf.ts';
import { ImageError } from '../../image/error.ts';
import { hex } from '../../image/hex.ts';
import type { ImageFile, PlacedSegment } from '../../image/image-file.ts';
import { OptionError } from '../../machine/types.ts';

/** Where a Linux image begins, and what lies in its first page (arch/s390/boot/head.S; QEMU 7.2, hw/s390x/ipl.c). */
const KERNEL_START = 0x10000;
const MAGIC = { at: 0x10008, text: 'S390EP' } as const;
const INITRD_POINTERS = 0x10408;
const COMMAND_LINE = { sizeAt: 0x10430, at: 0x10480, size: 896 } as const;
/** An old kernel's loader begins here; the kernel itself is entered at its start. */
const OLD_ENTRY = 0x800;

/** The short PSW at 0 of a raw image: the word with its address. */
const PSW_ADDRESS = { at: 4, mask: 0x7fffffff } as const;

const INITRD_START = 0x800000;
const MIB = 1 << 20;

/** An image with command line and initrd, placed as QEMU's `s390-ccw-virtio` does on a direct `-kernel` start. */
export interface KernelImage {
  readonly segments: readonly PlacedSegment[];
  readonly entry: number;
}

/** What is put into memory. */
export interface KernelOptions {
  readonly image: ImageFile;
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  /** Bytes of guest memory. */
  readonly memory: number;
}

/**
 * Places an ELF file at its physical addresses, or a raw image at 0. A command line is given to what is entered at 0x10000, as Linux is.
 * @throws ImageError
 * @throws OptionError for a command line that is too long
 */
export function placeKernel({ image, initrd, cmdline, memory }: KernelOptions): KernelImage {
  const placed = isElf(image.bytes) ? placeElf(image, memory) : placeRaw(image, memory);
  const { segments } = placed;
  const linux = placed.entry === KERNEL_START || placed.entry === OLD_ENTRY;
  if (linux) storeCommandLine(segments, cmdline);
  if (initrd === null) return { segments, entry: linux ? KERNEL_START : placed.entry };
  let base = INITRD_START;
  while (placed.bytes + MIB > base) base += MIB;
  const end = base + initrd.bytes.length;
  if (end > memory) throw new ImageError(initrd.file, 'initrd', `it would end at ${hex(end)}, behind guest memory`);
  storeInitrd(segments, base, initrd.bytes.length);
  return {
    segments: [...segments, { base, bytes: initrd.bytes, end }],
    entry: linux ? KERNEL_START : placed.entry,
  };
}

interface Placed {
  /** Copies of the file's bytes: parameters are written into them. */
  readonly segments: readonly PlacedSegment[];
  readonly entry: number;
  /** Bytes in memory. */
  readonly bytes: number;
}

function placeElf({ file, bytes }: ImageFile, memory: number): Placed {
  const elf = readElf(bytes, file);
  if (elf.machine !== EM_S390 || elf.bits !== 64) {
    throw new ImageError(
      file,
      'ELF header, e_machine at 0x12',
      `machine ${elf.machine}, ${elf.bits} bits, is not IBM Z`,
    );
  }
  const segments: PlacedSegment[] = [];
  for (const { index, offset, filesz, paddr, memsz } of elf.segments) {
    if (memsz === 0n) continue;
    const base = Number(paddr);
    const end = base + Number(memsz);
    if (end > memory) {
      throw new ImageError(file, `program header ${index}`, `${hex(base)} to ${hex(end)} is not in guest memory`);
    }
    if (segments.some((other) => base < other.end && other.base < end)) {
      throw new ImageError(file, `program header ${index}`, 'it overlaps an earlier one in guest memory');
    }
    segments.push({ base, bytes: bytes.slice(offset, offset + filesz), end });
  }
  if (segments.length === 0) throw new ImageError(file, 'program headers', 'nothing to load');
  const size = segments.reduce((sum, { base, end }) => sum + end - base, 0);
  return { segments, entry: Number(elf.entry), bytes: size };
}

function placeRaw({ file, bytes }: ImageFile, memory: number): Placed {
  if (bytes.length > memory) throw new ImageError(file, 'image', `${bytes.length} bytes do not fit into guest memory`);
  if (bytes.length < PSW_ADDRESS.at + 4)
    throw new ImageError(file, 'image', 'it is too short for the PSW at its start');
  const segment = { base: 0, bytes: bytes.slice(), end: bytes.length };
  const magic = String.fromCharCode(...bytes.subarray(MAGIC.at, MAGIC.at + MAGIC.text.length));
  const psw = viewOf(bytes).getUint32(PSW_ADDRESS.at) & PSW_ADDRESS.mask;
  return { segments: [segment], entry: magic === MAGIC.text ? KERNEL_START : psw, bytes: bytes.length };
}

/** @throws OptionError */
function storeCommandLine(segments: readonly PlacedSegment[], cmdline: string): void {
  const text = new TextEncoder().encode(`${cmdline}\0`);
  const said = find(segments, COMMAND_LINE.sizeAt, 8)?.getBigUint64(0) ?? 0n;
  const room = said === 0n ? COMMAND_LINE.size : Number(said);
  if (text.length > room) {
    throw new OptionError(
      '--cmdline',
      `${text.length} bytes with the zero at its end; the kernel has room for ${room}`,
    );
  }
  const target = find(segments, COMMAND_LINE.at, text.length);
  for (const [i, byte] of text.entries()) target?.setUint8(i, byte);
}

function storeInitrd(segments: readonly PlacedSegment[], base: number, bytes: number): void {
  const target = find(segments, INITRD_POINTERS, 16);
  target?.setBigUint64(0, BigInt(base));
  target?.setBigUint64(8, BigInt(bytes));
}

/** Bytes of the image at an address; undefined where the file has none. */
function find(segments: readonly PlacedSegment[], address: number, length: number): DataView | undefined {
  const segment = segments.find(({ base, bytes }) => address >= base && address + length <= base + bytes.length);
  return segment && viewOf(segment.bytes.subarray(address - segment.base, address - segment.base + length));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
