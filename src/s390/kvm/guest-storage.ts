import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { PGM } from '../abi.ts';
import { type HostStorage, PAGE } from './host-storage.ts';
import type { Vm } from './vm.ts';

/** The host has no page left for a guest: ends the VM that asked. */
export class OutOfStorage extends Error {
  override readonly name = 'OutOfStorage';
}

/** Guest storage as KVM and userspace reach it: guest absolute addresses, through the pages of the VM, with the host's rights. */
export class GuestStorage {
  readonly #view: HostView;
  readonly #storage: HostStorage;

  constructor(view: HostView, storage: HostStorage) {
    this.#view = view;
    this.#storage = storage;
  }

  /**
   * The host page behind a guest absolute address, which gets one if it has none.
   * @returns undefined beyond guest storage
   * @throws OutOfStorage
   */
  page(vm: Vm, address: number): RealAddress | undefined {
    const index = Math.floor(address / PAGE);
    const known = vm.pages[index];
    if (known === undefined) return undefined;
    if (known !== 0) return known as RealAddress;
    const page = this.#storage.allocate(PAGE);
    if (page === undefined || !vm.gmap.map(index * PAGE, page)) {
      if (page !== undefined) this.#storage.release(page, PAGE);
      throw new OutOfStorage(`${vm.name}: the host has no storage for guest page 0x${(index * PAGE).toString(16)}`);
    }
    vm.pages[index] = page;
    return page;
  }

  /**
   * @returns 0, or PGM.ADDRESSING where a byte is beyond guest storage: then nothing was read
   * @throws AccessRefused where a page is secure
   */
  read(vm: Vm, address: number, length: number): Uint8Array | typeof PGM.ADDRESSING {
    if (address + length > vm.size) return PGM.ADDRESSING;
    const bytes = new Uint8Array(length);
    this.#each(vm, address, length, (host, offset, part) => bytes.set(this.#view.peek(host, part), offset));
    return bytes;
  }

  /** As `read`; all pages are looked up, and found open, before the first byte is written. */
  write(vm: Vm, address: number, bytes: Uint8Array): 0 | typeof PGM.ADDRESSING {
    if (address + bytes.length > vm.size) return PGM.ADDRESSING;
    this.#each(vm, address, bytes.length, (host, _, part) => this.#view.peek(host, part));
    this.#each(vm, address, bytes.length, (host, offset, part) =>
      this.#view.write(host, bytes.subarray(offset, offset + part)),
    );
    return 0;
  }

  #each(vm: Vm, address: number, length: number, use: (host: RealAddress, offset: number, part: number) => void): void {
    for (let done = 0; done < length; ) {
      const at = address + done;
      const part = Math.min(length - done, PAGE - (at % PAGE));
      const page = this.page(vm, at);
      if (page === undefined) throw new Error('guest storage ends within its size');
      use((page + (at % PAGE)) as RealAddress, done, part);
      done += part;
    }
  }
}
