import { EM_AARCH64, isElf, readElf } from '../../image/elf.ts';
import { ImageError } from '../../image/error.ts';
import type { ImageFile, PlacedSegment } from '../../image/image-file.ts';
import { type GuestRange, RAM_BASE } from './layout.ts';

/** An image, its device tree and initrd, placed as QEMU's `virt` does on a direct `-kernel` start. */
export interface KernelImage {
  readonly segments: readonly PlacedSegment[];
  readonly entry: bigint;
  /** What X0 holds at the entry: the device tree for a Linux image, 0 for an ELF file. */
  readonly argument: bigint;
  /** Where the device tree goes; null where there is no room for it (an ELF file at the start of RAM). */
  readonly tree: number | null;
  readonly initrd: GuestRange | null;
}

/** Documentation/arch/arm64/booting.rst, "the decompressed kernel image contains a 64-byte header". */
const HEADER = { textOffset: 8, imageSize: 16, magic: 56, bytes: 64 } as const;
const MAGIC = 0x644d5241;
/** What `text_offset` is where `image_size` is 0. */
const OLD_TEXT_OFFSET = 0x80000;

const PAGE = 4096;
/** QEMU's start code lies at the start of RAM; an image that would lie on it goes 2 MiB up. */
const START_CODE_BYTES = 4096;
const TREE_ALIGNMENT = 2 << 20;
/** The initrd lies in the middle of RAM, but not above this offset, and behind the image. */
const MOST_INITRD_OFFSET = 128 << 20;

/**
 * Places an ELF file at its physical addresses, or a Linux `Image` where its header says.
 * @param memory size of guest memory in bytes
 * @param treeBytes size of the device tree, which depends on none of the addresses
 * @throws ImageError
 */
export function placeKernel(
  image: ImageFile,
  initrd: ImageFile | null,
  memory: number,
  treeBytes: number,
): KernelImage {
  const placed = isElf(image.bytes) ? placeElf(image, memory) : placeLinux(image, memory);
  const end = RAM_BASE + memory;
  const low = Math.min(...placed.segments.map(({ base }) => base));
  const initrdBase = alignUp(Math.max(RAM_BASE + Math.min(memory / 2, MOST_INITRD_OFFSET), placed.end), PAGE);
  const initrdEnd = initrdBase + (initrd?.bytes.length ?? 0);
  if (initrd !== null && initrdEnd > end) {
    throw new ImageError(initrd.file, 'initrd', `it would end at 0x${initrdEnd.toString(16)}, behind guest memory`);
  }
  const range = initrd === null ? null : { base: initrdBase, size: initrd.bytes.length };
  if (placed.linux) {
    const tree = alignUp(initrdEnd, TREE_ALIGNMENT);
    if (tree + treeBytes > end) {
      throw new ImageError(image.file, 'device tree', `no room behind image and initrd in ${memory >> 20} MiB`);
    }
    return { segments: placed.segments, entry: placed.entry, argument: BigInt(tree), tree, initrd: range };
  }
  const tree = RAM_BASE + treeBytes <= low ? RAM_BASE : null;
  return { segments: placed.segments, entry: placed.entry, argument: 0n, tree, initrd: range };
}

interface Placed {
  readonly segments: readonly PlacedSegment[];
  readonly entry: bigint;
  /** Behind everything that it takes. */
  readonly end: number;
  readonly linux: boolean;
}

function placeElf({ file, bytes }: ImageFile, memory: number): Placed {
  const elf = readElf(bytes, file);
  if (elf.machine !== EM_AARCH64) {
    throw new ImageError(file, 'ELF header, e_machine at 0x12', `machine ${elf.machine} is not AArch64`);
  }
  const segments: PlacedSegment[] = [];
  for (const { index, offset, filesz, paddr, memsz } of elf.segments) {
    if (memsz === 0n) continue;
    const base = Number(paddr);
    const end = base + Number(memsz);
    requireRam(file, `program header ${index}`, base, end, memory);
    if (segments.some((other) => base < other.end && other.base < end)) {
      throw new ImageError(file, `program header ${index}`, 'it overlaps an earlier one in guest memory');
    }
    segments.push({ base, bytes: bytes.subarray(offset, offset + filesz), end });
  }
  if (segments.length === 0) throw new ImageError(file, 'program headers', 'nothing to load');
  const end = Math.max(...segments.map((segment) => segment.end));
  return { segments, entry: elf.entry, end, linux: false };
}

function placeLinux({ file, bytes }: ImageFile, memory: number): Placed {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < HEADER.bytes || view.getUint32(HEADER.magic, true) !== MAGIC) {
    throw new ImageError(file, 'header', 'neither an ELF file nor an arm64 Linux Image (no "ARM\\x64" at 0x38)');
  }
  const imageSize = view.getBigUint64(HEADER.imageSize, true);
  const said = imageSize === 0n ? BigInt(OLD_TEXT_OFFSET) : view.getBigUint64(HEADER.textOffset, true);
  const offset = said < BigInt(START_CODE_BYTES) ? said + BigInt(TREE_ALIGNMENT) : said;
  const base = RAM_BASE + Number(offset);
  const end = base + Math.max(bytes.length, Number(imageSize));
  requireRam(file, 'image', base, end, memory);
  // Only the file's bytes are placed: what the image takes behind them is its own to clear.
  return { segments: [{ base, bytes, end: base + bytes.length }], entry: BigInt(base), end, linux: true };
}

function requireRam(file: string, place: string, base: number, end: number, memory: number): void {
  if (base >= RAM_BASE && end <= RAM_BASE + memory) return;
  const [from, to] = [RAM_BASE, RAM_BASE + memory].map((address) => `0x${address.toString(16)}`);
  throw new ImageError(
    file,
    place,
    `0x${base.toString(16)} to 0x${end.toString(16)} is not in guest memory, ${from} to ${to}`,
  );
}

const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;
