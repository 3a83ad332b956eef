import type { Store } from '../engine/store.ts';
import { REAL_ADDRESS_LIMIT, type RealAddress } from './types.ts';

const REGION_ALIGN = 65536;

/** A range of populated real addresses. */
export interface RegionSpec {
  readonly name: string;
  readonly base: RealAddress;
  /** Bytes, a multiple of 64 KiB. */
  readonly size: number;
  /** Only software in secure state may reach it. */
  readonly secure: boolean;
}

/** A populated range and where its bytes are in the store. */
export interface Region extends RegionSpec {
  /** Host address of the first byte. */
  readonly host: number;
}

/**
 * Says which pages nobody but their owner reaches, where ownership is finer than regions.
 * @returns false if a range of populated real addresses has a page that is closed to everybody who must ask
 */
export type PageGuard = (address: number, length: number, write: boolean) => boolean;

/** The machine's RAM: a map of regions from real addresses to the one memory. What lies in no region is not populated. */
export class RealMemory {
  readonly store: Store;
  readonly regions: readonly Region[];
  /** Asked for every access through a `HostView` without secure rights. Whoever owns pages puts it here. */
  guard: PageGuard | null = null;

  /** @throws RangeError if regions overlap, are unaligned, or do not fit the store */
  constructor(store: Store, specs: readonly RegionSpec[]) {
    this.store = store;
    const regions: Region[] = [];
    for (const spec of specs) {
      if (spec.size <= 0 || spec.size % REGION_ALIGN !== 0 || spec.base % REGION_ALIGN !== 0) {
        throw new RangeError(
          `memory region ${spec.name}: base and size must be multiples of 64 KiB, the size positive`,
        );
      }
      if (spec.base + spec.size > REAL_ADDRESS_LIMIT) throw new RangeError(`memory region ${spec.name} is too high`);
      for (const other of regions) {
        if (spec.base < other.base + other.size && other.base < spec.base + spec.size) {
          throw new RangeError(`memory regions ${spec.name} and ${other.name} overlap`);
        }
      }
      regions.push({ ...spec, host: store.reserve(spec.size, REGION_ALIGN) });
    }
    this.regions = regions;
  }

  /** The region that holds all of `length` bytes from `address`, or undefined. */
  find(address: number, length: number): Region | undefined {
    for (const r of this.regions) {
      if (address >= r.base && address + length <= r.base + r.size) return r;
    }
    return undefined;
  }
}
