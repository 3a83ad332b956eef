import type { RealMemory } from '../../machine/memory.ts';
import type { RealAddress } from '../../machine/types.ts';
import { SD } from '../abi.ts';

/** A state description as SIE uses it: in RAM, found once when SIE begins. The host may change it meanwhile. */
export class StateDescription {
  readonly address: RealAddress;
  readonly #memory: RealMemory;
  readonly #host: number;

  private constructor(memory: RealMemory, address: RealAddress, host: number) {
    this.#memory = memory;
    this.address = address;
    this.#host = host;
  }

  /** @returns null where there is no RAM for all of it */
  static find(memory: RealMemory, address: RealAddress): StateDescription | null {
    const region = memory.find(address, SD.SIZE);
    return region === undefined ? null : new StateDescription(memory, address, region.host + (address - region.base));
  }

  u8(offset: number): number {
    return this.#memory.store.view.getUint8(this.#host + offset);
  }

  setU8(offset: number, value: number): void {
    this.#memory.store.view.setUint8(this.#host + offset, value);
    this.#written(offset, 1);
  }

  u16(offset: number): number {
    return this.#memory.store.view.getUint16(this.#host + offset);
  }

  setU16(offset: number, value: number): void {
    this.#memory.store.view.setUint16(this.#host + offset, value);
    this.#written(offset, 2);
  }

  u32(offset: number): number {
    return this.#memory.store.view.getUint32(this.#host + offset);
  }

  setU32(offset: number, value: number): void {
    this.#memory.store.view.setUint32(this.#host + offset, value);
    this.#written(offset, 4);
  }

  u64(offset: number): bigint {
    return this.#memory.store.view.getBigUint64(this.#host + offset);
  }

  setU64(offset: number, value: bigint): void {
    this.#memory.store.view.setBigUint64(this.#host + offset, BigInt.asUintN(64, value));
    this.#written(offset, 8);
  }

  #written(offset: number, bytes: number): void {
    this.#memory.store.written(this.#host + offset, bytes);
  }
}
