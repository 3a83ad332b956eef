/** Bytes in an AES block, and in every tag that this folder makes. */
export const BLOCK_BYTES = 16;

/** Bytes of a coordinate and of a private key on P-521. */
export const P521_BYTES = 66;

/** The order of the base point of P-521, big-endian (FIPS 186-4 D.1.2.5). */
const P521_ORDER = Uint8Array.from(
  (
    '01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' +
    'fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409'
  ).match(/../g) ?? [],
  (digits) => Number.parseInt(digits, 16),
);

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

/** Throws `RangeError` unless tweak and data are what one data unit of AES-XTS has; XTS could take others, but nobody needs them. */
export function requireXtsUnit(tweak: Uint8Array, data: Uint8Array): void {
  requireLength('AES-XTS tweak', tweak, BLOCK_BYTES);
  if (data.length === 0 || data.length % BLOCK_BYTES !== 0) {
    throw new RangeError(
      `AES-XTS data has ${data.length} bytes, which is no multiple of ${BLOCK_BYTES} from ${BLOCK_BYTES} up`,
    );
  }
}

/** Throws `RangeError` if the halves of an AES-XTS key are equal (NIST SP 800-38E; FIPS 140 IG A.9). */
export function requireXtsHalves(key: Uint8Array): void {
  const half = key.length / 2;
  if (key.subarray(0, half).every((byte, i) => byte === key[half + i])) {
    throw new RangeError('the halves of an AES-XTS key are equal');
  }
}

/** Throws `RangeError` unless `privateKey` is from 1 to the order of P-521, without, and of its length. */
export function requireP521Private(privateKey: Uint8Array): void {
  requireLength('P-521 private key', privateKey, P521_BYTES);
  const at = privateKey.findIndex((byte, i) => byte !== P521_ORDER[i]);
  if (at < 0 || privateKey[at] > P521_ORDER[at] || privateKey.every((byte) => byte === 0)) {
    throw new RangeError('P-521 private key is not from 1 to the order of the curve');
  }
}

/** Throws `RangeError` unless `block` is a number below an RSA modulus, and as long as that. */
export function requireRsaBlock(n: Uint8Array, block: Uint8Array): void {
  requireLength('RSA block', block, n.length);
  const at = block.findIndex((byte, i) => byte !== n[i]);
  if (at < 0 || block[at] > n[at]) throw new RangeError('RSA block is not below the modulus');
}
