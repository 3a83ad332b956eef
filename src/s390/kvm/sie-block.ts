import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { CPUFLAG, SD } from '../abi.ts';

/** A state description in the host's storage, field by field (`SD`). */
export class SieBlock {
  readonly address: RealAddress;
  readonly #view: HostView;

  constructor(view: HostView, address: RealAddress) {
    this.#view = view;
    this.address = address;
  }

  u8(offset: number): number {
    return this.#view.read(this.#at(offset), 1)[0] as number;
  }

  setU8(offset: number, value: number): void {
    this.#view.write(this.#at(offset), Uint8Array.of(value));
  }

  u16(offset: number): number {
    const [high = 0, low = 0] = this.#view.read(this.#at(offset), 2);
    return (high << 8) | low;
  }

  setU16(offset: number, value: number): void {
    this.#view.write(this.#at(offset), Uint8Array.of(value >> 8, value));
  }

  u32(offset: number): number {
    return this.#view.readU32(this.#at(offset));
  }

  setU32(offset: number, value: number): void {
    this.#view.writeU32(this.#at(offset), value >>> 0);
  }

  u64(offset: number): bigint {
    return this.#view.readU64(this.#at(offset));
  }

  setU64(offset: number, value: bigint): void {
    this.#view.writeU64(this.#at(offset), value);
  }

  hasFlag(flag: keyof typeof CPUFLAG): boolean {
    return (this.u32(SD.CPUFLAGS) & CPUFLAG[flag]) !== 0;
  }

  setFlag(flag: keyof typeof CPUFLAG, on: boolean): void {
    const rest = this.u32(SD.CPUFLAGS) & ~CPUFLAG[flag];
    this.setU32(SD.CPUFLAGS, on ? rest | CPUFLAG[flag] : rest);
  }

  /** Address of the guest's prefix area. */
  get prefix(): number {
    return this.u32(SD.PREFIX) & 0x7fffe000;
  }

  setPrefix(address: number): void {
    this.setU32(SD.PREFIX, (this.u32(SD.PREFIX) & ~0x7fffe000) | address);
  }

  /** First doubleword of the PSW. */
  get pswMask(): bigint {
    return this.u64(SD.PSW);
  }

  get pswAddress(): bigint {
    return this.u64(SD.PSW + 8);
  }

  setPsw(mask: bigint, address: bigint): void {
    this.setU64(SD.PSW, mask);
    this.setU64(SD.PSW + 8, address);
  }

  #at(offset: number): RealAddress {
    return (this.address + offset) as RealAddress;
  }
}
