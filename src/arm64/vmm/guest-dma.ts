import { type DeviceMemory, DmaFault } from '../../devices/device-memory.ts';
import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE } from '../abi.ts';

const PAGE = BigInt(ARM_PAGE_SIZE);

/** A run of bytes in one page. */
interface Piece {
  readonly address: RealAddress;
  readonly length: number;
}

/**
 * A guest's memory as its devices reach it, by guest physical addresses: through a view with the rights of a device, which the host's stage 2 holds back from what the
 * guest did not share.
 */
export class GuestDma implements DeviceMemory {
  readonly #view: HostView;
  readonly #hostPage: (page: bigint) => RealAddress | undefined;

  /** @param hostPage where a page of the guest's is; undefined for an address at which it has no memory */
  constructor(view: HostView, hostPage: (page: bigint) => RealAddress | undefined) {
    this.#view = view;
    this.#hostPage = hostPage;
  }

  read(address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of this.#pieces(address, length)) {
      bytes.set(this.#view.read(piece.address, piece.length), at);
      at += piece.length;
    }
    return bytes;
  }

  write(address: bigint, bytes: Uint8Array): void {
    let at = 0;
    for (const piece of this.#pieces(address, bytes.length)) {
      this.#view.write(piece.address, bytes.subarray(at, at + piece.length));
      at += piece.length;
    }
  }

  /** Where the bytes are, all of which can be reached. */
  #pieces(start: bigint, length: number): Piece[] {
    const pieces: Piece[] = [];
    for (let at = 0; at < length; ) {
      const address = start + BigInt(at);
      const offset = Number(address % PAGE);
      const bytes = Math.min(ARM_PAGE_SIZE - offset, length - at);
      const page = this.#hostPage(address - BigInt(offset));
      const piece = { address: ((page ?? 0) + offset) as RealAddress, length: bytes };
      if (page === undefined || !this.#view.reaches(piece.address, bytes)) throw new DmaFault(start, length);
      pieces.push(piece);
      at += bytes;
    }
    return pieces;
  }
}
