import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { H_CODE, SPR, U_CODE } from '../../../src/powerpc/abi.ts';
import { gfnState, KVMPPC_GFN_MEM_PFN, KVMPPC_GFN_SHARED, KVMPPC_GFN_UVMEM_PFN } from '../../../src/powerpc/kvm/gfn.ts';
import { GuestFault } from '../../../src/powerpc/kvm/guest-memory.ts';
import { mappedPage } from '../../../src/powerpc/kvm/radix.ts';
import { Machine, PAGE } from './machine.ts';

function booted(options: ConstructorParameters<typeof Machine>[0] = {}): Machine {
  const m = new Machine(options);
  m.boot();
  m.calls.length = 0;
  return m;
}

describe('every call that only the Ultravisor makes', () => {
  it.each([
    ['H_SVM_PAGE_IN', [0, 0, 16]],
    ['H_SVM_PAGE_OUT', [0, 0, 16]],
    ['H_SVM_INIT_START', []],
    ['H_SVM_INIT_DONE', []],
  ] as const)('%s is H_UNSUPPORTED from a guest, whose SRR1 has no S', (name, args) => {
    const m = booted();
    const before = m.snapshot();
    expect(m.call(name, ...args)).toBe(H_CODE.H_UNSUPPORTED);
    expect(m.snapshot()).toBe(before);
    expect(m.calls).toEqual([]);
  });

  it('H_TPM_COMM is H_FUNCTION: there is no TPM', () => {
    const m = booted();
    expect(m.upcall('H_TPM_COMM', 1)).toBe(H_CODE.H_FUNCTION);
  });
});

describe('H_SVM_INIT_START', () => {
  it('registers every slot with its base, size, no flags and id (power-pef.md 4.2)', () => {
    const m = booted({ slotPages: [2, 3] });
    expect(m.upcall('H_SVM_INIT_START')).toBe(0);
    expect(m.calls).toEqual([
      { name: 'UV_REGISTER_MEM_SLOT', args: [1n, 0n, BigInt(2 * PAGE), 0n, 0n] },
      { name: 'UV_REGISTER_MEM_SLOT', args: [1n, BigInt(2 * PAGE), BigInt(3 * PAGE), 0n, 1n] },
    ]);
  });

  it("takes all pages out of the hypervisor's own tree", () => {
    const m = booted();
    m.port.setSpr(SPR.ASDR, 0x20000n);
    m.port.setSpr(SPR.HDSISR, 0x40000000n);
    m.exit(0xe00n);
    expect(mappedPage(m.vm.tree, m.view, 0x20000 as never)).toBe(m.page(2));
    m.port.invalidated.length = 0;
    m.upcall('H_SVM_INIT_START');
    expect(mappedPage(m.vm.tree, m.view, 0x20000 as never)).toBeUndefined();
    expect(m.port.invalidated).toEqual([1]);
  });
});

describe('H_SVM_PAGE_IN', () => {
  const REFUSED: readonly [string, (number | bigint)[], number][] = [
    ['order 12', [0, 0, 12], H_CODE.H_P3],
    ['order 17', [0, 0, 17], H_CODE.H_P3],
    ['order before flags', [0, 2, 12], H_CODE.H_P3],
    ['an unknown flag', [0, 2, 16], H_CODE.H_P2],
    ['an unknown flag with the known one', [0, 3, 16], H_CODE.H_P2],
    ['flags before address', [0x100, 2, 16], H_CODE.H_P2],
    ['an address inside a page', [0x8000, 0, 16], H_CODE.H_PARAMETER],
    ['an address in no slot', [8 * PAGE, 0, 16], H_CODE.H_PARAMETER],
    ['an address beyond 52 bits', [1n << 60n, 0, 16], H_CODE.H_PARAMETER],
    ['an address in no slot, shared', [8 * PAGE, 1, 16], H_CODE.H_PARAMETER],
  ];

  it.each(REFUSED)('refuses %s', (_name, args, status) => {
    const m = booted();
    m.transient();
    const before = m.snapshot();
    expect(m.upcall('H_SVM_PAGE_IN', ...args)).toBe(status);
    expect(m.snapshot()).toBe(before);
    expect(m.calls).toEqual([]);
  });

  it('without H_SVM_INIT_START is H_UNSUPPORTED', () => {
    expect(booted().upcall('H_SVM_PAGE_IN', 0, 0, 16)).toBe(H_CODE.H_UNSUPPORTED);
  });

  it('moves the page by UV_PAGE_IN and frees it', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(7));
    const page = m.page(3);
    const used = m.kvm.pages.used;
    m.transient();
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(0);
    expect(m.calls).toEqual([{ name: 'UV_PAGE_IN', args: [1n, BigInt(page), BigInt(3 * PAGE), 0n, 16n] }]);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_UVMEM_PFN);
    expect(m.page(3)).toBe(-1);
    expect(m.kvm.pages.used).toBe(used - 1);
  });

  it('of a page that nobody touched needs no UV_PAGE_IN (10.1 #26)', () => {
    const m = booted();
    m.transient();
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(0);
    expect(m.calls).toEqual([]);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_UVMEM_PFN);
  });

  it('of a frame that is paged in is H_PARAMETER (10.1 #13)', () => {
    const m = booted();
    m.transient(3);
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(H_CODE.H_PARAMETER);
  });

  it.each([U_CODE.U_P3, U_CODE.U_BUSY])('whose UV_PAGE_IN gives %i leaves no trace (10.1 #27)', (code) => {
    const m = booted();
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(7));
    m.transient();
    m.answer = () => code;
    const before = m.snapshot();
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(H_CODE.H_PARAMETER);
    expect(m.snapshot()).toBe(before);
    m.answer = () => 0;
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(0);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_UVMEM_PFN);
  });

  it('without a free secure-PFN is H_PARAMETER (5.7)', () => {
    const m = booted({ securePages: 2 });
    m.transient(0, 1);
    expect(m.upcall('H_SVM_PAGE_IN', 2 * PAGE, 0, 16)).toBe(H_CODE.H_PARAMETER);
  });

  it('of a pinned page is H_PARAMETER (10.1 #28)', () => {
    const m = booted();
    m.vm.pins.set(3, 1);
    m.transient();
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(H_CODE.H_PARAMETER);
  });

  it('gives registers back as they came, but for the result', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 0, Uint8Array.of(1));
    m.transient();
    for (let n = 13; n < 31; n++) m.port.setGpr(n, BigInt(n));
    m.port.setSpr(SPR.SRR0, 0x77n);
    m.upcall('H_SVM_PAGE_IN', 0, 0, 16);
    for (let n = 13; n < 31; n++) expect(m.port.gpr(n)).toBe(BigInt(n));
  });
});

describe('H_SVM_PAGE_IN with H_PAGE_IN_SHARED', () => {
  it('of a paged-in frame gives a fresh zero page, without UV_PAGE_OUT (4.5)', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(7));
    m.secure();
    m.answer = ({ name, args }) => {
      expect(name).toBe('UV_PAGE_IN');
      expect(m.view.read(Number(args[1]) as RealAddress, PAGE).every((b) => b === 0)).toBe(true);
      return 0;
    };
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16)).toBe(0);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_SHARED);
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(9));
    expect(m.kvm.memory.read(m.vm, 3 * PAGE, 1)).toEqual(Uint8Array.of(9));
  });

  it('releases the secure-PFN', () => {
    const m = booted({ securePages: 8 });
    m.secure();
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16)).toBe(0);
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(0);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_UVMEM_PFN | 3n);
  });

  it('that fails leaves no trace', () => {
    const m = booted();
    m.secure();
    m.answer = () => U_CODE.U_P2;
    const before = m.snapshot();
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16)).toBe(H_CODE.H_PARAMETER);
    expect(m.snapshot()).toBe(before);
  });
});

describe('H_SVM_PAGE_OUT', () => {
  it.each([
    ['order', [0, 0, 12], H_CODE.H_P3],
    ['any flag', [0, 1, 16], H_CODE.H_P2],
    ['an address in no slot', [8 * PAGE, 0, 16], H_CODE.H_PARAMETER],
  ] as const)('refuses %s', (_name, args, status) => {
    const m = booted();
    m.secure();
    const before = m.snapshot();
    expect(m.upcall('H_SVM_PAGE_OUT', ...args)).toBe(status);
    expect(m.snapshot()).toBe(before);
  });

  it('fetches the ciphertext into a normal page; the next H_SVM_PAGE_IN brings the same bytes', () => {
    const m = booted();
    m.secure();
    m.answer = ({ args }) => {
      m.view.write(Number(args[1]) as RealAddress, Uint8Array.of(0xc1, 0xc2));
      return 0;
    };
    expect(m.upcall('H_SVM_PAGE_OUT', 3 * PAGE, 0, 16)).toBe(0);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_MEM_PFN);
    expect(m.kvm.memory.read(m.vm, 3 * PAGE, 2)).toEqual(Uint8Array.of(0xc1, 0xc2));
    const page = m.page(3);
    m.answer = () => 0;
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 0, 16)).toBe(0);
    expect(m.calls.at(-1)).toEqual({ name: 'UV_PAGE_IN', args: [1n, BigInt(page), BigInt(3 * PAGE), 0n, 16n] });
    expect(m.pfn(3)).toBe(KVMPPC_GFN_UVMEM_PFN | 3n);
  });

  it('of a frame that is not paged in is a success without effect', () => {
    const m = booted();
    m.secure();
    m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16);
    const before = m.snapshot();
    m.calls.length = 0;
    expect(m.upcall('H_SVM_PAGE_OUT', 3 * PAGE, 0, 16)).toBe(0);
    expect(m.snapshot()).toBe(before);
    expect(m.calls).toEqual([]);
  });

  it('whose UV_PAGE_OUT fails leaves no trace', () => {
    const m = booted();
    m.secure();
    m.answer = () => U_CODE.U_BUSY;
    const before = m.snapshot();
    expect(m.upcall('H_SVM_PAGE_OUT', 3 * PAGE, 0, 16)).toBe(H_CODE.H_PARAMETER);
    expect(m.snapshot()).toBe(before);
  });
});

describe('H_SVM_INIT_DONE', () => {
  it('moves what is left without UV_PAGE_IN, and keeps shared and paged-out frames (4.3)', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 0, Uint8Array.of(1));
    m.transient(1, 2);
    m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16);
    m.upcall('H_SVM_PAGE_OUT', 2 * PAGE, 0, 16);
    m.calls.length = 0;
    expect(m.upcall('H_SVM_INIT_DONE')).toBe(0);
    expect(m.calls).toEqual([]);
    expect([0, 1, 2, 3, 4].map((gfn) => gfnState(m.pfn(gfn)))).toEqual([
      'secure',
      'secure',
      'secure',
      'shared',
      'secure',
    ]);
    expect(m.pfn(2)).toBe(KVMPPC_GFN_MEM_PFN);
  });

  it.each([
    ['there are too few secure-PFNs', { securePages: 7 }, undefined],
    ['a page is pinned', {}, 5],
  ] as const)('is H_STATE where %s; the VM stays Transient', (_name, options, pinned) => {
    const m = booted(options);
    m.transient();
    if (pinned !== undefined) m.vm.pins.set(pinned, 1);
    const before = m.snapshot();
    expect(m.upcall('H_SVM_INIT_DONE')).toBe(H_CODE.H_STATE);
    expect(m.snapshot()).toBe(before);
  });
});

describe('H_SVM_INIT_ABORT', () => {
  it('pages out what is paged in, terminates, and gives the guest H_PARAMETER at its own address (4.4, 6.1)', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(7));
    m.transient(3);
    m.port.setSpr(SPR.LR, 0x99n);
    m.answer = ({ name, args }) => {
      if (name === 'UV_PAGE_OUT') m.view.write(Number(args[1]) as RealAddress, Uint8Array.of(7));
      return 0;
    };
    const left = m.hypercall('H_SVM_INIT_ABORT');
    expect(left).toEqual({ to: 'guest', pc: 0x1000n, msr: 0x8000000000001000n });
    expect(BigInt.asIntN(64, m.port.gpr(3))).toBe(-4n);
    expect(m.port.spr(SPR.LR)).toBe(0x99n);
    expect(m.takeCalls()).toEqual(['UV_PAGE_OUT', 'UV_SVM_TERMINATE']);
    expect(m.kvm.memory.read(m.vm, 3 * PAGE, 1)).toEqual(Uint8Array.of(7));
  });

  it('gives zeros where the Ultravisor keeps the contents', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(7));
    m.transient(3);
    m.answer = ({ name }) => (name === 'UV_PAGE_OUT' ? U_CODE.U_BUSY : 0);
    expect(m.call('H_SVM_INIT_ABORT')).toBe(H_CODE.H_PARAMETER);
    expect(m.kvm.memory.read(m.vm, 3 * PAGE, 1)).toEqual(Uint8Array.of(0));
  });

  /** A Transient VM with frames 3 and 4 out, and 5 in. */
  function pagedOut() {
    const m = booted();
    for (const gfn of [3, 4, 5]) m.kvm.memory.write(m.vm, gfn * PAGE, Uint8Array.of(gfn));
    m.transient(3, 4, 5);
    for (const gfn of [3, 4]) expect(m.upcall('H_SVM_PAGE_OUT', gfn * PAGE, 0, 16)).toBe(0);
    for (const gfn of [3, 4]) m.view.write(m.page(gfn) as RealAddress, Uint8Array.of(0xcc));
    m.calls.length = 0;
    return m;
  }
  const gfnOfCall = ({ args }: { args: readonly bigint[] }) => Number(args[2]) / PAGE;

  it('has what was paged out decrypted: first the others leave secure memory, then each comes in and goes out again', () => {
    const m = pagedOut();
    m.answer = ({ name, args }) => {
      if (name === 'UV_PAGE_OUT') m.view.write(Number(args[1]) as RealAddress, Uint8Array.of(Number(args[2]) / PAGE));
      return 0;
    };
    const used = m.kvm.pages.used;
    expect(m.call('H_SVM_INIT_ABORT')).toBe(H_CODE.H_PARAMETER);
    expect(
      m.calls.map((call) => (call.name === 'UV_SVM_TERMINATE' ? call.name : [call.name, gfnOfCall(call)])),
    ).toEqual([
      ['UV_PAGE_OUT', 5],
      ['UV_PAGE_IN', 3],
      ['UV_PAGE_OUT', 3],
      ['UV_PAGE_IN', 4],
      ['UV_PAGE_OUT', 4],
      'UV_SVM_TERMINATE',
    ]);
    for (const gfn of [3, 4, 5]) expect(m.kvm.memory.read(m.vm, gfn * PAGE, 1)).toEqual(Uint8Array.of(gfn));
    expect(m.kvm.pages.used).toBe(used + 1);
  });

  it.each([
    'UV_PAGE_IN',
    'UV_PAGE_OUT',
  ])('leaves no ciphertext in the normal VM where %s is refused: zeros', (refuses) => {
    const m = pagedOut();
    m.answer = ({ name }) => (name === refuses ? U_CODE.U_BUSY : 0);
    expect(m.call('H_SVM_INIT_ABORT')).toBe(H_CODE.H_PARAMETER);
    for (const gfn of [3, 4]) {
      expect(m.pfn(gfn)).toBe(0n);
      expect(m.kvm.memory.read(m.vm, gfn * PAGE, 1)).toEqual(Uint8Array.of(0));
    }
  });

  it('the VM can then try again', () => {
    const m = booted();
    m.transient(3);
    m.call('H_SVM_INIT_ABORT');
    m.secure();
    expect(m.vm.secureGuest).toBe(3);
  });
});

describe('page-out that the hypervisor schedules (6.5 A)', () => {
  it('is done at the next entry, before the guest runs again', () => {
    const m = booted();
    m.secure();
    const job = m.kvm.schedulePageOut(m.vm, 3);
    expect(job.result).toBeUndefined();
    expect(() => m.kvm.memory.read(m.vm, 3 * PAGE, 1)).toThrow(GuestFault);
    m.upcall('H_PROD', 0);
    expect(m.takeCalls()).toEqual(['UV_PAGE_OUT']);
    expect(job.result).toBe(0);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_MEM_PFN);
    expect(m.kvm.memory.read(m.vm, 3 * PAGE, 1)).toHaveLength(1);
  });

  it('does nothing to a shared frame', () => {
    const m = booted();
    m.secure();
    m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16);
    m.calls.length = 0;
    const job = m.kvm.schedulePageOut(m.vm, 3);
    m.upcall('H_PROD', 0);
    expect(job.result).toBe(0);
    expect(m.calls).toEqual([]);
  });
});

describe('a shared page that moves (3.12, 6.4)', () => {
  it('is invalidated, copied, and given again when the guest faults on it', () => {
    const m = booted();
    m.secure();
    m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16);
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(5));
    const old = m.page(3);
    m.calls.length = 0;
    const job = m.kvm.scheduleSharedMove(m.vm, 3);
    m.upcall('H_PROD', 0);
    expect(m.calls).toEqual([{ name: 'UV_PAGE_INVAL', args: [1n, BigInt(3 * PAGE), 16n, 0n, 0n] }]);
    expect(job.result).toBe(0);
    expect(m.page(3)).not.toBe(old);
    expect(m.kvm.memory.read(m.vm, 3 * PAGE, 1)).toEqual(Uint8Array.of(5));

    m.calls.length = 0;
    m.port.setSpr(SPR.ASDR, BigInt(3 * PAGE));
    m.port.setSpr(SPR.HDSISR, 0x40000000n);
    expect(m.exit(0xe00n, { pc: 0x5555550n, msr: 0x8000000000400000n }).to).toBe('ultravisor');
    expect(m.calls).toEqual([{ name: 'UV_PAGE_IN', args: [1n, BigInt(m.page(3)), BigInt(3 * PAGE), 0n, 16n] }]);
    expect(m.pfn(3)).toBe(KVMPPC_GFN_SHARED);
  });

  it('ends the VM if the Ultravisor does not take it again', () => {
    const m = booted();
    m.secure();
    m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16);
    m.answer = ({ name }) => (name === 'UV_PAGE_IN' ? U_CODE.U_P3 : 0);
    m.port.setSpr(SPR.ASDR, BigInt(3 * PAGE));
    m.port.setSpr(SPR.HDSISR, 0x40000000n);
    expect(m.exit(0xe00n, { pc: 0x5555550n, msr: 0x8000000000400000n }).to).toBe('stop');
    expect(m.vm.end?.kind).toBe('terminated');
  });
});

describe('an upcall of the Ultravisor in the middle of an ultracall of ours', () => {
  it('is answered, and the ultracall goes on where it was (4.6, 5.7)', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 0, Uint8Array.of(1));
    m.secure();
    m.upcall('H_SVM_PAGE_OUT', 0, 0, 16);
    m.calls.length = 0;
    let nested: number | undefined;
    m.answer = ({ name }) => {
      if (name === 'UV_PAGE_IN' && nested === undefined) {
        const gprs = [...m.port.gprs];
        m.answer = () => 0;
        nested = m.upcall('H_SVM_PAGE_OUT', 5 * PAGE, 0, 16);
        for (const [n, value] of gprs.entries()) m.port.setGpr(n, value);
      }
      return 0;
    };
    m.port.setGpr(20, 0x2020n);
    expect(m.upcall('H_SVM_PAGE_IN', 0, 0, 16)).toBe(0);
    expect(nested).toBe(0);
    expect(m.port.gpr(20)).toBe(0x2020n);
    expect(m.takeCalls()).toEqual(['UV_PAGE_IN', 'UV_PAGE_OUT']);
    expect(m.pfn(5)).toBe(KVMPPC_GFN_MEM_PFN);
    expect(m.pfn(0)).toBe(KVMPPC_GFN_UVMEM_PFN);
  });
});
