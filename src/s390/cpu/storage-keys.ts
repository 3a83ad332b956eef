import { PAGE_SHIFT } from '../../engine/layout.ts';
import type { Store } from '../../engine/store.ts';

/** Bits of a storage key, as ISKE gives them (8.5; Principles of Operation, "Storage Key"). */
export const KEY = { ACCESS: 0xf0, FETCH: 0x08, REFERENCE: 0x04, CHANGE: 0x02, ALL: 0xfe } as const;

/** The storage key of every page of absolute storage, by the page's place in the store. All are 0 after a clear reset. */
export class StorageKeys {
  readonly #keys: Uint8Array;

  constructor(store: Store) {
    this.#keys = new Uint8Array(store.hasCode.length);
  }

  /** The key of the page at this host address. */
  get(host: number): number {
    return this.#keys[host >>> PAGE_SHIFT] as number;
  }

  set(host: number, key: number): void {
    this.#keys[host >>> PAGE_SHIFT] = key & KEY.ALL;
  }

  /** Records a reference, or a change with it. */
  record(host: number, bits: number): void {
    const page = host >>> PAGE_SHIFT;
    this.#keys[page] = (this.#keys[page] as number) | bits;
  }

  clear(): void {
    this.#keys.fill(0);
  }
}
