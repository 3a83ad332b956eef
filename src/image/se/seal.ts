import type { SePageLists } from './components.ts';
import {
  ascii,
  join,
  SE_BYTES,
  SE_HEAD,
  SE_HEADER_LIMIT,
  SE_HEADER_VERSION,
  SE_MAGIC,
  SeImageError,
} from './format.ts';
import { readSeSecrets, type SeHeader, type SeSecrets, seHeaderBytes, writeSeSecrets } from './header.ts';
import { makeKeySlot, openKeySlot, paddedPoint } from './key-slot.ts';
import type { SePrimitives } from './primitives.ts';

/** What a header is made from. */
export interface SeHeaderSource extends SePageLists {
  readonly plaintextFlags: bigint;
  readonly secrets: SeSecrets;
  /** Public keys of the machines that may run the image: X and Y, 66 bytes each. */
  readonly hostKeys: readonly Uint8Array[];
  /** P-521, 66 bytes. Each image has one of its own. */
  readonly customerPrivateKey: Uint8Array;
  /** Header protection key: 32 bytes. */
  readonly headerKey: Uint8Array;
  /** 12 bytes, never twice with one key. */
  readonly iv: Uint8Array;
}

/**
 * Makes a header of version 1 (s390-pv.md 6.5, 6.7).
 * @throws SeImageError if a host key is no point of P-521, or there are none or too many
 */
export function sealSeHeader(source: SeHeaderSource, crypto: SePrimitives): Uint8Array {
  const { secrets, hostKeys, customerPrivateKey, headerKey, iv } = source;
  const size = seHeaderBytes(hostKeys.length, secrets.optionalBytes.length);
  if (hostKeys.length === 0) throw new SeImageError('header, key slots', 'there are none');
  if (size > SE_HEADER_LIMIT) {
    throw new SeImageError(
      'header, key slots',
      `${hostKeys.length} make it ${size} bytes, more than ${SE_HEADER_LIMIT}`,
    );
  }
  const plaintext = writeSeSecrets(secrets);
  const head = SE_HEAD.write({
    magic: ascii(SE_MAGIC.HEADER),
    version: SE_HEADER_VERSION,
    size,
    iv,
    keySlots: BigInt(hostKeys.length),
    encryptedBytes: BigInt(plaintext.length),
    pages: source.pages,
    plaintextFlags: source.plaintextFlags,
    customerKey: paddedPoint(crypto.p521PublicKey(customerPrivateKey)),
    pageListDigest: source.pageListDigest,
    addressListDigest: source.addressListDigest,
    tweakListDigest: source.tweakListDigest,
  });
  const slots = hostKeys.map((hostKey, i) => {
    const slot = makeKeySlot(headerKey, customerPrivateKey, hostKey, crypto);
    if (slot === null) throw new SeImageError(`header, key slot ${i}`, 'the host key is no point of P-521');
    return slot;
  });
  const aad = join(head, ...slots);
  const { ciphertext, tag } = crypto.aesGcmEncrypt(headerKey, iv, aad, plaintext);
  return join(aad, ciphertext, tag);
}

/** Why a header does not open: the kinds that an Ultravisor has reason codes for (s390-pv.md 2.11). */
export type SeOpenFault = 'host-key' | 'customer-key' | 'tag' | 'encrypted-area';

/**
 * Opens a header with its protection key.
 * @returns what is in it, or `tag` if key or header are not what they were, or `encrypted-area` if what is in it is none
 */
export function openSeHeader(
  { aad, iv, encrypted, tag }: SeHeader,
  headerKey: Uint8Array,
  crypto: Pick<SePrimitives, 'aesGcmDecrypt'>,
): SeSecrets | 'tag' | 'encrypted-area' {
  const plaintext = crypto.aesGcmDecrypt(headerKey, iv, aad, encrypted, tag);
  return plaintext === null ? 'tag' : (readSeSecrets(plaintext) ?? 'encrypted-area');
}

/** A machine that images are for: the name of its key, and the key that it shares with a customer. `SeHost` is one. */
export interface SeKeyOwner {
  readonly hostKeyHash: Uint8Array;
  /** Null if `publicKey` (160 bytes) is no point of P-521. */
  wrappingKey(publicKey: Uint8Array): Uint8Array | null;
}

/** Finds the slot that is for a machine, and takes the key out of it. @returns 32 bytes, or why not */
export function unwrapKey(
  { keySlots, customerKey }: Pick<SeHeader, 'keySlots' | 'customerKey'>,
  owner: SeKeyOwner,
  crypto: Pick<SePrimitives, 'aesGcmDecrypt'>,
): Uint8Array | 'host-key' | 'customer-key' | 'tag' {
  const slot = keySlots.find(({ hostKeyHash }) => owner.hostKeyHash.every((byte, i) => hostKeyHash[i] === byte));
  if (slot === undefined) return 'host-key';
  const wrapping = owner.wrappingKey(customerKey);
  return wrapping === null ? 'customer-key' : (openKeySlot(slot, wrapping, crypto) ?? 'tag');
}

/** Words for what is wrong. */
export const SE_OPEN_FAULT: Readonly<Record<SeOpenFault, string>> = {
  'host-key': 'no key slot is for this host key',
  'customer-key': 'the customer key is no point of P-521',
  tag: 'the tag does not verify: it was changed, or made with another key',
  'encrypted-area': 'the encrypted area is not of a size that its optional items explain',
};

/** Whether a length is that of a header protection key. */
export function isHeaderKey(key: Uint8Array): boolean {
  return key.length === SE_BYTES.HEADER_KEY;
}
