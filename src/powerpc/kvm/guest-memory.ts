import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { type GuestPhysical, gfnOf, guestPhysical, UV_PAGE_SIZE } from '../abi.ts';
import { isUvmem } from './gfn.ts';
import type { HostPages } from './host-pages.ts';
import { frameOf, framePage } from './memslot.ts';
import { ownPage } from './merged-page.ts';
import type { Vm } from './vm.ts';

/**
 * Hypervisor or VMM touched a guest address that has no page they could use: the counterpart of a host page fault. Whoever runs their code
 * catches it: a paged-in secure frame is paged out and the code is run again from its start, anything else is an error of the guest.
 */
export class GuestFault extends Error {
  readonly lpid: number;
  readonly address: bigint;
  /** `unmapped`: in no memory slot. `secure`: paged in to secure memory. `memory`: the host has no page left. */
  readonly reason: 'unmapped' | 'secure' | 'memory';

  constructor(lpid: number, address: bigint, reason: GuestFault['reason']) {
    super(`VM ${lpid}: guest physical address 0x${address.toString(16)} cannot be reached: ${reason}`);
    this.name = 'GuestFault';
    this.lpid = lpid;
    this.address = address;
    this.reason = reason;
  }
}

/**
 * Guest memory as the hypervisor or the VMM maps it: plaintext in Normal and Shared frames, ciphertext in Secure frames that are paged out
 * (power-pef.md 6.5). Addresses are guest physical and any 64-bit number; each access may cross pages. Multi-byte values are big-endian.
 */
export class GuestMemory {
  readonly #view: HostView;
  readonly #pages: HostPages;

  /** @param view whose rights the accesses have */
  constructor(view: HostView, pages: HostPages) {
    this.#view = view;
    this.#pages = pages;
  }

  /** A copy of `length` bytes. @throws GuestFault */
  read(vm: Vm, gpa: bigint | number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    let at = 0;
    for (const { address, bytes } of this.#pieces(vm, gpa, length, 'read')) {
      out.set(this.#view.read(address, bytes), at);
      at += bytes;
    }
    return out;
  }

  /** Writes all bytes or, if one of them cannot be reached, none. @throws GuestFault */
  write(vm: Vm, gpa: bigint | number, bytes: Uint8Array): void {
    let at = 0;
    for (const piece of this.#pieces(vm, gpa, bytes.length, 'write')) {
      this.#view.write(piece.address, bytes.subarray(at, at + piece.bytes));
      at += piece.bytes;
    }
  }

  /** Makes sure that `length` bytes can be read and written. @throws GuestFault */
  probe(vm: Vm, gpa: bigint | number, length: number): void {
    this.#pieces(vm, gpa, length, 'write');
  }

  /** @throws GuestFault */
  readU32(vm: Vm, gpa: bigint | number): number {
    return viewOf(this.read(vm, gpa, 4)).getUint32(0);
  }

  /** @throws GuestFault */
  writeU32(vm: Vm, gpa: bigint | number, value: number): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value);
    this.write(vm, gpa, bytes);
  }

  /** The text up to its NUL, in Latin-1; undefined if there is no NUL within `limit` bytes. @throws GuestFault */
  readString(vm: Vm, gpa: bigint | number, limit: number): string | undefined {
    let text = '';
    for (let at = 0; at < limit; ) {
      const room = UV_PAGE_SIZE - ((Number(BigInt(gpa) & 0xffffn) + at) % UV_PAGE_SIZE);
      const bytes = this.read(vm, BigInt(gpa) + BigInt(at), Math.min(room, limit - at));
      const end = bytes.indexOf(0);
      text += String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
      if (end >= 0) return text;
      at += bytes.length;
    }
    return undefined;
  }

  /** The normal page behind the frame of `gpa`, made on first touch; to be written, it is the frame's alone. @throws GuestFault */
  page(vm: Vm, gpa: GuestPhysical, access: 'read' | 'write'): RealAddress {
    const frame = frameOf(vm.slots, gfnOf(gpa));
    if (frame === undefined) throw new GuestFault(vm.lpid, BigInt(gpa), 'unmapped');
    const { slot, index } = frame;
    if (isUvmem(slot.pfns[index])) throw new GuestFault(vm.lpid, BigInt(gpa), 'secure');
    const known = framePage(frame);
    if (known !== undefined) {
      const page = access === 'read' ? known : ownPage(this.#view, this.#pages, vm, frame);
      if (page === undefined) throw new GuestFault(vm.lpid, BigInt(gpa), 'memory');
      return page;
    }
    const page = this.#pages.allocate();
    if (page === undefined) throw new GuestFault(vm.lpid, BigInt(gpa), 'memory');
    slot.pages[index] = page;
    return page;
  }

  #pieces(
    vm: Vm,
    start: bigint | number,
    length: number,
    access: 'read' | 'write',
  ): { address: RealAddress; bytes: number }[] {
    const first = BigInt(start);
    const pieces: { address: RealAddress; bytes: number }[] = [];
    for (let at = 0; at < length; ) {
      const gpa = guestPhysical(first + BigInt(at));
      if (gpa === undefined) throw new GuestFault(vm.lpid, first, 'unmapped');
      const offset = gpa % UV_PAGE_SIZE;
      const bytes = Math.min(UV_PAGE_SIZE - offset, length - at);
      pieces.push({ address: (this.page(vm, gpa, access) + offset) as RealAddress, bytes });
      at += bytes;
    }
    return pieces;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
