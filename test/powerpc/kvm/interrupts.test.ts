import { describe, expect, it } from 'vitest';
import { LPCR, MSR, SPR, VECTOR } from '../../../src/powerpc/abi.ts';
import { startVcpu } from '../../../src/powerpc/kvm/vm.ts';
import { FakePort } from './fake-port.ts';
import { BOOT_ENTRY, Machine, type Options } from './machine.ts';

function booted(options: Options = {}): Machine {
  const m = new Machine(options);
  m.boot();
  m.port.setSpr(SPR.DEC, 500_000n);
  m.call('H_CPPR', 0xff);
  m.calls.length = 0;
  return m;
}

const mer = (m: Machine): boolean => (m.port.spr(SPR.LPCR) & LPCR.MER) !== 0n;

describe('an external interrupt of a normal guest', () => {
  it('is injected where MSR[EE] lets it: SRR0, SRR1 and the vector as the CPU would do it (1.9)', () => {
    const m = booted();
    m.call('H_IPI', 0, 4);
    expect(mer(m)).toBe(true);
    const msr = MSR.SF | MSR.EE | MSR.ME | MSR.RI;
    expect(m.exit(VECTOR.EXTERNAL, { pc: 0x2000n, msr, status: 0x200000n })).toEqual({
      to: 'guest',
      pc: VECTOR.EXTERNAL,
      msr: MSR.SF | MSR.ME,
    });
    expect([m.port.spr(SPR.SRR0), m.port.spr(SPR.SRR1)]).toEqual([0x2000n, msr]);
    expect(m.call('H_XIRR')).toBe(0);
    expect(m.port.gpr(4)).toBe(0xff000002n);
    expect(mer(m)).toBe(false);
  });

  it('is taken in the byte order of H_SET_MODE, and with translation on where AIL says so', () => {
    const m = booted();
    m.call('H_SET_MODE', 1, 4, 0, 0);
    m.call('H_SET_MODE', 3, 3, 0, 0);
    m.call('H_IPI', 0, 4);
    const msr = MSR.SF | MSR.EE | MSR.ME | MSR.IR | MSR.DR;
    expect(m.exit(VECTOR.EXTERNAL, { pc: 0x2000n, msr })).toEqual({
      to: 'guest',
      pc: 0xc000000000004500n,
      msr: MSR.SF | MSR.ME | MSR.LE | MSR.IR | MSR.DR,
    });
  });

  it('H_IPOLL looks without taking; H_XIRR_X gives the time base too; unknown servers are H_PARAMETER', () => {
    const m = booted();
    m.call('H_IPI', 0, 4);
    expect(m.call('H_IPOLL', 0)).toBe(0);
    expect([4, 5].map((n) => m.port.gpr(n))).toEqual([0xff000002n, 4n]);
    m.port.clock = 77n;
    expect(m.call('H_XIRR_X', 0)).toBe(0);
    expect([4, 5].map((n) => m.port.gpr(n))).toEqual([0xff000002n, 77n]);
    for (const name of ['H_IPI', 'H_IPOLL'] as const) {
      const before = m.snapshot();
      expect(m.call(name, 1, 4)).toBe(-4);
      expect(m.call(name, -1, 4)).toBe(-4);
      expect(m.snapshot()).toBe(before);
    }
  });

  it('does not wake a CPU that has nothing to run by LPCR[MER]', () => {
    const m = booted();
    m.call('H_IPI', 0, 4);
    m.call('H_CPPR', 0);
    expect(m.hypercall('H_CEDE').to).toBe('stop');
    expect(mer(m)).toBe(false);
  });
});

describe('an interrupt of an SVM goes through UV_RETURN (6.3 step 5)', () => {
  it('HSRR0 is the vector, R2 SRR1', () => {
    const m = booted();
    m.secure();
    m.upcall('H_IPI', 0, 4);
    m.port.setGpr(31, 0x5555550n);
    const msr = MSR.SF | MSR.S | MSR.EE | MSR.ME;
    const left = m.exit(VECTOR.HV_DOORBELL, { pc: 0x5555550n, msr });
    expect(left).toMatchObject({ to: 'ultravisor', hsrr0: VECTOR.EXTERNAL });
    expect(m.port.gpr(2)).toBe(msr);
    expect(m.port.gpr(31)).toBe(0x5555550n);
    expect(mer(m)).toBe(true);
  });

  it('but not through the answer to a call of the Ultravisor itself, which would drop it', () => {
    const m = booted();
    m.secure();
    expect(m.hypercall('H_SIGNAL_SYS_RESET', [0], true)).toMatchObject({ hsrr0: VECTOR.SYSTEM_RESET });
    expect(m.vm.vcpus[0].systemReset).toBe(false);
    m.vm.vcpus[0].systemReset = true;
    expect(m.upcall('H_SVM_PAGE_OUT', 0, 0, 16)).toBeLessThanOrEqual(0);
    expect(m.vm.vcpus[0].systemReset).toBe(true);
  });
});

describe('H_CONFER', () => {
  function two(): Machine {
    const m = booted({ vcpus: 2 });
    m.vm.vcpus[1].state = 'running';
    m.vm.vcpus[1].context.pc = 0x7777n;
    return m;
  }

  it('to a vCPU that was dispatched since, or that has no VPA, does nothing', () => {
    const m = two();
    expect(m.hypercall('H_CONFER', [1, 3])).toMatchObject({ pc: 0x1000n });
  });

  it('to a vCPU that is preempted as it was yields to it', () => {
    const m = two();
    m.kvm.memory.write(m.vm, 0x20004, Uint8Array.of(4, 0));
    expect(m.call('H_REGISTER_VPA', 1n << 45n, 1, 0x20000)).toBe(0);
    expect(m.hypercall('H_CONFER', [1, 2])).toMatchObject({ pc: 0x1000n });
    expect(m.hypercall('H_CONFER', [1, 1])).toMatchObject({ pc: 0x7777n });
  });

  it('to itself sleeps until H_PROD, or until an interrupt that MSR[EE] lets through', () => {
    const m = booted();
    expect(m.hypercall('H_CONFER', [0, 0]).to).toBe('stop');
    m.port.clock = 1_000_000n;
    // The decrementer is due, and MSR[EE] is off.
    expect(m.enter(m.port.stubPage + 0x34n).to).toBe('stop');
    m.vm.vcpus[0].prodded = true;
    expect(m.enter(m.port.stubPage + 0x34n)).toMatchObject({ to: 'guest', pc: 0x1000n });
  });
});

describe('H_SIGNAL_SYS_RESET', () => {
  it('interrupts the caller, or wakes and interrupts others; a stopped vCPU gets nothing', () => {
    const m = booted({ vcpus: 3, cpus: 3 });
    const [, second, third] = m.vm.vcpus;
    second.state = 'ceded';
    expect(m.call('H_SIGNAL_SYS_RESET', -2)).toBe(0);
    expect([second.systemReset, third.systemReset]).toEqual([true, false]);
    expect(m.port.doorbells).toEqual([1]);
    const other = new FakePort(1);
    expect(m.kvm.enter(other, BOOT_ENTRY)).toBe('hrfid');
    expect(other.spr(SPR.HSRR0)).toBe(VECTOR.SYSTEM_RESET);
    expect(m.hypercall('H_SIGNAL_SYS_RESET', [0])).toMatchObject({ pc: VECTOR.SYSTEM_RESET });
    expect(m.call('H_SIGNAL_SYS_RESET', 3)).toBe(-4);
    expect(m.call('H_SIGNAL_SYS_RESET', -3)).toBe(-4);
  });
});

describe('several vCPUs', () => {
  it('on one CPU: each has its own floating point registers and FPSCR', () => {
    const m = booted({ vcpus: 2 });
    startVcpu(m.vm.vcpus[1], { pc: 0x7777n, msr: MSR.SF, gpr: {} }, 0n);
    m.port.setFpr(5, 0x1234n);
    m.port.setFpscr(0x87n);
    expect(m.hypercall('H_CONFER', [-1, 0])).toMatchObject({ pc: 0x7777n });
    expect([m.port.fpr(5), m.port.fpscr()]).toEqual([0n, 0n]);
    expect(m.hypercall('H_CONFER', [-1, 0])).toMatchObject({ pc: 0x1000n });
    expect([m.port.fpr(5), m.port.fpscr()]).toEqual([0x1234n, 0x87n]);
  });

  it('a secure one that is started again keeps R31, by which the Ultravisor ends its stop-self (10.3 #71)', () => {
    const m = booted({ vcpus: 2 });
    const [, vcpu] = m.vm.vcpus;
    vcpu.context.secure = true;
    vcpu.context.gpr.fill(0x9999n);
    startVcpu(vcpu, { pc: 0x7777n, msr: MSR.SF, gpr: { 3: 5n } }, 0n);
    expect([vcpu.context.gpr[3], vcpu.context.gpr[4], vcpu.context.gpr[31]]).toEqual([5n, 0n, 0x9999n]);
  });
});
