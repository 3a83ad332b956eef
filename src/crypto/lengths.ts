/** Bytes in an AES block, and in every tag that this folder makes. */
export const BLOCK_BYTES = 16;

/**
 * Throws `RangeError` unless `bytes` has one of the allowed lengths.
 * A cipher library left to itself may take a short tag or key and be weaker for it.
 */
export function requireLength(what: string, bytes: Uint8Array, ...allowed: readonly number[]): void {
  if (!allowed.includes(bytes.length)) {
    throw new RangeError(`${what} has ${bytes.length} bytes instead of ${allowed.join(' or ')}`);
  }
}

/** Throws `RangeError` unless `key` is an AES-128 or AES-256 key and `blocks` a whole number of blocks. */
export function requireEcb(key: Uint8Array, blocks: Uint8Array): void {
  requireLength('AES key', key, 16, 32);
  if (blocks.length % BLOCK_BYTES !== 0) {
    throw new RangeError(`AES-ECB data has ${blocks.length} bytes, which is no multiple of ${BLOCK_BYTES}`);
  }
}

/**
 * Throws `RangeError` unless key and IV have lengths that every provider takes.
 * @noble/ciphers refuses an IV below 8 bytes, OpenSSL one above 128.
 */
export function requireGcm(key: Uint8Array, iv: Uint8Array): void {
  requireLength('AES key', key, 16, 32);
  if (iv.length < 8 || iv.length > 128) throw new RangeError(`AES-GCM IV has ${iv.length} bytes instead of 8 to 128`);
}

/** Throws `RangeError` unless `block` is a number below an RSA modulus, and as long as that. */
export function requireRsaBlock(n: Uint8Array, block: Uint8Array): void {
  requireLength('RSA block', block, n.length);
  const at = block.findIndex((byte, i) => byte !== n[i]);
  if (at < 0 || block[at] > n[at]) throw new RangeError('RSA block is not below the modulus');
}
