import {
  ESM,
  ESM_BLOB_LIMIT,
  ESM_BYTES,
  ESM_FILE_LIMIT,
  ESM_LOCKBOX_LIMIT,
  type EsmBlob,
  EsmBlobError,
  type EsmLockbox,
  type EsmSealed,
  inTree,
  isEsmFileName,
} from './esm-format.ts';
import { EsmNode } from './esm-nodes.ts';
import { type FdtNode, fdtTotalSize, readFdt } from './fdt.ts';

const LOCKBOX_NAME = /^lockbox-([1-9][0-9]{0,8})$/;
/** Bytes of a wrapped key: the length of an RSA modulus. The format's own are 256. */
const WRAPPED_KEY = { least: 128, most: 1024 };
/** Bytes of a nonce. The format's own are 16; GCM takes others. */
const IV = { least: 8, most: 128 };
/** The digests take some 500 bytes; a writer may leave room in their tree. */
const DIGESTS_LIMIT = 0x10000;

/**
 * Reads an ESM blob (power-pef.md 7.2), as svm-tools write it. `bytes` begins with it and may go on after it. Nothing in
 * it is trusted, and nothing of it is decrypted here.
 * @throws EsmBlobError for what is missing, malformed, or not part of the format
 */
export function readEsmBlob(bytes: Uint8Array): EsmBlob {
  const size = inTree('header', () => fdtTotalSize(bytes));
  if (size > ESM_BLOB_LIMIT) throw new EsmBlobError('header', `${size} bytes, more than ${ESM_BLOB_LIMIT}`);
  const { root } = inTree('device tree', () => readFdt(bytes));
  const top = new EsmNode(root, '/', { properties: ['compatible'], children: ['lockboxes', 'digest', 'file'] });
  top.expect('compatible', ESM.COMPATIBLE);
  const digest = new EsmNode(top.child('digest'), '/digest', { properties: [], children: ['digests-fdt'] });
  return {
    ...readLockboxes(top.child('lockboxes')),
    digests: readSealed(digest.child('digests-fdt'), '/digest/digests-fdt', DIGESTS_LIMIT),
    files: readFiles(top.child('file')),
  };
}

function readLockboxes(node: FdtNode): Pick<EsmBlob, 'origin' | 'lockboxes'> {
  const parent = new EsmNode(node, '/lockboxes', { properties: [] });
  if (parent.children.length > ESM_LOCKBOX_LIMIT) {
    throw new EsmBlobError('/lockboxes', `${parent.children.length} lockboxes, more than ${ESM_LOCKBOX_LIMIT}`);
  }
  const numbered: { readonly number: number; readonly lockbox: EsmLockbox }[] = [];
  for (const child of parent.children) {
    if (child.name === ESM.ORIGIN) continue;
    const match = LOCKBOX_NAME.exec(child.name);
    if (match === null) throw new EsmBlobError('/lockboxes', `unknown node ${child.name}`);
    numbered.push({ number: Number(match[1]), lockbox: readLockbox(child, parent.pathOf(child.name)) });
  }
  numbered.sort((x, y) => x.number - y.number);
  return {
    origin: readLockbox(parent.child(ESM.ORIGIN), parent.pathOf(ESM.ORIGIN)),
    lockboxes: numbered.map(({ lockbox }) => lockbox),
  };
}

function readLockbox(node: FdtNode, path: string): EsmLockbox {
  const lockbox = new EsmNode(node, path, {
    properties: ['untrusted-comment', 'encrypted-symkey'],
    children: ['pubkey-fingerprint'],
  });
  const fingerprint = new EsmNode(lockbox.child('pubkey-fingerprint'), lockbox.pathOf('pubkey-fingerprint'), {
    properties: ['algorithm', 'hash'],
    children: [],
  });
  fingerprint.expect('algorithm', ESM.FINGERPRINT_ALGORITHM);
  return {
    name: node.name,
    comment: lockbox.string('untrusted-comment'),
    fingerprint: fingerprint.bytes('hash', ESM_BYTES.FINGERPRINT),
    encryptedKey: lockbox.bytes('encrypted-symkey', WRAPPED_KEY.least, WRAPPED_KEY.most),
  };
}

function readSealed(node: FdtNode, path: string, limit: number): EsmSealed {
  const sealed = new EsmNode(node, path, {
    properties: ['algorithm', 'untrusted-comment', 'ciphertext', 'iv', 'mac'],
    children: [],
  });
  sealed.expect('algorithm', ESM.SEAL_ALGORITHM);
  return {
    comment: sealed.string('untrusted-comment'),
    ciphertext: sealed.bytes('ciphertext', 0, limit),
    iv: sealed.bytes('iv', IV.least, IV.most),
    mac: sealed.bytes('mac', ESM_BYTES.MAC),
  };
}

/** The files stand in a tree of their own, inside one property. */
function readFiles(node: FdtNode): Map<string, EsmSealed> {
  const parent = new EsmNode(node, '/file', { properties: [], optional: ['files-fdt'], children: [] });
  if (!parent.has('files-fdt')) return new Map();
  const place = '/file files-fdt';
  const { root } = inTree(place, () => readFdt(parent.bytes('files-fdt', 0, ESM_BLOB_LIMIT)));
  const top = new EsmNode(root, `${place}: /`, { properties: ['compatible'], children: ['files'] });
  top.expect('compatible', ESM.FILES_COMPATIBLE);
  const files = new EsmNode(top.child('files'), `${place}: /files`, { properties: [] });
  const found = new Map<string, EsmSealed>();
  for (const child of files.children) {
    if (!isEsmFileName(child.name)) throw new EsmBlobError(files.path, `no file can have the name ${child.name}`);
    found.set(child.name, readSealed(child, files.pathOf(child.name), ESM_FILE_LIMIT));
  }
  return found;
}
