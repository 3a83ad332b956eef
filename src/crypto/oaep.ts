import type { CryptoProvider } from './provider.ts';
import { type RsaPrivateKey, type RsaPublicKey, rsaBlockBytes } from './rsa.ts';

/** Bytes of a SHA-256 hash, and so of the seed. */
const HASH_BYTES = 32;
const EMPTY_LABEL = new Uint8Array(0);

/** The longest message that RSAES-OAEP with SHA-256 takes under a key, in bytes. */
export function oaepCapacity(key: RsaPublicKey): number {
  return rsaBlockBytes(key) - 2 * HASH_BYTES - 2;
}

/**
 * RSAES-OAEP-ENCRYPT (RFC 8017 7.1.1) with SHA-256 for hash and MGF1, and an empty label.
 * @param seed 32 random bytes, used for this message only: as an argument, so that a run stays a function of its seed
 * @throws RangeError for a message over `oaepCapacity`, or another length of the seed
 */
export function oaepEncrypt(
  provider: CryptoProvider,
  key: RsaPublicKey,
  message: Uint8Array,
  seed: Uint8Array,
): Uint8Array {
  if (seed.length !== HASH_BYTES) throw new RangeError(`an OAEP seed of ${seed.length} bytes instead of ${HASH_BYTES}`);
  if (message.length > oaepCapacity(key)) throw new RangeError(`${message.length} bytes are too many for OAEP`);
  const block = new Uint8Array(rsaBlockBytes(key));
  const data = block.subarray(1 + HASH_BYTES);
  data.set(provider.sha256(EMPTY_LABEL));
  data[data.length - message.length - 1] = 1;
  data.set(message, data.length - message.length);
  xorInto(data, mgf1(provider, seed, data.length));
  block.set(seed, 1);
  xorInto(block.subarray(1, 1 + HASH_BYTES), mgf1(provider, data, HASH_BYTES));
  return provider.rsaPublic(key, block);
}

/**
 * RSAES-OAEP-DECRYPT (RFC 8017 7.1.2), the inverse of `oaepEncrypt`: the message, or null for whatever is wrong with the
 * ciphertext.
 */
export function oaepDecrypt(provider: CryptoProvider, key: RsaPrivateKey, ciphertext: Uint8Array): Uint8Array | null {
  if (ciphertext.length !== rsaBlockBytes(key) || !isBelow(ciphertext, key.n)) return null;
  const block = provider.rsaPrivate(key, ciphertext);
  const data = block.subarray(1 + HASH_BYTES);
  const seed = block.subarray(1, 1 + HASH_BYTES);
  xorInto(seed, mgf1(provider, data, HASH_BYTES));
  xorInto(data, mgf1(provider, seed, data.length));
  let bad = block[0];
  for (const [i, byte] of provider.sha256(EMPTY_LABEL).entries()) bad |= byte ^ data[i];
  let at = HASH_BYTES;
  while (at < data.length && data[at] === 0) at++;
  return bad !== 0 || data[at] !== 1 ? null : data.slice(at + 1);
}

/** Whether a big-endian number is below another of the same length. */
function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at >= 0 && a[at] < b[at];
}

/** MGF1 with SHA-256 (RFC 8017 B.2.1). */
function mgf1(provider: CryptoProvider, seed: Uint8Array, length: number): Uint8Array {
  const input = new Uint8Array(seed.length + 4);
  input.set(seed);
  const out = new Uint8Array(length);
  for (let counter = 0; counter * HASH_BYTES < length; counter++) {
    new DataView(input.buffer).setUint32(seed.length, counter);
    const at = counter * HASH_BYTES;
    out.set(provider.sha256(input).subarray(0, length - at), at);
  }
  return out;
}

function xorInto(target: Uint8Array, mask: Uint8Array): void {
  for (const [i, byte] of mask.entries()) target[i] ^= byte;
}
