import { describe, expect, it } from 'vitest';
import { HOST_VCPU } from '../../../src/arm64/abi.ts';
import { AT } from '../cpu/machine.ts';
import { CODE, HvcMachine, PAGE, PLAY, TEXT } from './hvc-machine.ts';

const minus = (n: number): bigint => BigInt.asUintN(64, BigInt(-n));
const CPU_ON = 0xc400_0003n;

/** A host's SMC; firmware answers as told and keeps what it was asked. */
class SmcMachine {
  readonly asked: bigint[][] = [];
  firmwareSays: readonly bigint[] = [0n];
  readonly m = new HvcMachine('I', {
    firmware: (cpu) => {
      this.asked.push([0, 1, 2, 3].map((n) => cpu.x(n)));
      this.firmwareSays.forEach((value, n) => {
        cpu.setX(n, value);
      });
    },
  }).finalise();

  smc(registers: readonly bigint[], word = 0xd4000003): bigint[] {
    const { cpu } = this.m.machine;
    this.m.machine.words(CODE + 0x200, [word, 0x14000000]);
    for (let n = 0; n < 4; n++) cpu.setX(n, registers[n] ?? 0n);
    cpu.place(AT.el1, BigInt(CODE + 0x200));
    this.m.runTo(CODE + 0x204, 64);
    return [0, 1, 2, 3].map((n) => cpu.x(n));
  }
}

describe('SMC of the host (arm64-pkvm.md 4.8, 4.9)', () => {
  it('relays PSCI, with x1 to x3 clear behind it', () => {
    const s = new SmcMachine();
    s.firmwareSays = [0x10001n, 1n, 2n, 3n];
    expect(s.smc([0x8400_0000n, 5n])).toEqual([0x10001n, 0n, 0n, 0n]);
    expect(s.asked).toEqual([[0x8400_0000n, 5n, 0n, 0n]]);
  });

  it('forwards what is nobody’s, registers and all', () => {
    const s = new SmcMachine();
    s.firmwareSays = [9n, 8n, 7n, 6n];
    expect(s.smc([0x8200_0001n, 1n, 2n, 3n])).toEqual([9n, 8n, 7n, 6n]);
    expect(s.asked).toEqual([[0x8200_0001n, 1n, 2n, 3n]]);
  });

  it('asks firmware nothing that it must not', () => {
    const s = new SmcMachine();
    expect(s.smc([0x8400_0000n], 0xd4000023)[0]).toBe(minus(1));
    expect(s.smc([0x1_8400_0000n])[0]).toBe(minus(1));
    // CPU_ON and CPU_SUSPEND in 32 bits, an unknown PSCI function, FFA_VERSION, FFA_MEM_DONATE.
    for (const id of [0x8400_0003n, 0x8400_0001n, 0x8400_001fn, 0x8400_0063n, 0xc400_0071n]) {
      expect(s.smc([id, 1n])[0]).toBe(minus(1));
    }
    expect(s.asked).toEqual([]);
  });

  it('starts CPUs in the hyp, one request at a time', () => {
    const s = new SmcMachine();
    expect(s.smc([CPU_ON, 7n, 0x1000n, 0x77n])[0]).toBe(minus(2));
    s.firmwareSays = [minus(6)];
    expect(s.smc([CPU_ON, 1n, 0x1000n, 0x77n])[0]).toBe(minus(6));
    s.firmwareSays = [0n];
    expect(s.smc([CPU_ON, 1n, 0x1000n, 0x77n])[0]).toBe(0n);
    // What firmware is told is the hyp's entry, never the host's.
    expect(s.asked).toEqual([
      [CPU_ON, 1n, BigInt(TEXT), 0n],
      [CPU_ON, 1n, BigInt(TEXT), 0n],
    ]);
    expect(s.smc([CPU_ON, 1n, 0x1000n, 0x77n])[0]).toBe(minus(4));
  });
});

describe('PSCI of a protected guest, at EL2 (5.6)', () => {
  /** Starts vCPU 1 at IPA 0x80000040, then asks for its state and ends; vCPU 1 keeps its x0 in x5 and ends. */
  const FIRST = [
    0xd2b88000, // mov x0, #0xc4000000
    0xf2800060, // movk x0, #0x3
    0xd2800021, // mov x1, #1
    0xd2b00002, // mov x2, #0x80000000
    0xf2800802, // movk x2, #0x40
    0xd2800ee3, // mov x3, #0x77
    0xd4000002, // hvc #0
    0xaa0003f3, // mov x19, x0
    0xd2b88000, // mov x0, #0xc4000000
    0xf2800060, // movk x0, #0x3
    0xd2800021, // mov x1, #1
    0xd4000002, // hvc #0
    0xaa0003f4, // mov x20, x0
    0xd503207f, // wfi
    0x14000000, // b .
    0xd503201f, // nop
    0xaa0003e5, // mov x5, x0
    0xd503207f, // wfi
    0x14000000, // b .
  ];

  function boot(): { m: HvcMachine; handle: number; vcpus: number[] } {
    const m = new HvcMachine().finalise();
    m.machine.words(PLAY, FIRST);
    const { kvm, handle } = m.kvm(true, 2);
    expect(m.call('__pkvm_init_vm', kvm, m.structure(1), m.structure(1))).toBe(0);
    const vcpus = [0n, 1n].map((n) => {
      const vcpu = m.structure(2);
      m.machine.quad(vcpu + 256, 0x8000_0000n);
      m.machine.quad(vcpu + HOST_VCPU.vcpuId, n);
      m.machine.quad(vcpu + HOST_VCPU.vcpuIndex, n);
      m.share(vcpu, 2);
      expect(m.call('__pkvm_init_vcpu', handle, vcpu, m.structure(2))).toBe(0);
      return vcpu;
    });
    m.call('__pkvm_vcpu_load', handle, 0, TWI);
    m.topUp({ handle, kvm, vcpu: vcpus[0] as number }, 4);
    expect(m.call('__pkvm_host_donate_guest', PLAY / PAGE, 0x80000)).toBe(0);
    return { m, handle, vcpus };
  }
  const TWI = 1n << 13n;
  const contextOf = (m: HvcMachine, n: number) => m.pkvm.vms.vms[0]?.vcpus[n]?.context;

  it('keeps entry and context from the host, which learns whom to run', () => {
    const { m, handle, vcpus } = boot();
    const [first, second] = vcpus as [number, number];
    expect(m.call('__kvm_vcpu_run')).toBe(2);
    const shown = Array.from({ length: 33 }, (_, n) => m.machine.quadAt(first + 8 * n));
    expect(shown).toEqual([CPU_ON, 1n, ...Array(31).fill(0n)]);
    // The host says that it is started: 0. The guest asks again: it is pending.
    m.machine.quad(first, 0n);
    expect(m.call('__kvm_vcpu_run')).toBe(2);
    expect([contextOf(m, 0)?.x(19), contextOf(m, 0)?.x(20)]).toEqual([0n, minus(5)]);
    m.call('__pkvm_vcpu_put');
    m.call('__pkvm_vcpu_load', handle, 1, TWI);
    m.machine.quad(second + 256, 0xbad0n);
    expect(m.call('__kvm_vcpu_run')).toBe(2);
    expect(contextOf(m, 1)?.x(5)).toBe(0x77n);
  });

  it('takes it back where the host did not start the other', () => {
    const { m, vcpus } = boot();
    expect(m.call('__kvm_vcpu_run')).toBe(2);
    m.machine.quad(vcpus[0] as number, minus(1));
    expect(m.call('__kvm_vcpu_run')).toBe(2);
    expect(contextOf(m, 0)?.x(19)).toBe(minus(6));
    expect(m.pkvm.vms.vms[0]?.vcpus[1]?.power).toBe('on-pending');
  });

  it('does not run a vCPU that nobody started', () => {
    const { m, handle } = boot();
    m.call('__pkvm_vcpu_put');
    m.call('__pkvm_vcpu_load', handle, 1, TWI);
    expect(m.call('__kvm_vcpu_run')).toBe(0);
    expect(contextOf(m, 1)?.x(5)).toBe(0n);
  });
});
