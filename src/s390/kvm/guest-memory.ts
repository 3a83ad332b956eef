import { type DeviceMemory, DmaFault } from '../../devices/device-memory.ts';
import { AccessRefused } from '../../machine/types.ts';
import type { GuestStorage } from './guest-storage.ts';
import type { Vm } from './vm.ts';

/** Storage of one VM as its devices reach it: what a protected guest has not shared is out of reach. */
export class GuestMemory implements DeviceMemory {
  readonly #storage: GuestStorage;
  readonly #vm: Vm;

  constructor(storage: GuestStorage, vm: Vm) {
    this.#storage = storage;
    this.#vm = vm;
  }

  read(address: bigint, length: number): Uint8Array {
    const bytes = reached(address, length, () => this.#storage.read(this.#vm, Number(address), length));
    if (!(bytes instanceof Uint8Array)) throw new DmaFault(address, length);
    return bytes;
  }

  write(address: bigint, bytes: Uint8Array): void {
    const done = reached(address, bytes.length, () => this.#storage.write(this.#vm, Number(address), bytes));
    if (done !== 0) throw new DmaFault(address, bytes.length);
  }

  /** Sets bytes to 0. */
  clear(address: bigint, length: number): void {
    this.write(address, new Uint8Array(length));
  }
}

function reached<T>(address: bigint, length: number, access: () => T): T {
  try {
    return access();
  } catch (error) {
    if (error instanceof AccessRefused) throw new DmaFault(address, length);
    throw error;
  }
}
