import { describe, expect, it } from 'vitest';
import { type GuestPhysical, SPR, U_CODE } from '../../../src/powerpc/abi.ts';
import { gfnState, KVMPPC_GFN_UVMEM_PFN } from '../../../src/powerpc/kvm/gfn.ts';
import { mappedPage } from '../../../src/powerpc/kvm/radix.ts';
import { type VmState, vmState } from '../../../src/powerpc/kvm/vm-state.ts';
import { Machine, PAGE } from './machine.ts';

const EINVAL = -22;
/** A hypercall that nobody knows. */
const NOTHING = 0x5550;
const NEW = { id: 1, base: (8 * PAGE) as GuestPhysical, size: 4 * PAGE };

const STATES: readonly { state: VmState; make(m: Machine): void }[] = [
  { state: 'normal', make: () => {} },
  { state: 'transient', make: (m) => m.transient() },
  { state: 'secure', make: (m) => m.secure() },
];

/** A machine whose VM is in a state. */
function made(make: (m: Machine) => void, options: ConstructorParameters<typeof Machine>[0] = {}): Machine {
  const m = new Machine(options);
  m.boot();
  make(m);
  m.calls.length = 0;
  return m;
}

/** Any entry into the hypervisor after which the VM goes on. */
function enter(m: Machine): void {
  m.hypercall(NOTHING, [], vmState(m.vm.secureGuest) !== 'normal');
}

function add(m: Machine, spec: { id: number; base: GuestPhysical; size: number } = NEW): number | undefined {
  const job = m.kvm.scheduleSlotCreate(m.vm, spec);
  enter(m);
  return job.result;
}

function remove(m: Machine, id: number): number | undefined {
  const job = m.kvm.scheduleSlotDelete(m.vm, id);
  enter(m);
  return job.result;
}

describe.each(STATES)('memory slots of a $state VM (power-pef.md 5.5)', ({ state, make }) => {
  const protectedVm = state !== 'normal';

  it('a new one has the state of the VM: all its frames follow', () => {
    const m = made(make);
    expect(add(m)).toBe(0);
    expect(m.calls).toEqual(
      protectedVm ? [{ name: 'UV_REGISTER_MEM_SLOT', args: [1n, BigInt(8 * PAGE), BigInt(4 * PAGE), 0n, 1n] }] : [],
    );
    for (let gfn = 8; gfn < 12; gfn++) {
      expect(gfnState(m.pfn(gfn))).toBe(protectedVm ? 'secure' : 'normal');
      if (protectedVm) expect(m.pfn(gfn) & KVMPPC_GFN_UVMEM_PFN).not.toBe(0n);
    }
    if (!protectedVm) {
      m.kvm.memory.write(m.vm, 11 * PAGE, Uint8Array.of(5));
      expect(m.kvm.memory.read(m.vm, 11 * PAGE, 1)).toEqual(Uint8Array.of(5));
    }
  });

  it('one that goes takes everything with it, and can come again', () => {
    const m = made(make);
    const before = m.snapshot();
    const free = m.kvm.pages.used;
    add(m);
    if (protectedVm) {
      m.upcall('H_SVM_PAGE_IN', 9 * PAGE, 1, 16);
      m.upcall('H_SVM_PAGE_OUT', 10 * PAGE, 0, 16);
    } else m.kvm.memory.write(m.vm, 9 * PAGE, Uint8Array.of(5));
    m.calls.length = 0;
    expect(remove(m, 1)).toBe(0);
    expect(m.calls).toEqual(
      protectedVm
        ? [{ name: 'UV_UNREGISTER_MEM_SLOT', args: [1n, 1n, expect.anything(), expect.anything(), expect.anything()] }]
        : [],
    );
    expect(m.kvm.pages.used).toBe(free);
    expect(m.snapshot()).toBe(before);
    expect(add(m)).toBe(0);
  });

  it.each([
    ['an id that is taken', { ...NEW, id: 0 }],
    ['an id that the Ultravisor does not have', { ...NEW, id: 512 }],
    ['an overlap', { ...NEW, base: (7 * PAGE) as GuestPhysical }],
  ])('%s is −EINVAL, and changes nothing', (_, spec) => {
    const m = made(make);
    const before = m.snapshot();
    expect(add(m, spec)).toBe(EINVAL);
    expect(m.snapshot()).toBe(before);
    expect(m.calls).toEqual([]);
  });

  it('a size that is no multiple of 64 KiB is refused at once', () => {
    const m = made(make);
    expect(() => m.kvm.scheduleSlotCreate(m.vm, { ...NEW, size: 4096 })).toThrow(RangeError);
  });

  it('taking away what is not there is −EINVAL', () => {
    const m = made(make);
    expect(remove(m, 7)).toBe(EINVAL);
  });
});

describe.each(STATES.filter(({ state }) => state !== 'normal'))('a slot that a $state VM cannot have', ({ make }) => {
  it.each([
    ['refused by the Ultravisor', 32, U_CODE.U_RETRY, ['UV_REGISTER_MEM_SLOT']],
    ['out of secure-PFNs', 10, U_CODE.U_SUCCESS, []],
  ] as const)('%s: user space is not told, the guest finds nothing there (10.2 #47)', (_, securePages, code, calls) => {
    const m = made(make, { securePages });
    m.answer = ({ name }) => (name === 'UV_REGISTER_MEM_SLOT' ? code : 0);
    // What a Transient VM has not moved in yet takes no secure-PFN.
    if (securePages === 10 && m.vm.secureGuest === 1)
      for (let gfn = 0; gfn < 8; gfn++) m.upcall('H_SVM_PAGE_IN', gfn * PAGE, 0, 16);
    m.calls.length = 0;
    const used = m.kvm.pages.used;
    expect(add(m)).toBe(0);
    expect(m.takeCalls()).toEqual(calls);
    expect(m.vm.slots[1].registered).toBe(false);
    for (const flags of [0, 1]) expect(m.upcall('H_SVM_PAGE_IN', 9 * PAGE, flags, 16)).toBe(-4);
    expect(m.kvm.pages.used).toBe(used);
    if (m.vm.secureGuest === 1) expect(m.upcall('H_SVM_INIT_DONE')).toBe(0);
    expect(gfnState(m.pfn(9))).toBe('normal');
    m.calls.length = 0;
    expect(remove(m, 1)).toBe(0);
    expect(m.calls).toEqual([]);
  });
});

describe('a slot that goes from a normal VM', () => {
  it('is out of its tree, and CPUs forget its translations', () => {
    const m = made(() => {});
    add(m);
    m.port.setSpr(SPR.ASDR, BigInt(9 * PAGE));
    m.port.setSpr(SPR.HDSISR, 0x40000000n);
    m.exit(0xe00n);
    expect(mappedPage(m.vm.tree, m.view, (9 * PAGE) as GuestPhysical)).toBe(m.page(9));
    m.port.invalidated.length = 0;
    expect(remove(m, 1)).toBe(0);
    expect(mappedPage(m.vm.tree, m.view, (9 * PAGE) as GuestPhysical)).toBeUndefined();
    expect(m.port.invalidated).toContain(1);
    expect(() => m.kvm.memory.read(m.vm, 9 * PAGE, 1)).toThrow('unmapped');
  });
});

describe('the slot that is added while a VM is Transient', () => {
  it('goes back with the others at H_SVM_INIT_ABORT, and is registered at the next H_SVM_INIT_START', () => {
    const m = made((machine) => machine.transient());
    add(m);
    m.call('H_SVM_INIT_ABORT');
    expect(m.vm.slots.map(({ registered }) => registered)).toEqual([false, false]);
    for (let gfn = 0; gfn < 12; gfn++) expect(m.pfn(gfn)).toBe(0n);
    m.calls.length = 0;
    m.upcall('H_SVM_INIT_START');
    expect(m.takeCalls()).toEqual(['UV_REGISTER_MEM_SLOT', 'UV_REGISTER_MEM_SLOT']);
  });
});
