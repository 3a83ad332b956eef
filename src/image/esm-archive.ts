import { CPIO_MODE, CpioError, type CpioMember, cpioMembers, isCpio, writeCpio } from './cpio.ts';
import { EsmBlobError } from './esm-format.ts';

/** Where a blob lies in the archive before an initrd (power-pef.md 7.1). */
export const ESM_ARCHIVE_FOLDER = 'opt/ibm/pef';
/** The name that we give it there. */
export const ESM_ARCHIVE_FILE = 'esm-blob';

const FDT_MAGIC = [0xd0, 0x0d, 0xfe, 0xed];
const FOLDERS = ESM_ARCHIVE_FOLDER.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'));
const PLACE = 'archive before the initrd';

/** What was found at the head of an initrd. */
export interface EsmArchive {
  /** From the blob's first byte to the end of its file. */
  readonly blob: Uint8Array;
  /** Where the initrd proper begins, which is what its digest is of. */
  readonly length: number;
}

/** The archive with a blob that goes before an initrd, as svm-tools make it. */
export function writeEsmArchive(blob: Uint8Array, file = ESM_ARCHIVE_FILE): Uint8Array {
  const folders = FOLDERS.map((name) => ({
    name,
    mode: CPIO_MODE.DIRECTORY | 0o755,
    contents: new Uint8Array(0),
  }));
  return writeCpio([
    ...folders,
    { name: `${ESM_ARCHIVE_FOLDER}/${file}`, mode: CPIO_MODE.REGULAR | 0o644, contents: blob },
  ]);
}

/**
 * The blob in the first archive of an initrd; null if that is no archive with one. The digest of the initrd does not
 * cover this archive, although the guest's kernel unpacks it. So it may hold nothing but the folder and its files, and
 * the padding behind it nothing but zeros: else whoever loads the guest could smuggle files into it.
 * @throws EsmBlobError if it is broken, or holds more than that
 */
export function findEsmArchive(initrd: Uint8Array): EsmArchive | null {
  if (!isCpio(initrd)) return null;
  try {
    return readArchive(initrd);
  } catch (error) {
    if (error instanceof CpioError) throw new EsmBlobError(PLACE, error.message);
    throw error;
  }
}

function readArchive(initrd: Uint8Array): EsmArchive | null {
  const members = cpioMembers(initrd);
  let file: CpioMember | null = null;
  let next = members.next();
  for (; !next.done; next = members.next()) {
    const member = next.value;
    if (isFolder(member)) continue;
    if (!isFile(member)) {
      if (file === null) return null;
      throw new EsmBlobError(PLACE, `it also holds ${JSON.stringify(member.name)}, which no digest covers`);
    }
    if (file === null && member.contents.length > 0) file = member;
  }
  if (file === null) return null;
  const { trailer, padded } = next.value;
  if (initrd.subarray(trailer, padded).some((byte) => byte !== 0)) {
    throw new EsmBlobError(PLACE, 'bytes that are not zero behind its trailer');
  }
  return { blob: blobIn(file), length: padded };
}

function isFolder({ name, mode, contents }: CpioMember): boolean {
  const plain = name.replace(/^\.\//, '');
  const known = plain === '.' || FOLDERS.includes(plain);
  return known && (mode & CPIO_MODE.TYPE) === CPIO_MODE.DIRECTORY && contents.length === 0;
}

function isFile({ name, mode }: CpioMember): boolean {
  const plain = name.replace(/^\.\//, '');
  const [folder, file] = [plain.slice(0, ESM_ARCHIVE_FOLDER.length + 1), plain.slice(ESM_ARCHIVE_FOLDER.length + 1)];
  const below = folder === `${ESM_ARCHIVE_FOLDER}/` && file !== '' && !file.includes('/') && !/^\.\.?$/.test(file);
  return below && (mode & CPIO_MODE.TYPE) === CPIO_MODE.REGULAR;
}

/** The blob is looked for at every fourth byte of the file (power-pef.md 7.1). */
function blobIn({ name, contents }: CpioMember): Uint8Array {
  for (let at = 0; at + FDT_MAGIC.length <= contents.length; at += 4) {
    if (FDT_MAGIC.every((byte, i) => contents[at + i] === byte)) return contents.subarray(at);
  }
  throw new EsmBlobError(`${PLACE}, ${name}`, 'no device tree in it');
}
