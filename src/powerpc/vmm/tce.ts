import { H_CODE, HCALL } from '../abi.ts';
import type { GuestMemory } from '../kvm/guest-memory.ts';
import type { HypercallResult, UserHypercall } from '../kvm/user-space.ts';

const PAGE = 4096n;
const READ = 1n;
const WRITE = 2n;
/** The most entries that one call may set (PAPR). */
const MOST_ENTRIES = 512n;

/**
 * The I/O MMU of a host bridge: one window of bus addresses from 0, in pages of 4 KiB, that the guest maps to its memory by hypercalls (PAPR,
 * "TCE"; QEMU's spapr_iommu).
 */
export class TceTable {
  /** By which the guest names it. */
  readonly liobn: number;
  /** Bytes of the window. */
  readonly size: number;
  readonly #entries = new Map<bigint, bigint>();

  constructor(liobn: number, size: number) {
    this.liobn = liobn;
    this.size = size;
  }

  reset(): void {
    this.#entries.clear();
  }

  /** The guest physical address behind a bus address; undefined if the guest does not let the device do this there. */
  translate(address: bigint, access: 'read' | 'write'): bigint | undefined {
    const entry = this.#entries.get(address / PAGE) ?? 0n;
    if ((entry & (access === 'read' ? READ : WRITE)) === 0n) return undefined;
    return (entry & ~(PAGE - 1n)) | (address & (PAGE - 1n));
  }

  /** H_PUT_TCE, H_GET_TCE, H_STUFF_TCE and H_PUT_TCE_INDIRECT: R4 LIOBN, R5 bus address, then entry, list and count. */
  hypercall(memory: GuestMemory, call: UserHypercall): HypercallResult {
    const { number, args, vm } = call;
    const [liobn, address, value, count] = args;
    if (liobn !== BigInt(this.liobn)) return { status: H_CODE.H_PARAMETER };
    const first = address / PAGE;
    switch (number) {
      case HCALL.H_PUT_TCE:
        return this.#put(first, [value]);
      case HCALL.H_STUFF_TCE:
        if (count > MOST_ENTRIES) return { status: H_CODE.H_PARAMETER };
        return this.#put(first, new Array<bigint>(Number(count)).fill(value));
      case HCALL.H_PUT_TCE_INDIRECT: {
        if (count > MOST_ENTRIES || value % PAGE !== 0n) return { status: H_CODE.H_PARAMETER };
        const list = memory.read(vm, value, 8 * Number(count));
        const view = new DataView(list.buffer, list.byteOffset, list.length);
        return this.#put(
          first,
          Array.from({ length: Number(count) }, (_, i) => view.getBigUint64(8 * i)),
        );
      }
      default:
        if (!this.#has(first, 1)) return { status: H_CODE.H_PARAMETER };
        return { status: H_CODE.H_SUCCESS, out: [this.#entries.get(first) ?? 0n] };
    }
  }

  #put(first: bigint, entries: readonly bigint[]): HypercallResult {
    if (!this.#has(first, entries.length)) return { status: H_CODE.H_PARAMETER };
    for (const [i, entry] of entries.entries()) {
      if ((entry & (READ | WRITE)) === 0n) this.#entries.delete(first + BigInt(i));
      else this.#entries.set(first + BigInt(i), entry);
    }
    return { status: H_CODE.H_SUCCESS };
  }

  #has(first: bigint, count: number): boolean {
    return (first + BigInt(count)) * PAGE <= BigInt(this.size);
  }
}
