import {
  ESM,
  ESM_BLOB_LIMIT,
  ESM_FILE_LIMIT,
  type EsmBlob,
  EsmBlobError,
  type EsmLockbox,
  type EsmSealed,
  isEsmFileName,
} from './esm-format.ts';
import { type FdtNode, fdtNode, stringValue, writeFdt } from './fdt.ts';

/**
 * Writes a blob as svm-tools read it (power-pef.md 7.2): a packed device tree of version 17.
 * @throws EsmBlobError for what the format cannot hold: a name, a comment of two lines, a file that is too large
 */
export function writeEsmBlob(blob: EsmBlob): Uint8Array {
  const root = fdtNode('', { compatible: stringValue(ESM.COMPATIBLE) }, [
    fdtNode('lockboxes', {}, [blob.origin, ...blob.lockboxes].map(lockboxNode)),
    fdtNode('digest', {}, [sealedNode('digests-fdt', blob.digests, '/digest/digests-fdt')]),
    fdtNode('file', blob.files.size === 0 ? {} : { 'files-fdt': filesTree(blob.files) }),
  ]);
  const bytes = writeFdt({ root, reservations: [], bootCpuidPhys: 0 });
  if (bytes.length > ESM_BLOB_LIMIT) {
    throw new EsmBlobError('/', `${bytes.length} bytes in all, more than ${ESM_BLOB_LIMIT}`);
  }
  return bytes;
}

function lockboxNode({ name, comment, fingerprint, encryptedKey }: EsmLockbox): FdtNode {
  return fdtNode(
    name,
    { 'untrusted-comment': commentValue(comment, `/lockboxes/${name}`), 'encrypted-symkey': encryptedKey },
    [fdtNode('pubkey-fingerprint', { algorithm: stringValue(ESM.FINGERPRINT_ALGORITHM), hash: fingerprint })],
  );
}

function sealedNode(name: string, { comment, ciphertext, iv, mac }: EsmSealed, path: string): FdtNode {
  return fdtNode(name, {
    algorithm: stringValue(ESM.SEAL_ALGORITHM),
    'untrusted-comment': commentValue(comment, path),
    ciphertext,
    iv,
    mac,
  });
}

function filesTree(files: EsmBlob['files']): Uint8Array {
  const nodes = [...files].map(([name, sealed]) => {
    const path = `/file files-fdt: /files/${name}`;
    if (!isEsmFileName(name)) throw new EsmBlobError('/file', `no file can have the name ${JSON.stringify(name)}`);
    if (sealed.ciphertext.length > ESM_FILE_LIMIT) {
      throw new EsmBlobError(path, `${sealed.ciphertext.length} bytes, more than ${ESM_FILE_LIMIT}`);
    }
    return sealedNode(name, sealed, path);
  });
  const root = fdtNode('', { compatible: stringValue(ESM.FILES_COMPATIBLE) }, [fdtNode('files', {}, nodes)]);
  return writeFdt({ root, reservations: [], bootCpuidPhys: 0 });
}

function commentValue(comment: string, path: string): Uint8Array {
  if (/[\n\0]/.test(comment)) throw new EsmBlobError(path, 'a comment is one line, without NUL');
  return stringValue(comment);
}
