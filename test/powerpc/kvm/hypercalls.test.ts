import { describe, expect, it } from 'vitest';
import { H_CODE, LPCR, MSR, PATE_DW1, SPR } from '../../../src/powerpc/abi.ts';
import { Machine, PAGE } from './machine.ts';

const VPA = 1n << 45n;
const DTL = 2n << 45n;
const SLB = 3n << 45n;
const AREA = 0x20000;

function booted(options: ConstructorParameters<typeof Machine>[0] = {}): Machine {
  const m = new Machine(options);
  m.boot();
  m.calls.length = 0;
  return m;
}

function refused(m: Machine, call: () => number, status: number): void {
  const before = m.snapshot();
  expect(call()).toBe(status);
  expect(m.snapshot()).toBe(before);
}

describe('H_SET_MODE', () => {
  it('LE turns the byte order of interrupts', () => {
    const m = booted();
    expect(m.call('H_SET_MODE', 1, 4)).toBe(0);
    expect(m.port.spr(SPR.LPCR) & LPCR.ILE).toBe(LPCR.ILE);
    expect(m.call('H_SET_MODE', 0, 4)).toBe(0);
    expect(m.port.spr(SPR.LPCR) & LPCR.ILE).toBe(0n);
  });

  it.each([0, 2, 3])('AIL %i', (ail) => {
    const m = booted();
    expect(m.call('H_SET_MODE', ail, 3)).toBe(0);
    expect((m.port.spr(SPR.LPCR) & LPCR.AIL) >> 23n).toBe(BigInt(ail));
  });

  it.each([
    ['LE with mflags 2', [2, 4], H_CODE.H_UNSUPPORTED_FLAG_START],
    ['LE with value 1', [1, 4, 1], H_CODE.H_P3],
    ['LE with value 2', [1, 4, 0, 1], H_CODE.H_P4],
    ['AIL 1', [1, 3], H_CODE.H_UNSUPPORTED_FLAG_START],
    ['AIL 4', [4, 3], H_CODE.H_UNSUPPORTED_FLAG_START],
    ['CIABR', [0, 1], H_CODE.H_P2],
    ['an unknown resource', [0, 9], H_CODE.H_P2],
  ] as const)('refuses %s', (_name, args, status) => {
    const m = booted();
    refused(m, () => m.call('H_SET_MODE', ...args), status);
  });
});

describe('H_REGISTER_PROC_TBL', () => {
  it('puts base and size into dw1 of the partition table entry', () => {
    const m = booted();
    expect(m.call('H_REGISTER_PROC_TBL', 0x1d, 0x10000, 0, 4)).toBe(0);
    expect(m.calls).toMatchObject([{ name: 'UV_WRITE_PATE' }]);
    expect(m.calls[0].args[2]).toBe(PATE_DW1.GR | 0x10004n);
    expect(m.call('H_REGISTER_PROC_TBL', 0x14)).toBe(0);
    expect(m.calls[1].args[2]).toBe(PATE_DW1.GR);
  });

  it('that the Ultravisor refuses changes nothing', () => {
    const m = booted();
    m.answer = () => -56;
    refused(m, () => m.call('H_REGISTER_PROC_TBL', 0x1d, 0x10000, 0, 4), -56);
  });

  it.each([
    ['an unknown flag', [0x3d, 0x10000, 0, 4], H_CODE.H_PARAMETER],
    ['hash', [0x18, 0x10000, 0, 4], H_CODE.H_PARAMETER],
    ['an unaligned base', [0x1c, 0x10800, 0, 4], H_CODE.H_P2],
    ['a base beyond 2^60', [0x1c, 1n << 60n, 0, 4], H_CODE.H_P2],
    ['a page size', [0x1c, 0x10000, 5, 4], H_CODE.H_P3],
    ['a size over 24', [0x1c, 0x10000, 0, 25], H_CODE.H_P4],
  ] as const)('refuses %s', (_name, args, status) => {
    const m = booted();
    refused(m, () => m.call('H_REGISTER_PROC_TBL', ...args), status);
    expect(m.calls).toEqual([]);
  });
});

describe('H_REGISTER_VPA', () => {
  function withArea(size = 640): Machine {
    const m = booted();
    m.kvm.memory.write(m.vm, AREA, Uint8Array.of(0, 0, 0, 0, size >> 8, size & 0xff, 0, 0, 0, 0x40));
    m.kvm.memory.write(m.vm, AREA + 0x800, Uint8Array.of(0, 0, 0, 0, 0, 0, 0x10, 0));
    return m;
  }

  it('sets flag and yield count, and pins the page', () => {
    const m = withArea();
    expect(m.call('H_REGISTER_VPA', VPA, 0, AREA)).toBe(0);
    expect(m.kvm.memory.read(m.vm, AREA + 9, 1)).toEqual(Uint8Array.of(0x42));
    expect(m.kvm.memory.readU32(m.vm, AREA + 0x100)).toBe(1);
    expect([...m.vm.pins]).toEqual([[2, 1]]);
    expect(m.call('H_REGISTER_VPA', 5n << 45n, 0)).toBe(0);
    expect([...m.vm.pins]).toEqual([]);
  });

  it('counts dispatches: odd while the vCPU does not run', () => {
    const m = withArea();
    m.call('H_REGISTER_VPA', VPA, 0, AREA);
    m.kvm.memory.writeU32(m.vm, AREA + 0x100, 0);
    m.port.setSpr(SPR.DEC, 10n);
    m.hypercall('H_CEDE');
    expect(m.kvm.memory.readU32(m.vm, AREA + 0x100)).toBe(1);
    m.port.clock = 11n;
    m.enter(m.port.stubPage + 0x34n);
    expect(m.kvm.memory.readU32(m.vm, AREA + 0x100)).toBe(2);
  });

  it('the other areas need a VPA, and a VPA stays as long as they do', () => {
    const m = withArea();
    refused(m, () => m.call('H_REGISTER_VPA', DTL, 0, AREA + 0x800), H_CODE.H_RESOURCE);
    m.call('H_REGISTER_VPA', VPA, 0, AREA);
    expect(m.call('H_REGISTER_VPA', DTL, 0, AREA + 0x800)).toBe(0);
    refused(m, () => m.call('H_REGISTER_VPA', 5n << 45n, 0), H_CODE.H_RESOURCE);
    expect(m.call('H_REGISTER_VPA', 6n << 45n, 0)).toBe(0);
    expect(m.call('H_REGISTER_VPA', 5n << 45n, 0)).toBe(0);
  });

  it.each([
    ['a null address', [VPA, 0, 0], H_CODE.H_PARAMETER],
    ['an address inside a cache line', [VPA, 0, AREA + 64], H_CODE.H_PARAMETER],
    ['an unknown vCPU', [VPA, 1, AREA], H_CODE.H_PARAMETER],
    ['an unknown function', [4n << 45n, 0, AREA], H_CODE.H_PARAMETER],
    ['an address in no slot', [VPA, 0, 9 * PAGE], H_CODE.H_PARAMETER],
    ['a VPA of no size', [VPA, 0, AREA + 0x400], H_CODE.H_PARAMETER],
    ['a DTL of no size', [DTL, 0, AREA + 0x400], H_CODE.H_PARAMETER],
    ['an SLB shadow over a page', [SLB, 0, AREA + 0x800], H_CODE.H_PARAMETER],
  ] as const)('refuses %s', (_name, args, status) => {
    const m = withArea();
    refused(m, () => m.call('H_REGISTER_VPA', ...args), status);
  });

  it.each([639, 4097])('refuses a VPA of %i bytes', (size) => {
    const m = withArea(size);
    refused(m, () => m.call('H_REGISTER_VPA', VPA, 0, AREA), H_CODE.H_PARAMETER);
  });

  it('of an SVM that shared the page works without ultracalls', () => {
    const m = booted();
    m.secure();
    expect(m.upcall('H_SVM_PAGE_IN', AREA, 1, 16)).toBe(0);
    m.kvm.memory.write(m.vm, AREA + 4, Uint8Array.of(4, 0));
    m.calls.length = 0;
    expect(m.upcall('H_REGISTER_VPA', VPA, 0, AREA)).toBe(0);
    expect(m.calls).toEqual([]);
    expect(m.kvm.memory.readU32(m.vm, AREA + 0x100)).toBe(1);
  });

  it.each([
    VPA,
    DTL,
  ])('of an SVM that did not share the page is refused, and its page stays where it is: %i', (kind) => {
    const m = booted();
    m.secure();
    m.calls.length = 0;
    const before = m.snapshot();
    expect(m.upcall('H_REGISTER_VPA', kind, 0, AREA)).toBe(H_CODE.H_PARAMETER);
    expect(m.calls).toEqual([]);
    expect(m.snapshot()).toBe(before);
  });
});

describe('H_CEDE, H_PROD, H_CONFER', () => {
  it('H_CEDE enables interrupts and returns at once after H_PROD', () => {
    const m = booted();
    m.port.setSpr(SPR.DEC, 100n);
    expect(m.call('H_PROD', 0)).toBe(0);
    expect(m.hypercall('H_CEDE')).toEqual({ to: 'guest', pc: 0x1000n, msr: MSR.SF | MSR.EE | MSR.ME });
    expect(m.hypercall('H_CEDE').to).toBe('stop');
  });

  it('H_CEDE with the decrementer due returns at once', () => {
    const m = booted();
    m.port.setSpr(SPR.DEC, 0xffffffffffffffffn);
    expect(m.hypercall('H_CEDE').to).toBe('guest');
  });

  it('H_CONFER lets another vCPU run', () => {
    const m = booted({ vcpus: 2 });
    m.vm.vcpus[1].state = 'running';
    m.vm.vcpus[1].context.pc = 0x7777n;
    expect(m.hypercall('H_CONFER', [-1, 0])).toMatchObject({ pc: 0x7777n });
    expect(m.hypercall('H_CONFER', [0, 0])).toMatchObject({ pc: 0x1000n });
  });

  it.each(['H_PROD', 'H_CONFER'] as const)('%s refuses an unknown vCPU', (name) => {
    const m = booted();
    refused(m, () => m.call(name, 1), H_CODE.H_PARAMETER);
  });
});

describe('H_RANDOM', () => {
  it('gives 64 bits of the source that the hypervisor was given', () => {
    const m = booted();
    expect(m.call('H_RANDOM')).toBe(0);
    expect(m.port.gpr(4)).toBe(0x0101010101010101n);
  });
});
