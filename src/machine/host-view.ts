import type { TraceSink } from '../trace/events.ts';
import type { RealMemory, Region } from './memory.ts';
import { AccessRefused, type Agent, type RealAddress } from './types.ts';

/** What `HostView.pagesRead` counts by, whatever the architecture's own pages: 4 KiB. */
const READ_PAGE = 4096;

/** Who the view belongs to and what it may reach. */
export interface ViewRights {
  readonly agent: Agent;
  /** Whether the agent is in secure state. */
  readonly secure: boolean;
}

/**
 * A capability over RAM: the only way in which native software and devices reach it. Each access is checked as hardware would check it; a
 * refused one changes nothing, is an event in the trace and throws `AccessRefused`. Multi-byte values are big-endian unless named `Le`.
 */
export class HostView {
  readonly rights: ViewRights;
  /** Numbers of the pages of 4 KiB of which something was read. */
  readonly #pagesRead = new Set<number>();
  #lastRead = -1;
  readonly #memory: RealMemory;
  readonly #trace: TraceSink | null;
  readonly #clock: () => bigint;

  constructor(memory: RealMemory, rights: ViewRights, trace: TraceSink | null, clock: () => bigint) {
    this.#memory = memory;
    this.rights = rights;
    this.#trace = trace;
    this.#clock = clock;
  }

  /** Whether all of the range is populated and open to this agent, at least to read. */
  reaches(address: RealAddress, length: number): boolean {
    const region = this.#memory.find(address, length);
    return region !== undefined && this.#open(region, address, length, false);
  }

  /** A copy of `length` bytes. @throws AccessRefused */
  read(address: RealAddress, length: number): Uint8Array {
    const at = this.#check(address, length, false);
    this.#record(address, length);
    return this.#memory.store.bytes.slice(at, at + length);
  }

  /**
   * The bytes themselves, not a copy: for reading at once what would be too much to copy. They change with memory, so whatever is checked must
   * be done with before anything else runs. @throws AccessRefused
   */
  peek(address: RealAddress, length: number): Uint8Array {
    const at = this.#check(address, length, false);
    this.#record(address, length);
    return this.#memory.store.bytes.subarray(at, at + length);
  }

  /** @throws AccessRefused */
  write(address: RealAddress, bytes: Uint8Array): void {
    const at = this.#check(address, bytes.length, true);
    this.#memory.store.bytes.set(bytes, at);
    this.#memory.store.written(at, bytes.length);
  }

  /** @throws AccessRefused */
  fill(address: RealAddress, length: number, value: number): void {
    const at = this.#check(address, length, true);
    this.#memory.store.bytes.fill(value, at, at + length);
    this.#memory.store.written(at, length);
  }

  /** @throws AccessRefused */
  readU64(address: RealAddress): bigint {
    const at = this.#check(address, 8, false);
    this.#record(address, 8);
    return this.#memory.store.view.getBigUint64(at);
  }

  /** @throws AccessRefused */
  readU64Le(address: RealAddress): bigint {
    const at = this.#check(address, 8, false);
    this.#record(address, 8);
    return this.#memory.store.view.getBigUint64(at, true);
  }

  /** @throws AccessRefused */
  writeU64Le(address: RealAddress, value: bigint): void {
    const at = this.#check(address, 8, true);
    this.#memory.store.view.setBigUint64(at, BigInt.asUintN(64, value), true);
    this.#memory.store.written(at, 8);
  }

  /** @throws AccessRefused */
  readU32(address: RealAddress): number {
    const at = this.#check(address, 4, false);
    this.#record(address, 4);
    return this.#memory.store.view.getUint32(at);
  }

  /** @throws AccessRefused */
  writeU64(address: RealAddress, value: bigint): void {
    const at = this.#check(address, 8, true);
    this.#memory.store.view.setBigUint64(at, BigInt.asUintN(64, value));
    this.#memory.store.written(at, 8);
  }

  /** @throws AccessRefused */
  writeU32(address: RealAddress, value: number): void {
    const at = this.#check(address, 4, true);
    this.#memory.store.view.setUint32(at, value);
    this.#memory.store.written(at, 4);
  }

  /** Real addresses / 4096 of all that was read through this view: what its owner has seen of memory, at most. */
  get pagesRead(): ReadonlySet<number> {
    return this.#pagesRead;
  }

  /** The regions that this view reaches, in ascending order of address. */
  reachable(): readonly Region[] {
    return this.#memory.regions.filter((r) => !r.secure || this.rights.secure).sort((x, y) => x.base - y.base);
  }

  #record(address: number, length: number): void {
    if (length === 0) return;
    // Real addresses do not fit 32 bits.
    const first = Math.floor(address / READ_PAGE);
    const last = Math.floor((address + length - 1) / READ_PAGE);
    // Most reads are of the page of the read before.
    if (first === this.#lastRead && last === first) return;
    this.#lastRead = last;
    for (let page = first; page <= last; page++) this.#pagesRead.add(page);
  }

  #check(address: RealAddress, length: number, write: boolean): number {
    const region = this.#memory.find(address, length);
    if (region !== undefined && this.#open(region, address, length, write))
      return region.host + (address - region.base);
    this.#trace?.emit({
      type: 'refused-access',
      at: this.#clock(),
      cpu: -1,
      agent: this.rights.agent,
      address: BigInt(address),
      size: length,
      write,
    });
    throw new AccessRefused(this.rights.agent, address, length, region === undefined ? 'unpopulated' : 'secure');
  }

  #open(region: Region, address: number, length: number, write: boolean): boolean {
    if (this.rights.secure) return true;
    return !region.secure && (this.#memory.guard?.(address, length, write) ?? true);
  }
}
