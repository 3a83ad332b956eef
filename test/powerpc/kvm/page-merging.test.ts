import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { type GuestPhysical, H_CODE, SPR } from '../../../src/powerpc/abi.ts';
import { mappedPage } from '../../../src/powerpc/kvm/radix.ts';
import { Machine, PAGE } from './machine.ts';

/** A hypercall that nobody knows. */
const NOTHING = 0x5550;
const PASS = { pagesToScan: 1000, sleepTicks: 10n };
const SAME = new Uint8Array(PAGE).fill(7);
const STORE = 0x0a000000n;

/** A VM whose frames 0, 3 and 4 hold the same; the service has looked at all frames often enough to see it. */
function merged(options: ConstructorParameters<typeof Machine>[0] = {}): Machine {
  const m = new Machine({ pageMerging: PASS, ...options });
  m.boot();
  for (const gfn of [0, 3, 4]) m.kvm.memory.write(m.vm, gfn * PAGE, SAME);
  m.kvm.memory.write(m.vm, 5 * PAGE, Uint8Array.of(1));
  scan(m);
  return m;
}

/** Time enough for a few passes over all memory. */
function scan(m: Machine): void {
  for (let i = 0; i < 6; i++) {
    m.port.clock += 100n;
    m.hypercall(NOTHING);
  }
  m.calls.length = 0;
}

function fault(m: Machine, gfn: number, cause: bigint): void {
  m.port.setSpr(SPR.ASDR, BigInt(gfn * PAGE));
  m.port.setSpr(SPR.HDSISR, cause);
  m.port.setSpr(SPR.HDAR, BigInt(gfn * PAGE));
  m.exit(0xe00n);
}

describe('page merging', () => {
  it('puts one page behind equal frames, and only behind those', () => {
    const m = merged();
    expect(m.page(3)).toBe(m.page(0));
    expect(m.page(4)).toBe(m.page(0));
    expect(m.page(5)).not.toBe(m.page(0));
    expect(m.kvm.pages.merged).toEqual({ pages: 1, saved: 2 });
  });

  it('is off unless asked for, and leaves a VM alone that did not opt in', () => {
    for (const options of [{}, { pageMerging: PASS, mergeable: false }]) {
      const m = new Machine(options);
      m.boot();
      for (const gfn of [0, 3]) m.kvm.memory.write(m.vm, gfn * PAGE, SAME);
      scan(m);
      expect(m.page(3)).not.toBe(m.page(0));
    }
  });

  it('waits for a page that changes between two looks', () => {
    const m = new Machine({ pageMerging: PASS });
    m.boot();
    m.kvm.memory.write(m.vm, 0, SAME);
    for (let i = 0; i < 6; i++) {
      m.port.clock += 100n;
      m.kvm.memory.write(m.vm, 3 * PAGE, i % 2 === 0 ? SAME : new Uint8Array(PAGE).fill(8));
      m.hypercall(NOTHING);
    }
    expect(m.kvm.pages.merged.pages).toBe(0);
  });

  it('maps a merged page for reading; a store of the guest gets a copy', () => {
    const m = merged();
    const page = m.page(0);
    fault(m, 3, 0x40000000n);
    expect(mappedPage(m.vm.tree, m.view, (3 * PAGE) as GuestPhysical)).toBe(page);
    fault(m, 3, STORE);
    expect(m.page(3)).not.toBe(page);
    expect(mappedPage(m.vm.tree, m.view, (3 * PAGE) as GuestPhysical)).toBe(m.page(3));
    expect(m.port.invalidated.at(-1)).toBe(1);
    expect(m.kvm.memory.read(m.vm, 3 * PAGE, PAGE)).toEqual(SAME);
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(1));
    expect(m.kvm.memory.read(m.vm, 0, 1)).toEqual(Uint8Array.of(7));
  });

  it('a write of the VMM gets a copy too', () => {
    const m = merged();
    m.kvm.memory.write(m.vm, 4 * PAGE, Uint8Array.of(9));
    expect(m.kvm.memory.read(m.vm, 0, 1)).toEqual(Uint8Array.of(7));
    expect(m.kvm.memory.read(m.vm, 4 * PAGE, 2)).toEqual(Uint8Array.of(9, 7));
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(8));
    expect(m.kvm.pages.merged).toEqual({ pages: 0, saved: 0 });
  });

  it('leaves a pinned page alone', () => {
    const m = new Machine({ pageMerging: PASS });
    m.boot();
    for (const gfn of [0, 3]) m.kvm.memory.write(m.vm, gfn * PAGE, SAME);
    m.vm.pins.set(3, 1);
    scan(m);
    expect(m.page(3)).not.toBe(m.page(0));
  });
});

describe('H_SVM_INIT_START (power-pef.md 4.2)', () => {
  it('turns it off for the slots of the VM, and what was merged has pages of its own, before each is registered', () => {
    const m = merged();
    m.answer = ({ name }) => {
      if (name === 'UV_REGISTER_MEM_SLOT') expect(m.kvm.pages.merged.pages).toBe(0);
      return 0;
    };
    expect(m.upcall('H_SVM_INIT_START')).toBe(0);
    expect(new Set([0, 3, 4].map((gfn) => m.page(gfn))).size).toBe(3);
    for (const gfn of [0, 3, 4]) expect(m.kvm.memory.read(m.vm, gfn * PAGE, PAGE)).toEqual(SAME);
    m.call('H_SVM_INIT_ABORT');
    scan(m);
    // As with KVM, it stays off for the slots that there are.
    expect(m.kvm.pages.merged.pages).toBe(0);
  });

  it('that cannot turn it off is H_PARAMETER; the slots done are unregistered and may be merged again', () => {
    const m = merged({ slotPages: [3, 5], normalPages: 24 });
    m.kvm.memory.write(m.vm, 1 * PAGE, new Uint8Array(PAGE).fill(3));
    scan(m);
    // One page is left for the copy of frame 0, and none for that of frame 3, which is in the second slot.
    const taken: RealAddress[] = [];
    for (let page = m.kvm.pages.allocate(); page !== undefined; page = m.kvm.pages.allocate()) taken.push(page);
    m.kvm.pages.free(taken[0] as RealAddress);
    expect(m.upcall('H_SVM_INIT_START')).toBe(H_CODE.H_PARAMETER);
    expect(m.takeCalls()).toEqual(['UV_REGISTER_MEM_SLOT', 'UV_UNREGISTER_MEM_SLOT']);
    expect(m.vm.slots.map(({ registered, mergeable }) => [registered, mergeable])).toEqual([
      [false, true],
      [false, true],
    ]);
    expect(m.call('H_SVM_INIT_ABORT')).toBe(H_CODE.H_PARAMETER);
    for (const gfn of [0, 3, 4]) expect(m.kvm.memory.read(m.vm, gfn * PAGE, PAGE)).toEqual(SAME);
  });
});
