import { hex } from '../hex.ts';
import { Layout } from '../layout.ts';
import { ascii, join, SE_BYTES, SE_KEY_SLOT, SeImageError } from './format.ts';
import type { SeKeySlot } from './header.ts';
import { makeKeySlot, paddedPoint } from './key-slot.ts';
import type { SePrimitives } from './primitives.ts';
import { type SeKeyOwner, unwrapKey } from './seal.ts';

/**
 * Requests of a customer to an Ultravisor (s390-pv.md 6.12): attestation and add-secret requests have one head, the key
 * slots of an image, and a part that is encrypted under a request protection key.
 */

/** The version of both requests. */
export const SE_REQUEST_VERSION = 0x0100;

/** The head of both. */
export const SE_REQUEST_HEAD = new Layout({
  magic: 8,
  version: 'u32',
  /** Of the whole request with its tag. */
  size: 'u32',
  iv: 12,
  reserved1: 11,
  keySlots: 'u8',
  reserved2: 4,
  encryptedBytes: 'u32',
});

/** What an attestation request says in the clear behind its head; key slots follow. */
export const SE_ATTESTATION = new Layout({ flags: 'u64', algorithm: 'u32', reserved1: 4, customerKey: 160 });
/** The magic of an attestation request. */
export const SE_ATTESTATION_MAGIC = new Uint8Array(8);
/** HMAC-SHA-512: the one measurement. */
export const SE_ATTESTATION_HMAC_SHA512 = 1;
/** Flags of an attestation request, and the bytes of additional data that each asks for, in the order of the data. */
export const SE_ATTESTATION_FLAGS = {
  NONCE: { mask: 1n << 62n, bytes: 0 },
  IMAGE_HOST_KEY_HASH: { mask: 1n << 61n, bytes: 32 },
  ATTESTATION_HOST_KEY_HASH: { mask: 1n << 60n, bytes: 32 },
  SECRET_STORE_HASH: { mask: 1n << 59n, bytes: 64 },
  FIRMWARE_STATE: { mask: 1n << 58n, bytes: 320 },
} as const;
/** What is encrypted in an attestation request; the nonce only with its flag. */
export const SE_ATTESTATION_SECRETS = new Layout({ measurementKey: 64, nonce: 16 });

/** What an add-secret request says in the clear behind its head; key slots follow, then what kind of secret it is. */
export const SE_ADD_SECRET = new Layout({
  flags: 'u64',
  pageListDigest: 64,
  addressListDigest: 64,
  tweakListDigest: 64,
  headerTag: 16,
  /** Of the one configuration that may have it; zeros for any. */
  configurationId: 16,
  reserved1: 256,
  userData: 512,
  customerKey: 160,
});
/** Its magic begins so; a u16 says what its user data are. */
export const SE_ADD_SECRET_MAGIC = 'asrcbM';
/** Kinds of user data. Signed ones (2 to 4) are not made here. */
export const SE_USER_DATA = { NONE: 0, UNSIGNED: 1 } as const;
/** No dump may be taken from now on. */
export const SE_ADD_SECRET_DISABLE_DUMP = 1n << 63n;

/** What kind of secret it is. */
export const SE_SECRET_KIND = new Layout({ reserved1: 2, type: 'u16', length: 'u32', reserved2: 8 });
/** The name of a secret that can be listed: SHA-256 of what its owner calls it. */
const SECRET_ID_BYTES = 32;
/** Types of secrets (2.18) that are made here, and the bytes that each has. */
export const SE_SECRET_TYPES = { NULL: 1, ASSOCIATION: 2, PLAIN: 3, CCK_UPDATE: 0x16 } as const;
const EXTENSION_BYTES = 32;

/** To whom a request goes, and with which keys it is made. */
export interface SeRequestKeys {
  /** Public keys of the machines: X and Y on P-521, 66 bytes each. */
  readonly hostKeys: readonly Uint8Array[];
  readonly customerPrivateKey: Uint8Array;
  /** Request protection key: 32 bytes. */
  readonly requestKey: Uint8Array;
  /** 12 bytes. */
  readonly iv: Uint8Array;
}

/** An attestation request. */
export interface SeAttestationSource extends SeRequestKeys {
  /** Masks of `SE_ATTESTATION_FLAGS`. */
  readonly flags: bigint;
  /** 64 bytes. */
  readonly measurementKey: Uint8Array;
  /** 16 bytes, with the flag `NONCE`. */
  readonly nonce: Uint8Array | null;
}

/** An add-secret request. */
export interface SeAddSecretSource extends SeRequestKeys {
  readonly flags: bigint;
  /** Of the image whose guests may have the secret. */
  readonly image: {
    readonly pageListDigest: Uint8Array;
    readonly addressListDigest: Uint8Array;
    readonly tweakListDigest: Uint8Array;
    readonly tag: Uint8Array;
  };
  /** 16 bytes, or null for any configuration. */
  readonly configurationId: Uint8Array | null;
  /** Up to 512 bytes that everybody can read, or null. */
  readonly userData: Uint8Array | null;
  readonly secret: SeSecret;
  /** 32 bytes, or null for zeros. */
  readonly extensionSecret: Uint8Array | null;
}

/** A secret for a guest. Whoever has no name for it cannot list it. */
export type SeSecret =
  | { readonly type: typeof SE_SECRET_TYPES.NULL }
  | { readonly type: typeof SE_SECRET_TYPES.ASSOCIATION; readonly id: Uint8Array; readonly bytes: Uint8Array }
  | { readonly type: typeof SE_SECRET_TYPES.PLAIN; readonly id: Uint8Array; readonly bytes: Uint8Array }
  | { readonly type: typeof SE_SECRET_TYPES.CCK_UPDATE; readonly bytes: Uint8Array };

/** Makes an attestation request. @throws SeImageError */
export function makeAttestationRequest(source: SeAttestationSource, crypto: SePrimitives): Uint8Array {
  const { flags, measurementKey, nonce } = source;
  if ((nonce !== null) !== ((flags & SE_ATTESTATION_FLAGS.NONCE.mask) !== 0n)) {
    throw new SeImageError('attestation request, flags', 'a nonce and its flag go together');
  }
  const clear = SE_ATTESTATION.write({
    flags,
    algorithm: SE_ATTESTATION_HMAC_SHA512,
    customerKey: paddedPoint(crypto.p521PublicKey(source.customerPrivateKey)),
  });
  const secrets = join(measurementKey, nonce ?? new Uint8Array(0));
  return seal(source, SE_ATTESTATION_MAGIC, clear, new Uint8Array(0), secrets, crypto);
}

/** Makes an add-secret request. @throws SeImageError */
export function makeAddSecretRequest(source: SeAddSecretSource, crypto: SePrimitives): Uint8Array {
  const { flags, image, configurationId, userData, secret, extensionSecret } = source;
  const room = new Uint8Array(512);
  if (userData !== null && userData.length > room.length) {
    throw new SeImageError('add-secret request, user data', `${userData.length} bytes, more than ${room.length}`);
  }
  room.set(userData ?? []);
  const clear = SE_ADD_SECRET.write({
    flags,
    pageListDigest: image.pageListDigest,
    addressListDigest: image.addressListDigest,
    tweakListDigest: image.tweakListDigest,
    headerTag: image.tag,
    configurationId: configurationId ?? new Uint8Array(16),
    userData: room,
    customerKey: paddedPoint(crypto.p521PublicKey(source.customerPrivateKey)),
  });
  const { kind, bytes } = secretParts(secret);
  const magic = join(
    ascii(SE_ADD_SECRET_MAGIC),
    Uint8Array.of(0, userData === null ? SE_USER_DATA.NONE : SE_USER_DATA.UNSIGNED),
  );
  const secrets = join(bytes, extensionSecret ?? new Uint8Array(EXTENSION_BYTES));
  return seal(source, magic, clear, kind, secrets, crypto);
}

function secretParts(secret: SeSecret): { readonly kind: Uint8Array; readonly bytes: Uint8Array } {
  const bytes = secret.type === SE_SECRET_TYPES.NULL ? new Uint8Array(0) : secret.bytes;
  const kind = SE_SECRET_KIND.write({ type: secret.type, length: bytes.length });
  if (secret.type === SE_SECRET_TYPES.NULL) return { kind, bytes };
  const id = secret.type === SE_SECRET_TYPES.CCK_UPDATE ? new Uint8Array(SECRET_ID_BYTES) : secret.id;
  return { kind: join(kind, id), bytes };
}

/** A text as a secret that a guest can retrieve: its length, then the bytes, then zeros up to whole blocks of AES. */
export function plainSecretBytes(text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((2 + text.length) / 16) * 16);
  new DataView(bytes.buffer).setUint16(0, text.length);
  bytes.set(text, 2);
  return bytes;
}

/** The most bytes of such a text: what one RETR_SECRET returns. */
export const SE_PLAIN_SECRET_LIMIT = 8190;

function seal(
  { hostKeys, customerPrivateKey, requestKey, iv }: SeRequestKeys,
  magic: Uint8Array,
  clear: Uint8Array,
  behindSlots: Uint8Array,
  secrets: Uint8Array,
  crypto: SePrimitives,
): Uint8Array {
  if (hostKeys.length === 0 || hostKeys.length > 255) {
    throw new SeImageError('request, key slots', `${hostKeys.length} are not 1 to 255`);
  }
  const slots = hostKeys.map((hostKey, i) => {
    const slot = makeKeySlot(requestKey, customerPrivateKey, hostKey, crypto);
    if (slot === null) throw new SeImageError(`request, key slot ${i}`, 'the host key is no point of P-521');
    return slot;
  });
  const rest = join(clear, ...slots, behindSlots);
  const head = SE_REQUEST_HEAD.write({
    magic,
    version: SE_REQUEST_VERSION,
    size: SE_REQUEST_HEAD.bytes + rest.length + secrets.length + SE_BYTES.TAG,
    iv,
    keySlots: slots.length,
    encryptedBytes: secrets.length,
  });
  const aad = join(head, rest);
  const { ciphertext, tag } = crypto.aesGcmEncrypt(requestKey, iv, aad, secrets);
  return join(aad, ciphertext, tag);
}

/** A request as it was found: nothing is authenticated. */
export interface SeRequest {
  readonly kind: 'attestation' | 'add-secret';
  readonly version: number;
  readonly iv: Uint8Array;
  readonly keySlots: readonly SeKeySlot[];
  readonly customerKey: Uint8Array;
  readonly flags: bigint;
  /** For add-secret requests: the secret's type, length and, if it has one, id. */
  readonly secret: { readonly type: number; readonly length: number; readonly id: Uint8Array | null } | null;
  readonly aad: Uint8Array;
  readonly encrypted: Uint8Array;
  readonly tag: Uint8Array;
}

/**
 * Reads a request. Nothing in it is trusted, and nothing is decrypted here.
 * @throws SeImageError
 */
export function readSeRequest(bytes: Uint8Array): SeRequest {
  const fail = (field: keyof typeof SE_REQUEST_HEAD.offsets, reason: string): never => {
    throw new SeImageError(`request, ${field} at ${hex(SE_REQUEST_HEAD.offsets[field])}`, reason);
  };
  if (bytes.length < SE_REQUEST_HEAD.bytes) fail('size', `it ends after ${bytes.length} bytes`);
  const { magic, version, size, iv, keySlots, encryptedBytes } = SE_REQUEST_HEAD.read(bytes);
  const addSecret = ascii(SE_ADD_SECRET_MAGIC).every((byte, i) => magic[i] === byte);
  if (!addSecret && magic.some((byte) => byte !== 0)) fail('magic', 'it is that of no request');
  if (version !== SE_REQUEST_VERSION) fail('version', `unknown version ${hex(version)}`);
  if (size !== bytes.length) fail('size', `${size} instead of ${bytes.length}`);
  if (keySlots === 0) fail('keySlots', 'there are none');
  const layout = addSecret ? SE_ADD_SECRET : SE_ATTESTATION;
  const slotsAt = SE_REQUEST_HEAD.bytes + layout.bytes;
  const behindSlots = slotsAt + keySlots * SE_KEY_SLOT.bytes;
  const encryptedAt = size - SE_BYTES.TAG - encryptedBytes;
  if (encryptedAt < behindSlots || (!addSecret && encryptedAt !== behindSlots)) {
    fail('encryptedBytes', `${encryptedBytes} do not go with ${keySlots} key slots and ${size} bytes in all`);
  }
  const { customerKey, flags } = layout.read(bytes, SE_REQUEST_HEAD.bytes);
  return {
    kind: addSecret ? 'add-secret' : 'attestation',
    ...{ version, iv, customerKey, flags },
    keySlots: Array.from({ length: keySlots }, (_, i) => SE_KEY_SLOT.read(bytes, slotsAt + i * SE_KEY_SLOT.bytes)),
    secret: addSecret ? readSecretKind(bytes.subarray(behindSlots, encryptedAt), behindSlots) : null,
    aad: bytes.slice(0, encryptedAt),
    encrypted: bytes.slice(encryptedAt, size - SE_BYTES.TAG),
    tag: bytes.slice(size - SE_BYTES.TAG),
  };
}

function readSecretKind(bytes: Uint8Array, at: number): NonNullable<SeRequest['secret']> {
  const withId = SE_SECRET_KIND.bytes + SECRET_ID_BYTES;
  if (bytes.length !== SE_SECRET_KIND.bytes && bytes.length !== withId) {
    throw new SeImageError(`request, secret at ${hex(at)}`, `${bytes.length} bytes instead of 16 or 48`);
  }
  const { type, length } = SE_SECRET_KIND.read(bytes);
  return { type, length, id: bytes.length === withId ? bytes.slice(SE_SECRET_KIND.bytes) : null };
}

/**
 * Opens a request as the machine that it is for.
 * @returns what was encrypted, or why it does not open
 */
export function openSeRequest(
  request: SeRequest,
  owner: SeKeyOwner,
  crypto: Pick<SePrimitives, 'aesGcmDecrypt'>,
): Uint8Array | 'host-key' | 'customer-key' | 'tag' {
  const key = unwrapKey(request, owner, crypto);
  if (typeof key === 'string') return key;
  return crypto.aesGcmDecrypt(key, request.iv, request.aad, request.encrypted, request.tag) ?? 'tag';
}
