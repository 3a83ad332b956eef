import { EM_S390, isElf, readElf } from '../elf.ts';
import { ImageError } from '../error.ts';
import { hex } from '../hex.ts';
import type { ImageFile } from '../image-file.ts';
import { hasText, SE_PLACE } from './format.ts';

/** What tells a raw kernel, and how long its command line may be (s390-pv.md 6.11). */
const RAW_KERNEL = {
  MAGIC: 'S390EP',
  MAGIC_AT: 0x10008,
  COMMAND_LINE_SIZE_AT: 0x10430,
  COMMAND_LINE_SIZE: 896,
} as const;
/** The largest kernel. */
const MOST_BYTES = 1 << 29;

/** A kernel as it will lie in memory from 0 on, and where it is entered. */
export interface SeKernel {
  readonly memory: Uint8Array;
  readonly entry: bigint;
}

/**
 * A kernel as a component of an image. A raw kernel of Linux is one as it is. Of an ELF file, which the tools of
 * s390-tools refuse, the segments are placed as a direct start would place them, with zeros for what is not in the file.
 * @param check whether anything else is refused
 * @throws ImageError
 */
export function seKernel({ file, bytes }: ImageFile, check: boolean): SeKernel {
  if (isElf(bytes)) return fromElf({ file, bytes });
  if (check && !hasText(bytes, RAW_KERNEL.MAGIC_AT, RAW_KERNEL.MAGIC)) {
    throw new ImageError(
      file,
      `offset ${hex(RAW_KERNEL.MAGIC_AT)}`,
      `no "${RAW_KERNEL.MAGIC}": it is no kernel of Linux for s390, and no ELF file`,
    );
  }
  return { memory: bytes, entry: BigInt(SE_PLACE.KERNEL) };
}

function fromElf({ file, bytes }: ImageFile): SeKernel {
  const elf = readElf(bytes, file);
  if (elf.machine !== EM_S390 || elf.bits !== 64) throw new ImageError(file, 'ELF header', 'it is not for s390x');
  const segments = elf.segments.filter(({ memsz }) => memsz > 0n);
  const end = segments.reduce((most, { paddr, memsz }) => (paddr + memsz > most ? paddr + memsz : most), 0n);
  if (segments.length === 0) throw new ImageError(file, 'program headers', 'nothing to load');
  if (end > BigInt(MOST_BYTES))
    throw new ImageError(file, 'program headers', `they end at ${hex(end)}, above ${hex(MOST_BYTES)}`);
  const memory = new Uint8Array(Number(end));
  for (const { index, paddr, offset, filesz } of segments) {
    if (paddr < BigInt(SE_PLACE.KERNEL)) {
      throw new ImageError(
        file,
        `program header ${index}`,
        `${hex(paddr)} is below ${hex(SE_PLACE.KERNEL)}, where nothing is moved to`,
      );
    }
    memory.set(bytes.subarray(offset, offset + filesz), Number(paddr));
  }
  return { memory, entry: elf.entry };
}

/** The most bytes that a command line of this kernel may have, with its NUL. */
export function commandLineLimit({ memory }: SeKernel): bigint {
  const at = RAW_KERNEL.COMMAND_LINE_SIZE_AT;
  const size = memory.length < at + 8 ? 0n : new DataView(memory.buffer, memory.byteOffset).getBigUint64(at);
  return size === 0n ? BigInt(RAW_KERNEL.COMMAND_LINE_SIZE) : size;
}
