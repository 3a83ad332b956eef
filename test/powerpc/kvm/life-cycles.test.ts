import { describe, expect, it } from 'vitest';
import { H_CODE, MSR, U_CODE } from '../../../src/powerpc/abi.ts';
import {
  GFN_LIFE_CYCLE,
  type GfnEvent,
  type GfnState,
  gfnState,
  KVMPPC_GFN_MEM_PFN,
  KVMPPC_GFN_SHARED,
  KVMPPC_GFN_UVMEM_PFN,
} from '../../../src/powerpc/kvm/gfn.ts';
import { VM_LIFE_CYCLE, type VmEvent, type VmState, vmState } from '../../../src/powerpc/kvm/vm-state.ts';
import { Machine } from './machine.ts';

const GFN = 3;

/** Section 6 of Linux commit 651a6310111e, as printed there: rows, then share, unshare, abort/terminate, H_SVM_INIT_DONE. */
const GFN_TABLE: readonly (readonly [GfnState, GfnState, GfnState, GfnState, GfnState])[] = [
  ['secure', 'shared', 'secure', 'normal', 'secure'],
  ['shared', 'shared', 'secure', 'normal', 'shared'],
  ['normal', 'shared', 'secure', 'normal', 'secure'],
];

/** Section 7: rows, then start VM, H_SVM_INIT_START, H_SVM_INIT_DONE, H_SVM_INIT_ABORT, UV_SVM_TERMINATE. */
const VM_TABLE: readonly (readonly [VmState, ...(VmState | 'error' | null)[]])[] = [
  ['normal', 'normal', 'transient', 'error', 'error', 'normal'],
  ['secure', 'error', 'error', 'error', 'error', 'normal'],
  ['transient', null, 'error', 'secure', 'normal', 'normal'],
];

/** The status of each refused cell (power-pef.md 5.3). */
const REFUSALS: Record<string, number> = {
  'normal init-done': H_CODE.H_UNSUPPORTED,
  'normal init-abort': H_CODE.H_UNSUPPORTED,
  'secure init-start': H_CODE.H_STATE,
  'secure init-done': H_CODE.H_UNSUPPORTED,
  'secure init-abort': H_CODE.H_STATE,
  'transient init-start': H_CODE.H_STATE,
};

const GFN_EVENTS: readonly GfnEvent[] = ['share', 'unshare', 'abort-or-terminate', 'init-done'];
const VM_EVENTS: readonly VmEvent[] = ['start-vm', 'init-start', 'init-done', 'init-abort', 'svm-terminate'];

/** A Transient VM whose frame is in a state; both encodings of Secure. */
const FRAMES: readonly { name: string; state: GfnState; flag: bigint; make(m: Machine): void }[] = [
  {
    name: 'secure, paged in',
    state: 'secure',
    flag: KVMPPC_GFN_UVMEM_PFN,
    make: (m) => {
      expect(m.upcall('H_SVM_PAGE_IN', m.gpa(GFN), 0, 16)).toBe(0);
    },
  },
  {
    name: 'secure, paged out',
    state: 'secure',
    flag: KVMPPC_GFN_MEM_PFN,
    make: (m) => {
      expect(m.upcall('H_SVM_PAGE_IN', m.gpa(GFN), 0, 16)).toBe(0);
      expect(m.upcall('H_SVM_PAGE_OUT', m.gpa(GFN), 0, 16)).toBe(0);
    },
  },
  {
    name: 'shared',
    state: 'shared',
    flag: KVMPPC_GFN_SHARED,
    make: (m) => {
      expect(m.upcall('H_SVM_PAGE_IN', m.gpa(GFN), 1, 16)).toBe(0);
    },
  },
  { name: 'normal', state: 'normal', flag: 0n, make: () => {} },
];

/** Each event as it really comes; the aborting column has three ways. */
const EVENTS: readonly { name: string; column: GfnEvent; happen(m: Machine): void }[] = [
  {
    name: 'share',
    column: 'share',
    happen: (m) => expect(m.upcall('H_SVM_PAGE_IN', m.gpa(GFN), 1, 16)).toBe(0),
  },
  {
    name: 'unshare',
    column: 'unshare',
    happen: (m) => {
      // KVM refuses to page in what is paged in: the Ultravisor does not ask, and the frame stays as it is.
      const pagedIn = (m.pfn(GFN) & KVMPPC_GFN_UVMEM_PFN) !== 0n;
      expect(m.upcall('H_SVM_PAGE_IN', m.gpa(GFN), 0, 16)).toBe(pagedIn ? H_CODE.H_PARAMETER : 0);
    },
  },
  {
    name: 'H_SVM_INIT_ABORT',
    column: 'abort-or-terminate',
    happen: (m) => expect(m.call('H_SVM_INIT_ABORT')).toBe(H_CODE.H_PARAMETER),
  },
  {
    name: 'UV_SVM_TERMINATE by KVM_PPC_SVM_OFF',
    column: 'abort-or-terminate',
    happen: terminate,
  },
  {
    name: 'H_SVM_INIT_DONE',
    column: 'init-done',
    happen: (m) => expect(m.upcall('H_SVM_INIT_DONE')).toBe(0),
  },
];

function terminate(m: Machine): void {
  for (const vcpu of m.vm.vcpus) vcpu.state = 'stopped';
  const job = m.kvm.scheduleSvmOff(m.vm);
  m.hypercall('H_PROD', [0], true);
  expect(job.result).toBe(0);
}

describe('the life cycle of a GFN (seed 000, section 6)', () => {
  it('is the printed table', () => {
    for (const [from, ...cells] of GFN_TABLE) {
      expect(GFN_EVENTS.map((event) => GFN_LIFE_CYCLE[from][event])).toEqual(cells);
    }
  });

  for (const touched of [true, false]) {
    describe(touched ? 'a frame with contents' : 'a frame that was never touched', () => {
      for (const frame of FRAMES) {
        for (const event of EVENTS) {
          const to = GFN_LIFE_CYCLE[frame.state][event.column];
          it(`${frame.name}, ${event.name}: ${to}`, () => {
            const m = new Machine();
            m.boot();
            if (touched) m.kvm.memory.write(m.vm, m.gpa(GFN), Uint8Array.of(1));
            m.transient();
            frame.make(m);
            expect(m.pfn(GFN) & frame.flag).toBe(frame.flag);
            event.happen(m);
            expect(gfnState(m.pfn(GFN))).toBe(to);
          });
        }
      }
    });
  }

  it('refuses an encoding of two states', () => {
    expect(() => gfnState(KVMPPC_GFN_UVMEM_PFN | KVMPPC_GFN_SHARED)).toThrow(RangeError);
  });
});

describe('the life cycle of a VM (seed 000, section 7)', () => {
  it('is the printed table', () => {
    for (const [from, ...cells] of VM_TABLE) {
      expect(VM_EVENTS.map((event) => VM_LIFE_CYCLE[from][event])).toEqual(cells);
    }
  });

  const make: Record<VmState, (m: Machine) => void> = {
    normal: () => {},
    transient: (m) => m.transient(1),
    secure: (m) => m.secure(),
  };

  for (const from of ['normal', 'transient', 'secure'] as const) {
    for (const event of VM_EVENTS) {
      const to = VM_LIFE_CYCLE[from][event];
      if (to === null) continue;
      it(`${from}, ${event}: ${to}`, () => {
        const m = new Machine();
        m.boot();
        make[from](m);
        expect(vmState(m.vm.secureGuest)).toBe(from);
        const before = m.snapshot();
        const status = happen(m, event);
        if (to === 'error') {
          if (event !== 'start-vm') expect(status).toBe(REFUSALS[`${from} ${event}`]);
          expect(m.snapshot()).toBe(before);
          expect(vmState(m.vm.secureGuest)).toBe(from);
        } else {
          expect(vmState(m.vm.secureGuest)).toBe(to);
        }
      });
    }
  }

  function happen(m: Machine, event: VmEvent): number {
    switch (event) {
      case 'init-start':
        return m.upcall('H_SVM_INIT_START');
      case 'init-done':
        return m.upcall('H_SVM_INIT_DONE');
      case 'init-abort': {
        const left = m.hypercall('H_SVM_INIT_ABORT');
        if (left.to === 'ultravisor') return left.status;
        return Number(BigInt.asIntN(64, m.port.gpr(3)));
      }
      case 'svm-terminate':
        terminate(m);
        return 0;
      case 'start-vm': {
        const entry = { pc: 0n, msr: MSR.SF, gpr: {} };
        if (m.vm.secureGuest === 0) m.vm.vcpus[0].state = 'stopped';
        expect(m.kvm.startVm(m.vm, entry, 0n)).toBe(m.vm.secureGuest === 0);
        return 0;
      }
    }
  }
});

describe('a refused H_SVM_INIT_START', () => {
  it('without secure memory is H_UNSUPPORTED, and the abort that follows cleans it (power-pef.md 10.2 #37)', () => {
    const m = new Machine({ secureMemory: 0 });
    m.boot();
    expect(m.upcall('H_SVM_INIT_START')).toBe(H_CODE.H_UNSUPPORTED);
    expect(m.call('H_SVM_INIT_ABORT')).toBe(H_CODE.H_PARAMETER);
    expect(vmState(m.vm.secureGuest)).toBe('normal');
    expect(m.takeCalls()).toEqual(['UV_WRITE_PATE', 'UV_SVM_TERMINATE']);
  });

  it('for a VM that may not be secure is H_AUTHORITY', () => {
    const m = new Machine({ svmEnabled: false });
    m.boot();
    expect(m.upcall('H_SVM_INIT_START')).toBe(H_CODE.H_AUTHORITY);
  });

  it('of which a later slot fails unregisters the earlier ones, last first', () => {
    const m = new Machine({ slotPages: [2, 3, 4] });
    m.boot();
    m.calls.length = 0;
    m.answer = ({ name, args }) => (name === 'UV_REGISTER_MEM_SLOT' && args[4] === 2n ? U_CODE.U_P3 : 0);
    expect(m.upcall('H_SVM_INIT_START')).toBe(H_CODE.H_PARAMETER);
    expect(m.calls.map(({ name, args }) => [name, name === 'UV_REGISTER_MEM_SLOT' ? args[4] : args[1]])).toEqual([
      ['UV_REGISTER_MEM_SLOT', 0n],
      ['UV_REGISTER_MEM_SLOT', 1n],
      ['UV_REGISTER_MEM_SLOT', 2n],
      ['UV_UNREGISTER_MEM_SLOT', 1n],
      ['UV_UNREGISTER_MEM_SLOT', 0n],
    ]);
  });
});
