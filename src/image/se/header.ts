import { hex } from '../hex.ts';
import {
  hasText,
  join,
  SE_BYTES,
  SE_HEAD,
  SE_HEADER_LIMIT,
  SE_HEADER_VERSION,
  SE_KEY_SLOT,
  SE_MAGIC,
  SE_SECRETS,
  SeImageError,
} from './format.ts';

/** A key slot of a header. */
export interface SeKeySlot {
  readonly hostKeyHash: Uint8Array;
  readonly wrappedKey: Uint8Array;
  readonly tag: Uint8Array;
}

/** A header as it lies in an image: nothing of it is authenticated yet. */
export interface SeHeader {
  readonly iv: Uint8Array;
  readonly pages: bigint;
  readonly plaintextFlags: bigint;
  /** 160 bytes: X and Y, padded to 80 each. */
  readonly customerKey: Uint8Array;
  readonly pageListDigest: Uint8Array;
  readonly addressListDigest: Uint8Array;
  readonly tweakListDigest: Uint8Array;
  readonly keySlots: readonly SeKeySlot[];
  /** What the tag vouches for in the clear: everything before the encrypted area. */
  readonly aad: Uint8Array;
  readonly encrypted: Uint8Array;
  readonly tag: Uint8Array;
}

/** What a header keeps for the Ultravisor. */
export interface SeSecrets {
  /** CCK: 32 bytes. */
  readonly communicationKey: Uint8Array;
  /** AES-256-XTS: 64 bytes. */
  readonly componentKey: Uint8Array;
  readonly pswMask: bigint;
  readonly pswAddress: bigint;
  readonly secretFlags: bigint;
  /** How many optional items there are, and their bytes. s390-tools define and write none. */
  readonly optionalItems: number;
  readonly optionalBytes: Uint8Array;
}

/** What is wrong with the form of a header: the kinds that an Ultravisor has reason codes for (s390-pv.md 2.11). */
export type SeHeaderFault = 'version' | 'length' | 'encrypted-area' | 'no-key-slots';

/** Says which check of a header's form failed, where and why; null if none did. */
export function headerFault(
  header: Uint8Array,
): { readonly fault: SeHeaderFault; readonly field: keyof typeof SE_HEAD.offsets; readonly reason: string } | null {
  if (!hasText(header, 0, SE_MAGIC.HEADER))
    return { fault: 'version', field: 'magic', reason: `no "${SE_MAGIC.HEADER}"` };
  if (header.length < SE_HEAD.bytes) {
    return { fault: 'length', field: 'size', reason: `it ends after ${header.length} bytes` };
  }
  const { version, size, keySlots, encryptedBytes } = SE_HEAD.read(header);
  if (version !== SE_HEADER_VERSION) {
    return { fault: 'version', field: 'version', reason: `unknown version ${hex(version)}` };
  }
  if (size !== header.length) return { fault: 'length', field: 'size', reason: `${size} instead of ${header.length}` };
  if (size > SE_HEADER_LIMIT)
    return { fault: 'length', field: 'size', reason: `${size}, more than ${SE_HEADER_LIMIT}` };
  if (encryptedBytes < BigInt(SE_SECRETS.bytes) || encryptedBytes % 16n !== 0n) {
    return {
      fault: 'encrypted-area',
      field: 'encryptedBytes',
      reason: `${encryptedBytes} is not ${SE_SECRETS.bytes} and a multiple of 16 more`,
    };
  }
  if (keySlots === 0n) return { fault: 'no-key-slots', field: 'keySlots', reason: 'there are none' };
  const sum = BigInt(SE_HEAD.bytes + SE_BYTES.TAG) + keySlots * BigInt(SE_KEY_SLOT.bytes) + encryptedBytes;
  if (sum !== BigInt(size)) {
    return { fault: 'length', field: 'size', reason: `${size}, but ${keySlots} key slots and the rest make ${sum}` };
  }
  return null;
}

/**
 * Reads a header of version 1 (s390-pv.md 6.5). Nothing in it is trusted, and nothing is decrypted here.
 * @param header exactly the header
 * @param at where it is, for messages
 * @throws SeImageError
 */
export function readSeHeader(header: Uint8Array, at = 0): SeHeader {
  const wrong = headerFault(header);
  if (wrong !== null) throw headerError(wrong.field, at, wrong.reason);
  const { iv, pages, plaintextFlags, customerKey, pageListDigest, addressListDigest, tweakListDigest, ...counts } =
    SE_HEAD.read(header);
  const slots = Array.from({ length: Number(counts.keySlots) }, (_, i) =>
    SE_KEY_SLOT.read(header, SE_HEAD.bytes + i * SE_KEY_SLOT.bytes),
  );
  const aadBytes = SE_HEAD.bytes + slots.length * SE_KEY_SLOT.bytes;
  return {
    ...{ iv, pages, plaintextFlags, customerKey, pageListDigest, addressListDigest, tweakListDigest },
    keySlots: slots,
    aad: header.slice(0, aadBytes),
    encrypted: header.slice(aadBytes, header.length - SE_BYTES.TAG),
    tag: header.slice(header.length - SE_BYTES.TAG),
  };
}

/** Bytes of a header with this many key slots and bytes of optional items. */
export function seHeaderBytes(keySlots: number, optionalBytes = 0): number {
  return SE_HEAD.bytes + keySlots * SE_KEY_SLOT.bytes + SE_SECRETS.bytes + optionalBytes + SE_BYTES.TAG;
}

/** An error in a field of a header that is at `at`. */
export function headerError(field: keyof typeof SE_HEAD.offsets, at: number, reason: string): SeImageError {
  return new SeImageError(`header, ${field} at ${hex(at + SE_HEAD.offsets[field])}`, reason);
}

/** Reads what was decrypted; null if the number of optional items does not go with their bytes. */
export function readSeSecrets(plaintext: Uint8Array): SeSecrets | null {
  const { optionalItems, ...secrets } = SE_SECRETS.read(plaintext);
  const optionalBytes = plaintext.slice(SE_SECRETS.bytes);
  const least = optionalItems * SE_BYTES.LEAST_OPTIONAL_ITEM;
  if (least > optionalBytes.length || (optionalItems === 0 && optionalBytes.length > 0)) return null;
  return { ...secrets, optionalItems, optionalBytes };
}

/** The bytes of what is to be encrypted. */
export function writeSeSecrets({ optionalBytes, ...secrets }: SeSecrets): Uint8Array {
  return join(SE_SECRETS.write(secrets), optionalBytes);
}
