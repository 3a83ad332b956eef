import { describe, expect, it } from 'vitest';
import { ERRNO } from '../../../src/arm64/abi.ts';
import { destroy, unmap } from '../../../src/arm64/hyp/stage2.ts';
import { PROT } from '../../../src/arm64/hyp/stage2-format.ts';
import { legacyMap, setOwner } from '../../../src/arm64/hyp/stage2-legacy.ts';
import { HostTable, MIB, RAM } from './tables.ts';

const CACHE = { pop: (): null => null };
const OWNED_BY_HYP = 0x0100_0000_0000_0000n;

/** Seed 004, and arm64-pkvm.md 2.10, 2.11, 10.1. */
describe('stage2_set_owner (seed 004)', () => {
  it('writes the owner into bits 63 to 56 of invalid entries', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM + 0x3000, 0x2000, CACHE, 1)).toBe(0);
    expect(h.leaf(RAM + 0x3000)).toEqual({ pte: OWNED_BY_HYP, level: 3 });
    expect(h.leaf(RAM + 0x4000)).toEqual({ pte: OWNED_BY_HYP, level: 3 });
    expect(h.leaf(RAM + 0x5000)).toEqual({ pte: 0n, level: 3 });
    expect(h.takeFlushes()).toEqual([]);
    h.audit();
  });

  it('refuses an owner above 1 before any walk', () => {
    const h = new HostTable();
    const before = h.pool.freePages;
    expect(setOwner(h.table, RAM, 4096, CACHE, 2)).toBe(ERRNO.EINVAL);
    expect(h.pool.freePages).toBe(before);
    expect(h.audit()).toBe(2);
  });

  it('annotates whole blocks where they fit, down to what does not', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM + 2 * MIB, 2 * MIB + 4096, CACHE, 1)).toBe(0);
    expect(h.leaf(RAM + 2 * MIB)).toEqual({ pte: OWNED_BY_HYP, level: 2 });
    expect(h.leaf(RAM + 4 * MIB)).toEqual({ pte: OWNED_BY_HYP, level: 3 });
    h.audit();
  });

  it('is no error twice, and changes no reference (-EAGAIN is for valid entries only)', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM, 4096, CACHE, 1)).toBe(0);
    expect(setOwner(h.table, RAM, 4096, CACHE, 1)).toBe(0);
    h.audit();
    // Owner 0 is an entry of 0: no longer counted, but the table stays.
    expect(setOwner(h.table, RAM, 4096, CACHE, 0)).toBe(0);
    expect(h.leaf(RAM)).toEqual({ pte: 0n, level: 3 });
    expect(h.audit()).toBe(4);
  });

  it('needs no memcache where the tables are there, and fails with -ENOMEM where they are not', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM, 4096, null, 1)).toBe(ERRNO.ENOMEM);
    expect(h.leaf(RAM)).toEqual({ pte: 0n, level: 1 });
    expect(setOwner(h.table, RAM, 4096, CACHE, 1)).toBe(0);
    expect(setOwner(h.table, RAM + 4096, 4096, null, 1)).toBe(0);
    h.audit();
  });

  it('takes a mapped page out with TLB maintenance, an annotated one without', () => {
    const h = new HostTable();
    expect(legacyMap(h.table, RAM, 4096, RAM, PROT.RWX, CACHE)).toBe(0);
    expect(h.takeFlushes()).toEqual([]);
    expect(setOwner(h.table, RAM, 4096, CACHE, 1)).toBe(0);
    expect(h.takeFlushes()).toEqual([`${RAM.toString(16)}/3`]);
    expect(legacyMap(h.table, RAM, 4096, RAM, PROT.RWX, CACHE)).toBe(0);
    expect(h.takeFlushes()).toEqual([]);
    h.audit();
  });

  it('splits a mapped block: the rest is the host’s again, to be mapped lazily (10.1 #4)', () => {
    const h = new HostTable();
    expect(legacyMap(h.table, RAM, 2 * MIB, RAM, PROT.RWX, CACHE)).toBe(0);
    expect(h.leaf(RAM).level).toBe(2);
    expect(setOwner(h.table, RAM + 0x5000, 4096, CACHE, 1)).toBe(0);
    expect(h.leaf(RAM + 0x5000)).toEqual({ pte: OWNED_BY_HYP, level: 3 });
    expect(h.leaf(RAM + 0x6000)).toEqual({ pte: 0n, level: 3 });
    // The address that is flushed is the walk's own, inside the block.
    expect(h.takeFlushes()).toEqual([`${(RAM + 0x5000).toString(16)}/2`]);
    h.audit();
  });

  it('loses the owner of a block that is split: the known defect of this form (10.1 #6)', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM, 2 * MIB, CACHE, 1)).toBe(0);
    expect(legacyMap(h.table, RAM + 0x5000, 4096, RAM + 0x5000, PROT.RWX, CACHE)).toBe(0);
    expect(h.leaf(RAM + 0x6000)).toEqual({ pte: 0n, level: 3 });
    h.audit();
  });
});

describe('map (seed 004)', () => {
  it('answers -EAGAIN where the entry is the same but for permissions', () => {
    const h = new HostTable();
    expect(legacyMap(h.table, RAM, 4096, RAM, PROT.RWX, CACHE)).toBe(0);
    expect(legacyMap(h.table, RAM, 4096, RAM, PROT.RWX, CACHE)).toBe(ERRNO.EAGAIN);
    expect(legacyMap(h.table, RAM, 4096, RAM, PROT.R, CACHE)).toBe(ERRNO.EAGAIN);
    h.audit();
  });

  it('replaces a table by a block, with one flush of everything, and frees what hung below', () => {
    const h = new HostTable();
    for (const at of [0, 0x3000, 0x1ff000])
      expect(legacyMap(h.table, RAM + at, 4096, RAM + at, PROT.RWX, CACHE)).toBe(0);
    expect(setOwner(h.table, RAM + 0x8000, 4096, CACHE, 1)).toBe(0);
    expect(h.audit()).toBe(4);
    expect(legacyMap(h.table, RAM, 2 * MIB, RAM, PROT.RWX, CACHE)).toBe(0);
    expect(h.takeFlushes()).toEqual(['all']);
    expect(h.leaf(RAM).level).toBe(2);
    expect(h.audit()).toBe(3);
  });

  it('maps what VTCR_EL2 has no room for with -ERANGE', () => {
    const h = new HostTable();
    expect(legacyMap(h.table, 2 ** 40, 4096, 2 ** 40, PROT.RWX, CACHE)).toBe(ERRNO.ERANGE);
  });

  it.each([
    [PROT.DEVICE | PROT.X | PROT.R, 'executable device'],
    [PROT.NORMAL_NC | PROT.X | PROT.R, 'executable non-cacheable'],
    [PROT.NORMAL_NC | PROT.DEVICE | PROT.R, 'two types'],
    [PROT.PX | PROT.R, 'executable for one level'],
  ])('refuses protection %s: %s', (prot) => {
    const h = new HostTable();
    expect(legacyMap(h.table, RAM, 4096, RAM, prot, CACHE)).toBe(ERRNO.EINVAL);
    expect(h.audit()).toBe(2);
  });
});

describe('unmap and destroy (seed 004)', () => {
  it('drops annotations: the page falls back to the table’s owner (2.11)', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM, 0x4000, CACHE, 1)).toBe(0);
    expect(unmap(h.table, RAM, 0x4000)).toBe(0);
    expect(h.leaf(RAM)).toEqual({ pte: 0n, level: 1 });
    expect(h.takeFlushes().length).toBe(2);
    expect(h.audit()).toBe(2);
  });

  it('keeps a table that is not empty', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM, 0x4000, CACHE, 1)).toBe(0);
    expect(unmap(h.table, RAM, 0x2000)).toBe(0);
    expect(h.leaf(RAM + 0x2000)).toEqual({ pte: OWNED_BY_HYP, level: 3 });
    expect(h.audit()).toBe(4);
  });

  it('frees everything', () => {
    const h = new HostTable();
    expect(setOwner(h.table, RAM, 0x4000, CACHE, 1)).toBe(0);
    expect(legacyMap(h.table, RAM + 8 * MIB, 4 * MIB, RAM + 8 * MIB, PROT.RWX, CACHE)).toBe(0);
    expect(legacyMap(h.table, 0x900_0000, 4096, 0x900_0000, PROT.RW, CACHE)).toBe(0);
    destroy(h.table);
    expect(h.table.root).toBe(null);
    expect(h.pool.freePages).toBe(512);
  });
});
