import { defaultProvider } from '../crypto/default.ts';
import { SeImageError } from '../image/se/format.ts';
import type { SeSecrets } from '../image/se/header.ts';
import { SeHost } from '../image/se/host.ts';
import { readSeImage, type SeImage } from '../image/se/image-reader.ts';
import { openSeHeader, SE_OPEN_FAULT } from '../image/se/seal.ts';
import { UsageError } from './exit-status.ts';
import { readImage } from './files.ts';
import { readHostPrivateKey } from './se-host-keys.ts';

/** How an image is to be opened, as it was typed: one of the two. */
export interface SeKeyOptions {
  readonly hostKey?: string;
  readonly hdrKey?: string;
}

/** Reads the structure of an image. @throws UsageError that names the file, the place and the reason */
export function readSeFile(file: string): SeImage {
  const { bytes } = readImage(file);
  return naming(file, () => readSeImage(bytes));
}

/** Whether there is a key to open an image with. */
export function hasKey({ hostKey, hdrKey }: SeKeyOptions): boolean {
  return hostKey !== undefined || hdrKey !== undefined;
}

/** Opens the header of an image. @throws UsageError if there is no key, or it does not open */
export function openSeFile(file: string, image: SeImage, { hostKey, hdrKey }: SeKeyOptions): SeSecrets {
  const crypto = defaultProvider();
  if (hostKey !== undefined && hdrKey !== undefined)
    throw new UsageError('--host-key and --hdr-key: one of them is enough');
  if (hdrKey !== undefined) {
    const opened = openSeHeader(image.header, readSecret(hdrKey, 32), crypto);
    if (typeof opened === 'string') throw new UsageError(`${file}: header: with ${hdrKey}, ${SE_OPEN_FAULT[opened]}`);
    return opened;
  }
  if (hostKey === undefined) throw new UsageError('--host-key or --hdr-key: one of them is needed');
  const opened = new SeHost(crypto, readHostPrivateKey(hostKey)).openHeader(image.headerBytes);
  if (typeof opened === 'string') throw new UsageError(`${file}: header: with ${hostKey}, ${SE_OPEN_FAULT[opened]}`);
  return opened;
}

/** A key that a file has as bare bytes. @throws UsageError */
export function readSecret(file: string, length: number): Uint8Array {
  const { bytes } = readImage(file);
  if (bytes.length !== length) throw new UsageError(`${file}: ${bytes.length} bytes instead of ${length}`);
  return bytes;
}

/** What goes wrong with an image says in which file. @throws UsageError */
export function naming<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof SeImageError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

/** Lower-case hexadecimal digits. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
