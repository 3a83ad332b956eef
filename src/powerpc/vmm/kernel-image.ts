import { EM_PPC, EM_PPC64, readElf } from '../../image/elf.ts';
import { ImageError } from '../../image/error.ts';
import type { ImageFile, PlacedSegment } from '../../image/image-file.ts';
import { KERNEL_ADDRESS_MASK, KERNEL_LOAD_ADDRESS } from './layout.ts';

/** An image placed as QEMU's `-kernel` does. */
export interface KernelImage {
  readonly segments: readonly PlacedSegment[];
  /** Where it is entered: its lowest byte. `e_entry` is ignored. */
  readonly base: number;
  /** Sum of the sizes of its segments: QEMU places the initrd by it. */
  readonly size: number;
  /** First byte after all segments. */
  readonly end: number;
}

/**
 * Places an ELF image of either byte order: physical addresses modulo 256 MiB, from 0x400000 up.
 * @param memory size of guest memory in bytes
 * @throws ImageError
 */
export function placeKernel({ file, bytes }: ImageFile, memory: number): KernelImage {
  const elf = readElf(bytes, file);
  if (elf.machine !== EM_PPC64 && elf.machine !== EM_PPC) {
    throw new ImageError(file, 'ELF header, e_machine at 0x12', `machine ${elf.machine} is not PowerPC`);
  }
  const segments: PlacedSegment[] = [];
  for (const { index, offset, filesz, paddr, memsz } of elf.segments) {
    if (memsz === 0n) continue;
    const base = Number(paddr & KERNEL_ADDRESS_MASK) + KERNEL_LOAD_ADDRESS;
    const end = base + Number(memsz);
    if (end > memory) {
      const reason = `it reaches 0x${end.toString(16)}, guest memory ends at 0x${memory.toString(16)}`;
      throw new ImageError(file, `program header ${index}`, reason);
    }
    for (const other of segments) {
      if (base < other.end && other.base < end) {
        throw new ImageError(file, `program header ${index}`, 'it overlaps an earlier one in guest memory');
      }
    }
    segments.push({ base, bytes: bytes.subarray(offset, offset + filesz), end });
  }
  if (segments.length === 0) throw new ImageError(file, 'program headers', 'nothing to load');
  return {
    segments,
    base: Math.min(...segments.map(({ base }) => base)),
    size: segments.reduce((sum, { base, end }) => sum + (end - base), 0),
    end: Math.max(...segments.map(({ end }) => end)),
  };
}
