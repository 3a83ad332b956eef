import { describe, expect, it } from 'vitest';
import { ERRNO } from '../../../src/arm64/abi.ts';
import { mapHostFault } from '../../../src/arm64/hyp/host-fault.ts';
import { isValid, PROT } from '../../../src/arm64/hyp/stage2-format.ts';
import { annotate, map } from '../../../src/arm64/hyp/stage2-map.ts';
import { HostTable, MIB, RAM } from './tables.ts';

const CACHE = { pop: (): null => null };

/** arm64-pkvm.md 2.15 and 10.1. */
describe('the host’s identity map on demand', () => {
  it('maps memory in the largest block that fits, devices without execution', () => {
    const h = new HostTable();
    expect(mapHostFault(h.table, h.pages, RAM + 5 * MIB)).toBe(0);
    expect(h.leaf(RAM + 4 * MIB)).toEqual({ pte: BigInt(RAM + 4 * MIB) | 0x7fdn, level: 2 });
    expect(mapHostFault(h.table, h.pages, 0x0900_0018)).toBe(0);
    // The gap below RAM is 1 GiB: one block of level 1. MemAttr is the normal one, as 6.12 and 7.2 map it without FWB.
    const { pte, level } = h.leaf(0x0900_0000);
    expect(level).toBe(1);
    expect((pte >> 54n) & 1n).toBe(1n);
    h.audit();
  });

  it('answers -EEXIST where it is mapped, and -EPERM where somebody else has the page', () => {
    const h = new HostTable();
    expect(mapHostFault(h.table, h.pages, RAM)).toBe(0);
    expect(mapHostFault(h.table, h.pages, RAM + 0x1000)).toBe(ERRNO.EEXIST);
    expect(annotate(h.table, RAM + 4 * MIB, 4096, 2, 2n, CACHE)).toBe(0);
    expect(mapHostFault(h.table, h.pages, RAM + 4 * MIB + 8)).toBe(ERRNO.EPERM);
    h.audit();
  });

  it('maps one page beside an annotated one (10.1 #9)', () => {
    const h = new HostTable();
    expect(annotate(h.table, RAM + 4 * MIB, 4096, 2, 2n, CACHE)).toBe(0);
    expect(mapHostFault(h.table, h.pages, RAM + 4 * MIB + 0x5000)).toBe(0);
    expect(h.leaf(RAM + 4 * MIB + 0x5000).level).toBe(3);
    expect(h.leaf(RAM + 4 * MIB + 0x6000)).toEqual({ pte: 0n, level: 3 });
    h.audit();
  });

  it('splits a block for an annotation, and the rest comes back page by page (3.7)', () => {
    const h = new HostTable();
    expect(mapHostFault(h.table, h.pages, RAM)).toBe(0);
    expect(annotate(h.table, RAM + 0x3000, 4096, 2, 2n, CACHE)).toBe(0);
    expect(h.leaf(RAM + 0x4000).pte).toBe(0n);
    expect(mapHostFault(h.table, h.pages, RAM + 0x4000)).toBe(0);
    expect(h.leaf(RAM + 0x4000).level).toBe(3);
    expect(isValid(h.leaf(RAM + 0x3000).pte)).toBe(false);
    h.audit();
  });

  it('gives up the mappings of devices when the pool is empty (10.1 #11)', () => {
    const h = new HostTable();
    expect(map(h.table, 0x0900_0000, 4096, 0x0900_0000, PROT.RW, CACHE)).toBe(0);
    while (h.pool.allocate(0) !== null);
    // RAM needs a table of level 2 that is not there; the device's two tables make room for it.
    expect(mapHostFault(h.table, h.pages, RAM + 4 * MIB)).toBe(0);
    expect(h.leaf(RAM + 4 * MIB).level).toBe(2);
    expect(h.leaf(0x0900_0000)).toEqual({ pte: 0n, level: 1 });
  });

  it('tells when even that is not enough', () => {
    const h = new HostTable();
    while (h.pool.allocate(0) !== null);
    expect(mapHostFault(h.table, h.pages, RAM)).toBe(ERRNO.ENOMEM);
    expect(h.leaf(RAM)).toEqual({ pte: 0n, level: 1 });
  });
});
