import { describe, expect, it } from 'vitest';
import {
  contextBytes,
  HOST_CALL,
  HOST_VCPU,
  HYP_STATE_BYTES,
  HYPERCALL,
  type PkvmProfile,
} from '../../../src/arm64/abi.ts';
import { restrictedId } from '../../../src/arm64/hyp/guest-registers.ts';
import { HvcMachine, PAGE, PLAY, TEXT, type TestVm } from './hvc-machine.ts';

const IPA = 0x8000_0000;
const GFN = IPA / PAGE;
const SHARED = PLAY + PAGE;
const [TRAP, PENDING, STEP] = [2, 1n, 2n];

/** Uses a device, asks for the hyp's features, reads an ID register, shares a page that is not there yet and leaves what it found in it. */
const PROGRAM: readonly number[] = [
  0xd2824693, // mov x19, #0x1234
  0xd2a12001, // mov x1, #0x9000000
  0xb9000033, // str w19, [x1]
  0x39800034, // ldrsb x20, [x1]
  0xd2b0c000, // mov x0, #0x86000000
  0xd4000002, // hvc #0x0
  0xaa0003f5, // mov x21, x0
  0xd5380416, // mrs x22, id_aa64pfr0_el1
  0xd2b8c000, // mov x0, #0xc6000000
  0xf2800060, // movk x0, #0x3
  0xd2b00001, // mov x1, #0x80000000
  0xf2820001, // movk x1, #0x1000
  0xaa1f03e2, // mov x2, xzr
  0xaa1f03e3, // mov x3, xzr
  0xaa0103e4, // mov x4, x1
  0xd4000002, // hvc #0x0
  0xaa0003f7, // mov x23, x0
  0xa9005093, // stp x19, x20, [x4]
  0xa9015895, // stp x21, x22, [x4, #16]
  0xf9001097, // str x23, [x4, #32]
  0xd2b08000, // mov x0, #0x84000000
  0xf2800100, // movk x0, #0x8
  0xd4000002, // hvc #0x0
  0x14000000, // b .
];

class Guest {
  readonly m: HvcMachine;
  readonly vm: TestVm;

  constructor(isProtected: boolean, profile: PkvmProfile = 'I', program: readonly number[] = PROGRAM) {
    this.m = new HvcMachine(profile).finalise();
    const { m } = this;
    m.machine.words(PLAY, [...program]);
    this.vm = m.vm(isProtected, (vcpu) => {
      m.machine.quad(vcpu + 256, BigInt(IPA));
      m.machine.quad(vcpu + 264, 0x3c5n);
    });
    m.load(this.vm);
    m.topUp(this.vm, 6);
    const error = isProtected
      ? m.call('__pkvm_host_donate_guest', PLAY / PAGE, GFN)
      : m.call('__pkvm_host_share_guest', PLAY / PAGE, GFN, 1, 0xf);
    expect(error).toBe(0);
  }

  run(): number {
    return this.m.call('__kvm_vcpu_run');
  }

  /** A register of the host's copy, or its PC at 32. */
  x(n: number): bigint {
    return this.m.machine.quadAt(this.vm.vcpu + 8 * n);
  }

  setX(n: number, value: bigint): void {
    this.m.machine.quad(this.vm.vcpu + 8 * n, value);
  }

  get fault(): { esr: bigint; far: bigint; hpfar: bigint } {
    const at = this.vm.vcpu + HOST_VCPU.hypState;
    const [esr, far, hpfar] = [24, 32, 40].map((offset) => this.m.machine.quadAt(at + offset)) as [
      bigint,
      bigint,
      bigint,
    ];
    return { esr, far, hpfar };
  }

  set flags(value: bigint) {
    this.m.machine.quad(this.vm.vcpu + HOST_VCPU.hypState + 56, value);
  }

  /** Everything that the host has of the vCPU: context and hyp state. */
  get hostCopy(): bigint[] {
    const words = (HOST_VCPU.hypState + HYP_STATE_BYTES) / 8;
    return Array.from({ length: words }, (_, n) => this.m.machine.quadAt(this.vm.vcpu + 8 * n));
  }

  /** Writes noise over the whole of the host's copy but for flags and x0. */
  disturb(seed: bigint): void {
    const { m, vm } = this;
    for (let at = 8; at < HOST_VCPU.hypState + HYP_STATE_BYTES - 8; at += 8) {
      m.machine.quad(vm.vcpu + at, BigInt.asUintN(64, (seed + BigInt(at)) * 0x9e37_79b9_7f4a_7c15n));
    }
  }

  /** Takes the program to its end as a host should. @param between is done before each run */
  complete(between: () => void = () => {}): bigint[] {
    const { m } = this;
    const again = (flags: bigint): number => {
      between();
      this.flags = flags;
      return this.run();
    };
    expect(again(0n)).toBe(TRAP);
    expect(again(STEP)).toBe(TRAP);
    this.setX(0, 0x1ff80n);
    expect(again(STEP)).toBe(TRAP);
    expect(m.call('__pkvm_host_donate_guest', SHARED / PAGE, GFN + 1)).toBe(0);
    expect(again(0n)).toBe(TRAP);
    return [0, 8, 16, 24, 32].map((offset) => m.machine.quadAt(SHARED + offset));
  }
}

/** What the program must find: its own secret, 0x80 as a signed byte, the features of 5.2 (with MMIO guard and MEM_RELINQUISH, 5 to 9), the restricted ID register, success. */
const FOUND = [0x1234n, 0xffff_ffff_ffff_ff80n, 0x3fdn, 0x0100_0111n, 0n];

describe('a protected vCPU of profile I (arm64-pkvm.md 6.5, 6.6)', () => {
  it('shows the host of each exit what its slot has, and no more', () => {
    const g = new Guest(true);
    const { m } = g;
    const others = (): bigint[] => g.hostCopy.slice(1, 33).filter((value) => value !== 0n);
    expect(g.run()).toBe(TRAP);
    // A store to a device: size, direction and value; the register is hidden.
    expect(g.fault).toEqual({ esr: 0x93800045n, far: 0n, hpfar: (1n << 63n) | 0x90000n });
    expect([g.x(0), others()]).toEqual([0x1234n, []]);
    g.flags = STEP;
    expect(g.run()).toBe(TRAP);
    expect(g.fault.esr).toBe(0x9320_8005n);
    expect([g.x(0), others()]).toEqual([0n, []]);
    g.setX(0, 0x1ff80n);
    g.flags = STEP;
    // The features were answered at EL2; a page to share is missing: a write fault is forged (10.4).
    expect(g.run()).toBe(TRAP);
    expect(g.fault).toEqual({ esr: 0x92000047n, far: 0n, hpfar: (1n << 63n) | 0x800010n });
    expect([g.x(0), others()]).toEqual([0n, []]);
    expect(m.call('__pkvm_vcpu_in_poison_fault')).toBe(0);
    expect(m.call('__pkvm_host_donate_guest', SHARED / PAGE, GFN + 1)).toBe(0);
    expect(g.run()).toBe(TRAP);
    expect([g.fault.esr, g.x(0), others()]).toEqual([0x5a000000n, 0x84000008n, []]);
    expect([0, 8, 16, 24, 32].map((offset) => m.machine.quadAt(SHARED + offset))).toEqual(FOUND);
  });

  it('takes nothing of what else the host writes into its copy', () => {
    for (const seed of [1n, 0x1234_5678n, 0xdead_beefn]) {
      const g = new Guest(true);
      expect(g.complete(() => g.disturb(seed))).toEqual(FOUND);
    }
  });

  it('leaves the host its own registers', () => {
    const g = new Guest(true);
    const { cpu } = g.m.machine;
    cpu.setX(19, 0x5555n);
    g.m.machine.set({ TPIDR_EL1: 0x77n, VBAR_EL1: 0x4000_4000n, MAIR_EL1: 0xffn });
    g.run();
    expect(cpu.x(19)).toBe(0x5555n);
    expect(['TPIDR_EL1', 'VBAR_EL1', 'MAIR_EL1'].map((name) => g.m.machine.register(name))).toEqual([
      0x77n,
      0x4000_4000n,
      0xffn,
    ]);
  });

  it('does not step over what is no device access, and makes it an abort where the host asks (10.3 #57)', () => {
    // ldp x0, x1, [x2]: no syndrome. At the vector: hvc of SYSTEM_OFF.
    const g = new Guest(true, 'I', [0xd2b40002, 0xa9400440, 0x14000000]);
    expect(g.run()).toBe(TRAP);
    expect(g.fault.esr).toBe(0x92000006n);
    g.flags = STEP;
    expect(g.run()).toBe(TRAP);
    expect(g.fault.esr).toBe(0x92000006n);
    g.flags = PENDING;
    expect(g.run()).toBe(TRAP);
    // VBAR_EL1 is 0: the guest fetches from its vector, where nothing is.
    expect(g.fault).toEqual({ esr: 0x82000005n, far: 0n, hpfar: 1n << 63n });
  });

  it('has undefined what it may not use, without its host', () => {
    // smc #0; its vector is not there, so that the guest comes out with an abort.
    const g = new Guest(true, 'I', [0xd4000003]);
    expect(g.run()).toBe(TRAP);
    expect(g.fault.esr >> 26n).toBe(0x20n);
    const vcpu = g.m.pkvm.vms.loadedOn(0);
    expect(vcpu?.context.register('ESR_EL1')).toBe(0x02000000n);
    expect(vcpu?.context.register('ELR_EL1')).toBe(BigInt(IPA));
  });
});

describe('runs that are refused', () => {
  it('with nothing loaded, and after a teardown has begun', () => {
    const g = new Guest(true);
    g.m.call('__pkvm_vcpu_put');
    expect(g.run()).toBe(-22);
    expect(g.m.call('__pkvm_start_teardown_vm', g.vm.handle)).toBe(0);
    g.m.call('__pkvm_vcpu_load', g.vm.handle, 0, 0);
    expect(g.run()).toBe(-22);
    expect(g.m.hvc(HOST_CALL.base + BigInt(HYPERCALL.__kvm_vcpu_run)).x0).toBe(0n);
  });
});

describe('other vCPUs', () => {
  it('of profile M show all registers (6.5)', () => {
    const g = new Guest(true, 'M');
    expect(g.run()).toBe(TRAP);
    expect([g.x(19), g.x(1), g.x(32)]).toEqual([0x1234n, 0x900_0000n, BigInt(IPA + 8)]);
    expect(g.fault.esr).toBe(0x93930045n);
  });

  it('of plain VMs run beside protected ones, with the host as master of their registers', () => {
    const g = new Guest(false, 'I', [0xd2824693, 0xd4000002]);
    const other = g.m.vm(true);
    g.setX(5, 0x55n);
    expect(g.run()).toBe(TRAP);
    expect([g.x(19), g.x(5), g.x(32), g.fault.esr]).toEqual([0x1234n, 0x55n, BigInt(IPA + 8), 0x5a000000n]);
    expect(other.handle).not.toBe(g.vm.handle);
  });
});

describe('PSTATE from the host', () => {
  it.each([
    0x3c9n,
    0x3c8n,
    0x3ccn,
    0x3c1n,
    0x3c6n,
    0x1d0n,
  ])('0x%s is no state of a guest: the run ends as illegal', (pstate) => {
    for (const isProtected of [false, true]) {
      const g = new Guest(isProtected, 'M');
      g.setX(33, pstate);
      // An address at which EL2 would find its own stub.
      g.setX(32, BigInt(TEXT + 0x24));
      expect(g.run()).toBe(3);
      g.setX(33, 0x3c5n);
      g.setX(32, BigInt(IPA));
      expect(g.run()).toBe(TRAP);
    }
  });
});

describe('state by owner (seed 003)', () => {
  it('has the sizes of the sheet: 4784 and 3104 bytes of context, 64 of hyp state', () => {
    expect([contextBytes('M'), contextBytes('L'), HYP_STATE_BYTES]).toEqual([4784, 3104, 64]);
  });
});

describe('ID registers of protected guests (6.8)', () => {
  it.each([
    ['ID_AA64PFR0_EL1', 0x1201_0111_2222_2222n, 0x1101_0000_1111_1111n],
    ['ID_AA64PFR0_EL1', 0x00ff_1111n, 0x00ff_1111n],
    ['ID_AA64MMFR0_EL1', 0x0000_0222_0010_0124n, 0x122n],
    ['ID_AA64DFR0_EL1', 0x0000_0000_0010_1006n, 0x000f_00f0_0000_0000n],
    ['ID_AA64ISAR0_EL1', 0x21_0000n, 0x21_0000n],
    ['ID_AA64ZFR0_EL1', 0xffffn, 0n],
  ])('%s 0x%s', (name, cpu, expected) => {
    expect(restrictedId(name, cpu).toString(16)).toBe(expected.toString(16));
  });
});
