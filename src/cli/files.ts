import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type { ImageFile, TraceEvent, TraceSink } from '../index.ts';
import { JsonLinesTrace } from '../index.ts';
import { UsageError } from './exit-status.ts';

/** More than any machine has memory for. */
const MOST_IMAGE_BYTES = 2 ** 32;

/** Reasons that read better than the system's own. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EISDIR: 'it is a directory',
  ERR_FS_FILE_TOO_LARGE: 'larger than 2 GiB',
};

/** Why the system refused something, in words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, errno } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : REASONS[code];
  return known ?? (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? error.message;
}

/** @throws UsageError that names the file and the reason, where the system refuses */
function attempt<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${file === '' ? '""' : file}: ${reasonOf(error)}`);
  }
}

/** Reads a file, or a pipe to its end. @throws UsageError that names the file and the reason */
export function readImage(file: string): ImageFile {
  return attempt(file, () => {
    const stat = statSync(file);
    if (stat.isCharacterDevice() || stat.isBlockDevice()) throw new UsageError(`${file}: it is a device`);
    if (stat.size > MOST_IMAGE_BYTES) throw new UsageError(`${file}: larger than 4 GiB`);
    return { file, bytes: new Uint8Array(readFileSync(file)) };
  });
}

/** A file that a run writes. It is opened before the run starts, so that what cannot be written is known before anything happened. */
export class OutputFile {
  readonly #file: string;
  readonly #descriptor: number;
  readonly #regular: boolean;

  /** Opens the file, or makes it; what is in it stays until the first write. @throws UsageError */
  constructor(file: string) {
    this.#file = file;
    this.#descriptor = attempt(file, () => openSync(file, constants.O_WRONLY | constants.O_CREAT, 0o666));
    this.#regular = attempt(file, () => fstatSync(this.#descriptor)).isFile();
  }

  /** Empties a regular file. @throws UsageError */
  clear(): void {
    if (this.#regular) attempt(this.#file, () => ftruncateSync(this.#descriptor));
  }

  /** @throws UsageError */
  write(text: string): void {
    const bytes = Buffer.from(text);
    attempt(this.#file, () => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at);
    });
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** What two names of one regular file have in common, also where it is not there yet; null for pipes and devices. */
function identity(file: string): string | null {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return resolve(file);
  return stat.isFile() ? `${stat.dev}:${stat.ino}` : null;
}

/** Refuses an output file that another option names too. @throws UsageError */
export function requireDistinct(option: string, file: string, others: readonly string[]): void {
  const mine = attempt(file, () => identity(file));
  const clash = mine === null ? undefined : others.find((other) => identity(other) === mine);
  if (clash !== undefined) throw new UsageError(`${option}: ${file} is the same file as ${clash}`);
}

const BUFFERED_CHARACTERS = 1 << 16;

/** The trace as a file of JSON lines. Events that come before `open` are kept and written then. */
export class TraceFile implements TraceSink {
  readonly #lines = new JsonLinesTrace((line) => this.#add(line));
  #file: OutputFile | null = null;
  #pending = '';

  emit(event: TraceEvent): void {
    this.#lines.emit(event);
  }

  /** From now on events go to the file. */
  open(file: OutputFile): void {
    file.clear();
    this.#file = file;
  }

  /** Writes what is left, and closes the file. @throws UsageError */
  close(): void {
    this.#flush();
    this.#file?.close();
    this.#file = null;
  }

  #add(line: string): void {
    this.#pending += line;
    if (this.#file !== null && this.#pending.length >= BUFFERED_CHARACTERS) this.#flush();
  }

  #flush(): void {
    const text = this.#pending;
    this.#pending = '';
    this.#file?.write(text);
  }
}
