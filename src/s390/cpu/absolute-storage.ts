import type { RealMemory } from '../../machine/memory.ts';
import type { RealAddress } from '../../machine/types.ts';
import { PGM } from '../abi.ts';
import { KEY, type StorageKeys } from './storage-keys.ts';
import type { UltravisorSeat } from './ultravisor-port.ts';

/** Where the bytes of an absolute address are. Without SIE that is the machine's RAM; a guest's absolute storage is the host's virtual. */
export interface AbsoluteSpace {
  /**
   * @param address below 2^53
   * @param size bytes, which lie on one page
   * @returns host address of the first byte; -1 where it may not be reached, with the reason in `code`
   */
  locate(address: number, size: number, store: boolean): number;
  /** Program interruption code of the last refusal. */
  readonly code: number;
  /** Whether a store to the page of the last success is allowed too. */
  readonly writable: boolean;
}

const PAGE = 0xfff;

/** The machine's own absolute storage, of which the Ultravisor may have closed some pages. */
export class MachineStorage implements AbsoluteSpace {
  readonly writable = true;
  code = 0;
  readonly #memory: RealMemory;
  readonly #seat: () => UltravisorSeat | null;

  /** @param seat asked for each access, because the Ultravisor may be put in place later */
  constructor(memory: RealMemory, seat: () => UltravisorSeat | null) {
    this.#memory = memory;
    this.#seat = seat;
  }

  locate(address: number, size: number): number {
    const region = this.#memory.find(address, size);
    if (region === undefined) {
      this.code = PGM.ADDRESSING;
      return -1;
    }
    this.code = this.#seat()?.check((address - (address & PAGE)) as RealAddress, null) ?? 0;
    return this.code === 0 ? region.host + (address - region.base) : -1;
  }
}

/** What the CPU itself reads and writes in absolute storage, key protection not asked: tables, lowcore, control blocks. */
export class HardwareAccess {
  space: AbsoluteSpace;
  readonly #memory: RealMemory;
  readonly #keys: StorageKeys;

  constructor(space: AbsoluteSpace, memory: RealMemory, keys: StorageKeys) {
    this.space = space;
    this.#memory = memory;
    this.#keys = keys;
  }

  /** @returns null where some byte is refused, with the reason in `space.code` */
  read(address: number, length: number): Uint8Array | null {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const size = pieceAt(address + done, length - done);
      const host = this.space.locate(address + done, size, false);
      if (host < 0) return null;
      this.#keys.record(host, KEY.REFERENCE);
      bytes.set(this.#memory.store.bytes.subarray(host, host + size), done);
      done += size;
    }
    return bytes;
  }

  /** @returns false where some byte is refused: nothing was written */
  write(address: number, bytes: Uint8Array): boolean {
    const pieces: { readonly host: number; readonly from: number; readonly size: number }[] = [];
    for (let from = 0; from < bytes.length; ) {
      const size = pieceAt(address + from, bytes.length - from);
      const host = this.space.locate(address + from, size, true);
      if (host < 0) return false;
      pieces.push({ host, from, size });
      from += size;
    }
    for (const { host, from, size } of pieces) {
      this.#keys.record(host, KEY.REFERENCE | KEY.CHANGE);
      this.#memory.store.bytes.set(bytes.subarray(from, from + size), host);
      this.#memory.store.written(host, size);
    }
    return true;
  }
}

/** Bytes up to the end of the page. */
export function pieceAt(address: number, length: number): number {
  return Math.min(length, PAGE + 1 - (address & PAGE));
}
