import { type ElfFile, readElf } from './elf.ts';
import { sectionHeaders } from './elf-symbols.ts';
import { ImageError } from './error.ts';

const SHT_NOBITS = 8;
const SHF_ALLOC = 2;
const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];
/** The largest kernel: what QEMU places has physical addresses modulo this. */
const MOST_BYTES = 1 << 28;

/**
 * The bytes of a kernel in memory, from its lowest address on: of an ELF file what `objcopy -O binary -S` makes of it
 * (segments at their physical addresses, zeros between them, nothing for what is not in the file); any other file as it
 * is.
 * @throws ImageError
 */
export function kernelBytes(bytes: Uint8Array, file: string): Uint8Array {
  if (!ELF_MAGIC.every((byte, i) => bytes[i] === byte)) return bytes;
  const elf = readElf(bytes, file);
  const segments = trimmed(elf).filter(({ filesz }) => filesz > 0);
  if (segments.length === 0) throw new ImageError(file, 'program headers', 'nothing to load');
  const base = segments.reduce((least, { paddr }) => (paddr < least ? paddr : least), segments[0].paddr);
  const end = segments.reduce((most, { paddr, filesz }) => max(most, paddr + BigInt(filesz)), 0n);
  if (end - base > BigInt(MOST_BYTES)) {
    throw new ImageError(file, 'program headers', `its segments span ${end - base} bytes, more than ${MOST_BYTES}`);
  }
  const flat = new Uint8Array(Number(end - base));
  for (const { paddr, offset, filesz } of segments) {
    flat.set(bytes.subarray(offset, offset + filesz), Number(paddr - base));
  }
  return flat;
}

/** The segments without the padding behind the last section with contents, which `objcopy` leaves out. */
function trimmed(elf: ElfFile): { readonly paddr: bigint; readonly offset: number; readonly filesz: number }[] {
  const contents = sectionHeaders(elf).filter(
    ({ type, flags, size }) => (flags & SHF_ALLOC) !== 0 && type !== SHT_NOBITS && size > 0n,
  );
  return elf.segments.map(({ paddr, offset, filesz }) => {
    const end = BigInt(offset + filesz);
    const ends = contents.map((section) => section.offset + section.size);
    const inside = ends.filter((at) => at > BigInt(offset) && at <= end);
    const last = inside.reduce(max, 0n);
    return { paddr, offset, filesz: inside.length === 0 ? filesz : Number(last) - offset };
  });
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
