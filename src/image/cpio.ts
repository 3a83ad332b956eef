/** An archive that cannot be read: where, and why. */
export class CpioError extends Error {
  override readonly name = 'CpioError';
  /** Byte offset in the archive. */
  readonly offset: number;
  readonly reason: string;

  constructor(reason: string, offset: number) {
    super(`cpio archive at byte ${offset}: ${reason}`);
    this.offset = offset;
    this.reason = reason;
  }
}

/** One member of an archive. */
export interface CpioMember {
  readonly name: string;
  /** As stat(2) has it: type and permissions. */
  readonly mode: number;
  readonly contents: Uint8Array;
}

/** Bits of `mode`. */
export const CPIO_MODE = { TYPE: 0o170000, DIRECTORY: 0o040000, REGULAR: 0o100000 } as const;

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
/** Magic, then 13 fields of 8 hexadecimal digits. */
const HEADER_BYTES = 110;
const FIELDS = 13;
const MODE = 1;
const NLINK = 4;
const FILESIZE = 6;
const NAMESIZE = 11;
const MOST_NAME = 4096;
/** Archives end on a multiple of this from their start, as GNU cpio writes them. */
const BLOCK = 512;

/** Whether the bytes begin like an archive in the `newc` format. */
export function isCpio(bytes: Uint8Array): boolean {
  return ascii(bytes.subarray(0, MAGIC.length)) === MAGIC;
}

/** Where an archive ends. */
export interface CpioEnd {
  /** First byte after its trailer. */
  readonly trailer: number;
  /** The same rounded up to 512 bytes, or where the bytes end if that comes first. */
  readonly padded: number;
}

/**
 * The members of a `newc` archive, one by one (cpio(5), "New ASCII format"). The generator's return value says where it
 * ends.
 * @throws CpioError
 */
export function* cpioMembers(bytes: Uint8Array): Generator<CpioMember, CpioEnd> {
  for (let at = 0; ; ) {
    const header = bytes.subarray(at, at + HEADER_BYTES);
    if (header.length < HEADER_BYTES) throw new CpioError('it ends before its trailer', at);
    if (!isCpio(header)) throw new CpioError(`no ${MAGIC} at the start of a member`, at);
    const fields = Array.from({ length: FIELDS }, (_, i) => {
      const digits = ascii(header.subarray(MAGIC.length + 8 * i, MAGIC.length + 8 * i + 8));
      if (!/^[0-9A-Fa-f]{8}$/.test(digits)) throw new CpioError(`"${digits}" is no number`, at + MAGIC.length + 8 * i);
      return Number.parseInt(digits, 16);
    });
    const [size, nameSize] = [fields[FILESIZE], fields[NAMESIZE]];
    const nameEnd = at + HEADER_BYTES + nameSize;
    if (nameSize < 2 || nameSize > MOST_NAME || nameEnd > bytes.length) {
      throw new CpioError(`a name of ${nameSize} bytes`, at);
    }
    const name = ascii(bytes.subarray(at + HEADER_BYTES, nameEnd - 1));
    if (bytes[nameEnd - 1] !== 0 || name.includes('\0')) throw new CpioError('a name without its one final NUL', at);
    const data = aligned(nameEnd, 4);
    if (size > bytes.length - data) throw new CpioError(`${name}: ${size} bytes pass the end`, at);
    const end = aligned(data + size, 4);
    if (name === TRAILER) {
      if (size !== 0) throw new CpioError('a trailer with contents', at);
      return { trailer: data, padded: Math.min(aligned(end, BLOCK), bytes.length) };
    }
    yield { name, mode: fields[MODE], contents: bytes.subarray(data, data + size) };
    at = end;
  }
}

/** A `newc` archive of these members, without owners and times, padded to 512 bytes. */
export function writeCpio(members: readonly CpioMember[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  const put = (bytes: Uint8Array, alignment: number): void => {
    const padded = new Uint8Array(aligned(length + bytes.length, alignment) - length);
    padded.set(bytes);
    parts.push(padded);
    length += padded.length;
  };
  for (const [i, { name, mode, contents }] of [
    ...members,
    { name: TRAILER, mode: 0, contents: new Uint8Array(0) },
  ].entries()) {
    const fields = new Array<number>(FIELDS).fill(0);
    if (i < members.length) fields[0] = i + 1;
    fields[MODE] = mode;
    fields[NLINK] = 1;
    fields[FILESIZE] = contents.length;
    fields[NAMESIZE] = name.length + 1;
    const header = MAGIC + fields.map((field) => field.toString(16).toUpperCase().padStart(8, '0')).join('');
    put(
      Uint8Array.from(`${header}${name}\0`, (c) => c.charCodeAt(0)),
      4,
    );
    put(contents, 4);
  }
  put(new Uint8Array(0), BLOCK);
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function aligned(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
