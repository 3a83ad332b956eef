/**
 * What Secure Execution images and requests need of a crypto library. `CryptoProvider` has it all; image formats stand on
 * nothing of ours, so they get it handed in.
 */
export interface SePrimitives {
  /** SHA-256: 32 bytes. */
  sha256(data: Uint8Array): Uint8Array;
  /** SHA-512 of data that comes in parts: 64 bytes. */
  sha512Hasher(): SeHasher;
  /** HMAC-SHA-512: 64 bytes. */
  hmacSha512(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** AES-256-GCM with a 16-byte tag. */
  aesGcmEncrypt(
    key: Uint8Array,
    iv: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
  ): { readonly ciphertext: Uint8Array; readonly tag: Uint8Array };
  /** Null if the tag does not verify. */
  aesGcmDecrypt(
    key: Uint8Array,
    iv: Uint8Array,
    aad: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Uint8Array | null;
  /** AES-256-XTS with a key of 64 bytes, data unit by data unit. */
  aesXts(key: Uint8Array): SeXtsCipher;
  /** X and Y, 66 bytes each, of the private key's point on P-521. */
  p521PublicKey(privateKey: Uint8Array): Uint8Array;
  /** The X coordinate of the shared point: 66 bytes; null if the public key (132 bytes) is no point of the curve. */
  ecdhP521(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null;
}

/** A digest of data that comes in parts. */
export interface SeHasher {
  update(data: Uint8Array): void;
  /** Nothing may follow. */
  digest(): Uint8Array;
}

/** A cipher of pages with their tweaks of 16 bytes. */
export interface SeXtsCipher {
  encrypt(tweak: Uint8Array, data: Uint8Array): Uint8Array;
  decrypt(tweak: Uint8Array, data: Uint8Array): Uint8Array;
}

/** Bytes of a random source. */
export type SeRandom = (bytes: number) => Uint8Array;
