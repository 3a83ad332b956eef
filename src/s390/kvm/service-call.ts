import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { PGM, PSW, SD } from '../abi.ts';
import type { AddressKind, ServiceCall } from '../cpu/port.ts';
import { prefixed, type Translated, translateLogical } from './guest-dat.ts';
import { GuestRegisters } from './guest-registers.ts';
import type { GuestStorage } from './guest-storage.ts';
import { PAGE } from './host-storage.ts';
import type { InterceptedText } from './intercepted.ts';
import type { Vcpu } from './vm.ts';

/** An intercepted instruction as its handler sees it: the same as one of a CPU without SIE, so that a handler need not know which it is. */
export abstract class InterceptedCall extends GuestRegisters implements ServiceCall {
  readonly name: string;
  readonly head: number;
  readonly tail: number;
  readonly length: 2 | 4 | 6;
  readonly r1: number;
  readonly r2: number;
  readonly r3: number;
  readonly text: InterceptedText;
  /** Program interruption code of the access that was refused last, 0 for none, and the address. */
  refused = 0;
  refusedAt = 0n;

  constructor(vcpu: Vcpu, text: InterceptedText) {
    super(vcpu);
    const ipb = vcpu.sie.u32(SD.IPB);
    this.text = text;
    this.length = text.format === 'RSY' ? 6 : 4;
    this.name = text.name;
    this.head = ((vcpu.sie.u16(SD.IPA) << 16) | (ipb >>> 16)) >>> 0;
    this.tail = ipb & 0xffff;
    this.r1 = text.r1;
    this.r2 = text.r2;
    this.r3 = text.r3;
  }

  abstract get address(): bigint;
  abstract read(kind: AddressKind, address: bigint, length: number): Uint8Array | null;
  abstract write(kind: AddressKind, address: bigint, bytes: Uint8Array): boolean;
  abstract reaches(kind: AddressKind, address: bigint, length: number): boolean;
  abstract translate(
    kind: AddressKind,
    address: bigint,
  ): { readonly absolute: RealAddress } | { readonly code: number };
}

/** Of a normal guest: registers in the state description, operands in guest storage. */
export class NormalCall extends InterceptedCall {
  readonly #storage: GuestStorage;

  constructor(vcpu: Vcpu, text: InterceptedText, storage: GuestStorage) {
    super(vcpu, text);
    this.#storage = storage;
  }

  get address(): bigint {
    const { base, displacement } = this.text;
    const mask = this.pswMask;
    const bits = (mask & PSW.EA) !== 0n ? 64 : (mask & PSW.BA) !== 0n ? 31 : 24;
    return BigInt.asUintN(bits, (base === 0 ? 0n : this.gr(base)) + BigInt(displacement));
  }

  read(kind: AddressKind, address: bigint, length: number): Uint8Array | null {
    const parts = this.#parts(kind, address, length);
    if (parts === null) return null;
    const bytes = new Uint8Array(length);
    for (const { absolute, offset, length: part } of parts) {
      const read = this.#storage.read(this.vcpu.vm, absolute, part);
      if (!(read instanceof Uint8Array)) return this.#refuse(read, address);
      bytes.set(read, offset);
    }
    return bytes;
  }

  write(kind: AddressKind, address: bigint, bytes: Uint8Array): boolean {
    const parts = this.#parts(kind, address, bytes.length);
    if (parts === null) return false;
    for (const { absolute, offset, length } of parts) {
      this.#storage.write(this.vcpu.vm, absolute, bytes.subarray(offset, offset + length));
    }
    return true;
  }

  reaches(kind: AddressKind, address: bigint, length: number): boolean {
    return this.#parts(kind, address, length) !== null;
  }

  translate(kind: AddressKind, address: bigint): { readonly absolute: RealAddress } | { readonly code: number } {
    const at = this.#translate(kind, address);
    return 'code' in at ? at : { absolute: at.absolute as RealAddress };
  }

  #translate(kind: AddressKind, address: bigint): Translated {
    if (kind === 'operand' || kind === 'home') return translateLogical(this.#storage, this.vcpu, address);
    const number = Number(address);
    const absolute = kind === 'real' ? prefixed(this.prefix, number) : number;
    return absolute < this.vcpu.vm.size ? { absolute } : { code: PGM.ADDRESSING };
  }

  /** Pages of an operand, all of them found; null where one is not. */
  #parts(
    kind: AddressKind,
    address: bigint,
    length: number,
  ): { absolute: number; offset: number; length: number }[] | null {
    const parts = [];
    for (let offset = 0; offset < length; ) {
      const at = address + BigInt(offset);
      const part = Math.min(length - offset, PAGE - Number(at & BigInt(PAGE - 1)));
      const translated = this.#translate(kind, at);
      if ('code' in translated) return this.#refuse(translated.code, at);
      if (translated.absolute + part > this.vcpu.vm.size) return this.#refuse(PGM.ADDRESSING, at);
      parts.push({ absolute: translated.absolute, offset, length: part });
      offset += part;
    }
    return parts;
  }

  #refuse(code: number, address: bigint): null {
    this.refused = code;
    this.refusedAt = address;
    return null;
  }
}

/**
 * Of a protected guest: the Ultravisor has put the instruction's operand at the start of the SIDA, wherever the guest has it, and takes it back from there.
 * Whatever address a handler makes of the registers it sees means that operand.
 */
export class SecureCall extends InterceptedCall {
  readonly #view: HostView;
  readonly #sida: RealAddress;
  readonly #size: number;

  constructor(vcpu: Vcpu, text: InterceptedText, view: HostView) {
    super(vcpu, text);
    this.#view = view;
    const designation = vcpu.sie.u64(SD.GBEA_OR_SIDA);
    this.#sida = Number(designation & ~0xfffn) as RealAddress;
    this.#size = (Number(designation & 0xffn) + 1) * PAGE;
  }

  get address(): bigint {
    const { format, base, displacement } = this.text;
    // Of DIAGNOSE and SIGP it is no address but a code, which the pre-set text gives through a register.
    return format === 'RS' ? (base === 0 ? 0n : this.gr(base)) + BigInt(displacement) : 0n;
  }

  read(_kind: AddressKind, address: bigint, length: number): Uint8Array | null {
    const at = this.#at(address, length);
    return at === null ? null : this.#view.read(at, length);
  }

  write(_kind: AddressKind, address: bigint, bytes: Uint8Array): boolean {
    const at = this.#at(address, bytes.length);
    if (at !== null) this.#view.write(at, bytes);
    return at !== null;
  }

  reaches(_kind: AddressKind, address: bigint, length: number): boolean {
    return this.#at(address, length) !== null;
  }

  translate(): { readonly code: number } {
    return { code: PGM.ADDRESSING };
  }

  #at(address: bigint, length: number): RealAddress | null {
    const offset = Number(address - this.#origin);
    if (offset >= 0 && offset + length <= this.#size) return (this.#sida + offset) as RealAddress;
    this.refused = PGM.ADDRESSING;
    return null;
  }

  /** The address that a handler takes the operand to be at. */
  get #origin(): bigint {
    const { name, r1, r2 } = this.text;
    switch (name) {
      case 'servc':
        return this.gr(r2);
      case 'diag':
      case 'chsc':
        return this.gr(r1);
      case 'sthyi':
        return this.gr(r2);
      default:
        return this.address;
    }
  }
}
