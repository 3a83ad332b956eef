import { oaepEncrypt } from './oaep.ts';
import type { CryptoProvider } from './provider.ts';
import type { RsaPublicKey } from './rsa.ts';

/** Bytes of an OAEP seed. */
const SEED_BYTES = 32;

/** Somebody for whom a key can be wrapped. */
export interface KeyHolder {
  readonly comment: string;
  /** SHA-256 of the PEM file of the public key. */
  readonly fingerprint: Uint8Array;
  /** RSAES-OAEP with SHA-256. */
  wrap(key: Uint8Array): Uint8Array;
}

/**
 * The holder of the private half of an RSA key.
 * @param file the PEM file, byte for byte: its digest names the key
 * @param random bytes for the padding
 */
export function rsaKeyHolder(
  provider: CryptoProvider,
  key: RsaPublicKey,
  file: Uint8Array,
  comment: string,
  random: (bytes: number) => Uint8Array,
): KeyHolder {
  return {
    comment,
    fingerprint: provider.sha256(file),
    wrap: (secret) => oaepEncrypt(provider, key, secret, random(SEED_BYTES)),
  };
}
