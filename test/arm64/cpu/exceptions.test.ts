import { describe, expect, it } from 'vitest';
import { HCR, SCTLR } from '../../../src/arm64/abi.ts';
import { AT, asm, RAM, TestMachine } from './machine.ts';

const CODE = RAM + 0x10000;
const VBAR1 = RAM + 0x20000;
const VBAR2 = RAM + 0x30000;

function machine(): TestMachine {
  const m = new TestMachine();
  m.set({ VBAR_EL1: BigInt(VBAR1), VBAR_EL2: BigInt(VBAR2) });
  return m;
}

describe('exceptions (Arm ARM, D1.3)', () => {
  it('SVC from EL0 goes to EL1, behind itself', () => {
    const m = machine();
    m.words(CODE, [asm('svc', { imm16: 7 })]);
    m.run(AT.el0 & ~0x3c0n, CODE, 1);
    expect(m.cpu.context.pc).toBe(BigInt(VBAR1 + 0x400));
    expect(m.register('ELR_EL1')).toBe(BigInt(CODE + 4));
    expect(m.register('SPSR_EL1')).toBe(0n);
    expect(m.register('ESR_EL1')).toBe(0x56000007n);
    // SPAN is 1 at reset: PAN stays.
    expect(m.cpu.core.pstate).toBe(0x3c5n);
  });

  it('HVC from EL1 goes to EL2', () => {
    const m = machine();
    m.words(CODE, [asm('hvc', { imm16: 0 })]);
    m.run(AT.el1, CODE, 1);
    expect(m.cpu.context.pc).toBe(BigInt(VBAR2 + 0x400));
    expect(m.register('ESR_EL2')).toBe(0x5a000000n);
    expect(m.register('SPSR_EL2')).toBe(AT.el1);
    expect(m.cpu.core.level).toBe(2);
  });

  it('HVC is undefined where HCR_EL2.HCD is set, and SMC where nobody serves it', () => {
    for (const [name, hcr] of [
      ['hvc', HCR.HCD],
      ['smc', 0n],
    ] as const) {
      const m = machine();
      m.set({ HCR_EL2: HCR.RW | hcr });
      m.words(CODE, [asm(name)]);
      m.run(AT.el1, CODE, 1);
      expect(m.cpu.context.pc).toBe(BigInt(VBAR1 + 0x200));
      expect(m.register('ESR_EL1')).toBe(0x02000000n);
      expect(m.register('ELR_EL1')).toBe(BigInt(CODE));
    }
  });

  it('SMC is trapped by HCR_EL2.TSC, and points at itself', () => {
    const m = machine();
    m.set({ HCR_EL2: HCR.RW | HCR.TSC });
    m.words(CODE, [asm('smc', { imm16: 1 })]);
    m.run(AT.el1, CODE, 1);
    expect(m.register('ESR_EL2')).toBe(0x5e000001n);
    expect(m.register('ELR_EL2')).toBe(BigInt(CODE));
  });

  it('firmware serves an SMC that is not trapped', () => {
    const m = new TestMachine({ firmware: (cpu) => cpu.setX(0, cpu.x(1) + 1n) });
    m.words(CODE, [asm('smc')]);
    m.cpu.setX(1, 41n);
    m.run(AT.el1, CODE, 1);
    expect(m.cpu.x(0)).toBe(42n);
    expect(m.cpu.context.pc).toBe(BigInt(CODE + 4));
  });

  it('ERET goes down, and an illegal one stays with PSTATE.IL', () => {
    const m = machine();
    m.words(CODE, [asm('eret')]);
    m.set({ SPSR_EL2: AT.el1, ELR_EL2: 0x1234n });
    m.run(AT.el2, CODE, 1);
    expect([m.cpu.core.level, m.cpu.context.pc]).toEqual([1, 0x1234n]);

    const n = machine();
    n.words(CODE, [asm('eret')]);
    // EL1 may not return to EL2.
    n.set({ SPSR_EL1: AT.el2, ELR_EL1: BigInt(CODE) });
    n.run(AT.el1, CODE, 1);
    expect(n.cpu.core.level).toBe(1);
    expect(n.cpu.core.pstate & (1n << 20n)).not.toBe(0n);
    n.cpu.settle();
    expect(n.register('ESR_EL1')).toBe(0x3a000000n);
    expect(n.cpu.context.pc > BigInt(VBAR1)).toBe(true);
  });

  it('each level has a stack pointer of its own', () => {
    const m = machine();
    m.words(CODE, [asm('eret')]);
    m.set({ SPSR_EL2: AT.el1, ELR_EL2: BigInt(CODE + 0x100) });
    m.cpu.place(AT.el2, BigInt(CODE));
    m.words(CODE + 0x100, [asm('svc')]);
    m.cpu.run(1);
    m.words(CODE + 0x100, [asm('add', { Rd: 31, Rn: 31, imm12: 16, sf: 1, sh: 0 }, /imm12/), asm('hvc')]);
    m.cpu.run(2);
    expect(m.cpu.core.level).toBe(2);
    expect(m.register('SP_EL1')).toBe(16n);
  });

  it('an alignment fault tells the address', () => {
    const m = machine();
    m.set({ SCTLR_EL1: m.register('SCTLR_EL1') | SCTLR.A });
    m.words(CODE, [asm('ldr', { Rt: 1, Rn: 2, imm12: 0 }, /\{Xt\},\[\{Xn\|sp\}\{imm12/)]);
    m.cpu.setX(2, BigInt(RAM + 1));
    m.run(AT.el1, CODE, 1);
    expect(m.register('ESR_EL1')).toBe(0x96000021n);
    expect(m.register('FAR_EL1')).toBe(BigInt(RAM + 1));
  });

  it('a branch to an odd address faults at its target', () => {
    const m = machine();
    m.words(CODE, [asm('br', { Rn: 2 })]);
    m.cpu.setX(2, BigInt(RAM + 2));
    m.run(AT.el1, CODE, 2);
    expect(m.register('ESR_EL1')).toBe(0x8a000000n);
    expect(m.register('FAR_EL1')).toBe(BigInt(RAM + 2));
    expect(m.register('ELR_EL1')).toBe(BigInt(RAM + 2));
  });
});
