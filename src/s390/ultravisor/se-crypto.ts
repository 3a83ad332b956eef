/**
 * What the Ultravisor needs of the Secure Execution image format and of the ciphers that go with it (s390-pv.md 6.5 to 6.8). It is handed in: the machine puts
 * it together from `crypto/` and `image/` with the host's private key in it.
 */

/** SHA-512 over data that comes in pieces. */
export interface RunningDigest {
  update(data: Uint8Array): void;
  /** 64 bytes. Nothing may be added afterwards. */
  digest(): Uint8Array;
}

/**
 * Why a header is not accepted, in the order in which it is looked for: the first four by `parseHeader`, the others by `openHeader`. What its control
 * flags ask for is judged by the Ultravisor: the plaintext ones between the two, the secret ones at the end.
 */
export type SeHeaderRefusal =
  /** No "IBMSecEx", or another version than 0x100. */
  | 'version'
  /** The size field is not the number of bytes that there are, or not what key slots and encrypted area add up to. */
  | 'length'
  /** The encrypted area is smaller than its fixed fields, or not of a size that its optional items explain. */
  | 'encrypted-area'
  | 'no-key-slots'
  /** No slot is for this host's key. */
  | 'host-key'
  /** The customer's public key is no point of P-521. */
  | 'customer-key'
  /** The slot or the header does not authenticate. */
  | 'tag';

/** What a header says in the clear (6.5). */
export interface SeHeaderPlain {
  /** Number of pages of all components. */
  readonly pages: bigint;
  /** PCF. */
  readonly plaintextFlags: bigint;
  /** SHA-512 over pages as stored, over their addresses (u64 each) and over their tweaks (16 bytes each). */
  readonly pageListDigest: Uint8Array;
  readonly addressListDigest: Uint8Array;
  readonly tweakListDigest: Uint8Array;
  /** The GCM tag: 16 bytes. */
  readonly tag: Uint8Array;
}

/** What only the host's key opens (6.5). */
export interface SeHeaderSecrets {
  /** CCK: 32 bytes. */
  readonly communicationKey: Uint8Array;
  /** AES-256-XTS: 64 bytes, first the key of the data, then that of the tweak. */
  readonly componentKey: Uint8Array;
  /** The PSW that the guest starts with. */
  readonly pswMask: bigint;
  readonly pswAddress: bigint;
  /** SCF. */
  readonly secretFlags: bigint;
}

export interface SeCrypto {
  /** SHA-256 of the host's public key as key slots name it, 160 bytes of coordinates (6.7). */
  readonly hostKeyHash: Uint8Array;

  /** The plain fields, when version, sizes and number of slots are right. Nothing is authenticated yet. */
  parseHeader(header: Uint8Array): SeHeaderPlain | SeHeaderRefusal;

  /** Finds this host's slot, unwraps and decrypts. For bytes that `parseHeader` has accepted. */
  openHeader(header: Uint8Array): SeHeaderSecrets | SeHeaderRefusal;

  sha512(): RunningDigest;

  /** HMAC-SHA-512 (RFC 2104). */
  hmacSha512(key: Uint8Array, data: Uint8Array): Uint8Array;

  /**
   * AES-256-XTS (IEEE 1619) of one data unit.
   * @param key 64 bytes, as `SeHeaderSecrets.componentKey`
   * @param tweak 16 bytes, as they go into the cipher
   * @param unit a positive multiple of 16 bytes
   */
  xtsEncrypt(key: Uint8Array, tweak: Uint8Array, unit: Uint8Array): Uint8Array;
  /** The inverse of `xtsEncrypt`. */
  xtsDecrypt(key: Uint8Array, tweak: Uint8Array, unit: Uint8Array): Uint8Array;

  /**
   * The key that wraps what a customer sends to this host: SHA-256 over the x coordinate of the ECDH secret (66 bytes) and a u32 of 1 (6.7). For
   * attestation and secret requests; `openHeader` does the same.
   * @param publicKey 160 bytes of coordinates
   * @returns 32 bytes, or null if that is no point of P-521
   */
  wrappingKey(publicKey: Uint8Array): Uint8Array | null;
}
