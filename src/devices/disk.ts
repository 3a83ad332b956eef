/** Bytes of a sector, the unit in which disks count. */
export const SECTOR_BYTES = 512;

/** A disk could not do what it was asked for: the medium is full, gone or broken. The guest gets an I/O error. */
export class DiskError extends Error {
  override readonly name = 'DiskError';
}

/**
 * The medium behind a virtual disk. A write is on its way when `write` returns, and safe when a `flush` after it has returned; each write is
 * carried out as a whole. Callers stay within `sectors`.
 */
export interface DiskBackend {
  readonly sectors: number;
  readonly readOnly: boolean;
  /** A copy of `count` sectors from `first` on. @throws DiskError */
  read(first: number, count: number): Uint8Array;
  /** Writes whole sectors from `first` on. @throws DiskError */
  write(first: number, bytes: Uint8Array): void;
  /** Returns once everything written is safe. @throws DiskError */
  flush(): void;
}

/** A disk in memory: for tests, and where there are no files. */
export class MemoryDisk implements DiskBackend {
  readonly readOnly: boolean;
  /** What is on it. */
  readonly bytes: Uint8Array;

  /** @throws RangeError if the bytes are not whole sectors */
  constructor(bytes: Uint8Array, readOnly = false) {
    if (bytes.length % SECTOR_BYTES !== 0) throw new RangeError(`${bytes.length} bytes are not whole sectors`);
    this.bytes = bytes;
    this.readOnly = readOnly;
  }

  get sectors(): number {
    return this.bytes.length / SECTOR_BYTES;
  }

  read(first: number, count: number): Uint8Array {
    return this.bytes.slice(first * SECTOR_BYTES, (first + count) * SECTOR_BYTES);
  }

  write(first: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, first * SECTOR_BYTES);
  }

  flush(): void {
    // Memory is as safe as it gets.
  }
}
