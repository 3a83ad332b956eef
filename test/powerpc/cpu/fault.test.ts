import { beforeEach, describe, expect, test } from 'vitest';
import { MSR, PTE, packPde } from '../../../src/powerpc/abi.ts';
import { ASM, LEVEL, TestMachine } from './machine.ts';
import { ALL, bump, pateDw0, pateDw1, SECURE_BASE, Tree } from './tables.ts';

const { IR, DR, ME } = MSR;
const AT = 0x4000n;
const PARTITION_TABLE = SECURE_BASE + 0x10000;
/** Offset in the process space that the tests fault at, and a guest physical address that nothing maps. */
const EA = 0x40_0000_1230n;
const HOLE = 0x4000_0000;

const m = new TestMachine();
let process: Tree;
let partition: Tree;

/** Partition 1: its own trees, with the first GiB of both mapped to itself, so that code can be fetched. */
beforeEach(() => {
  m.start();
  partition = new Tree(m.ram, bump(0x100000));
  partition.map(0, 0, 30);
  process = new Tree(m.ram, bump(0x200000));
  process.map(0, 0, 30);
  m.ram.put(PARTITION_TABLE + 16, pateDw0(partition));
  m.ram.put(PARTITION_TABLE + 24, pateDw1(0x300000));
  m.ram.put(0x300000, process.dw0);
  m.cpu.setGpr(3, EA);
});

const load = ASM.ld(4, 0, 3);
const store = ASM.std(4, 0, 3);
const guest = LEVEL.guest | DR | IR;

function run(msr: bigint, word: number): { at: string; nia: bigint } {
  m.step(msr, word, Number(AT));
  return { at: m.cpu.level.name, nia: m.cpu.context.pc };
}

/** Fetches at EA instead. */
function fetch(msr: bigint, address = EA): { at: string; nia: bigint } {
  m.cpu.place(msr, address);
  m.cpu.run(1);
  return { at: m.cpu.level.name, nia: m.cpu.context.pc };
}

describe('sheet 2.5: process-scoped faults', () => {
  test('a load: 0x300, DAR, DSISR', () => {
    expect(run(guest, load)).toEqual({ at: 'guest', nia: 0x300n });
    expect(m.spr('DAR')).toBe(EA);
    expect(m.spr('DSISR')).toBe(0x40000000n);
    expect(m.spr('SRR0')).toBe(AT);
    expect(m.spr('SRR1')).toBe(guest);
  });

  test('a store in an SVM: 0x300 in its own kernel (1.9)', () => {
    process.map(Number(EA), 0x400000, 12, ALL & ~PTE.WRITE);
    expect(run(guest | MSR.S, store)).toEqual({ at: 'secure guest', nia: 0x300n });
    expect(m.spr('DSISR')).toBe(0x0a000000n);
  });

  test('a fetch: 0x400, cause in SRR1', () => {
    expect(fetch(guest)).toEqual({ at: 'guest', nia: 0x400n });
    expect(m.spr('SRR0')).toBe(EA);
    expect(m.spr('SRR1')).toBe(guest | 0x40000000n);
  });

  test('segment: 0x380 with DAR, 0x480', () => {
    m.cpu.setGpr(3, 1n << 62n);
    expect(run(guest, load)).toEqual({ at: 'guest', nia: 0x380n });
    expect(m.spr('DAR')).toBe(1n << 62n);
    expect(fetch(guest, 1n << 62n)).toEqual({ at: 'guest', nia: 0x480n });
    expect(m.spr('SRR1')).toBe(guest);
  });

  test('from HV=1 it stays in HV=1', () => {
    expect(run(LEVEL.hypervisor | DR, load)).toEqual({ at: 'hypervisor', nia: 0x300n });
  });
});

describe('sheet 2.5: partition-scoped faults', () => {
  beforeEach(() => {
    process.map(Number(EA & ~0xfffn), HOLE, 12);
  });

  test.each([
    ['guest', guest, 'hypervisor'],
    ['SVM', guest | MSR.S, 'ultravisor'],
  ])('a load of a %s: 0xE00, HDAR, HDSISR, ASDR = gpa & ~0xFFF', (_, msr, to) => {
    expect(run(msr, load)).toEqual({ at: to, nia: 0xe00n });
    expect(m.spr('HDAR')).toBe(EA);
    expect(m.spr('HDSISR')).toBe(0x40000000n);
    expect(m.spr('ASDR')).toBe(BigInt(HOLE));
    expect(m.spr('HSRR0')).toBe(AT);
    expect(m.spr('HSRR1')).toBe(msr);
  });

  test('a store', () => {
    expect(run(guest, store)).toEqual({ at: 'hypervisor', nia: 0xe00n });
    expect(m.spr('HDSISR')).toBe(0x42000000n);
  });

  test('a fetch: 0xE20, cause in HSRR1 and HDSISR', () => {
    expect(fetch(guest)).toEqual({ at: 'hypervisor', nia: 0xe20n });
    expect(m.spr('HSRR0')).toBe(EA);
    expect(m.spr('HSRR1')).toBe(guest | 0x40000000n);
    expect(m.spr('HDSISR')).toBe(0x40000000n);
    expect(m.spr('ASDR')).toBe(BigInt(HOLE));
  });

  test('a walk reference: PRTABLE_FAULT, ASDR = gpa of the table’s page', () => {
    m.ram.put(process.root + 8, packPde(BigInt(HOLE) + 0x2000n, 9));
    m.cpu.setGpr(3, (1n << 39n) + 0x8n);
    expect(run(guest, store)).toEqual({ at: 'hypervisor', nia: 0xe00n });
    expect(m.spr('HDSISR')).toBe(0x40020000n);
    expect(m.spr('ASDR')).toBe(BigInt(HOLE) + 0x2000n);
    expect(m.spr('HDAR')).toBe((1n << 39n) + 0x8n);
    expect(fetch(guest, 1n << 39n)).toEqual({ at: 'hypervisor', nia: 0xe20n });
    expect(m.spr('HSRR1')).toBe(guest | 0x40020000n);
  });
});

describe('sheet 2.1: S=0 and secure memory', () => {
  const secure = 0x8001000000002000n;
  const refused = (): unknown => m.trace.ofType('refused-access').at(-1);

  beforeEach(() => {
    m.ram.put(SECURE_BASE + 0x2000, 0x5ec2e7n);
    m.cpu.setGpr(3, secure);
    m.cpu.setGpr(4, 0n);
  });

  test('a load of HV: machine check with DAR = EA, and nothing is read', () => {
    expect(run(LEVEL.hypervisor, load)).toEqual({ at: 'hypervisor', nia: 0x200n });
    expect(m.spr('DAR')).toBe(secure);
    expect(m.spr('SRR0')).toBe(AT);
    expect(m.cpu.core.msr & ME).toBe(0n);
    expect(m.cpu.gpr(4)).toBe(0n);
    expect(refused()).toMatchObject({
      agent: 'hypervisor',
      address: BigInt(SECURE_BASE + 0x2000),
      size: 8,
      write: false,
      cpu: 0,
    });
  });

  test('a store of HV: machine check, and nothing is written', () => {
    m.cpu.setGpr(4, 1n);
    expect(run(LEVEL.hypervisor, store)).toEqual({ at: 'hypervisor', nia: 0x200n });
    expect(m.ram.get(SECURE_BASE + 0x2000)).toBe(0x5ec2e7n);
    expect(refused()).toMatchObject({ write: true });
  });

  test('a fetch of HV: machine check', () => {
    expect(fetch(LEVEL.hypervisor, secure)).toEqual({ at: 'hypervisor', nia: 0x200n });
    expect(m.spr('SRR0')).toBe(secure);
  });

  test('a normal guest that HV gave a mapping: machine check in HV', () => {
    partition.map(HOLE, SECURE_BASE + 0x2000, 12);
    m.cpu.setGpr(3, BigInt(HOLE));
    expect(run(LEVEL.guest, load)).toEqual({ at: 'hypervisor', nia: 0x200n });
    expect(m.cpu.gpr(4)).toBe(0n);
    expect(refused()).toMatchObject({ agent: 'guest' });
  });

  test('the Ultravisor and a secure guest read it', () => {
    run(LEVEL.ultravisor, load);
    expect(m.cpu.gpr(4)).toBe(0x5ec2e7n);
    partition.map(HOLE, SECURE_BASE + 0x2000, 12);
    m.cpu.setGpr(3, BigInt(HOLE));
    m.cpu.setGpr(4, 0n);
    run(LEVEL.svm, load);
    expect(m.cpu.gpr(4)).toBe(0x5ec2e7n);
  });

  test('what the Ultravisor’s TLB holds does not serve the hypervisor', () => {
    run(LEVEL.ultravisor, load);
    m.cpu.setGpr(4, 0n);
    expect(run(LEVEL.hypervisor, load).nia).toBe(0x200n);
    expect(m.cpu.gpr(4)).toBe(0n);
  });

  test('with ME=0 the CPU stops', () => {
    run(LEVEL.hypervisor & ~ME, load);
    expect(m.cpu.stopped).toBe(true);
    expect(m.cpu.context.pc).toBe(AT);
    expect(m.cpu.run(10)).toBe(0);
    expect(m.cpu.deadline).toBeNull();
    expect(m.trace.ofType('note').at(-1)?.text).toContain('checkstop');
  });
});
