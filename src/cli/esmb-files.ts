import { defaultProvider } from '../crypto/default.ts';
import { oaepDecrypt } from '../crypto/oaep.ts';
import type { RsaPrivateKey } from '../crypto/rsa.ts';
import { findEsmArchive } from '../image/esm-archive.ts';
import { ESM_KEY_BYTES } from '../image/esm-blob.ts';
import { readEsmBlob } from '../image/esm-blob-reader.ts';
import { type EsmBlob, EsmBlobError } from '../image/esm-format.ts';
import { UsageError } from './exit-status.ts';
import { readImage } from './files.ts';

/** A blob as it was found in a file. */
export interface EsmbFile {
  readonly file: string;
  readonly blob: EsmBlob;
  /** The initrd proper behind the blob; null for a file that is a bare blob. */
  readonly initrd: Uint8Array | null;
}

/** Reads a bare blob, or an initrd with a blob before it. @throws UsageError that names the file, the place and the reason */
export function readEsmb(file: string): EsmbFile {
  const { bytes } = readImage(file);
  return naming(file, () => {
    const archive = findEsmArchive(bytes);
    if (archive === null) return { file, blob: readEsmBlob(bytes), initrd: null };
    return { file, blob: readEsmBlob(archive.blob), initrd: bytes.subarray(archive.length) };
  });
}

/** An initrd without the archive of a blob, if it has one. @throws UsageError */
export function initrdProper(file: string | undefined): Uint8Array {
  if (file === undefined) return new Uint8Array(0);
  const { bytes } = readImage(file);
  return naming(file, () => bytes.subarray(findEsmArchive(bytes)?.length ?? 0));
}

/** The blob's key, from whichever lockbox the private key opens. @throws UsageError if it opens none */
export function unlock({ file, blob }: EsmbFile, key: RsaPrivateKey, keyFile: string): Uint8Array {
  const crypto = defaultProvider();
  for (const { encryptedKey } of [blob.origin, ...blob.lockboxes]) {
    const found = oaepDecrypt(crypto, key, encryptedKey);
    if (found?.length === ESM_KEY_BYTES) return found;
  }
  throw new UsageError(`${file}: no lockbox opens with ${keyFile}`);
}

/** What goes wrong with a blob says in which file. @throws UsageError */
export function naming<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof EsmBlobError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}
