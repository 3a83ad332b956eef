import { describe, expect, it } from 'vitest';
import { HCALL, MSR, PTE, SPR, SRR1, VECTOR } from '../../../src/powerpc/abi.ts';
import { GUEST_FRAMES, HV_ENTRY, LPID, Machine, PAGE, secureMachine } from './machine.ts';

const NIA = 0x20100n;
const IMPLICIT = 6;

/** An ultracall of the SVM, served to its end; its result. */
function share(
  m: Machine,
  call: 'UV_SHARE_PAGE' | 'UV_UNSHARE_PAGE',
  gfn: number | bigint,
  count: number | bigint,
): number {
  m.nia = NIA - 4n;
  const result = m.ultracall(call, gfn, count);
  if (m.secure) return result;
  m.hypervise();
  return Number(BigInt.asIntN(64, m.port.gpr(3)));
}

describe('UV_SHARE_PAGE (3.14, 6.6)', () => {
  it('asks for a normal page, zeroes it, and maps it without execute permission (10.1 #32)', () => {
    const m = secureMachine();
    const { free } = m.uv.report().secureFrames;
    m.port.setGpr(14, 0x1414n);
    expect(share(m, 'UV_SHARE_PAGE', 3, 1)).toBe(0);
    expect(m.secure).toBe(true);
    expect(m.nia).toBe(NIA);
    expect(m.port.gpr(14)).toBe(0x1414n);
    expect(m.calls).toEqual([{ number: HCALL.H_SVM_PAGE_IN, args: [BigInt(3 * PAGE), 1n, 16n, 0n, 0n, 0n] }]);
    expect(m.state(3)).toBe('SHARED');
    expect(m.leaf(3)).toBe(PTE.V | PTE.L | BigInt(m.ra(3)) | PTE.SHARED | PTE.R | PTE.C | PTE.READ | PTE.WRITE);
    expect(m.isFilled(m.hv.read(m.ra(3), PAGE), 0)).toBe(true);
    expect(m.uv.report().secureFrames.free).toBe(free + 1);
  });

  it('both see what the other writes (10.1 #29)', () => {
    const m = secureMachine();
    share(m, 'UV_SHARE_PAGE', 3, 1);
    m.writeGuest(3 * PAGE + 8, Uint8Array.of(1, 2, 3));
    expect([...m.hv.read((m.ra(3) + 8) as never, 3)]).toEqual([1, 2, 3]);
  });

  it('of a shared page zeroes it and keeps the mapping (10.1 #1)', () => {
    const m = secureMachine();
    share(m, 'UV_SHARE_PAGE', 3, 1);
    const leaf = m.leaf(3);
    m.writeGuest(3 * PAGE, Uint8Array.of(1, 2, 3));
    m.calls.length = 0;
    expect(share(m, 'UV_SHARE_PAGE', 3, 1)).toBe(0);
    expect(m.calls).toEqual([]);
    expect(m.leaf(3)).toBe(leaf);
    expect(m.isFilled(m.guestPage(3), 0)).toBe(true);
  });

  it('of a paged-out page pages it in first (10.1 #3)', () => {
    const m = secureMachine();
    m.pageOut(3);
    expect(share(m, 'UV_SHARE_PAGE', 3, 1)).toBe(0);
    expect(m.calls.map(({ args }) => args[1])).toEqual([0n, 1n]);
    expect(m.state(3)).toBe('SHARED');
  });

  it('of a paged-out page that does not come in fails after 4 tries (6.6)', () => {
    const m = secureMachine();
    m.pageOut(3);
    m.serve = () => -4;
    expect(share(m, 'UV_SHARE_PAGE', 3, 1)).toBe(-55);
    expect(m.calls.length).toBe(4);
    expect(m.state(3)).toBe('PAGEDOUT');
  });

  it('all or nothing: when page 3 of 5 fails, the two done go back with their contents, U_P2 (10.1 #5)', () => {
    const m = secureMachine();
    let shares = 0;
    m.serve = (_, args) => (args[1] === 1n && ++shares === 3 ? -4 : undefined);
    expect(share(m, 'UV_SHARE_PAGE', 0, 5)).toBe(-55);
    expect(m.calls.map(({ args }) => [Number(args[0]) / PAGE, args[1]])).toEqual([
      [0, 1n],
      [1, 1n],
      [2, 1n],
      [0, 0n],
      [1, 0n],
    ]);
    for (let gfn = 0; gfn < 5; gfn++) expect(m.state(gfn)).toBe('SECURE');
    for (const gfn of [0, 2, 3, 4]) expect(m.isFilled(m.guestPage(gfn), 0x10 + gfn)).toBe(true);
  });

  it('a hypervisor that says yes and gives no page: U_P2, the page as before', () => {
    const m = secureMachine();
    m.serve = () => 0;
    expect(share(m, 'UV_SHARE_PAGE', 3, 1)).toBe(-55);
    expect(m.isFilled(m.guestPage(3), 0x13)).toBe(true);
  });

  it('UV_PAGE_INVAL between confirm and commit: SHARED_INV, not mapped; the next touch reflects 0xE00 (10.1 #4)', () => {
    const m = secureMachine();
    m.serve = (number, args) => {
      const result = m.honest(number, args);
      if (args[1] === 1n) expect(m.ultracall('UV_PAGE_INVAL', LPID, 3 * PAGE, 16)).toBe(0);
      return result;
    };
    expect(share(m, 'UV_SHARE_PAGE', 3, 1)).toBe(0);
    expect(m.state(3)).toBe('SHARED_INV');
    expect(m.leaf(3)).toBe(0n);
    m.seen.length = 0;
    m.port.setSpr(SPR.ASDR, BigInt(3 * PAGE));
    m.port.setSpr(SPR.HDSISR, 0x42000000n);
    m.interrupt(VECTOR.HV_DATA_STORAGE, NIA, m.port.currentMsr | MSR.DR | MSR.IR);
    expect(m.seen[0].nia).toBe(VECTOR.HV_DATA_STORAGE);
    expect(m.seen[0].sprs.get(SPR.ASDR)).toBe(BigInt(3 * PAGE));
    expect(m.seen[0].sprs.get(SPR.HDSISR)).toBe(0x42000000n);
    m.ultracall('UV_PAGE_IN', LPID, m.ra(3), 3 * PAGE, 0, 16);
    expect(m.state(3)).toBe('SHARED');
    m.port.setGpr(31, m.seen[0].gprs[31]);
    m.uvReturn(0);
    expect(m.nia).toBe(NIA);
  });

  it.each([
    ['a frame in no slot: U_PARAMETER', -4, [GUEST_FRAMES, 1]],
    ['a frame beyond guest physical space: U_PARAMETER', -4, [1n << 36n, 1]],
    ['no frames: U_P2 (10.1 #31)', -55, [3, 0]],
    ['more frames than there are: U_P2', -55, [3, GUEST_FRAMES - 2]],
    ['an overflow: U_P2', -55, [3, (1n << 64n) - 1n]],
  ] as const)('%s, nothing has changed', (_, code, [gfn, count]) => {
    const m = secureMachine();
    const before = m.dump();
    expect(share(m, 'UV_SHARE_PAGE', gfn, count)).toBe(code);
    expect(share(m, 'UV_UNSHARE_PAGE', gfn, count)).toBe(code);
    expect(m.dump()).toBe(before);
  });

  it.each([
    'UV_SHARE_PAGE',
    'UV_UNSHARE_PAGE',
    'UV_UNSHARE_ALL_PAGES',
  ] as const)('%s: U_INVALID from a normal guest and from the hypervisor, U_PERMISSION from user mode (3.3)', (call) => {
    const m = new Machine();
    for (const msr of [MSR.SF, HV_ENTRY.msr]) {
      m.port.currentMsr = msr;
      expect(m.ultracall(call, 3, 1)).toBe(-4);
    }
    const s = secureMachine();
    s.port.currentMsr |= MSR.PR;
    const before = s.dump();
    expect(s.ultracall(call, 3, 1)).toBe(-11);
    expect(s.dump()).toBe(before);
    expect(s.secure).toBe(true);
  });

  it('a range may go over two adjacent slots, a hole gives U_P2 (10.1 #11)', () => {
    const m = secureMachine();
    m.fromHypervisor(() => {
      m.ultracall('UV_REGISTER_MEM_SLOT', LPID, GUEST_FRAMES * PAGE, 2 * PAGE, 0, 4);
      m.ultracall('UV_REGISTER_MEM_SLOT', LPID, (GUEST_FRAMES + 3) * PAGE, 2 * PAGE, 0, 5);
    });
    expect(share(m, 'UV_SHARE_PAGE', GUEST_FRAMES - 3, 5)).toBe(0);
    expect(m.state(GUEST_FRAMES)).toBe('SHARED');
    expect(share(m, 'UV_SHARE_PAGE', GUEST_FRAMES, 4)).toBe(-55);
  });

  it('code in a shared page is not executed: the SVM gets an instruction storage interrupt', () => {
    const m = secureMachine();
    share(m, 'UV_SHARE_PAGE', 3, 1);
    m.port.setSpr(SPR.ASDR, BigInt(3 * PAGE));
    m.interrupt(VECTOR.HV_INSTRUCTION_STORAGE, NIA, m.port.currentMsr | MSR.IR, 0x08000000n);
    expect(m.nia).toBe(0x400n);
    expect(m.port.spr(SPR.SRR1) & SRR1.STATUS).toBe(0x08000000n);
  });
});

describe('UV_UNSHARE_PAGE and UV_UNSHARE_ALL_PAGES (3.14, 6.6)', () => {
  it('asks the hypervisor, drops its page, and leaves a zero secure page', () => {
    const m = secureMachine();
    share(m, 'UV_SHARE_PAGE', 3, 2);
    m.writeGuest(3 * PAGE, Uint8Array.of(1, 2, 3));
    m.calls.length = 0;
    expect(share(m, 'UV_UNSHARE_PAGE', 3, 2)).toBe(0);
    expect(m.calls.map(({ args }) => args.slice(0, 3))).toEqual([
      [BigInt(3 * PAGE), 0n, 16n],
      [BigInt(4 * PAGE), 0n, 16n],
    ]);
    expect(m.state(3)).toBe('SECURE');
    expect(m.leaf(3)).toBe(0n);
    m.port.setSpr(SPR.ASDR, BigInt(3 * PAGE));
    m.interrupt(VECTOR.HV_DATA_STORAGE, NIA, m.port.currentMsr | MSR.DR);
    expect(m.isFilled(m.guestPage(3), 0)).toBe(true);
  });

  it('of a secure page, and of a paged-out one, needs no hypervisor and zeroes it (10.1 #6)', () => {
    const m = secureMachine();
    m.pageOut(4);
    expect(share(m, 'UV_UNSHARE_PAGE', 3, 2)).toBe(0);
    expect(m.calls).toEqual([]);
    expect([m.state(3), m.state(4)]).toEqual(['SECURE', 'SECURE']);
    expect(m.pageIn(4)).toBe(-55);
  });

  it('of a page of the Ultravisor: U_P2, and no page of the range has changed (10.1 #8)', () => {
    const m = secureMachine();
    share(m, 'UV_SHARE_PAGE', 5, 1);
    const before = m.dump();
    expect(share(m, 'UV_UNSHARE_PAGE', 5, 2)).toBe(-55);
    expect(m.dump()).toBe(before);
  });

  it('refused by the hypervisor kills the SVM (10.1 #9)', () => {
    const m = secureMachine();
    share(m, 'UV_SHARE_PAGE', 3, 1);
    m.serve = () => -4;
    m.nia = NIA - 4n;
    m.ultracall('UV_UNSHARE_PAGE', 3, 1);
    m.answer();
    expect(m.svmState()).toBe('DEAD');
    expect(m.port.gpr(3)).toBe(BigInt(HCALL.H_RTAS));
  });

  it('all: takes back what the SVM shared, and leaves what the Ultravisor shares', () => {
    const m = secureMachine();
    share(m, 'UV_SHARE_PAGE', 2, 1);
    share(m, 'UV_SHARE_PAGE', 4, 1);
    m.nia = NIA - 4n;
    m.ultracall('UV_UNSHARE_ALL_PAGES');
    m.hypervise();
    expect(m.port.gpr(3)).toBe(0n);
    expect(m.nia).toBe(NIA);
    expect(m.uv.report().svms[0].pages).toEqual({ SECURE: 6, SHARED_IMPLICIT: 2 });
    expect(m.state(IMPLICIT)).toBe('SHARED_IMPLICIT');
  });
});

/**
 * How a frame gets into a state, with frame 4 where a second one is needed; what is left undone is the hypervisor's
 * answer.
 */
const REACH: Record<string, (m: Machine) => void> = {
  SECURE: () => undefined,
  PAGEDOUT: (m) => m.pageOut(3),
  SHARED: (m) => share(m, 'UV_SHARE_PAGE', 3, 1),
  SHARED_INV: (m) => {
    share(m, 'UV_SHARE_PAGE', 3, 1);
    inval(m, 3);
  },
  HV_SHARING: (m) => m.ultracall('UV_SHARE_PAGE', 3, 1),
  HV_SHARED: (m) => {
    m.ultracall('UV_SHARE_PAGE', 3, 1);
    m.pageIn(3, m.newPage());
  },
  HV_SHARED_INV: (m) => {
    m.ultracall('UV_SHARE_PAGE', 3, 1);
    m.pageIn(3, m.newPage());
    inval(m, 3);
  },
  HV_UNSHARING: (m) => {
    share(m, 'UV_SHARE_PAGE', 3, 1);
    m.ultracall('UV_UNSHARE_PAGE', 3, 1);
  },
  HV_UNSHARING_INV: (m) => {
    share(m, 'UV_SHARE_PAGE', 3, 1);
    m.ultracall('UV_UNSHARE_PAGE', 3, 1);
    inval(m, 3);
  },
  HV_UNSHARED: (m) => {
    share(m, 'UV_SHARE_PAGE', 3, 2);
    m.ultracall('UV_UNSHARE_PAGE', 3, 2);
    m.answer();
  },
};

function inval(m: Machine, gfn: number): number {
  return m.fromHypervisor(() => m.ultracall('UV_PAGE_INVAL', LPID, gfn * PAGE, 16));
}

/** A vCPU does the operation on CPU 1 while the other one's is where it is, on CPU 0. */
function onSecondCpu(m: Machine, cpus: ReturnType<Machine['startSecondCpu']>, act: () => void): number {
  const { nia } = m;
  m.port = cpus.second;
  m.nia = 0x3100n;
  act();
  const result = m.secure ? Number(BigInt.asIntN(64, m.port.gpr(3))) : 'waits';
  m.port = cpus.first;
  m.nia = nia;
  return result as number;
}

describe('page states cell by cell (3.18); a refused operation leaves the state as it is', () => {
  const table: [from: string, share: string, unshare: string, inval: string, pageIn: string, out: string][] = [
    ['SECURE', '→HV_SHARING', 'ok SECURE', 'U_P2', 'U_P2', '→PAGEDOUT'],
    ['PAGEDOUT', '→PAGEDOUT asks', 'ok SECURE', 'U_P2', '→SECURE', 'U_PARAMETER'],
    ['HV_SHARING', 'U_P2', 'U_P2', 'U_P2', '→HV_SHARED', 'U_BUSY'],
    ['HV_SHARED', 'U_P2', 'U_P2', '→HV_SHARED_INV', '→HV_SHARED', 'U_BUSY'],
    ['HV_SHARED_INV', 'U_P2', 'U_P2', '→HV_SHARED_INV', '→HV_SHARED', 'U_BUSY'],
    ['SHARED', 'ok SHARED', '→HV_UNSHARING', '→SHARED_INV', '→SHARED', '→SHARED'],
    ['SHARED_INV', 'ok SHARED_INV', '→HV_UNSHARING', '→SHARED_INV', '→SHARED', '→SHARED_INV'],
    ['HV_UNSHARING', 'U_P2', 'U_P2', '→HV_UNSHARING_INV', '→HV_UNSHARING', 'U_BUSY'],
    ['HV_UNSHARING_INV', 'U_P2', 'U_P2', '→HV_UNSHARING_INV', '→HV_UNSHARING', 'U_BUSY'],
    ['HV_UNSHARED', 'U_P2', 'U_P2', 'U_P2', 'U_P2', 'U_BUSY'],
  ];
  const codes: Record<string, number> = { U_P2: -55, U_PARAMETER: -4, U_BUSY: 1, U_P3: -56 };

  for (const [from, shareCell, unshareCell, invalCell, inCell, outCell] of table) {
    const reach = () => {
      const m = secureMachine();
      const cpus = m.startSecondCpu();
      m.port = cpus.first;
      m.nia = NIA - 4n;
      REACH[from](m);
      expect(m.state(3)).toBe(from);
      return { m, cpus };
    };
    const check = (m: Machine, cell: string, code: number) => {
      if (cell in codes) {
        expect(code).toBe(codes[cell]);
        expect(m.state(3)).toBe(from);
      } else {
        expect(m.state(3)).toBe(cell.replace(/^(→|ok )/, '').replace(' asks', ''));
        if (cell.startsWith('ok')) expect(code).toBe(0);
      }
    };
    it(`${from}: INVAL ${invalCell}`, () => {
      const { m } = reach();
      const code = inval(m, 3);
      check(m, invalCell, code);
      if (invalCell.startsWith('→')) expect(code).toBe(0);
    });
    it(`${from}: IN ${inCell}`, () => {
      const { m } = reach();
      const code = m.pageIn(3);
      check(m, inCell, code);
      if (inCell.startsWith('→')) expect(code).toBe(0);
    });
    it(`${from}: OUT ${outCell}`, () => {
      const { m } = reach();
      const code = m.fromHypervisor(() => m.ultracall('UV_PAGE_OUT', LPID, m.newPage(), 3 * PAGE, 0, 16));
      check(m, outCell, code);
      if (outCell.startsWith('→')) expect(code).toBe(0);
    });
    it(`${from}: SHARE ${shareCell}`, () => {
      const { m, cpus } = reach();
      check(
        m,
        shareCell,
        onSecondCpu(m, cpus, () => m.ultracall('UV_SHARE_PAGE', 3, 1)),
      );
    });
    it(`${from}: UNSHARE ${unshareCell}`, () => {
      const { m, cpus } = reach();
      check(
        m,
        unshareCell,
        onSecondCpu(m, cpus, () => m.ultracall('UV_UNSHARE_PAGE', 3, 1)),
      );
    });
  }

  it('SHARED_IMPLICIT and SHARED_IMPLICIT_INV: INVAL, IN, OUT, SHARE, UNSHARE', () => {
    const m = secureMachine();
    expect(m.pageOut(IMPLICIT)).toBe(0);
    expect(m.state(IMPLICIT)).toBe('SHARED_IMPLICIT');
    expect(share(m, 'UV_SHARE_PAGE', IMPLICIT, 1)).toBe(0);
    expect(share(m, 'UV_UNSHARE_PAGE', IMPLICIT, 1)).toBe(-55);
    expect([inval(m, IMPLICIT), inval(m, IMPLICIT)]).toEqual([0, 0]);
    expect(m.state(IMPLICIT)).toBe('SHARED_IMPLICIT_INV');
    expect(share(m, 'UV_SHARE_PAGE', IMPLICIT, 1)).toBe(0);
    expect(share(m, 'UV_UNSHARE_PAGE', IMPLICIT, 1)).toBe(-55);
    expect(m.state(IMPLICIT)).toBe('SHARED_IMPLICIT_INV');
    expect(m.pageIn(IMPLICIT)).toBe(0);
    expect(m.state(IMPLICIT)).toBe('SHARED_IMPLICIT');
    expect(m.leaf(IMPLICIT)).toBe(0n);
  });

  it('unshare-all while another vCPU shares a page: U_BUSY (10.1 #10)', () => {
    const m = secureMachine();
    const cpus = m.startSecondCpu();
    m.port = cpus.first;
    m.ultracall('UV_SHARE_PAGE', 3, 1);
    expect(onSecondCpu(m, cpus, () => m.ultracall('UV_UNSHARE_ALL_PAGES'))).toBe(1);
  });

  it.each([
    ['a gpa in no slot: U_P2', -55, [LPID, GUEST_FRAMES * PAGE, 16]],
    ['order 12: U_P3', -56, [LPID, 3 * PAGE, 12]],
    ['an lpid without an SVM: U_PARAMETER', -4, [LPID + 1, 3 * PAGE, 16]],
  ] as const)('UV_PAGE_INVAL with %s (3.12)', (_, code, args) => {
    const m = secureMachine();
    expect(m.fromHypervisor(() => m.ultracall('UV_PAGE_INVAL', ...args))).toBe(code);
  });

  it('a slot that goes away in the middle of a share fails the share, and everything goes back', () => {
    const m = secureMachine();
    m.nia = NIA - 4n;
    m.ultracall('UV_SHARE_PAGE', 3, 2);
    expect(m.ultracall('UV_UNREGISTER_MEM_SLOT', LPID, 3)).toBe(0);
    m.port.setGpr(31, m.seen[0].gprs[31]);
    m.uvReturn(0);
    expect(m.secure).toBe(true);
    expect(m.port.gpr(3)).toBe(0xffffffffffffffc9n);
  });
});
