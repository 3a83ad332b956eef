/** Bytes of one access to a device's registers. */
export type MmioSize = 1 | 2 | 4 | 8;

/** A device that is reached through loads and stores. Values are unsigned, of as many bytes as the access; registers are little-endian. */
export interface MmioDevice {
  /** @param offset from the device's first byte; not necessarily a multiple of `size` */
  read(offset: number, size: MmioSize): bigint;
  write(offset: number, size: MmioSize, value: bigint): void;
}

/** Where a device's registers are. */
export interface MmioWindow {
  readonly base: number;
  readonly size: number;
  readonly device: MmioDevice;
}

/** Devices by physical address, for whoever only uses them. */
export interface PhysicalBus {
  /** @returns null where nothing answers */
  read(address: number, size: MmioSize): bigint | null;
  /** @returns false where nothing answers */
  write(address: number, size: MmioSize, value: bigint): boolean;
}

/** The devices of one machine by physical address. */
export class MmioBus implements PhysicalBus {
  readonly #windows: MmioWindow[] = [];

  /** @throws RangeError if the window overlaps another */
  add(window: MmioWindow): void {
    const { base, size } = window;
    for (const other of this.#windows) {
      if (base < other.base + other.size && other.base < base + size) {
        throw new RangeError(`devices at 0x${base.toString(16)} and 0x${other.base.toString(16)} overlap`);
      }
    }
    this.#windows.push(window);
  }

  /** Whether some device answers to the whole access. */
  covers(address: number, size: number): boolean {
    return this.#find(address, size) !== undefined;
  }

  /** @returns null where nothing answers */
  read(address: number, size: MmioSize): bigint | null {
    const window = this.#find(address, size);
    return window === undefined ? null : window.device.read(address - window.base, size);
  }

  /** @returns false where nothing answers */
  write(address: number, size: MmioSize, value: bigint): boolean {
    const window = this.#find(address, size);
    window?.device.write(address - window.base, size, value);
    return window !== undefined;
  }

  #find(address: number, size: number): MmioWindow | undefined {
    return this.#windows.find((w) => address >= w.base && address + size <= w.base + w.size);
  }
}
