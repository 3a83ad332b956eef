import { beforeEach, describe, expect, test } from 'vitest';
import { HCR } from '../../../src/arm64/abi.ts';
import { GicCpuInterface } from '../../../src/arm64/cpu/gic-cpu-interface.ts';
import { systemRegister } from '../../../src/arm64/cpu/register-table.ts';
import { GicV3 } from '../../../src/devices/gicv3.ts';
import { AT, RAM, TestMachine } from './machine.ts';

/** Sources: Arm IHI 0069H, chapters 4 (handling interrupts), 6 (virtual) and 12 (registers). */
let gic: GicV3;
let machine: TestMachine;
let face: GicCpuInterface;

beforeEach(() => {
  gic = new GicV3({ affinities: [0, 1], spis: 64 });
  machine = new TestMachine({
    gic: (core) => {
      face = new GicCpuInterface(core, gic);
      return face;
    },
  });
  gic.distributor.write(0, 4, 3n);
  machine.cpu.place(AT.el1, BigInt(RAM));
  machine.cpu.core.setRegister('HCR_EL2', HCR.RW);
  write('ICC_PMR_EL1', 0xf0n);
  write('ICC_IGRPEN1_EL1', 1n);
});

/** An access as the instruction makes it; null where it raises an exception. */
function access(name: string, read: boolean, value = 0n): bigint | null {
  const { encoding } = systemRegister(name);
  const fields = { op0: 3, op1: (encoding >> 11) & 7, crn: (encoding >> 7) & 15, crm: (encoding >> 3) & 15 };
  return face.access(machine.cpu.core, { ...fields, encoding, op2: encoding & 7, rt: 0, read }, value);
}
const read = (name: string): bigint | null => access(name, true);
const write = (name: string, value: bigint): bigint | null => access(name, false, value);

/** Makes a shared interrupt pending, in group 1. */
function raise(intid: number, priority: number): void {
  const bit = 1n << BigInt(intid % 32);
  gic.distributor.write(0x84, 4, gic.distributor.read(0x84, 4) | bit);
  gic.distributor.write(0x104, 4, bit);
  gic.distributor.write(0x400 + intid, 1, BigInt(priority));
  gic.setSpi(intid - 32, true);
}

function lines() {
  const { core, timer } = machine.cpu;
  const result = { irq: false, fiq: false, virtualIrq: false, virtualFiq: false };
  face.update(core, timer, result);
  return result;
}

describe('the physical interface', () => {
  test('acknowledge, preempt, end', () => {
    raise(40, 0xa0);
    expect(lines().irq).toBe(true);
    expect([read('ICC_IAR1_EL1'), read('ICC_RPR_EL1')]).toEqual([40n, 0xa0n]);
    expect([lines().irq, read('ICC_IAR1_EL1')]).toEqual([false, 1023n]);
    raise(41, 0xa0);
    expect(lines().irq).toBe(false);
    raise(42, 0x90);
    expect([lines().irq, read('ICC_HPPIR1_EL1'), read('ICC_IAR1_EL1')]).toEqual([true, 42n, 42n]);
    expect(read('ICC_RPR_EL1')).toBe(0x90n);
    gic.setSpi(10, false);
    write('ICC_EOIR1_EL1', 42n);
    expect(read('ICC_RPR_EL1')).toBe(0xa0n);
    gic.setSpi(8, false);
    write('ICC_EOIR1_EL1', 40n);
    expect([read('ICC_RPR_EL1'), read('ICC_IAR1_EL1')]).toEqual([0xffn, 41n]);
  });

  test('the mask holds back what is not above it', () => {
    raise(40, 0xa0);
    write('ICC_PMR_EL1', 0xa0n);
    expect([lines().irq, read('ICC_IAR1_EL1'), read('ICC_HPPIR1_EL1')]).toEqual([false, 1023n, 40n]);
    write('ICC_PMR_EL1', 0xa8n);
    expect(lines().irq).toBe(true);
  });

  test('the binary point decides who preempts', () => {
    write('ICC_BPR1_EL1', 5n);
    raise(40, 0xa8);
    expect(read('ICC_IAR1_EL1')).toBe(40n);
    raise(41, 0xa0);
    expect(lines().irq).toBe(false);
    raise(42, 0x98);
    expect(lines().irq).toBe(true);
    // The least that 5 bits of priority allow, one more for group 1.
    write('ICC_BPR1_EL1', 0n);
    expect(read('ICC_BPR1_EL1')).toBe(3n);
  });

  test('with EOImode the end does not deactivate', () => {
    write('ICC_CTLR_EL1', 2n);
    raise(40, 0xa0);
    expect(read('ICC_IAR1_EL1')).toBe(40n);
    write('ICC_EOIR1_EL1', 40n);
    expect([read('ICC_RPR_EL1'), read('ICC_IAR1_EL1')]).toEqual([0xffn, 1023n]);
    write('ICC_DIR_EL1', 40n);
    expect(read('ICC_IAR1_EL1')).toBe(40n);
  });

  test('group 0 comes as FIQ, and group 1 registers do not show it', () => {
    write('ICC_IGRPEN0_EL1', 1n);
    raise(40, 0xa0);
    gic.distributor.write(0x84, 4, 0n);
    expect([lines().fiq, lines().irq]).toEqual([true, false]);
    expect([read('ICC_IAR1_EL1'), read('ICC_IAR0_EL1')]).toEqual([1023n, 40n]);
  });

  test('EL0 has none of it', () => {
    machine.cpu.place(AT.el0, BigInt(RAM));
    expect(read('ICC_IAR1_EL1')).toBeNull();
  });
});

describe('the virtual interface', () => {
  const IMO = HCR.RW | HCR.IMO | HCR.FMO;
  /** ICH_LR: pending, group 1, HW with its physical interrupt where there is one. */
  const list = (intid: number, priority: number, physical?: number): bigint =>
    (1n << 62n) |
    (1n << 60n) |
    (BigInt(priority) << 48n) |
    BigInt(intid) |
    (physical === undefined ? 0n : (1n << 61n) | (BigInt(physical) << 32n));
  const state = (n: number): bigint => machine.register(`ICH_LR${n}_EL2`) >> 62n;

  beforeEach(() => machine.set({ HCR_EL2: IMO, ICH_HCR_EL2: 1n, ICH_VMCR_EL2: (0xf0n << 24n) | (3n << 18n) | 2n }));

  test('gives EL1 its list registers, and leaves the physical side alone', () => {
    machine.set({ ICH_LR0_EL2: list(50, 0xa0), ICH_LR1_EL2: list(51, 0x80) });
    raise(40, 0x40);
    expect(lines()).toMatchObject({ irq: true, virtualIrq: true });
    expect([read('ICC_IAR1_EL1'), state(1), read('ICC_RPR_EL1')]).toEqual([51n, 2n, 0x80n]);
    expect([lines().virtualIrq, read('ICC_IAR1_EL1')]).toEqual([false, 1023n]);
    write('ICC_EOIR1_EL1', 51n);
    expect([state(1), read('ICC_IAR1_EL1')]).toEqual([0n, 50n]);
    expect(read('ICC_PMR_EL1')).toBe(0xf0n);
    write('ICC_PMR_EL1', 0x50n);
    expect(machine.register('ICH_VMCR_EL2') >> 24n).toBe(0x50n);
    expect(machine.register('ICC_PMR_EL1')).toBe(0xf0n);
  });

  test('an end deactivates the physical interrupt behind it', () => {
    raise(40, 0xa0);
    gic.activate(0, 40);
    machine.set({ ICH_LR0_EL2: list(50, 0xa0, 40) });
    expect(read('ICC_IAR1_EL1')).toBe(50n);
    expect(gic.pending(0, 3)).toBeNull();
    write('ICC_EOIR1_EL1', 50n);
    expect(gic.pending(0, 3)?.intid).toBe(40);
  });

  test('an end that no list register holds is counted', () => {
    machine.set({ ICH_AP1R0_EL2: 1n << 20n });
    write('ICC_EOIR1_EL1', 60n);
    expect(machine.register('ICH_HCR_EL2') >> 27n).toBe(1n);
  });

  test.each([
    ['nothing', 1n, 0n, 0n],
    ['underflow', 1n | (1n << 1n), 0n, 2n],
    ['nothing pending', 1n | (1n << 3n), 0n, 8n],
    ['something pending', 1n | (1n << 3n), list(50, 0xa0), 0n],
    ['an end of interrupt', 1n, (1n << 41n) | 50n, 1n],
    ['not on', 1n << 1n, 0n, 0n],
  ])('maintenance: %s', (_, hcr, lr, misr) => {
    machine.set({ ICH_HCR_EL2: hcr, ICH_LR0_EL2: lr });
    machine.cpu.place(AT.el2, BigInt(RAM));
    expect(read('ICH_MISR_EL2')).toBe(misr);
    lines();
    expect((gic.redistributors.read(0x10200, 4) >> 25n) & 1n).toBe(misr === 0n ? 0n : 1n);
  });

  test('EL2 sees which list registers are free and which ended', () => {
    machine.set({ ICH_LR0_EL2: list(50, 0xa0), ICH_LR2_EL2: (1n << 41n) | 7n });
    machine.cpu.place(AT.el2, BigInt(RAM));
    expect([read('ICH_ELRSR_EL2'), read('ICH_EISR_EL2')]).toEqual([0b1010n, 0b0100n]);
    expect(read('ICC_PMR_EL1')).toBe(0xf0n);
  });

  test.each([
    ['ICC_SGI1R_EL1', 1n],
    ['ICC_PMR_EL1', 1n | (1n << 10n)],
    ['ICC_EOIR1_EL1', 1n | (1n << 12n)],
    ['ICC_DIR_EL1', 1n | (1n << 14n)],
  ])('a write of %s goes to EL2', (name, hcr) => {
    machine.set({ ICH_HCR_EL2: hcr });
    expect(write(name, 0n)).toBeNull();
    expect([machine.cpu.core.level, machine.register('ESR_EL2') >> 26n]).toEqual([2, 0x18n]);
  });
});
