import { type DeviceMemory, DmaFault } from '../../devices/device-memory.ts';
import { gfnOf, guestPhysical } from '../abi.ts';
import { gfnState } from '../kvm/gfn.ts';
import { GuestFault, type GuestMemory } from '../kvm/guest-memory.ts';
import { frameOf } from '../kvm/memslot.ts';
import type { Vm } from '../kvm/vm.ts';
import type { TceTable } from './tce.ts';

/** Pages in which device addresses are translated. */
const DMA_PAGE = 4096n;

/** A run of guest physical memory. */
interface Piece {
  readonly address: bigint;
  readonly length: number;
}

/**
 * Memory as a virtual device of one VM reaches it: all of a normal VM's, and what another one shares. A Secure frame is out of reach whether it is paged in or out, as
 * DMA to secure memory is refused by hardware (power-pef.md 2.1): nothing is paged out for it, and no ciphertext is read or overwritten.
 */
export class DmaMemory implements DeviceMemory {
  readonly #memory: GuestMemory;
  readonly #vm: () => Vm;
  readonly #iommu: TceTable | null;

  /** @param iommu what translates the device's addresses; null: they are guest physical */
  constructor(memory: GuestMemory, vm: () => Vm, iommu: TceTable | null) {
    this.#memory = memory;
    this.#vm = vm;
    this.#iommu = iommu;
  }

  read(address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of this.#pieces(address, length, 'read')) {
      bytes.set(this.#memory.read(this.#vm(), piece.address, piece.length), at);
      at += piece.length;
    }
    return bytes;
  }

  write(address: bigint, bytes: Uint8Array): void {
    const pieces = this.#pieces(address, bytes.length, 'write');
    let at = 0;
    for (const piece of pieces) {
      this.#memory.write(this.#vm(), piece.address, bytes.subarray(at, at + piece.length));
      at += piece.length;
    }
  }

  /** Where the bytes are. All of them can be reached. */
  #pieces(start: bigint, length: number, access: 'read' | 'write'): Piece[] {
    const pieces: Piece[] = [];
    for (let at = 0; at < length; ) {
      const address = start + BigInt(at);
      const bytes = Math.min(Number(DMA_PAGE - (address % DMA_PAGE)), length - at);
      const guest = this.#iommu === null ? address : this.#iommu.translate(address, access);
      if (guest === undefined || !this.#isOpen(guest, access)) throw new DmaFault(start, length);
      pieces.push({ address: guest, length: bytes });
      at += bytes;
    }
    return pieces;
  }

  #isOpen(address: bigint, access: 'read' | 'write'): boolean {
    const gpa = guestPhysical(address);
    const vm = this.#vm();
    const frame = gpa === undefined ? undefined : frameOf(vm.slots, gfnOf(gpa));
    const open = vm.secureGuest === 0 ? 'normal' : 'shared';
    if (gpa === undefined || frame === undefined || gfnState(frame.slot.pfns[frame.index]) !== open) return false;
    try {
      this.#memory.page(vm, gpa, access);
      return true;
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      return false;
    }
  }
}
