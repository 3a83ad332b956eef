import { headerFault, readSeHeader, type SeHeader, type SeHeaderFault, type SeSecrets } from './header.ts';
import { hostKeyHash, seWrappingKey, unpaddedPoint } from './key-slot.ts';
import type { SeHasher, SePrimitives } from './primitives.ts';
import { openSeHeader, type SeOpenFault, unwrapKey } from './seal.ts';

/**
 * A machine with its private host key: what its Ultravisor does with headers, pages and requests (s390-pv.md 6.5 to
 * 6.12). It keeps the key and tells it nobody.
 */
export class SeHost {
  /** SHA-256 over the padded coordinates of the public key: what key slots and QUERY_KEYS name it by. */
  readonly hostKeyHash: Uint8Array;
  readonly #crypto: SePrimitives;
  readonly #privateKey: Uint8Array;

  /** @param privateKey P-521, 66 bytes. Throws `RangeError` if it is none. */
  constructor(crypto: SePrimitives, privateKey: Uint8Array) {
    this.hostKeyHash = hostKeyHash(crypto.p521PublicKey(privateKey), crypto);
    this.#crypto = crypto;
    this.#privateKey = privateKey.slice();
  }

  /** The plain fields of a header, or what is wrong with its form. Nothing is authenticated. */
  parseHeader(header: Uint8Array): SeHeader | SeHeaderFault {
    return headerFault(header)?.fault ?? readSeHeader(header);
  }

  /** What is in a header that `parseHeader` has accepted, or why it does not open. */
  openHeader(header: Uint8Array): SeSecrets | SeOpenFault {
    const found = readSeHeader(header);
    const key = unwrapKey(found, this, this.#crypto);
    return typeof key === 'string' ? key : openSeHeader(found, key, this.#crypto);
  }

  /** SHA-512 of data that comes in parts. */
  sha512(): SeHasher {
    return this.#crypto.sha512Hasher();
  }

  /** HMAC-SHA-512. */
  hmacSha512(key: Uint8Array, data: Uint8Array): Uint8Array {
    return this.#crypto.hmacSha512(key, data);
  }

  /** AES-256-XTS of one data unit with a key of 64 bytes and a tweak of 16. Throws `RangeError` for a key of equal halves. */
  xtsEncrypt(key: Uint8Array, tweak: Uint8Array, unit: Uint8Array): Uint8Array {
    return this.#crypto.aesXts(key).encrypt(tweak, unit);
  }

  /** The inverse of `xtsEncrypt`, which takes equal halves too. */
  xtsDecrypt(key: Uint8Array, tweak: Uint8Array, unit: Uint8Array): Uint8Array {
    return this.#crypto.aesXts(key).decrypt(tweak, unit);
  }

  /**
   * The key that this host shares with a customer.
   * @param publicKey 160 bytes: coordinates padded to 80 bytes each
   * @returns 32 bytes, or null if that is no point of P-521
   */
  wrappingKey(publicKey: Uint8Array): Uint8Array | null {
    const point = unpaddedPoint(publicKey);
    return point === null ? null : seWrappingKey(this.#privateKey, point, this.#crypto);
  }
}
