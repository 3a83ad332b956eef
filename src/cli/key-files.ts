import { PemError } from '../crypto/pem.ts';
import type { RsaPublicKey } from '../crypto/rsa.ts';
import { readRsaPrivateKey, readRsaPublicKey, writeRsaPublicKey } from '../crypto/rsa-key.ts';
import { DEVELOPMENT_KEY } from '../powerpc/ultravisor/development-key.ts';
import { UsageError } from './exit-status.ts';
import { readImage } from './files.ts';

/** A key with the bytes of its file. */
export interface KeyFile<K> {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly key: K;
}

/** Reads a PEM file. @throws UsageError that names the file and the reason */
export function readKeyFile<K>(file: string, read: (pem: string) => K): KeyFile<K> {
  const { bytes } = readImage(file);
  try {
    return { file, bytes, key: read(new TextDecoder('latin1').decode(bytes)) };
  } catch (error) {
    if (error instanceof PemError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

/** A machine's public key: a file, or the word `development` for a machine that was given no key. @throws UsageError */
export function readMachineKey(file: string): KeyFile<RsaPublicKey> {
  if (file !== 'development') return readKeyFile(file, readRsaPublicKey);
  const key = readRsaPrivateKey(DEVELOPMENT_KEY);
  return { file, bytes: new TextEncoder().encode(writeRsaPublicKey(key)), key };
}
