import { ARM_PAGE_SIZE, ERRNO, type Errno } from '../abi.ts';
import type { HypPages } from './hyp-page.ts';
import { leafAt } from './pgtable-walk.ts';
import { type PageSource, type Stage2, unmap } from './stage2.ts';
import { granuleOf, isValid, LAST_LEVEL, PROT } from './stage2-format.ts';
import { map } from './stage2-map.ts';

/** A range of physical addresses that are all memory, or all not. */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
  readonly memory: boolean;
}

/** The memory range or the gap between two of them that holds an address (arm64-pkvm.md 2.15 step 3). */
export function rangeAround(pages: HypPages, address: number, limit: number): AddressRange {
  let start = 0;
  for (const { base, size } of pages.ranges) {
    if (address < base) return { start, end: base, memory: false };
    start = base + size;
    if (address < start) return { start: base, end: start, memory: true };
  }
  return { start, end: limit, memory: false };
}

/** Memory may do everything, a device may not hold code. */
const protOf = ({ memory }: AddressRange): bigint => (memory ? PROT.RWX : PROT.RW);

/** The largest leaf around an address that lies in the range and is no larger than the hole found there. */
function leafAround(address: number, range: AddressRange, from: number): { start: number; size: number } {
  for (let level = Math.max(1, from); level < LAST_LEVEL; level++) {
    const size = granuleOf(level);
    const start = Math.floor(address / size) * size;
    if (start >= range.start && start + size <= range.end) return { start, size };
  }
  return { start: Math.floor(address / ARM_PAGE_SIZE) * ARM_PAGE_SIZE, size: ARM_PAGE_SIZE };
}

/** The host's table takes pages from the hyp's pool, whatever cache is named. */
const POOL: PageSource = { pop: () => null };

/**
 * host_stage2_idmap: the host touched an address that its stage 2 does not map (2.15).
 * @returns 0: mapped, the access can be tried again; −EEXIST: it is mapped already, likewise; −EPERM: the page is not the host's; −ENOMEM: the pool is
 * empty even without the mappings of devices
 */
export function mapHostFault(host: Stage2, pages: HypPages, address: number): Errno {
  const found = leafAt(host, address);
  if (found === ERRNO.ERANGE) return found;
  if (isValid(found.pte)) return ERRNO.EEXIST;
  if (found.pte !== 0n) return ERRNO.EPERM;
  const range = rangeAround(pages, address, 2 ** host.bits);
  const { start, size } = leafAround(address, range, found.level);
  const attempt = (): Errno => map(host, start, size, start, protOf(range), POOL);
  const error = attempt();
  if (error !== ERRNO.ENOMEM) return error;
  // Devices are mapped again when they are next used; memory is what cannot be given up (10.1 #11).
  unmapDevices(host, pages);
  return attempt();
}

function unmapDevices(host: Stage2, pages: HypPages): void {
  const limit = 2 ** host.bits;
  for (let address = 0; address < limit; ) {
    const range = rangeAround(pages, address, limit);
    if (!range.memory) unmap(host, range.start, range.end - range.start);
    address = range.end;
  }
}
