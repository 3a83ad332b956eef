import { rsaKeyHolder } from '../crypto/key-holder.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import type { RsaPublicKey } from '../crypto/rsa.ts';
import { writeRsaPublicKey } from '../crypto/rsa-key.ts';
import { ImageError } from '../image/error.ts';
import { findEsmArchive, writeEsmArchive } from '../image/esm-archive.ts';
import { type EsmFileSource, makeEsmBlob } from '../image/esm-blob.ts';
import { writeEsmBlob } from '../image/esm-blob-writer.ts';
import { EsmBlobError } from '../image/esm-format.ts';
import { digestsOf, type EsmImage } from '../image/esm-image.ts';
import type { ImageFile } from '../image/image-file.ts';

const NOTHING = new Uint8Array(0);
const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];

/** What a blob is made with. */
export interface TenantKit {
  readonly crypto: CryptoProvider;
  /** The key of the machine that is to run the image. */
  readonly machine: RsaPublicKey;
  readonly random: (bytes: number) => Uint8Array;
}

/** The ESM blob of an image for one machine. @throws ImageError for a kernel that is a broken ELF file */
export function blobFor(
  image: EsmImage,
  { crypto, machine, random }: TenantKit,
  files: readonly EsmFileSource[] = [],
): Uint8Array {
  const file = new TextEncoder().encode(writeRsaPublicKey(machine));
  const holder = (comment: string) => rsaKeyHolder(crypto, machine, file, comment, random);
  const source = {
    origin: holder('made for this run'),
    recipients: [holder('this machine')],
    digests: digestsOf(image, crypto),
    digestsComment: '',
    files,
  };
  return writeEsmBlob(makeEsmBlob(source, crypto, random));
}

/**
 * The initrd of a guest whose tenant did not care: with a blob before it that proves exactly these files, unless it
 * brings one along.
 */
export function initrdWithBlob(
  image: ImageFile,
  initrd: ImageFile | null,
  bootargs: string,
  kit: TenantKit,
): ImageFile | null {
  const proper = initrd?.bytes ?? NOTHING;
  try {
    if (findEsmArchive(proper) !== null) return initrd;
    const archive = writeEsmArchive(blobFor({ kernel: image, initrd: proper, bootargs }, kit));
    const bytes = new Uint8Array(archive.length + proper.length);
    bytes.set(archive);
    bytes.set(proper, archive.length);
    return { file: initrd?.file ?? 'ESM blob', bytes };
  } catch (error) {
    // Whoever places the image says what is wrong with it; whoever reads the archive, what is wrong with that.
    if (error instanceof ImageError || error instanceof EsmBlobError) return initrd;
    throw error;
  }
}

/** The same for a machine-code hypervisor that is given a guest's ELF file as its initrd; null if it is not. */
export function blobForGuestOfHost(initrd: ImageFile | null, bootargs: string, kit: TenantKit): ImageFile | null {
  if (initrd === null || !ELF_MAGIC.every((byte, i) => initrd.bytes[i] === byte)) return null;
  try {
    return { file: 'ESM blob', bytes: blobFor({ kernel: initrd, initrd: NOTHING, bootargs }, kit) };
  } catch (error) {
    if (error instanceof ImageError) return null;
    throw error;
  }
}
