import { beforeEach, describe, expect, test } from 'vitest';
import type { AccessKind, Translation } from '../../../src/engine/cpu-model.ts';
import { PTE, packPde, packRadixRoot, RADIX_ROOT } from '../../../src/powerpc/abi.ts';
import { Mmu } from '../../../src/powerpc/cpu/mmu.ts';
import {
  ALL,
  bump,
  makeMemory,
  NORMAL_SIZE,
  type PageShift,
  pateDw0,
  pateDw1,
  Ram,
  SECURE_BASE,
  SECURE_SIZE,
  Tree,
} from './tables.ts';

const LPID = 3;
const PID = 5;
/** Real addresses. */
const PARTITION_TABLE = SECURE_BASE + 0x10000;
const HOST_PROCESS_TABLE = 0x10000;
/** Guest memory is at this real address; the partition-scoped tree maps gpa 0 to it. */
const GUEST = 0x400000;
/** Guest physical addresses. */
const GUEST_PROCESS_TABLE = 0x10000;

let ram: Ram;
let mmu: Mmu;
let partition: Tree;
let process: Tree;
let host: Tree;
let guestLeaf: number;
const result: Translation = { host: 0, writable: false, cacheable: false };

beforeEach(() => {
  ram = new Ram(makeMemory());
  mmu = new Mmu(ram.memory);
  const secure = bump(SECURE_BASE + 0x100000);
  partition = new Tree(ram, secure);
  const guestMemory = bump(0x100000);
  process = new Tree(ram, guestMemory, (gpa) => GUEST + gpa);
  host = new Tree(ram, bump(0x100000));
  // Guest memory of 2 MiB, one leaf.
  guestLeaf = partition.map(0, GUEST, 21);
  ram.put(PARTITION_TABLE + 16 * LPID, pateDw0(partition));
  ram.put(PARTITION_TABLE + 16 * LPID + 8, pateDw1(GUEST_PROCESS_TABLE));
  ram.put(GUEST + GUEST_PROCESS_TABLE + 16 * PID, process.dw0);
  ram.put(GUEST + GUEST_PROCESS_TABLE, process.dw0);
  ram.put(PARTITION_TABLE, pateDw0(host));
  ram.put(PARTITION_TABLE + 8, pateDw1(HOST_PROCESS_TABLE));
  ram.put(HOST_PROCESS_TABLE + 16 * PID, host.dw0);
  ram.put(HOST_PROCESS_TABLE, host.dw0);
  Object.assign(mmu.state, {
    partitionTable: PARTITION_TABLE,
    partitionTableBytes: 0x1000,
    lpid: LPID,
    pid: PID,
    hostRadix: true,
    processTables: true,
    hypervisor: false,
    secure: true,
    instructionRelocate: true,
    dataRelocate: true,
  });
});

function access(ea: bigint, kind: AccessKind = 'load', size = 8): boolean {
  return mmu.translate(Number(ea >> 32n) | 0, Number(ea & 0xffffffffn) | 0, kind, size, result);
}

/** The real address an access goes to, or the kind of its fault. */
function real(ea: bigint, kind: AccessKind = 'load'): number | string {
  if (!access(ea, kind)) return mmu.fault.kind;
  const region = ram.memory.regions.find((r) => result.host >= r.host && result.host < r.host + r.size);
  if (region === undefined) throw new Error('translated to no RAM');
  return region.base + (result.host - region.host);
}

function fault(ea: bigint, kind: AccessKind = 'load'): { kind: string; cause: number; gpa: number } {
  expect(access(ea, kind)).toBe(false);
  expect(mmu.fault.access).toBe(kind);
  expect((BigInt(mmu.fault.high) << 32n) | BigInt(mmu.fault.low)).toBe(ea);
  return { kind: mmu.fault.kind, cause: mmu.fault.cause, gpa: mmu.fault.guestAddress };
}

const hostMode = (quadrantPid = PID): void => {
  Object.assign(mmu.state, { hypervisor: true, secure: false, pid: quadrantPid });
};

describe('sheet 2.4: real mode', () => {
  const real1 = { instructionRelocate: false, dataRelocate: false };

  test('HV=0: the address without its top two bits is guest physical', () => {
    Object.assign(mmu.state, real1);
    expect(real(0x1238n)).toBe(GUEST + 0x1238);
    expect(real(0xc000000000001238n)).toBe(GUEST + 0x1238);
    expect(real(0x4000000000001238n, 'fetch')).toBe(GUEST + 0x1238);
  });

  test('HV=1, S=0: RA = EA | HRMOR, EA[0]=1 bypasses it', () => {
    Object.assign(mmu.state, real1, { hypervisor: true, secure: false, offsetHigh: 0, offsetLow: 0x200000 });
    expect(real(0x1238n)).toBe(0x201238);
    expect(real(0x8000000000001238n)).toBe(0x1238);
  });

  test('HV=1, S=1: RA = EA | URMOR, EA[0]=1 bypasses it', () => {
    Object.assign(mmu.state, real1, { hypervisor: true, secure: true, offsetHigh: 0x10000, offsetLow: 0x10000 });
    expect(real(0x1238n)).toBe(SECURE_BASE + 0x11238);
    expect(real(0x8000000000001238n)).toBe(0x1238);
    expect(real(0x8001000000001238n)).toBe(SECURE_BASE + 0x1238);
  });

  test('instruction and data relocation are independent', () => {
    Object.assign(mmu.state, { instructionRelocate: false, dataRelocate: true });
    expect(real(0x1238n, 'fetch')).toBe(GUEST + 0x1238);
    expect(real(0x1238n)).toBe('storage');
  });
});

describe('sheet 2.4: radix walks of all page sizes', () => {
  const shifts: PageShift[] = [12, 16, 21, 30];
  const offset: Record<PageShift, number> = { 12: 0xabc, 16: 0xf128, 21: 0x1f1238, 30: 0x1f1238 };
  const target: Record<PageShift, number> = { 12: 0x53000, 16: 0x50000, 21: 0x200000, 30: 0 };

  test.each(shifts)('process-scoped, host: 2^%i bytes', (shift) => {
    hostMode();
    const ea = 3 * 2 ** 40 + 5 * 2 ** 30 + (shift < 30 ? 2 ** shift : 0);
    host.map(ea, target[shift], shift);
    expect(real(BigInt(ea + offset[shift]))).toBe(target[shift] + offset[shift]);
    expect(result.cacheable).toBe(true);
  });

  test.each(shifts)('partition-scoped: 2^%i bytes', (shift) => {
    Object.assign(mmu.state, { instructionRelocate: false, dataRelocate: false });
    const gpa = 3 * 2 ** 40 + 5 * 2 ** 30;
    partition.map(gpa, target[shift], shift);
    expect(real(BigInt(gpa + offset[shift]))).toBe(target[shift] + offset[shift]);
  });

  test('both stages', () => {
    process.map(0x7654321000, 0x30000);
    expect(real(0x7654321abcn)).toBe(GUEST + 0x30abc);
    expect(real(0x7654321abcn, 'store')).toBe(GUEST + 0x30abc);
    expect(real(0x7654321abcn, 'fetch')).toBe(GUEST + 0x30abc);
  });

  test('a small page under a large one keeps the low bits of the guest physical address', () => {
    process.map(0x10000, 0x1e0000, 16);
    expect(real(0x1fff8n)).toBe(GUEST + 0x1efff8);
  });
});

describe('sheet 2.4: quadrants', () => {
  const q = (n: number): bigint => BigInt(n) << 62n;

  test('HV=0: 0 is PIDR, 3 is PID 0, 1 and 2 are segment faults', () => {
    const other = new Tree(ram, bump(0x180000), (gpa) => GUEST + gpa);
    other.map(0x5000, 0x31000);
    ram.put(GUEST + GUEST_PROCESS_TABLE, other.dw0);
    process.map(0x5000, 0x30000);
    expect(real(q(0) | 0x5008n)).toBe(GUEST + 0x30008);
    expect(real(q(3) | 0x5008n)).toBe(GUEST + 0x31008);
    expect(fault(q(1) | 0x5008n)).toMatchObject({ kind: 'segment', cause: 0 });
    expect(fault(q(2) | 0x5008n, 'fetch')).toMatchObject({ kind: 'segment', cause: 0 });
  });

  test('HV=1: 0 and 3 are LPID 0, 1 and 2 are LPIDR', () => {
    hostMode();
    mmu.state.secure = true;
    const kernel = new Tree(ram, bump(0x200000));
    kernel.map(0x5000, 0x61000);
    ram.put(HOST_PROCESS_TABLE, kernel.dw0);
    host.map(0x5000, 0x60000);
    const guestKernel = new Tree(ram, bump(0x180000), (gpa) => GUEST + gpa);
    guestKernel.map(0x5000, 0x31000);
    ram.put(GUEST + GUEST_PROCESS_TABLE, guestKernel.dw0);
    process.map(0x5000, 0x30000);
    expect(real(q(0) | 0x5008n)).toBe(0x60008);
    expect(real(q(3) | 0x5008n)).toBe(0x61008);
    expect(real(q(1) | 0x5008n)).toBe(GUEST + 0x30008);
    expect(real(q(2) | 0x5008n)).toBe(GUEST + 0x31008);
  });

  test('EA bits between the quadrant and the space must be zero', () => {
    process.map(0x5000, 0x30000);
    expect(fault((1n << 52n) | 0x5008n)).toMatchObject({ kind: 'segment', cause: 0 });
    expect(fault(q(3) | (1n << 61n) | 0x5008n, 'store')).toMatchObject({ kind: 'segment', cause: 0 });
  });

  test('the process-scoped RTS gives the space', () => {
    const small = new Tree(ram, bump(0x180000), (gpa) => GUEST + gpa);
    ram.put(GUEST + small.root + 8, packPde(0x1a0000n, 5));
    ram.put(GUEST + GUEST_PROCESS_TABLE + 16 * PID, packRadixRoot({ base: BigInt(small.root), rootBits: 13, rts: 3 }));
    // 34 bits: 13 by the root, 5 by the next level, leaves of 64 KiB.
    ram.put(GUEST + 0x1a0000 + 8, PTE.V | PTE.L | 0x30000n | ALL);
    expect(real(0x210008n)).toBe(GUEST + 0x30008);
    expect(fault(1n << 34n)).toMatchObject({ kind: 'segment' });
  });
});

describe('sheet 2.5: faults of the process-scoped stage', () => {
  const kinds: AccessKind[] = ['load', 'store', 'fetch'];
  const STORE = 0x02000000;

  test.each(kinds)('no entry: 0x40000000 (%s)', (kind) => {
    expect(fault(0x5000n, kind)).toMatchObject({
      kind: 'storage',
      cause: 0x40000000 | (kind === 'store' ? STORE : 0),
    });
  });

  test.each([
    ['load', PTE.EXECUTE, 0x08000000],
    ['store', PTE.READ | PTE.EXECUTE, 0x08000000 | STORE],
    // ISA 3.0B, Book III 6.5.5: SRR1 bit 35 for no-execute or guarded storage.
    ['fetch', PTE.READ | PTE.WRITE, 0x10000000],
    ['fetch', PTE.READ | PTE.EXECUTE | PTE.ATT_NON_IDEMPOTENT, 0x10000000],
  ] as const)('permission: %s of a page with attributes %s', (kind, attributes, cause) => {
    process.map(0x5000, 0x30000, 12, PTE.R | PTE.C | attributes);
    expect(fault(0x5000n, kind)).toMatchObject({ kind: 'storage', cause });
  });

  test('EAA: write permission lets read, execute permission does not', () => {
    process.map(0x5000, 0x30000, 12, PTE.R | PTE.C | PTE.WRITE);
    expect(real(0x5000n)).toBe(GUEST + 0x30000);
  });

  test('the privileged bit keeps problem state out, not the OS', () => {
    process.map(0x5000, 0x30000, 12, ALL | PTE.PRIVILEGED);
    expect(real(0x5000n)).toBe(GUEST + 0x30000);
    mmu.state.problem = true;
    for (const kind of kinds) {
      expect(fault(0x5000n, kind)).toMatchObject({ cause: 0x08000000 | (kind === 'store' ? STORE : 0) });
    }
  });

  test('AMR and IAMR key 0 keep privileged code out of problem-state pages', () => {
    process.map(0x5000, 0x30000);
    process.map(0x6000, 0x31000, 12, ALL | PTE.PRIVILEGED);
    Object.assign(mmu.state, { userReadDenied: true, userWriteDenied: true, userExecuteDenied: true });
    expect(fault(0x5000n, 'load').cause).toBe(0x08000000);
    expect(fault(0x5000n, 'store').cause).toBe(0x08000000 | STORE);
    expect(fault(0x5000n, 'fetch').cause).toBe(0x10000000);
    expect(real(0x6000n, 'store')).toBe(GUEST + 0x31000);
    mmu.state.problem = true;
    expect(real(0x5000n, 'store')).toBe(GUEST + 0x30000);
  });

  test('a PID beyond the process table', () => {
    mmu.state.pid = 0x1000 / 16;
    expect(fault(0x5000n)).toMatchObject({ kind: 'storage', cause: 0x40000000 });
  });

  test.each([
    ['a directory of fewer than 2^5 entries', packPde(0x1c0000n, 4)],
    ['a directory that overruns the remaining bits', packPde(0x1c0000n, 28)],
    ['a directory that is not aligned to its size', packPde(0x1c0100n, 9)],
    ['a reserved bit in a directory entry', packPde(0x1c0000n, 9) | 0x20n],
    ['a leaf of no legal size', PTE.V | PTE.L | ALL],
  ])('unsupported MMU configuration: %s', (_, entry) => {
    ram.put(GUEST + process.root, entry);
    expect(fault(0x5000n)).toMatchObject({ kind: 'storage', cause: 0x00080000 });
    expect(fault(0x5000n, 'fetch')).toMatchObject({ kind: 'storage', cause: 0x00080000 });
  });

  test('unsupported MMU configuration: a space over 52 bits', () => {
    ram.put(GUEST + GUEST_PROCESS_TABLE + 16 * PID, packRadixRoot({ base: 0x100000n, rootBits: 13, rts: 22 }));
    expect(fault(0x5000n)).toMatchObject({ kind: 'storage', cause: 0x00080000 });
  });
});

describe('sheet 2.5: faults of the partition-scoped stage', () => {
  const STORE = 0x02000000;

  beforeEach(() => {
    process.map(0x5000, 0x600000);
  });

  test.each([
    ['load', 0x40000000],
    ['store', 0x40000000 | STORE],
    ['fetch', 0x40000000],
  ] as const)('no entry for the final address (%s): ASDR is its gpa', (kind, cause) => {
    expect(fault(0x5678n, kind)).toEqual({ kind: 'hypervisor-storage', cause, gpa: 0x600678 });
  });

  test.each([
    ['load', PTE.EXECUTE, 0x08000000],
    ['store', PTE.READ | PTE.EXECUTE, 0x08000000 | STORE],
    ['fetch', PTE.READ | PTE.WRITE, 0x10000000],
  ] as const)('permission for the final address (%s)', (kind, attributes, cause) => {
    partition.map(0x600000, GUEST, 16, PTE.R | PTE.C | attributes);
    expect(fault(0x5678n, kind)).toEqual({ kind: 'hypervisor-storage', cause, gpa: 0x600678 });
  });

  test('the privileged bit does not count (2.4)', () => {
    partition.map(0x600000, GUEST + 0x40000, 16, ALL | PTE.PRIVILEGED);
    mmu.state.problem = true;
    expect(real(0x5008n)).toBe(GUEST + 0x40008);
  });

  test('real mode', () => {
    Object.assign(mmu.state, { instructionRelocate: false, dataRelocate: false });
    expect(fault(0xc000000000600678n, 'store')).toEqual({
      kind: 'hypervisor-storage',
      cause: 0x40000000 | STORE,
      gpa: 0x600678,
    });
  });

  test('a guest physical address beyond the partition’s space', () => {
    Object.assign(mmu.state, { instructionRelocate: false, dataRelocate: false });
    expect(fault(1n << 52n)).toMatchObject({ kind: 'hypervisor-storage', cause: 0x40000000, gpa: 2 ** 52 });
  });

  test.each([
    ['load', 0x40020000],
    ['store', 0x40020000],
    ['fetch', 0x40020000],
  ] as const)('PRTABLE_FAULT: the process table has no page (%s)', (kind, cause) => {
    ram.put(PARTITION_TABLE + 16 * LPID + 8, pateDw1(0x800000));
    expect(fault(0x5000n, kind)).toEqual({ kind: 'hypervisor-storage', cause, gpa: 0x800000 + 16 * PID });
  });

  test('PRTABLE_FAULT: a process-scoped directory has no page', () => {
    ram.put(GUEST + process.root + 8, packPde(0x900000n, 9));
    expect(fault(1n << 39n)).toEqual({ kind: 'hypervisor-storage', cause: 0x40020000, gpa: 0x900000 });
  });

  test('PRTABLE_FAULT: the tables’ page may not be read', () => {
    ram.put(guestLeaf, PTE.V | PTE.L | BigInt(GUEST) | PTE.R | PTE.C | PTE.EXECUTE);
    expect(fault(0x5000n)).toMatchObject({ kind: 'hypervisor-storage', cause: 0x08020000 });
  });

  test('PRTABLE_FAULT as a store: R and C of a process-scoped leaf on a read-only page', () => {
    process.map(0x5000, 0x30000, 12, PTE.READ | PTE.WRITE | PTE.EXECUTE);
    ram.put(guestLeaf, PTE.V | PTE.L | BigInt(GUEST) | PTE.R | PTE.C | PTE.READ | PTE.EXECUTE);
    expect(fault(0x5000n)).toMatchObject({ kind: 'hypervisor-storage', cause: 0x0a020000 });
    // Linux HSRR1_HISI_WRITE.
    expect(fault(0x5000n, 'fetch')).toMatchObject({ kind: 'hypervisor-storage', cause: 0x08030000 });
  });

  test.each([
    ['LPID beyond the partition table', () => (mmu.state.lpid = 0x100)],
    ['LPID 0 with HV=0', () => (mmu.state.lpid = 0)],
    ['HR=0 in the entry', () => ram.put(PARTITION_TABLE + 16 * LPID, pateDw0(partition) & ~RADIX_ROOT.HR)],
    ['GR=0 in the entry', () => ram.put(PARTITION_TABLE + 16 * LPID + 8, BigInt(GUEST_PROCESS_TABLE))],
    ['PRTS over 24', () => ram.put(PARTITION_TABLE + 16 * LPID + 8, pateDw1(GUEST_PROCESS_TABLE, 25n))],
    ['LPCR[HR]=0: hash translation is not there', () => (mmu.state.hostRadix = false)],
    ['LPCR[UPRT]=0', () => (mmu.state.processTables = false)],
  ])('unsupported MMU configuration: %s', (_, change) => {
    change();
    expect(fault(0x5000n)).toMatchObject({ kind: 'hypervisor-storage', cause: 0x00080000 });
  });

  test('the partition-scoped root is bad', () => {
    ram.put(PARTITION_TABLE + 16 * LPID, RADIX_ROOT.HR | packRadixRoot({ base: 0x100n, rootBits: 13, rts: 21 }));
    Object.assign(mmu.state, { dataRelocate: false });
    expect(fault(0x5000n)).toMatchObject({ kind: 'hypervisor-storage', cause: 0x00080000, gpa: 0x5000 });
  });
});

describe('sheet 2.5 ◆: R and C are updated', () => {
  const fresh = PTE.READ | PTE.WRITE | PTE.EXECUTE;

  test('both stages: a load sets R, a store sets C', () => {
    const leaf = process.map(0x5000, 0x300000, 12, fresh);
    const below = partition.map(0x300000, GUEST + 0x30000, 12, fresh);
    expect(real(0x5000n)).toBe(GUEST + 0x30000);
    expect(ram.get(GUEST + leaf) & (PTE.R | PTE.C)).toBe(PTE.R);
    expect(ram.get(below) & (PTE.R | PTE.C)).toBe(PTE.R);
    expect(result.writable).toBe(false);
    expect(real(0x5000n, 'store')).toBe(GUEST + 0x30000);
    expect(ram.get(GUEST + leaf) & (PTE.R | PTE.C)).toBe(PTE.R | PTE.C);
    expect(ram.get(below) & (PTE.R | PTE.C)).toBe(PTE.R | PTE.C);
    expect(result.writable).toBe(true);
    expect(real(0x5000n)).toBe(GUEST + 0x30000);
    expect(result.writable).toBe(true);
  });

  test('a walk marks the page that its tables lie on: R for reading, C for setting bits in it', () => {
    process.map(0x5000, 0x300000, 12, PTE.R | fresh);
    partition.map(0x300000, GUEST + 0x30000, 12, ALL);
    ram.put(guestLeaf, PTE.V | PTE.L | BigInt(GUEST) | fresh);
    expect(access(0x5000n)).toBe(true);
    expect(ram.get(guestLeaf) & (PTE.R | PTE.C)).toBe(PTE.R);
    expect(access(0x5000n, 'store')).toBe(true);
    expect(ram.get(guestLeaf) & (PTE.R | PTE.C)).toBe(PTE.R | PTE.C);
  });

  test('a refused store leaves no C behind', () => {
    const leaf = process.map(0x5000, 0x600000, 12, fresh);
    expect(access(0x5000n, 'store')).toBe(false);
    expect(ram.get(GUEST + leaf) & (PTE.R | PTE.C)).toBe(0n);
  });

  test('a page that either stage forbids to write is never writable', () => {
    process.map(0x5000, 0x30000, 12, ALL & ~PTE.WRITE);
    expect(access(0x5000n)).toBe(true);
    expect(result.writable).toBe(false);
    process.map(0x6000, 0x300000, 12, ALL);
    partition.map(0x300000, GUEST + 0x30000, 12, ALL & ~PTE.WRITE);
    expect(access(0x6000n)).toBe(true);
    expect(result.writable).toBe(false);
  });

  test('process-scoped only (HV=1)', () => {
    hostMode();
    const leaf = host.map(0x5000, 0x60000, 12, fresh);
    expect(access(0x5000n)).toBe(true);
    expect(ram.get(leaf) & (PTE.R | PTE.C)).toBe(PTE.R);
    expect(result.writable).toBe(false);
    expect(access(0x5000n, 'store')).toBe(true);
    expect(ram.get(leaf) & (PTE.R | PTE.C)).toBe(PTE.R | PTE.C);
  });
});

describe('a probe for code', () => {
  const probe = (ea: bigint): boolean => mmu.probe(Number(ea >> 32n) | 0, Number(ea & 0xffffffffn) | 0, result);

  test('finds what a fetch finds, once R is set in both stages', () => {
    const leaf = process.map(0x5000, 0x300000, 12, PTE.READ | PTE.EXECUTE);
    const below = partition.map(0x300000, GUEST + 0x40000, 12, PTE.READ | PTE.EXECUTE);
    expect(probe(0x5678n)).toBe(false);
    expect([ram.get(GUEST + leaf) & PTE.R, ram.get(below) & PTE.R]).toEqual([0n, 0n]);
    expect(access(0x5678n, 'fetch', 4)).toBe(true);
    const { host: fetched } = result;
    result.host = 0;
    expect(probe(0x5678n)).toBe(true);
    expect(result.host).toBe(fetched);
    ram.put(below, ram.get(below) & ~PTE.R);
    expect(probe(0x5678n)).toBe(false);
  });

  test('leaves the fault of an access as it was', () => {
    fault(0x1_2345_6000n, 'store');
    const before = { ...mmu.fault };
    process.map(0x5000, 0x30000, 12, PTE.R | PTE.C | PTE.READ);
    expect([probe(0x5000n), probe(0x9_0000_0000n), probe(0x4000000000000000n)]).toEqual([false, false, false]);
    expect(mmu.fault).toEqual(before);
    expect(before.access).toBe('store');
  });
});

describe('sheet 2.1: secure memory', () => {
  const realMode = { instructionRelocate: false, dataRelocate: false, hypervisor: true };

  test.each(['load', 'store', 'fetch'] as const)('HV real mode may not %s it', (kind) => {
    Object.assign(mmu.state, realMode, { secure: false });
    const ea = 0x8001000000001000n;
    expect(fault(ea, kind).kind).toBe('machine-check');
    expect(mmu.fault).toMatchObject({ realAddress: SECURE_BASE + 0x1000, inWalk: false, refused: true, size: 8 });
    mmu.state.secure = true;
    expect(real(ea, kind)).toBe(SECURE_BASE + 0x1000);
  });

  test('nor an S=0 guest whose table maps it', () => {
    process.map(0x5000, 0x300000);
    const tree = partition.map(0x300000, SECURE_BASE + 0x3000, 12, ALL);
    expect(real(0x5000n)).toBe(SECURE_BASE + 0x3000);
    mmu.state.secure = false;
    expect(real(0x5000n)).toBe('machine-check');
    expect(tree).toBeGreaterThan(SECURE_BASE);
  });

  test('nor a host whose table maps it', () => {
    hostMode();
    host.map(0x5000, SECURE_BASE, 12);
    expect(real(0x5000n)).toBe('machine-check');
    expect(mmu.fault).toMatchObject({ realAddress: SECURE_BASE, inWalk: false, refused: true });
  });

  test('a walk for S=0 reads the partition table there, and no other table', () => {
    hostMode();
    host.map(0x5000, 0x60000);
    expect(real(0x5000n)).toBe(0x60000);
    mmu.state.hypervisor = false;
    expect(real(0x5000n)).toBe('machine-check');
    expect(mmu.fault).toMatchObject({ inWalk: true, refused: true });
    expect(mmu.fault.realAddress).toBeGreaterThanOrEqual(SECURE_BASE);
  });

  test('nothing is marked by a refused access', () => {
    hostMode();
    const leaf = host.map(0x5000, SECURE_BASE, 12, PTE.READ | PTE.WRITE);
    process.map(0x5000, 0x300000, 12, ALL);
    expect(access(0x5000n, 'store')).toBe(false);
    expect(ram.get(leaf) & PTE.C).toBe(0n);
  });
});

describe('unpopulated real addresses', () => {
  test.each([NORMAL_SIZE, SECURE_BASE + SECURE_SIZE, 2 ** 51])('0x%s is a machine check', (address) => {
    Object.assign(mmu.state, { instructionRelocate: false, dataRelocate: false, hypervisor: true });
    expect(real(BigInt(address) | (1n << 63n))).toBe('machine-check');
    expect(mmu.fault).toMatchObject({ realAddress: address, inWalk: false, refused: false });
  });

  test('so is a table there', () => {
    hostMode();
    ram.put(host.root, packPde(BigInt(NORMAL_SIZE), 9));
    expect(real(0x5000n)).toBe('machine-check');
    expect(mmu.fault).toMatchObject({ realAddress: NORMAL_SIZE, inWalk: true, refused: false });
  });

  test('and a partition table', () => {
    mmu.state.partitionTable = NORMAL_SIZE;
    expect(real(0x5000n)).toBe('machine-check');
    expect(mmu.fault).toMatchObject({ inWalk: true });
  });
});
