import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { type DiskBackend, DiskError, SECTOR_BYTES } from '../index.ts';
import { UsageError } from './exit-status.ts';
import { reasonOf } from './files.ts';

/**
 * A raw file as a disk. Each write goes to the file before the guest gets its answer, so that the file is what the guest made of it however
 * the run ends; a flush of the guest, and the end of the run, has the system bring it to the medium.
 */
export class FileDisk implements DiskBackend {
  readonly sectors: number;
  readonly readOnly = false;
  readonly #file: string;
  readonly #descriptor: number;

  /** @throws UsageError that names the file and the reason */
  constructor(file: string) {
    this.#file = file;
    try {
      this.#descriptor = openSync(file, constants.O_RDWR);
    } catch (error) {
      throw new UsageError(`--disk: ${file}: ${reasonOf(error)}`);
    }
    const stat = fstatSync(this.#descriptor);
    const problem = stat.isFile() ? sizeProblem(stat.size) : 'it is no regular file';
    if (problem !== null) {
      closeSync(this.#descriptor);
      throw new UsageError(`--disk: ${file}: ${problem}`);
    }
    this.sectors = stat.size / SECTOR_BYTES;
  }

  read(first: number, count: number): Uint8Array {
    const bytes = new Uint8Array(count * SECTOR_BYTES);
    this.#attempt(() => {
      for (let at = 0; at < bytes.length; ) {
        const got = readSync(this.#descriptor, bytes, at, bytes.length - at, first * SECTOR_BYTES + at);
        if (got === 0) throw new DiskError(`${this.#file} became shorter`);
        at += got;
      }
    });
    return bytes;
  }

  write(first: number, bytes: Uint8Array): void {
    this.#attempt(() => {
      for (let at = 0; at < bytes.length; ) {
        at += writeSync(this.#descriptor, bytes, at, bytes.length - at, first * SECTOR_BYTES + at);
      }
    });
  }

  flush(): void {
    this.#attempt(() => fsyncSync(this.#descriptor));
  }

  /** Brings everything to the medium. @throws UsageError if it does not get there */
  close(): void {
    try {
      fsyncSync(this.#descriptor);
      closeSync(this.#descriptor);
    } catch (error) {
      throw new UsageError(`--disk: ${this.#file}: ${reasonOf(error)}`);
    }
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      throw error instanceof DiskError ? error : new DiskError(`${this.#file}: ${reasonOf(error)}`);
    }
  }
}

function sizeProblem(bytes: number): string | null {
  if (bytes === 0) return 'it is empty';
  return bytes % SECTOR_BYTES === 0 ? null : `${bytes} bytes are not whole sectors of ${SECTOR_BYTES}`;
}
