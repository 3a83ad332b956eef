import type { EsmCrypto } from './esm-blob.ts';
import type { EsmDigests } from './esm-format.ts';
import { kernelBytes } from './kernel-bytes.ts';
import { RTAS_TEXT } from './rtas-text.ts';

/** What a secure VM is made of. */
export interface EsmImage {
  /** The kernel's file: ELF, or the bytes as they will lie in memory. */
  readonly kernel: { readonly file: string; readonly bytes: Uint8Array };
  /** The initrd, without the archive of a blob before it. */
  readonly initrd: Uint8Array;
  readonly bootargs: string;
  /** Default: `RTAS_TEXT`. */
  readonly rtas?: Uint8Array;
}

/** One of the four things that are measured. */
export type EsmMeasured = 'rtas' | 'kernel' | 'initrd' | 'bootargs';

/** The digests of an image (power-pef.md 7.5). @throws ImageError for a kernel that is a broken ELF file */
export function digestsOf({ kernel, initrd, bootargs, rtas = RTAS_TEXT }: EsmImage, crypto: EsmCrypto): EsmDigests {
  const bytes = kernelBytes(kernel.bytes, kernel.file);
  return {
    rtas: crypto.sha512(rtas),
    kernel: crypto.sha512(bytes),
    kernelSize: bytes.length,
    initrd: crypto.sha512(initrd),
    bootargs: crypto.sha512(new TextEncoder().encode(bootargs)),
  };
}

/** What of an image is not what a blob says. */
export function differingDigests(expected: EsmDigests, found: EsmDigests): EsmMeasured[] {
  const names = ['rtas', 'kernel', 'initrd', 'bootargs'] as const;
  return names.filter(
    (name) =>
      expected[name].some((byte, i) => byte !== found[name][i]) ||
      (name === 'kernel' && expected.kernelSize !== found.kernelSize),
  );
}
