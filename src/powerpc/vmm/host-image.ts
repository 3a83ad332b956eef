import { EM_PPC64, readElf } from '../../image/elf.ts';
import { ImageError } from '../../image/error.ts';
import { writeFdt } from '../../image/fdt.ts';
import type { ImageFile } from '../../image/image-file.ts';
import type { HostView } from '../../machine/host-view.ts';
import { OptionError, type RealAddress } from '../../machine/types.ts';
import { UV_PAGE_SIZE } from '../abi.ts';
import { type HostTreeOptions, hostTree } from './host-tree.ts';
import type { GuestRange } from './layout.ts';

/** What a host gets beside its image. */
export interface HostFiles extends Pick<HostTreeOptions, 'cmdline' | 'cpus' | 'opal' | 'secureMemory'> {
  readonly initrd: ImageFile | null;
  /** The ESM blob of the guest that the host is to run. */
  readonly esmBlob?: ImageFile | null;
}

/** A host image that fits the machine. */
export interface PlacedHost {
  /** Real address at which it is entered: `e_entry`, as its segments are moved from virtual to physical addresses. */
  readonly entry: bigint;
  /**
   * Writes image, initrd, ESM blob and device tree to memory: the initrd ends where memory ends, the others lie below it.
   * @returns real address of the device tree
   * @throws ImageError, OptionError if there is no room
   */
  load(view: HostView, files: HostFiles): RealAddress;
}

/**
 * Places the image of a hypervisor in machine code (`--role host`): an ELF file at its physical addresses, entry point honoured.
 * @param memory bytes of normal memory from real address 0
 * @throws ImageError
 */
export function placeHost(image: ImageFile, memory: number): PlacedHost {
  const { file, bytes } = image;
  const elf = readElf(bytes, file);
  if (elf.machine !== EM_PPC64) {
    throw new ImageError(file, 'ELF header, e_machine at 0x12', `machine ${elf.machine} is not 64-bit PowerPC`);
  }
  const segments = elf.segments.filter(({ memsz }) => memsz > 0n);
  for (const { index, paddr, memsz } of segments) {
    if (paddr + memsz > BigInt(memory)) {
      const reason = `it reaches 0x${(paddr + memsz).toString(16)}, memory ends at 0x${memory.toString(16)}`;
      throw new ImageError(file, `program header ${index}`, reason);
    }
  }
  const home = segments.find(({ vaddr, memsz }) => elf.entry >= vaddr && elf.entry < vaddr + memsz);
  if (home === undefined) throw new ImageError(file, 'ELF header, e_entry', 'it is in no segment');
  const end = Math.max(...segments.map(({ paddr, memsz }) => Number(paddr + memsz)));
  return {
    entry: elf.entry - home.vaddr + home.paddr,
    load(view, files) {
      const initrd = placeBelow(files.initrd, 'initrd', end, memory);
      const esmBlob = placeBelow(files.esmBlob ?? null, 'ESM blob', end, initrd?.base ?? memory);
      const top = esmBlob?.base ?? initrd?.base ?? memory;
      const reserved: GuestRange[] = [
        { base: 0, size: end },
        { base: files.opal.base, size: files.opal.size },
      ];
      const tree = hostTree({ ...files, memory: [{ base: 0, size: memory }], initrd, esmBlob, reserved });
      const blob = writeFdt(tree);
      const at = (Math.floor((top - blob.length) / UV_PAGE_SIZE) * UV_PAGE_SIZE) as RealAddress;
      if (at < end) throw new OptionError('--memory', `no room for the device tree above 0x${end.toString(16)}`);
      for (const { offset, filesz, paddr } of segments) {
        view.write(Number(paddr) as RealAddress, bytes.subarray(offset, offset + filesz));
      }
      if (initrd !== null && files.initrd !== null) view.write(initrd.base as RealAddress, files.initrd.bytes);
      if (esmBlob !== null && files.esmBlob) view.write(esmBlob.base as RealAddress, files.esmBlob.bytes);
      view.write(at, blob);
      return at;
    },
  };
}

function placeBelow(file: ImageFile | null, what: string, lowest: number, top: number): GuestRange | null {
  if (file === null || file.bytes.length === 0) return null;
  const base = Math.floor((top - file.bytes.length) / UV_PAGE_SIZE) * UV_PAGE_SIZE;
  if (base < lowest) throw new ImageError(file.file, what, 'it does not fit above the image');
  return { base, size: file.bytes.length };
}
