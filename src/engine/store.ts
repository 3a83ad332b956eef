import { PAGE_SHIFT } from './layout.ts';

/** The most that a 32-bit WebAssembly memory can hold, in bytes. */
export const STORE_LIMIT = 2 ** 32 - 65536;

const WASM_PAGE = 65536;

/** Told when bytes change that code was made from. */
export interface CodeWatcher {
  /** Bytes of the store from `from` to `to` (exclusive) have changed; they lie on one page with code. */
  codeChanged(from: number, to: number): void;
}

/**
 * The one WebAssembly memory: CPU contexts, TLBs, code caches and all guest RAM live in it. Addresses in it are called host addresses.
 */
export class Store {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly i32: Int32Array;
  readonly u16: Uint16Array;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;
  /** One byte per page of the store: non-zero where decoded or translated code depends on the page's bytes. */
  readonly hasCode: Uint8Array;
  /** 64 KiB pages, for module imports. */
  readonly wasmPages: number;
  #next = WASM_PAGE;
  #watchers: CodeWatcher[] = [];

  /**
   * @param size bytes in all
   * @throws RangeError if the size is over `STORE_LIMIT` or the host has no such memory
   */
  constructor(size: number) {
    if (size > STORE_LIMIT) {
      throw new RangeError(
        `a machine of ${size} bytes is over the limit of ${STORE_LIMIT} bytes for all memory together`,
      );
    }
    this.wasmPages = Math.ceil(size / WASM_PAGE);
    this.memory = new WebAssembly.Memory({ initial: this.wasmPages, maximum: this.wasmPages });
    const { buffer } = this.memory;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.i32 = new Int32Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.hasCode = new Uint8Array(this.wasmPages * (WASM_PAGE >> PAGE_SHIFT));
  }

  /**
   * Takes zeroed bytes for good. The first 64 KiB of the store are never given out, so that 0 is no address.
   * @param align a power of two
   * @throws RangeError if the store is full: its size was computed too small
   */
  reserve(bytes: number, align: number): number {
    const start = Math.ceil(this.#next / align) * align;
    if (start + bytes > this.wasmPages * WASM_PAGE) throw new RangeError(`the store has no ${bytes} bytes left`);
    this.#next = start + bytes;
    return start;
  }

  watchCode(watcher: CodeWatcher): void {
    this.#watchers.push(watcher);
  }

  /** To be called after every write to guest RAM that generated code did not make itself. */
  written(address: number, length: number): void {
    const end = address + length;
    for (let page = address >>> PAGE_SHIFT; page * 4096 < end; page++) {
      if (this.hasCode[page] === 0) continue;
      const start = page * 4096;
      for (const w of this.#watchers) w.codeChanged(Math.max(start, address), Math.min(start + 4096, end));
    }
  }
}
