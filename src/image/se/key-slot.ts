import { join, SE_KEY_SLOT } from './format.ts';
import type { SePrimitives } from './primitives.ts';

/** Bytes of a coordinate on P-521, and of one as the format has it: padded with zeros on the left (6.5). */
const COORDINATE_BYTES = 66;
const PADDED_BYTES = 80;
/** X9.63 with SHA-256, the first block: the counter behind the shared secret (6.7). */
const FIRST_BLOCK = Uint8Array.of(0, 0, 0, 1);
const ZERO_IV = new Uint8Array(12);
const NO_AAD = new Uint8Array(0);

/** A point of P-521 (X and Y, 66 bytes each) as the format writes it: 80 bytes each. */
export function paddedPoint(point: Uint8Array): Uint8Array {
  const padding = new Uint8Array(PADDED_BYTES - COORDINATE_BYTES);
  return join(padding, point.subarray(0, COORDINATE_BYTES), padding, point.subarray(COORDINATE_BYTES));
}

/** The inverse of `paddedPoint`; null if the padding is not zero. Whether it is a point is for whoever uses it. */
export function unpaddedPoint(padded: Uint8Array): Uint8Array | null {
  const skip = PADDED_BYTES - COORDINATE_BYTES;
  const [x, y] = [padded.subarray(0, PADDED_BYTES), padded.subarray(PADDED_BYTES)];
  if ([x, y].some((coordinate) => coordinate.subarray(0, skip).some((byte) => byte !== 0))) return null;
  return join(x.subarray(skip), y.subarray(skip));
}

/** What names a host key in slots and queries: SHA-256 over its padded coordinates (6.10). */
export function hostKeyHash(hostKey: Uint8Array, crypto: Pick<SePrimitives, 'sha256'>): Uint8Array {
  return crypto.sha256(paddedPoint(hostKey));
}

/** The key that customer and host share (6.7); null if the public key is no point of the curve. */
export function seWrappingKey(
  privateKey: Uint8Array,
  publicKey: Uint8Array,
  crypto: Pick<SePrimitives, 'sha256' | 'ecdhP521'>,
): Uint8Array | null {
  const shared = crypto.ecdhP521(privateKey, publicKey);
  return shared === null ? null : crypto.sha256(join(shared, FIRST_BLOCK));
}

/**
 * A key slot: a key of 32 bytes, for the host that has the private half of `hostKey`. Images, attestation and add-secret
 * requests have the same slots.
 * @returns null if the host key is no point of the curve
 */
export function makeKeySlot(
  key: Uint8Array,
  customerPrivateKey: Uint8Array,
  hostKey: Uint8Array,
  crypto: SePrimitives,
): Uint8Array | null {
  const wrapping = seWrappingKey(customerPrivateKey, hostKey, crypto);
  if (wrapping === null) return null;
  const { ciphertext, tag } = crypto.aesGcmEncrypt(wrapping, ZERO_IV, NO_AAD, key);
  return SE_KEY_SLOT.write({ hostKeyHash: hostKeyHash(hostKey, crypto), wrappedKey: ciphertext, tag });
}

/** Takes the key out of a slot; null if the slot does not authenticate. */
export function openKeySlot(
  { wrappedKey, tag }: { readonly wrappedKey: Uint8Array; readonly tag: Uint8Array },
  wrappingKey: Uint8Array,
  crypto: Pick<SePrimitives, 'aesGcmDecrypt'>,
): Uint8Array | null {
  return crypto.aesGcmDecrypt(wrappingKey, ZERO_IV, NO_AAD, wrappedKey, tag);
}
