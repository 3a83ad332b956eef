import type { CryptoProvider } from './provider.ts';

/** HKDF (RFC 5869) with one of the HMACs of a provider. */
export interface HkdfHash {
  readonly hmac: (key: Uint8Array, data: Uint8Array) => Uint8Array;
  /** Bytes of a digest. */
  readonly bytes: number;
}

/** HKDF with SHA-256. */
export function hkdfSha256(provider: CryptoProvider): HkdfHash {
  return { hmac: provider.hmacSha256, bytes: 32 };
}

/** HKDF with SHA-512. */
export function hkdfSha512(provider: CryptoProvider): HkdfHash {
  return { hmac: provider.hmacSha512, bytes: 64 };
}

/**
 * Extract and expand (RFC 5869 2.2, 2.3).
 * @param salt possibly empty, which stands for a digest of zeros
 * @param length bytes that are wanted, at most 255 digests
 * @throws RangeError for more
 */
export function hkdf(
  { hmac, bytes }: HkdfHash,
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  if (length > 255 * bytes) throw new RangeError(`HKDF gives up to ${255 * bytes} bytes, not ${length}`);
  const key = hmac(salt.length === 0 ? new Uint8Array(bytes) : salt, secret);
  const out = new Uint8Array(length);
  let block: Uint8Array = new Uint8Array(0);
  for (let at = 0, n = 1; at < length; at += bytes, n++) {
    block = hmac(key, Uint8Array.of(...block, ...info, n));
    out.set(block.subarray(0, length - at), at);
  }
  return out;
}
