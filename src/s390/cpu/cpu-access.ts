import { readVirtual, writeVirtual } from '../../engine/access.ts';
import type { AccessKind, Translation } from '../../engine/cpu-model.ts';
import { PAGE_SIZE } from '../../engine/layout.ts';
import type { RealAddress } from '../../machine/types.ts';
import { PSW } from '../abi.ts';
import { SPACE } from '../isa/helpers.ts';
import { setCc } from '../isa/state.ts';
import { halves } from '../isa/work.ts';
import type { Core } from './core.ts';
import type { AddressKind, CpuRegisters, CpuStorage } from './port.ts';

/** Registers and storage of the program at hand, for whoever does an instruction's work. */
export class CpuAccess implements CpuRegisters, CpuStorage {
  protected readonly core: Core;

  constructor(core: Core) {
    this.core = core;
  }

  get cpu(): number {
    return this.core.index;
  }

  gr(n: number): bigint {
    return this.core.gr(n);
  }

  setGr(n: number, value: bigint): void {
    this.core.setGr(n, value);
  }

  cr(n: number): bigint {
    return this.core.cr(n);
  }

  setCr(n: number, value: bigint): void {
    this.core.setCr(n, value);
  }

  get pswMask(): bigint {
    return this.core.pswMask;
  }

  get pswAddress(): bigint {
    return this.core.context.pc;
  }

  setPsw(mask: bigint, address: bigint): void {
    this.core.setPsw(mask, address);
  }

  setCc(cc: number): void {
    setCc(this.core.context, cc);
  }

  get prefix(): number {
    return this.core.prefix;
  }

  setPrefix(prefix: number): void {
    this.core.prefix = prefix;
  }

  cpuTimer(): bigint {
    return this.core.timers.cpuTimer;
  }

  clockComparator(): bigint {
    return this.core.timers.clockComparator;
  }

  read(kind: AddressKind, address: bigint, length: number): Uint8Array | null {
    const { core } = this;
    if (kind !== 'absolute') return readVirtual(core.context, ...halves(address), length, this.#space(kind));
    const pieces = this.#locate(Number(address), length, 'load');
    if (pieces === null) return null;
    const bytes = new Uint8Array(length);
    for (const { host, at, size } of pieces) bytes.set(core.context.store.bytes.subarray(host, host + size), at);
    return bytes;
  }

  write(kind: AddressKind, address: bigint, bytes: Uint8Array): boolean {
    const { core } = this;
    if (kind !== 'absolute') return writeVirtual(core.context, ...halves(address), bytes, this.#space(kind));
    const pieces = this.#locate(Number(address), bytes.length, 'store');
    if (pieces === null) return false;
    for (const { host, at, size } of pieces) {
      core.context.store.bytes.set(bytes.subarray(at, at + size), host);
      core.context.store.written(host, size);
    }
    return true;
  }

  reaches(kind: AddressKind, address: bigint, length: number, access: Exclude<AccessKind, 'fetch'>): boolean {
    if (kind === 'absolute') return this.#locate(Number(address), length, access) !== null;
    const result: Translation = { host: 0, writable: false, cacheable: false };
    for (let done = 0; done < length; ) {
      const at = address + BigInt(done);
      const size = Math.min(length - done, PAGE_SIZE - Number(at & BigInt(PAGE_SIZE - 1)));
      if (!this.core.mmu.translate(...halves(at), access, this.#space(kind), size, result)) return false;
      done += size;
    }
    return true;
  }

  translate(kind: AddressKind, address: bigint): { readonly absolute: RealAddress } | { readonly code: number } {
    if (kind === 'absolute') return { absolute: Number(address) as RealAddress };
    const { mmu } = this.core;
    const absolute = mmu.resolve(...halves(address), this.#space(kind));
    return absolute < 0 ? { code: mmu.fault.code } : { absolute: absolute as RealAddress };
  }

  /** Home space means real addresses where DAT is off. */
  #space(kind: AddressKind): number {
    if (kind === 'operand') return SPACE.current;
    return kind === 'home' && this.core.pswHas(PSW.DAT) ? SPACE.home : SPACE.real;
  }

  #locate(address: number, length: number, access: AccessKind): { host: number; at: number; size: number }[] | null {
    const pieces = [];
    for (let at = 0; at < length; ) {
      const size = Math.min(length - at, PAGE_SIZE - ((address + at) % PAGE_SIZE));
      const host = this.core.mmu.locate(address + at, size, access);
      if (host < 0) return null;
      pieces.push({ host, at, size });
      at += size;
    }
    return pieces;
  }
}
