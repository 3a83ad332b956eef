import type { RealAddress } from '../../../src/machine/types.ts';
import { ECB2, ICPT, SD, UVC, UVCB } from '../../../src/s390/abi.ts';
import type {
  AddressKind,
  GuestAnswer,
  GuestEvent,
  GuestInterruption,
  GuestPort,
  SecureCpu,
} from '../../../src/s390/cpu/ultravisor-port.ts';
import { guestEvent, leave, leaveCpu } from '../../../src/s390/ultravisor/events.ts';
import { checkAccess } from '../../../src/s390/ultravisor/pages.ts';
import { enterSie, resumeCpu } from '../../../src/s390/ultravisor/sie-entry.ts';
import type { SecureCpuRecord } from '../../../src/s390/ultravisor/state.ts';
import { ASCE, AT, SECOND, type UvHost } from './uv-host.ts';

const PAGE = 4096;
/** Where the instruction data areas are, a page for each CPU. */
export const SIDA = AT.spare;
/** Guest absolute address of a guest's control blocks. */
export const GUEST_BLOCK = 0x1f_0000;

/** What SIE did: `validity` with its reason, another interception, or the guest runs. */
export type Entered = { readonly validity: number } | { readonly intercept: number } | 'runs';

/**
 * A secure CPU and the host's state description of it: SIE without a CPU, which gives events to the Ultravisor as the guest's instructions would. DAT of the guest
 * is off, all its interruption masks are open.
 */
export class SecureGuest implements GuestPort {
  readonly cpu = 0;
  readonly description: number;
  asce: bigint;
  /** What the guest's DAT refuses, by page. */
  readonly refused = new Set<number>();
  enabled = true;
  pswMask = 0x0706_0001_8000_0000n;
  pswAddress = 0x1000n;
  cc = 0;
  readonly interruptions: GuestInterruption[] = [];
  readonly #host: UvHost;
  readonly #record: SecureCpuRecord;
  readonly #gr = new Array<bigint>(16).fill(0n);
  #running: SecureCpu | null = null;
  #byHost = false;

  /** @param index of the CPU, by the order of its making */
  constructor(host: UvHost, index = 0, { second = false } = {}) {
    const record = host.uv.state.cpus.get(host.cpus[index] ?? 0n);
    if (record === undefined) throw new Error('no such CPU');
    this.#host = host;
    this.#record = record;
    this.description = AT.description + (second ? SECOND : 0) + record.number * PAGE;
    this.asce = second ? ASCE.second : ASCE.first;
    this.poke(SD.CPU_HANDLE, record.handle);
    this.poke(SD.CONFIG_HANDLE, record.config.handle);
    this.poke(SD.GBEA_OR_SIDA, BigInt(SIDA + index * PAGE));
    this.pokeByte(SD.ECB2, ECB2.ESCA);
  }

  /** Writes a doubleword of the state description, as the host. */
  poke(offset: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value);
    this.#host.view.write((this.description + offset) as RealAddress, bytes);
  }

  pokeByte(offset: number, value: number): void {
    this.#host.view.write((this.description + offset) as RealAddress, Uint8Array.of(value));
  }

  peek(offset: number): bigint {
    return new DataView(this.#host.view.read((this.description + offset) as RealAddress, 8).buffer).getBigUint64(0);
  }

  peekByte(offset: number): number {
    return this.#host.view.read((this.description + offset) as RealAddress, 1)[0] ?? 0;
  }

  /** SIE, up to the first instruction of the guest's. */
  enter(): Entered {
    const { uv } = this.#host;
    const secure = enterSie(uv, {
      cpu: 0,
      stateDescription: this.description as RealAddress,
      asce: this.asce,
      tod: this.#host.tod,
    });
    if (secure === 'leave') return this.#left();
    this.#running = secure;
    const entry = resumeCpu(uv, this.#record, this);
    if (typeof entry === 'object' && 'validity' in entry) {
      leaveCpu(uv, this.#record, this);
      return entry;
    }
    if (typeof entry === 'object') this.interruptions.push({ kind: 'program', code: entry.program, length: 4 });
    return 'runs';
  }

  /** The host interrupts the guest. */
  stop(): void {
    leave(this.#host.uv, this.#record, this, { code: ICPT.NONE });
  }

  /** Something that the Ultravisor has to do with. */
  event(event: GuestEvent): GuestAnswer {
    return guestEvent(this.#host.uv, this.#record, this, event);
  }

  /** An instruction of four bytes. */
  instruction(name: string, head: number): GuestAnswer {
    return this.event({ kind: 'instruction', name, head, tail: 0, length: 4 });
  }

  /** UVC on a block at `GUEST_BLOCK`, whose page has to be the guest's. @returns the response code, or how else it ended */
  uvc(name: keyof typeof UVC, address: bigint, length = 0x30): number | 'fault' | 'leave' {
    const block = new DataView(new ArrayBuffer(length));
    block.setUint16(UVCB.LENGTH, length);
    block.setUint16(UVCB.COMMAND, UVC[name].number);
    block.setBigUint64(UVCB.SHARE.ADDRESS, address);
    if (!this.write('absolute', BigInt(GUEST_BLOCK), new Uint8Array(block.buffer)))
      throw new Error('no place for a block');
    this.setGr(2, BigInt(GUEST_BLOCK));
    const answer = this.instruction('uvc', 0xb9a4_0002);
    if (answer === 'fault' || answer === 'leave') return answer;
    const bytes = this.read('absolute', BigInt(GUEST_BLOCK), 8);
    return new DataView(bytes?.buffer ?? new ArrayBuffer(8)).getUint16(UVCB.RC);
  }

  get guest(): SecureCpu {
    if (this.#running === null) throw new Error('it does not run');
    return this.#running;
  }

  get tod(): bigint {
    return this.#host.tod;
  }

  get prefix(): number {
    return this.#record.guest.prefix;
  }

  get refusedByHost(): boolean {
    return this.#byHost;
  }

  gr(n: number): bigint {
    return this.#gr[n] ?? 0n;
  }

  setGr(n: number, value: bigint): void {
    this.#gr[n] = value;
  }

  cr(n: number): bigint {
    return this.#record.guest.cr[n] ?? 0n;
  }

  setCr(n: number, value: bigint): void {
    this.#record.guest.cr[n] = value;
  }

  setPsw(mask: bigint, address: bigint): void {
    this.pswMask = mask;
    this.pswAddress = address;
  }

  setCc(cc: number): void {
    this.cc = cc;
  }

  setPrefix(prefix: number): void {
    this.#record.guest.prefix = prefix;
  }

  cpuTimer(): bigint {
    return this.#record.guest.cpuTimer;
  }

  clockComparator(): bigint {
    return this.#record.guest.clockComparator;
  }

  advance(length: 2 | 4 | 6): void {
    this.pswAddress += BigInt(length);
  }

  interpret(): 'done' {
    return 'done';
  }

  enabledFor(): boolean {
    return this.enabled;
  }

  interrupt(interruption: GuestInterruption): boolean {
    this.interruptions.push(interruption);
    return true;
  }

  read(kind: AddressKind, address: bigint, length: number): Uint8Array | null {
    const at = this.#find(kind, address, length);
    return at === null ? null : this.#host.uv.view.read(at, length);
  }

  write(kind: AddressKind, address: bigint, bytes: Uint8Array): boolean {
    const at = this.#find(kind, address, bytes.length);
    if (at !== null) this.#host.uv.view.write(at, bytes);
    return at !== null;
  }

  reaches(kind: AddressKind, address: bigint, length: number): boolean {
    return this.#find(kind, address, length) !== null;
  }

  translate(): never {
    throw new Error('no DAT');
  }

  /** Operands of this guest lie within a page. */
  #find(kind: AddressKind, address: bigint, length: number): RealAddress | null {
    const page = Number(address) - (Number(address) % PAGE);
    if (Number(address) + length > page + PAGE) throw new Error('an operand on two pages');
    this.#byHost = false;
    if (kind === 'operand' && this.refused.has(page)) return null;
    this.#byHost = true;
    const { config } = this.#record;
    const at = this.#host.maps.get(config.asce)?.get(Number(config.origin) + page);
    if (at === undefined || checkAccess(this.#host.uv, at, { configuration: config, page }) !== 0) return null;
    return (at + (Number(address) % PAGE)) as RealAddress;
  }

  #left(): Entered {
    const code = this.peekByte(SD.ICPTCODE);
    if (code !== ICPT.VALIDITY) return { intercept: code };
    return { validity: Number((this.peek(SD.IPB) >> 48n) & 0xffffn) };
  }
}
