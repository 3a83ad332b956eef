import { oaepDecrypt } from '../../crypto/oaep.ts';
import { findEsmArchive } from '../../image/esm-archive.ts';
import { ESM_KEY_BYTES, openEsmDigests } from '../../image/esm-blob.ts';
import { readEsmBlob } from '../../image/esm-blob-reader.ts';
import { type EsmBlob, EsmBlobError } from '../../image/esm-format.ts';
import type { EsmMeasured } from '../../image/esm-image.ts';
import type { UvContext } from './context.ts';
import type { EsmProof } from './svm.ts';

/**
 * Finds the blob and opens it (7.1, 7.4).
 * @param placed what lies where the boot wrapper says that the blob is; null if it says nothing, then the blob has to be
 *   in an archive before the initrd
 * @param initrd all that the device tree calls the initrd
 * @throws EsmBlobError for whatever is wrong with it
 */
export function openProof(uv: UvContext, placed: Uint8Array | null, initrd: Uint8Array): EsmProof {
  const archive = placed === null ? findEsmArchive(initrd) : null;
  const bytes = placed ?? archive?.blob;
  if (bytes === undefined) {
    throw new EsmBlobError(
      'nowhere',
      'no linux,esm-blob-start in /chosen, and no archive with opt/ibm/pef before the initrd',
    );
  }
  const blob = readEsmBlob(bytes);
  const key = unwrapKey(uv, blob);
  const digests = openEsmDigests(blob, key, uv.crypto);
  return { digests, key, files: blob.files, archiveLength: archive?.length ?? 0 };
}

/**
 * The blob's key from one of the lockboxes of machines: first those that name this machine's key, then all others, for a
 * fingerprint is of a file, and one key has several forms as a file (7.4; the firmware tries lockbox-1 only, 10.2 #75).
 */
function unwrapKey({ crypto, machineKey }: UvContext, { lockboxes }: EsmBlob): Uint8Array {
  const isOurs = (fingerprint: Uint8Array) => crypto.equal(fingerprint, machineKey.fingerprint);
  const ours = lockboxes.filter(({ fingerprint }) => isOurs(fingerprint));
  const others = lockboxes.filter(({ fingerprint }) => !isOurs(fingerprint));
  for (const { encryptedKey } of [...ours, ...others]) {
    const key = oaepDecrypt(crypto, machineKey.key, encryptedKey);
    if (key?.length === ESM_KEY_BYTES) return key;
  }
  const reason =
    ours.length > 0 ? 'the lockbox for this machine does not open' : 'none opens with the key of this machine';
  throw new EsmBlobError('/lockboxes', `${lockboxes.length} for machines: ${reason}`);
}

/** What does not have the digest that it should. All are computed, also after one that differs (7.5). */
export function failedDigests(
  { crypto }: UvContext,
  { digests }: EsmProof,
  measured: Readonly<Record<EsmMeasured, Uint8Array>>,
): EsmMeasured[] {
  const names = ['rtas', 'kernel', 'initrd', 'bootargs'] as const;
  const results = names.map((name) => [name, crypto.equal(crypto.sha512(measured[name]), digests[name])] as const);
  return results.filter(([, good]) => !good).map(([name]) => name);
}
