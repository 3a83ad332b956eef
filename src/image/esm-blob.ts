import { readDigestsTree, writeDigestsTree } from './esm-digests.ts';
import { type EsmBlob, EsmBlobError, type EsmDigests, type EsmLockbox, type EsmSealed } from './esm-format.ts';

/**
 * What an ESM blob needs of a crypto library. `CryptoProvider` has it all; image formats stand on nothing of ours, so
 * they get it handed in.
 */
export interface EsmCrypto {
  /** SHA-512: 64 bytes. */
  sha512(data: Uint8Array): Uint8Array;
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
}

/** Bytes of the key of a blob, which its lockboxes hold (power-pef.md 7.3). */
export const ESM_KEY_BYTES = 32;

/** Bytes of the nonces that we make; what others made may be shorter. */
const IV_BYTES = 16;
const NO_AAD = new Uint8Array(0);

/** What the lockbox of a key holder is made from. */
export interface EsmKeyHolder {
  /** One line, in the clear. */
  readonly comment: string;
  /** SHA-256 of the PEM file of the public key: 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** RSAES-OAEP with SHA-256 under the public key. */
  wrap(key: Uint8Array): Uint8Array;
}

/** A file that goes into a blob. */
export interface EsmFileSource {
  /** As `isEsmFileName` allows. */
  readonly name: string;
  readonly comment: string;
  readonly contents: Uint8Array;
}

/** What a blob is made from. */
export interface EsmBlobSource {
  /** The image's builder, who can add machines later. */
  readonly origin: EsmKeyHolder;
  /** The machines that may run the image. */
  readonly recipients: readonly EsmKeyHolder[];
  readonly digests: EsmDigests;
  readonly digestsComment: string;
  readonly files: readonly EsmFileSource[];
}

/**
 * Makes a blob with a key of its own: digests and files are encrypted under it, and it itself for the origin and every
 * recipient.
 * @param random bytes for the key and the nonces
 */
export function makeEsmBlob(source: EsmBlobSource, crypto: EsmCrypto, random: (bytes: number) => Uint8Array): EsmBlob {
  const key = random(ESM_KEY_BYTES);
  const seal = (plaintext: Uint8Array, comment: string): EsmSealed => {
    const iv = random(IV_BYTES);
    const { ciphertext, tag } = crypto.aesGcmEncrypt(key, iv, NO_AAD, plaintext);
    return { comment, ciphertext, iv, mac: tag };
  };
  const lockbox = (name: string, { comment, fingerprint, wrap }: EsmKeyHolder): EsmLockbox => ({
    name,
    comment,
    fingerprint,
    encryptedKey: wrap(key),
  });
  return {
    origin: lockbox('origin-lockbox', source.origin),
    lockboxes: source.recipients.map((recipient, i) => lockbox(`lockbox-${i + 1}`, recipient)),
    digests: seal(writeDigestsTree(source.digests), source.digestsComment),
    files: new Map(source.files.map(({ name, comment, contents }) => [name, seal(contents, comment)])),
  };
}

/** Decrypts a part of a blob; null if the key is another one or the part was changed. */
export function openEsmPart(sealed: EsmSealed, key: Uint8Array, crypto: EsmCrypto): Uint8Array | null {
  return crypto.aesGcmDecrypt(key, sealed.iv, NO_AAD, sealed.ciphertext, sealed.mac);
}

/**
 * The digests of a blob.
 * @throws EsmBlobError if they do not decrypt under the key, or are none
 */
export function openEsmDigests(blob: EsmBlob, key: Uint8Array, crypto: EsmCrypto): EsmDigests {
  const plaintext = openEsmPart(blob.digests, key, crypto);
  if (plaintext === null) {
    throw new EsmBlobError('/digest/digests-fdt', 'its tag does not verify: it was changed, or made with another key');
  }
  return readDigestsTree(plaintext);
}
