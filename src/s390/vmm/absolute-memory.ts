import { DmaFault } from '../../devices/device-memory.ts';
import type { HostView } from '../../machine/host-view.ts';
import { AccessRefused, type RealAddress, realAddress } from '../../machine/types.ts';
import type { CcwMemory } from './ccw-machine.ts';

/** Absolute storage of a machine whose one guest has all of it. */
export class AbsoluteMemory implements CcwMemory {
  readonly #view: HostView;

  constructor(view: HostView) {
    this.#view = view;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.#reach(address, length, (at) => this.#view.read(at, length));
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#reach(address, bytes.length, (at) => this.#view.write(at, bytes));
  }

  clear(address: bigint, length: number): void {
    this.#reach(address, length, (at) => this.#view.fill(at, length, 0));
  }

  #reach<T>(address: bigint, length: number, access: (at: RealAddress) => T): T {
    const at = realAddress(address);
    if (at === undefined) throw new DmaFault(address, length);
    try {
      return access(at);
    } catch (error) {
      if (error instanceof AccessRefused) throw new DmaFault(address, length);
      throw error;
    }
  }
}
