import type { RsaPrivateKey, RsaPublicKey } from './rsa.ts';

/** Ciphertext and its 16-byte authentication tag. */
export interface Sealed {
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

/** AES with one key, block by block (FIPS 197), for a key that is used many times: its schedule is made once. */
export interface BlockCipher {
  /** Each block on its own, without padding: a whole number of 16-byte blocks, possibly none; the result has the same length. */
  encrypt(blocks: Uint8Array): Uint8Array;
  /** The inverse of `encrypt`. */
  decrypt(blocks: Uint8Array): Uint8Array;
}

/** AES-XTS with one key (IEEE 1619, NIST SP 800-38E), data unit by data unit. */
export interface XtsCipher {
  /**
   * One data unit: a whole number of 16-byte blocks, at least one; the result has the same length.
   * @param tweak the 16 bytes that are enciphered with the second key, in their order
   * @throws RangeError also for a key of two equal halves, with which XTS is weak
   */
  encrypt(tweak: Uint8Array, data: Uint8Array): Uint8Array;
  /** The inverse of `encrypt`; takes equal halves too, since others may have encrypted with them. */
  decrypt(tweak: Uint8Array, data: Uint8Array): Uint8Array;
}

/** A digest of data that comes in parts. */
export interface Hasher {
  /** Goes on with the next bytes. */
  update(data: Uint8Array): void;
  /** The digest of all that came. Nothing may follow. */
  digest(): Uint8Array;
}

/**
 * The cryptographic primitives that the architectures need, synchronous because native code never waits inside a call.
 *
 * A provider is handed to whoever needs one; there is no global. No method changes its arguments, and each result is
 * memory of its own. A key, IV, tag or data of a length that a method does not take is a mistake of the caller, who
 * has to check what comes from outside: it throws `RangeError`.
 */
export interface CryptoProvider {
  /** What stands behind this provider, for reports: `node` or `noble`. */
  readonly name: string;

  /** SHA-256 (FIPS 180-4): 32 bytes. */
  sha256(data: Uint8Array): Uint8Array;

  /** SHA-512 (FIPS 180-4): 64 bytes. */
  sha512(data: Uint8Array): Uint8Array;

  /** SHA-512 of data that comes in parts. */
  sha512Hasher(): Hasher;

  /** HMAC-SHA-256 (RFC 2104): 32 bytes. The key may have any length. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;

  /** HMAC-SHA-512 (RFC 2104): 64 bytes. The key may have any length. */
  hmacSha512(key: Uint8Array, data: Uint8Array): Uint8Array;

  /**
   * AES-128 (16-byte key) or AES-256 (32-byte key) over each block on its own (FIPS 197), without padding.
   * `blocks` is a whole number of 16-byte blocks, possibly none; the result has the same length.
   */
  aesEcbEncrypt(key: Uint8Array, blocks: Uint8Array): Uint8Array;

  /** The inverse of `aesEcbEncrypt`. */
  aesEcbDecrypt(key: Uint8Array, blocks: Uint8Array): Uint8Array;

  /** AES-128 or AES-256 with a key of 16 or 32 bytes, which is copied. */
  aesCipher(key: Uint8Array): BlockCipher;

  /** AES-XTS with a key of 32 (AES-128) or 64 bytes (AES-256), its two halves one after the other, which is copied. */
  aesXts(key: Uint8Array): XtsCipher;

  /**
   * AES-GCM (NIST SP 800-38D) with a 16- or 32-byte key, an IV of 8 to 128 bytes and a 16-byte tag. An IV of 12 bytes
   * is used as it is, any other length goes through GHASH: a 16-byte IV is not its first 12 bytes and a counter
   * (power-pef.md 7.3).
   */
  aesGcmEncrypt(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Sealed;

  /** The inverse of `aesGcmEncrypt`: the plaintext, or null, and nothing of the plaintext, if the tag does not verify. */
  aesGcmDecrypt(
    key: Uint8Array,
    iv: Uint8Array,
    aad: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Uint8Array | null;

  /**
   * RSAEP (RFC 8017 5.1.1), the bare operation with the public key. `block` is as long as the modulus and below it, the
   * result too. Padding is the caller's (`oaep.ts`).
   */
  rsaPublic(key: RsaPublicKey, block: Uint8Array): Uint8Array;

  /** RSADP (RFC 8017 5.1.2), the inverse of `rsaPublic`. */
  rsaPrivate(key: RsaPrivateKey, block: Uint8Array): Uint8Array;

  /**
   * The public key of a private one on the curve P-521 (FIPS 186-4 D.1.2.5): X and Y, big-endian, 66 bytes each.
   * @param privateKey 66 bytes, big-endian
   * @throws RangeError also for a number that is not from 1 to the order of the curve, without
   */
  p521PublicKey(privateKey: Uint8Array): Uint8Array;

  /**
   * ECC CDH on P-521 (NIST SP 800-56A 5.7.1.2): the X coordinate of the shared point, 66 bytes big-endian. Null if
   * `publicKey` (132 bytes, as `p521PublicKey` gives it) is no point of the curve.
   */
  ecdhP521(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null;

  /** Whether both have the same length and bytes, in a time that depends on the length alone. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}
