import { FdtError } from './fdt.ts';

/** Strings that the format gives its parts (power-pef.md 7.2). */
export const ESM = {
  COMPATIBLE: 'ibm,esm',
  FILES_COMPATIBLE: 'ibm,esm-file',
  ORIGIN: 'origin-lockbox',
  FINGERPRINT_ALGORITHM: 'SHA256',
  SEAL_ALGORITHM: 'AES256-GCM',
  DIGEST_ALGORITHM: 'SHA512',
} as const;

/** Lengths in bytes that the format fixes. */
export const ESM_BYTES = { FINGERPRINT: 32, MAC: 16, DIGEST: 64 } as const;

/** The largest blob that is read. */
export const ESM_BLOB_LIMIT = 4 << 20;
/** The largest file of a blob (power-pef.md 3.17). */
export const ESM_FILE_LIMIT = 0x10000;
/** The most lockboxes that a blob may have: an Ultravisor may have to try each of them. */
export const ESM_LOCKBOX_LIMIT = 256;

/** One way to the key of a blob. */
export interface EsmLockbox {
  /** `origin-lockbox`, or `lockbox-N` with N from 1. */
  readonly name: string;
  /** What somebody wrote there in the clear; nobody vouches for it. */
  readonly comment: string;
  /** SHA-256 of the PEM file of the public key. */
  readonly fingerprint: Uint8Array;
  /** The blob's key, encrypted for the holder of the private key. */
  readonly encryptedKey: Uint8Array;
}

/** A part of a blob that is encrypted under its key, with AES-256-GCM. */
export interface EsmSealed {
  readonly comment: string;
  readonly ciphertext: Uint8Array;
  readonly iv: Uint8Array;
  readonly mac: Uint8Array;
}

/** What an image must be: SHA-512 digests of 64 bytes. */
export interface EsmDigests {
  readonly rtas: Uint8Array;
  readonly kernel: Uint8Array;
  /** Bytes of the kernel that `kernel` is of, from where it is entered. */
  readonly kernelSize: number;
  readonly initrd: Uint8Array;
  readonly bootargs: Uint8Array;
}

/** An ESM blob: the proof of what is in a secure VM, for the machines that may run it (power-pef.md 7.2). */
export interface EsmBlob {
  readonly origin: EsmLockbox;
  /** In ascending order of their numbers. */
  readonly lockboxes: readonly EsmLockbox[];
  readonly digests: EsmSealed;
  /** By name. */
  readonly files: ReadonlyMap<string, EsmSealed>;
}

/** A blob that cannot be read, written or used: where in it, and why. */
export class EsmBlobError extends Error {
  override readonly name = 'EsmBlobError';
  /** The path of the node or property, e.g. `/lockboxes/lockbox-1 encrypted-symkey`. */
  readonly place: string;
  readonly reason: string;

  constructor(place: string, reason: string) {
    super(`ESM blob: ${place}: ${reason}`);
    this.place = place;
    this.reason = reason;
  }
}

/** Whether a file of a blob may have this name (power-pef.md 7.2). */
export function isEsmFileName(name: string): boolean {
  return /^[A-Za-z][0-9A-Za-z,._+-]{0,30}$/.test(name);
}

/** Runs a reader of a device tree; what it throws about the tree becomes an error about the blob. */
export function inTree<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FdtError) throw new EsmBlobError(place, error.message);
    throw error;
  }
}
