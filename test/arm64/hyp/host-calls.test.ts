import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERRNO, GUEST_CALL, HOST_CALL, HOST_KVM, HYPERCALL, type HypercallName, PSCI } from '../../../src/arm64/abi.ts';
import { RAM_BYTES } from '../cpu/machine.ts';
import { guestHvc } from './guest-program.ts';
import { CODE, HvcMachine, PAGE, PLAY, POOL, TEXT, type TestVm } from './hvc-machine.ts';
import { RAM } from './tables.ts';

const NOT_SUPPORTED = HOST_CALL.notSupported;
const { EPERM, EINVAL, ENOENT, ENOMEM, EBUSY, EAGAIN } = ERRNO;
const PFN = PLAY / PAGE;
const GFN = 0x80000;
const RWX = 0xf;
const id = (n: number): bigint => HOST_CALL.base + BigInt(n);

describe('the door (arm64-pkvm.md 4.1, 4.2, 10.2)', () => {
  it('knows nothing but __kvm_hyp_init before the vector is there', () => {
    const m = new HvcMachine();
    for (const x0 of [id(1), id(7), 0n, 4n]) expect(m.hvc(x0).x0).toBe(NOT_SUPPORTED);
    expect(m.hvc(id(0)).x0).toBe(0n);
    expect(m.hvc(id(0)).x0).toBe(NOT_SUPPORTED);
  });

  it('opens 1 to 28 before the host gives up its rights, 7 to 49 after', () => {
    const m = new HvcMachine();
    m.hvc(id(0));
    expect(m.call('__pkvm_init', POOL.base, POOL.bytes, 0, 48)).toBe(0);
    expect(m.hvc(id(29), PFN).x0).toBe(NOT_SUPPORTED);
    expect(m.call('__pkvm_prot_finalize')).toBe(0);
    for (const n of [0, 1, 2, 6, 50, 0x10000]) expect(m.hvc(id(n)).x0).toBe(NOT_SUPPORTED);
    for (const x0 of [0n, 3n, id(29) | (1n << 32n), id(29) + (1n << 24n)])
      expect(m.hvc(x0, PFN).x0).toBe(NOT_SUPPORTED);
    expect(m.call('__pkvm_prot_finalize')).toBe(EPERM);
    // The hint bit of SMCCC says nothing.
    expect(m.hvc(id(29) | HOST_CALL.hint, PFN)).toEqual({ x0: 0n, x1: 0n });
  });

  it('has the numbers of 6.12 in profile L', () => {
    const m = new HvcMachine('L');
    m.hvc(id(0));
    expect(m.hvc(id(2), POOL.base, POOL.bytes).x0).toBe(0n);
    expect(m.hvc(id(8))).toEqual({ x0: 0n, x1: 0n });
    expect(m.hvc(id(9), PFN)).toEqual({ x0: 0n, x1: 0n });
    expect(m.hvc(id(29), PFN).x0).toBe(NOT_SUPPORTED);
  });

  it('refuses a pool that is not aligned, no memory, or too small', () => {
    const m = new HvcMachine();
    m.hvc(id(0));
    expect(m.call('__pkvm_init', POOL.base + 8, POOL.bytes)).toBe(EINVAL);
    expect(m.call('__pkvm_init', 0x900_0000, POOL.bytes)).toBe(EINVAL);
    expect(m.call('__pkvm_init', POOL.base, 64 * PAGE)).toBe(ENOMEM);
    expect(m.call('__pkvm_init', POOL.base, POOL.bytes)).toBe(0);
  });

  it('leaves x1 as it was where a call returns nothing, and other registers always', () => {
    const m = new HvcMachine().finalise();
    m.machine.cpu.setX(7, 0x77n);
    expect(m.hvc(id(HYPERCALL.__pkvm_vcpu_put), 0x1234).x1).toBe(0x1234n);
    expect(m.machine.cpu.x(7)).toBe(0x77n);
  });
});

describe('the host below its stage 2', () => {
  const LOAD = 0xa9400c41; // ldp x1, x3, [x2]: without a syndrome, as the sheet's vector
  const STORE = 0xa9000c41; // stp x1, x3, [x2]
  const VECTORS = RAM + 0x4000;

  function access(m: HvcMachine, word: number, address: number): { esr: bigint; far: bigint } | null {
    const { cpu } = m.machine;
    m.machine.words(CODE + 0x100, [word, 0x14000000]);
    m.machine.words(VECTORS + 0x200, [0x14000000]);
    m.machine.set({ VBAR_EL1: BigInt(VECTORS), ESR_EL1: 0n, FAR_EL1: 0n });
    cpu.setX(2, BigInt(address));
    cpu.place(0x3c5n, BigInt(CODE + 0x100));
    for (let n = 0; n < 2000; n++) {
      if (cpu.core.level === 1 && cpu.context.pc === BigInt(CODE + 0x104)) return null;
      if (cpu.core.level === 1 && cpu.context.pc === BigInt(VECTORS + 0x200)) {
        return { esr: m.machine.register('ESR_EL1'), far: m.machine.register('FAR_EL1') };
      }
      cpu.run(16);
    }
    throw new Error('the access came to no end');
  }

  it('uses its own memory, and takes an abort with the mark for what it gave away (4.7, 10.4)', () => {
    const m = new HvcMachine().finalise();
    expect(access(m, LOAD, PLAY)).toBeNull();
    expect(access(m, STORE, PLAY)).toBeNull();
    const vm = m.vm(true);
    m.load(vm);
    m.topUp(vm);
    expect(m.call('__pkvm_host_donate_guest', PFN, GFN)).toBe(0);
    expect(access(m, STORE, PLAY)).toEqual({ esr: 0x960000c7n, far: BigInt(PLAY) });
    expect(access(m, LOAD, PLAY)).toEqual({ esr: 0x96000087n, far: BigInt(PLAY) });
    expect(m.call('__pkvm_force_reclaim_guest_page', PLAY)).toBe(0);
    expect(access(m, LOAD, PLAY)).toBeNull();
    expect(m.machine.cpu.x(1)).toBe(0n);
  });

  it('reads the hyp’s code and reaches none of its data', () => {
    const m = new HvcMachine().finalise();
    expect(access(m, LOAD, TEXT)).toBeNull();
    expect(access(m, STORE, TEXT)?.esr).toBe(0x960000cfn);
    expect(access(m, LOAD, POOL.base)?.esr).toBe(0x96000087n);
  });
});

/** How a page comes into a state, through hypercalls only; table 3.5 has results for 7.2, −EINVAL where the handle is of the other kind. */
type Setup = (m: HvcMachine, vms: { guest: TestVm; plain: TestVm }) => number;
const STATES: Readonly<Record<string, Setup>> = {
  'host page': () => 0,
  'shared with hyp': (m) => m.call('__pkvm_host_share_hyp', PFN),
  'shared with a guest': (m, { plain }) => {
    m.load(plain);
    m.topUp(plain);
    return m.call('__pkvm_host_share_guest', PFN, GFN, 1, RWX);
  },
  'guest page': (m, { guest }) => {
    m.load(guest);
    m.topUp(guest);
    return m.call('__pkvm_host_donate_guest', PFN, GFN);
  },
  'hyp page': (m) => {
    const { kvm } = m.kvm(true);
    return m.call('__pkvm_init_vm', kvm, PLAY, m.structure(1));
  },
  // There is no FF-A proxy yet: the one transition that no hypercall makes.
  'shared with FF-A': ({ pkvm }) => pkvm.protect.hostShareFfa({ start: PLAY, count: 1 }),
  'shared by a guest': (m, vms) => (STATES['guest page'] as Setup)(m, vms) || guestShares(m, vms.guest),
  poisoned: (m, vms) => (STATES['guest page'] as Setup)(m, vms) || m.call('__pkvm_force_reclaim_guest_page', PLAY),
};

/** The guest's code lies far above the page that it shares. */
const GUEST_CODE = { page: PLAY + 16 * PAGE, gfn: GFN + 16 } as const;

/** Has the guest call MEM_SHARE for the page behind GFN, and leave with what it got. */
function guestShares(m: HvcMachine, guest: TestVm): number {
  m.topUp(guest, 3);
  const program = [...guestHvc(GUEST_CALL.MEM_SHARE, BigInt(GFN * PAGE)), ...guestHvc(BigInt(PSCI.SYSTEM_OFF))];
  // What MEM_SHARE gave stands in x5 when SYSTEM_OFF leaves.
  program.splice(program.length / 2, 0, 0xaa0003e5);
  m.machine.words(GUEST_CODE.page, program);
  const error = m.call('__pkvm_host_donate_guest', GUEST_CODE.page / PAGE, GUEST_CODE.gfn);
  if (error !== 0 || m.call('__kvm_vcpu_run') !== 2) return -1;
  return Number(m.pkvm.vms.loadedOn(0)?.context.x(5));
}

const OPERATIONS: Readonly<Record<string, Setup>> = {
  share_hyp: (m) => m.call('__pkvm_host_share_hyp', PFN),
  unshare_hyp: (m) => m.call('__pkvm_host_unshare_hyp', PFN),
  donate_guest: (m, { guest }) => {
    m.load(guest);
    return m.call('__pkvm_host_donate_guest', PFN, GFN);
  },
  'donate_guest, other gfn': (m, { guest }) => {
    m.load(guest);
    return m.call('__pkvm_host_donate_guest', PFN, GFN + 1);
  },
  share_guest: (m, { plain }) => {
    m.load(plain);
    return m.call('__pkvm_host_share_guest', PFN, GFN, 1, RWX);
  },
  'share_guest, other gfn': (m, { plain }) => {
    m.load(plain);
    return m.call('__pkvm_host_share_guest', PFN, GFN + 1, 1, RWX);
  },
  unshare_guest: (m, { plain }) => m.call('__pkvm_host_unshare_guest', plain.handle, GFN, 1),
  'unshare_guest of a protected VM': (m, { guest }) => m.call('__pkvm_host_unshare_guest', guest.handle, GFN, 1),
  force_reclaim: (m) => m.call('__pkvm_force_reclaim_guest_page', PLAY),
  'reclaim_dying of a live VM': (m, { guest }) => m.call('__pkvm_reclaim_dying_guest_page', guest.handle, GFN),
  wrprotect: (m, { guest }) => m.call('__pkvm_host_wrprotect_guest', guest.handle, GFN, 1),
  'init_vm in it': (m) => {
    const { kvm } = m.kvm(true);
    return m.call('__pkvm_init_vm', kvm, PLAY, m.structure(1));
  },
};
const RESULTS: Readonly<Record<string, readonly number[]>> = {
  'host page': [0, EPERM, 0, 0, 0, 0, ENOENT, EINVAL, EAGAIN, EINVAL, EINVAL, 0],
  'shared with hyp': [EPERM, 0, EPERM, EPERM, EPERM, EPERM, ENOENT, EINVAL, EAGAIN, EINVAL, EINVAL, ENOMEM],
  'shared with a guest': [EPERM, EPERM, EPERM, EPERM, EPERM, 0, 0, EINVAL, EAGAIN, EINVAL, EINVAL, ENOMEM],
  'guest page': [EPERM, EPERM, EPERM, EPERM, EPERM, EPERM, ENOENT, EINVAL, 0, EINVAL, EINVAL, ENOMEM],
  'hyp page': [EPERM, EPERM, EPERM, EPERM, EPERM, EPERM, ENOENT, EINVAL, EPERM, EINVAL, EINVAL, ENOMEM],
  'shared with FF-A': [EPERM, EPERM, EPERM, EPERM, EPERM, EPERM, ENOENT, EINVAL, EAGAIN, EINVAL, EINVAL, ENOMEM],
  'shared by a guest': [EPERM, EPERM, EPERM, EPERM, EPERM, EPERM, ENOENT, EINVAL, EAGAIN, EINVAL, EINVAL, ENOMEM],
  poisoned: [0, EPERM, EPERM, 0, 0, 0, ENOENT, EINVAL, EAGAIN, EINVAL, EINVAL, 0],
};

describe('table 3.5 through HVC', () => {
  it.each(Object.keys(STATES))('%s: every call, and nothing changes where it is refused', (state) => {
    const names = Object.keys(OPERATIONS);
    names.forEach((name, column) => {
      const m = new HvcMachine().finalise();
      const begin = (vcpu: number): void => m.machine.quad(vcpu + 256, BigInt(GUEST_CODE.gfn * PAGE));
      const vms = { guest: m.vm(true, begin), plain: m.vm(false) };
      for (const vm of [vms.guest, vms.plain]) {
        m.load(vm);
        m.topUp(vm, 6);
        // The hyp takes the pages at the first call, whatever becomes of it.
        m.call(vm === vms.guest ? '__pkvm_host_donate_guest' : '__pkvm_host_share_guest', 0x9000, GFN, 1, RWX);
      }
      expect((STATES[state] as Setup)(m, vms)).toBe(0);
      m.call('__pkvm_vcpu_put');
      const before = m.holders(PLAY, 4);
      expect([name, (OPERATIONS[name] as Setup)(m, vms)]).toEqual([
        name,
        (RESULTS[state] as readonly number[])[column],
      ]);
      if (((RESULTS[state] as readonly number[])[column] as number) !== 0) expect(m.holders(PLAY, 4)).toEqual(before);
    });
  });
});

describe('life of a VM (1.4, 4.4, 4.6, 8.6)', () => {
  it('checks __pkvm_init_vm in order, and undoes everything', () => {
    const m = new HvcMachine().finalise();
    const { kvm, handle } = m.kvm(true);
    const [area, root] = [m.structure(1), m.structure(1)];
    const set = (field: number, value: bigint): void => m.machine.quad(kvm + field, value);
    const before = m.dump();
    const refused = (error: number, ...args: number[]): void => {
      expect(m.call('__pkvm_init_vm', ...args)).toBe(error);
      expect(m.dump()).toBe(before);
    };
    refused(EPERM, area, area, root);
    set(HOST_KVM.createdVcpus, 0n);
    refused(EINVAL, kvm, area, root);
    set(HOST_KVM.createdVcpus, 1n);
    set(HOST_KVM.handle, 0xfffn);
    refused(EINVAL, kvm, area, root);
    set(HOST_KVM.handle, BigInt(handle + 1));
    refused(EINVAL, kvm, area, root);
    set(HOST_KVM.handle, BigInt(handle));
    refused(ENOMEM, kvm, area + 8, root);
    refused(ENOMEM, kvm, kvm, root);
    refused(ENOMEM, kvm, area, area);
    refused(ENOMEM, kvm, POOL.base, root);
    expect(m.call('__pkvm_init_vm', kvm, area, root)).toBe(0);
    expect(m.call('__pkvm_init_vm', kvm, m.structure(1), m.structure(1))).toBe(EINVAL);
    expect(m.call('__pkvm_host_unshare_hyp', kvm / PAGE)).toBe(EBUSY);
  });

  it('checks __pkvm_init_vcpu in order, and undoes everything', () => {
    const m = new HvcMachine().finalise();
    const { handle } = m.vm(true);
    const [host, area] = [m.structure(2), m.structure(2)];
    const before = m.dump();
    const refused = (error: number, ...args: number[]): void => {
      expect(m.call('__pkvm_init_vcpu', ...args)).toBe(error);
      expect(m.dump()).toBe(before);
    };
    refused(ENOMEM, handle, host, area + 8);
    refused(ENOENT, handle + 1, host, area);
    refused(EBUSY, handle, host, area);
    m.share(host, 2);
    // Index 0 is there, index 1 is more than were announced.
    expect(m.call('__pkvm_init_vcpu', handle, host, area)).toBe(EINVAL);
    m.machine.quad(host + 0x12f8, 1n);
    expect(m.call('__pkvm_init_vcpu', handle, host, area)).toBe(EINVAL);
  });

  it('gives every page back at the end, and what was the guest’s is clear', () => {
    const m = new HvcMachine().finalise();
    const owned = m.holders(RAM, RAM_BYTES / PAGE);
    const vm = m.vm(true);
    m.load(vm);
    m.topUp(vm, 4);
    m.machine.quad(PLAY, 0x5ec2e7n);
    expect(m.call('__pkvm_host_donate_guest', PFN, GFN)).toBe(0);
    expect(m.call('__pkvm_start_teardown_vm', vm.handle)).toBe(EINVAL);
    m.call('__pkvm_vcpu_put');
    expect(m.call('__pkvm_finalize_teardown_vm', vm.handle)).toBe(EINVAL);
    expect(m.call('__pkvm_start_teardown_vm', vm.handle)).toBe(0);
    expect(m.call('__pkvm_start_teardown_vm', vm.handle)).toBe(EINVAL);
    m.call('__pkvm_vcpu_load', vm.handle, 0, 0);
    expect(m.call('__pkvm_host_donate_guest', PFN + 1, GFN + 1)).toBe(EINVAL);
    expect(m.call('__pkvm_reclaim_dying_guest_page', vm.handle, GFN)).toBe(0);
    expect(m.call('__pkvm_reclaim_dying_guest_page', vm.handle, GFN)).toBe(ENOENT);
    expect(m.machine.quadAt(PLAY)).toBe(0n);
    expect(m.call('__pkvm_finalize_teardown_vm', vm.handle)).toBe(0);
    expect(m.call('__pkvm_finalize_teardown_vm', vm.handle)).toBe(EINVAL);
    // The host walks both lists: a VM area and two pages of vCPU; a root, three tables and a page that nobody used.
    for (const [list, count] of [
      [HOST_KVM.teardown, 3],
      [HOST_KVM.stage2Teardown, 5],
    ] as const) {
      let pages = 0;
      for (let at = m.machine.quadAt(vm.kvm + list); at !== 0n; at = m.machine.quadAt(Number(at))) pages++;
      expect([pages, m.machine.quadAt(vm.kvm + list + 8)]).toEqual([count, BigInt(count)]);
    }
    for (const page of [vm.kvm, vm.vcpu, vm.vcpu + PAGE])
      expect(m.call('__pkvm_host_unshare_hyp', page / PAGE)).toBe(0);
    expect(m.holders(RAM, RAM_BYTES / PAGE)).toEqual(owned);
    expect(m.call('__pkvm_reserve_vm')).toBe(vm.handle);
  });

  it('donates nothing without the tables for it', () => {
    const m = new HvcMachine().finalise();
    const vm = m.vm(true);
    m.load(vm);
    m.topUp(vm, 2);
    expect(m.call('__pkvm_host_donate_guest', PFN, GFN)).toBe(ENOMEM);
    expect(m.holders(PLAY, 1)).toEqual(['host:']);
  });

  it('has 255 handles', () => {
    const m = new HvcMachine().finalise();
    for (let n = 0; n < 255; n++) expect(m.call('__pkvm_reserve_vm')).toBe(0x1000 + n);
    expect(m.call('__pkvm_reserve_vm')).toBe(ENOMEM);
    m.call('__pkvm_unreserve_vm', 0x1042);
    expect(m.call('__pkvm_reserve_vm')).toBe(0x1042);
  });
});

describe('a plain model of who has what', () => {
  type Move = readonly [HypercallName, number, number];
  const moves = fc.array(
    fc.tuple(
      fc.constantFrom<HypercallName>(
        '__pkvm_host_share_hyp',
        '__pkvm_host_unshare_hyp',
        '__pkvm_host_donate_guest',
        '__pkvm_host_share_guest',
        '__pkvm_host_unshare_guest',
        '__pkvm_force_reclaim_guest_page',
      ),
      fc.nat(2),
      fc.nat(2),
    ),
    { minLength: 10, maxLength: 40 },
  );

  it('agrees with tables and records after every call of random sequences', () => {
    fc.assert(
      fc.property(moves, (sequence: readonly Move[]) => {
        const m = new HvcMachine().finalise();
        const [guest, plain] = [m.vm(true), m.vm(false)];
        const owner = ['host', 'host', 'host'];
        const sharers = [0, 1, 2].map(() => new Set<string>());
        const poisoned = new Set<number>();
        const free = (p: number): boolean => owner[p] === 'host' && (sharers[p] as Set<string>).size === 0;
        const at = (vm: TestVm, g: number): string => `${vm.handle}@${(GFN + g) * PAGE}`;
        const has = (who: string): boolean => owner.includes(who) || sharers.some((set) => set.has(who));
        const model: Partial<Record<HypercallName, (p: number, g: number) => boolean>> = {
          __pkvm_host_share_hyp: (p) => free(p) && Boolean(sharers[p]?.add('hyp')),
          __pkvm_host_unshare_hyp: (p) => sharers[p]?.delete('hyp') === true,
          __pkvm_host_donate_guest: (p, g) => {
            if (!free(p) || has(at(guest, g)) || poisoned.has(g)) return false;
            owner[p] = at(guest, g);
            return true;
          },
          __pkvm_host_share_guest: (p, g) => {
            if (owner[p] !== 'host' || sharers[p]?.has('hyp') || has(at(plain, g))) return false;
            sharers[p]?.add(at(plain, g));
            return true;
          },
          __pkvm_host_unshare_guest: (_, g) => sharers.some((set) => set.delete(at(plain, g))),
          __pkvm_force_reclaim_guest_page: (p) => {
            if (owner[p] === 'host') return false;
            poisoned.add(Number(owner[p]?.split('@')[1]) / PAGE - GFN);
            owner[p] = 'host';
            return true;
          },
        };
        const args: Partial<Record<HypercallName, (p: number, g: number) => number[]>> = {
          __pkvm_host_donate_guest: (p, g) => [PFN + p, GFN + g],
          __pkvm_host_share_guest: (p, g) => [PFN + p, GFN + g, 1, RWX],
          __pkvm_host_unshare_guest: (_, g) => [plain.handle, GFN + g, 1],
          __pkvm_force_reclaim_guest_page: (p) => [PLAY + p * PAGE],
        };
        for (const [name, p, g] of sequence) {
          const vm = name === '__pkvm_host_share_guest' ? plain : guest;
          m.load(vm);
          m.topUp(vm, 3);
          const expected = model[name]?.(p, g);
          const error = m.call(name, ...(args[name]?.(p, g) ?? [PFN + p]));
          expect([name, p, g, error === 0]).toEqual([name, p, g, expected]);
          const holders = owner.map((who, page) => `${who}:${[...(sharers[page] as Set<string>)].sort().join()}`);
          expect(m.holders(PLAY, 3)).toEqual(holders);
        }
      }),
      { numRuns: 12 },
    );
  });
});

describe('corrupted arguments after finalisation (T1)', () => {
  const NASTY = [
    0n,
    1n,
    0xfffn,
    BigInt(POOL.base),
    BigInt(POOL.base / PAGE),
    BigInt(TEXT / PAGE),
    1n << 32n,
    1n << 44n,
    (1n << 52n) + BigInt(PFN),
    (1n << 63n) - 1n,
    (1n << 64n) - 1n,
    (1n << 64n) - 4096n,
    0x1000n,
    0x10ffn,
  ];
  // `run` has a test of its own; freeing handles is legal.
  const NAMES = (Object.keys(HYPERCALL) as HypercallName[]).filter(
    (name) => HYPERCALL[name] >= 29 && !/reserve/.test(name),
  );

  it.each(NAMES)('%s takes no page from the hyp or a guest, and throws nothing', (name) => {
    const m = new HvcMachine().finalise();
    const vm = m.vm(true);
    m.load(vm);
    m.topUp(vm);
    expect(m.call('__pkvm_host_donate_guest', PFN, GFN)).toBe(0);
    const guarded = (): string[] => [
      ...m.holders(PLAY, 1),
      ...m.holders(POOL.base, POOL.bytes / PAGE),
      ...m.holders(vm.vcpu + 2 * PAGE, 4).filter((who) => who.startsWith('hyp')),
    ];
    const before = guarded();
    for (const nasty of NASTY) {
      for (let position = 0; position < 4; position++) {
        const args: bigint[] = [BigInt(PFN), BigInt(GFN), 1n, BigInt(RWX)];
        args[position] = nasty;
        m.hvc(id(HYPERCALL[name]), ...args);
        if (m.pkvm.vms.loadedOn(0) === undefined) m.load(vm);
      }
    }
    expect(guarded()).toEqual(before);
  });
});
