import type { AccessKind, Translation } from '../../engine/cpu-model.ts';
import type { Store } from '../../engine/store.ts';

/** Everything in the physical address space that is not RAM. */
export interface PhysicalDevices {
  /** Whether something answers to the whole access. */
  covers(address: number, size: number): boolean;
  /** @param size 1, 2, 4 or 8. @returns null where nothing answers */
  read(address: number, size: 1 | 2 | 4 | 8): bigint | null;
  /** @returns false where nothing answers */
  write(address: number, size: 1 | 2 | 4 | 8, value: bigint): boolean;
  /** The clock value at which a device wants to be looked at, for its interrupts to come in time; null for never. */
  readonly deadline: number | null;
}

const SIZES: readonly number[] = [1, 2, 4, 8];
type Size = 1 | 2 | 4 | 8;

/** A store that the instruction at hand made to a device. */
interface DeviceStore {
  readonly address: number;
  readonly size: Size;
  readonly host: number;
}

/** The most stores of one instruction (a pair of V registers), and room for each. */
const MOST_STORES = 4;
const SLOT_BYTES = 8;

/**
 * Loads and stores of one PE that reach devices. A load reads the device while its address is translated, and finds the value in a scratch slot. A
 * store faults first, so that generated code is left with its state exact; the instruction is then run alone, its stores land in scratch slots, and the
 * device gets them once it is done. What the device does of that (an interrupt) is seen before the next instruction.
 */
export class DeviceAccess {
  readonly #devices: PhysicalDevices;
  readonly #store: Store;
  readonly #scratch: number;
  #due = false;
  #alone = false;
  #stores: DeviceStore[] = [];

  constructor(devices: PhysicalDevices, store: Store) {
    this.#devices = devices;
    this.#store = store;
    this.#scratch = store.reserve((MOST_STORES + 1) * SLOT_BYTES, SLOT_BYTES);
  }

  /** A store faulted because it wants to be run alone. */
  get storeDue(): boolean {
    return this.#due;
  }

  /**
   * An access passed both stages and found no RAM.
   * @returns false where no device answers either, or the store has to be run alone (`storeDue`)
   */
  translate(address: number, access: AccessKind, size: number, result: Translation): boolean {
    if (access === 'fetch' || !SIZES.includes(size) || !this.#devices.covers(address, size)) return false;
    result.writable = false;
    result.cacheable = false;
    if (access === 'load') {
      const value = this.#devices.read(address, size as Size);
      if (value === null) return false;
      result.host = this.#scratch;
      this.#store.view.setBigUint64(this.#scratch, value, true);
      return true;
    }
    if (!this.#alone || this.#stores.length === MOST_STORES) {
      this.#due = true;
      return false;
    }
    result.host = this.#scratch + (1 + this.#stores.length) * SLOT_BYTES;
    this.#stores.push({ address, size: size as Size, host: result.host });
    return true;
  }

  /** Runs the instruction whose store faulted: `step` executes just that one. */
  runAlone(step: () => void): void {
    this.#due = false;
    this.#alone = true;
    this.#stores = [];
    try {
      step();
    } finally {
      this.#alone = false;
    }
    const { view } = this.#store;
    for (const { address, size, host } of this.#stores) {
      const value = BigInt.asUintN(8 * size, view.getBigUint64(host, true));
      this.#devices.write(address, size, value);
    }
  }
}
