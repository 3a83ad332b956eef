import { Layout } from '../layout.ts';

/**
 * The Secure Execution image of IBM Z, as data: what s390-tools' `pvimg` writes and an Ultravisor reads (s390-pv.md 6).
 * Everything is big-endian; the image is loaded at absolute 0, so that offsets in the file are addresses.
 */

/** Bytes of a page: the unit of components, digests and encryption. */
export const SE_PAGE_BYTES = 4096;

/** What begins a structure, as text. */
export const SE_MAGIC = { HEADER: 'IBMSecEx', METADATA: 'SeImgLnx' } as const;

/** The one version of the header that is known (6.5). */
export const SE_HEADER_VERSION = 0x0100;
/** The largest header. */
export const SE_HEADER_LIMIT = 2 * SE_PAGE_BYTES;

/** The beginning of the header, in the clear (6.5). Key slots follow, then the encrypted area, then the tag. */
export const SE_HEAD = new Layout({
  magic: 8,
  version: 'u32',
  /** Of the whole header with its tag. */
  size: 'u32',
  iv: 12,
  reserved1: 4,
  keySlots: 'u64',
  encryptedBytes: 'u64',
  /** Of all components. */
  pages: 'u64',
  plaintextFlags: 'u64',
  customerKey: 160,
  pageListDigest: 64,
  addressListDigest: 64,
  tweakListDigest: 64,
});

/** One way to the header protection key (6.7). */
export const SE_KEY_SLOT = new Layout({ hostKeyHash: 32, wrappedKey: 32, tag: 16 });

/** What is encrypted under the header protection key (6.5). Optional items may follow. */
export const SE_SECRETS = new Layout({
  communicationKey: 32,
  componentKey: 64,
  pswMask: 'u64',
  pswAddress: 'u64',
  secretFlags: 'u64',
  optionalItems: 'u32',
  reserved1: 4,
});

/** Bytes that the format fixes. */
export const SE_BYTES = {
  /** A GCM tag. */
  TAG: 16,
  HEADER_KEY: 32,
  /** The fewest of an optional item: its type and 32 bytes that every one has. */
  LEAST_OPTIONAL_ITEM: 36,
} as const;

/** PCF: plaintext control flags (6.6). */
export const SE_PCF = {
  ALLOW_DUMPING: 1n << 29n,
  NO_COMPONENT_ENCRYPTION: 1n << 28n,
  PCKMO_DEA_TDEA: 1n << 7n,
  PCKMO_AES: 1n << 6n,
  PCKMO_ECC: 1n << 5n,
  PCKMO_HMAC: 1n << 4n,
  BACKUP_TARGET_KEYS: 1n << 1n,
} as const;
/** What `pvimg` sets unless asked otherwise. */
export const SE_PCF_DEFAULT = SE_PCF.PCKMO_DEA_TDEA | SE_PCF.PCKMO_AES | SE_PCF.PCKMO_ECC;

/** SCF: secret control flags (6.6). */
export const SE_SCF = { CCK_EXTENSION_SECRET_ENFORCED: 1n << 62n, CCK_UPDATE_ALLOWED: 1n << 61n } as const;

/** Says where header and IPIB are (6.2). */
export const SE_METADATA = new Layout({ magic: 8, headerOffset: 'u64', version: 'u32', ipibOffset: 'u64' });
export const SE_METADATA_VERSION = 1;

/** Places in an image (6.1). */
export const SE_PLACE = {
  SHORT_PSW: 0,
  METADATA: 0xc000,
  /** stage3a: its first bytes lead to `STAGE3A_ENTRY`. */
  STAGE3A: 0x10000,
  STAGE3A_ENTRY: 0x11000,
  STAGE3A_END: 0x13000,
  /** The lowest that the header is put. */
  HEADER: 0x14000,
  /** Where a kernel begins in its own file and in memory. */
  KERNEL: 0x10000,
} as const;

/** A short PSW has bit 12 on, and its mask and address share a doubleword: both addressing modes, and stage3a's entry. */
export const SE_SHORT_PSW = 0x0008_0001_8000_0000n | BigInt(SE_PLACE.STAGE3A_ENTRY);
/** EA and BA: 64-bit addressing, everything else off. */
export const SE_PSW_MASK = 0x0000_0001_8000_0000n;

/** The end of stage3a: where the header and the IPIB are, counted from here (6.3). */
export const SE_STAGE3A_ARGUMENTS = new Layout({ headerOffset: 'u64', headerBytes: 'u64', ipibOffset: 'u64' });

/** The end of stage3b: what it moves, and where it goes then (6.3). */
export const SE_STAGE3B_ARGUMENTS = new Layout({
  kernelAddress: 'u64',
  kernelBytes: 'u64',
  cmdlineAddress: 'u64',
  cmdlineBytes: 'u64',
  ramdiskAddress: 'u64',
  ramdiskBytes: 'u64',
  pswMask: 'u64',
  pswAddress: 'u64',
});

/** The IPL parameter block of DIAG 308 subcode 8 (6.4). Its components follow. */
export const SE_IPIB = new Layout({
  length: 'u32',
  flags: 'u8',
  reserved1: 2,
  version: 'u8',
  blockLength: 'u32',
  blockType: 'u8',
  reserved2: 3,
  loadparm: 8,
  reserved3: 87,
  blockVersion: 'u8',
  reserved4: 4,
  components: 'u32',
  headerAddress: 'u64',
  headerBytes: 'u64',
});
/** What the IPIB says of a component. */
export const SE_IPIB_COMPONENT = new Layout({ tweakPrefix: 'u64', address: 'u64', length: 'u64' });
/** Numbers of the IPIB. */
export const SE_IPIB_IS = { VERSION: 1, BLOCK_TYPE_PV: 5, BLOCK_VERSION: 1, LIMIT: SE_PAGE_BYTES } as const;

/** Components in the order of an image, with the first 16 bits of their tweaks: these make tweaks ascend (6.8). */
export const SE_KINDS = { kernel: 40, ramdisk: 50, cmdline: 60, stage3b: 70 } as const;
/** The same as genprotimg of s390-tools up to 2.35 numbers them. */
export const SE_KINDS_BEFORE_PVIMG = { kernel: 0, cmdline: 1, ramdisk: 2, stage3b: 3 } as const;
/** What a component is. */
export type SeKind = keyof typeof SE_KINDS;

/** An image, or a part of one, that cannot be read, made or opened: where in it, and why. */
export class SeImageError extends Error {
  override readonly name = 'SeImageError';
  /** A field or a part, e.g. `header, size at 0x1400c`. */
  readonly place: string;
  readonly reason: string;

  constructor(place: string, reason: string) {
    super(`Secure Execution image: ${place}: ${reason}`);
    this.place = place;
    this.reason = reason;
  }
}

/** The bytes of a text of ASCII characters. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** Whether `bytes` have this text at an offset. */
export function hasText(bytes: Uint8Array, offset: number, text: string): boolean {
  return ascii(text).every((byte, i) => bytes[offset + i] === byte);
}

/** The next multiple of a page. */
export function pageUp(bytes: number): number {
  return Math.ceil(bytes / SE_PAGE_BYTES) * SE_PAGE_BYTES;
}

/** One after the other. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
