import { describe, expect, it } from 'vitest';
import { readFdt, u32Value } from '../../../src/image/fdt.ts';
import { AccessRefused, type RealAddress } from '../../../src/machine/types.ts';
import { HCALL, MSR, RADIX_ROOT, SECURE_ADDRESS_BIT, SPR, SRR1, U_CODE } from '../../../src/powerpc/abi.ts';
import {
  ESM_NIA,
  GUEST_FRAMES,
  GUEST_MSR,
  guestTree,
  HV_ENTRY,
  HV_PATE,
  INITRD_AT,
  KERNEL,
  LPID,
  Machine,
  PAGE,
  RTAS_AT,
  TREE,
  TREE_BYTES,
} from './machine.ts';

describe('boot (power-pef.md 9.3)', () => {
  it('leaves to the hypervisor in normal state, with the partition table in secure memory', () => {
    const m = new Machine();
    expect(m.booted).toBe(HV_ENTRY.nia);
    expect(m.inHypervisor).toBe(true);
    const ptcr = m.port.spr(SPR.PTCR);
    expect(ptcr & 0x1fn).toBe(4n);
    const table = Number(ptcr & 0x0ffffffffffff000n) as RealAddress;
    expect(table).toBeGreaterThanOrEqual(SECURE_ADDRESS_BIT);
    expect(() => m.hv.read(table, 16)).toThrow(AccessRefused);
  });
});

describe('UV_ESM, the way through (6.1)', () => {
  it('asks for INIT_START, the tree, its two pages, the kernel, all other pages and INIT_DONE, in this order', () => {
    const m = new Machine();
    m.esm();
    const pageIn = (gfn: number, flags: bigint) => [HCALL.H_SVM_PAGE_IN, BigInt(gfn * PAGE), flags, 16n];
    expect(
      m.calls.map(({ number, args }) => [number, ...args.slice(0, number === HCALL.H_SVM_PAGE_IN ? 3 : 0)]),
    ).toEqual([
      [HCALL.H_SVM_INIT_START],
      pageIn(1, 0n),
      pageIn(6, 1n),
      pageIn(7, 1n),
      ...[2, 0, 3, 4, 5].map((gfn) => pageIn(gfn, 0n)),
      [HCALL.H_SVM_INIT_DONE],
    ]);
  });

  it('enters the SVM at R4 with R3=fdt, R4=kbase, R5=0, S=1, HV=0, EE=0, all other registers as at the call (step 16)', () => {
    const m = new Machine();
    for (let n = 0; n < 32; n++) m.port.setGpr(n, 0x1111n * BigInt(n + 1));
    for (let n = 0; n < 32; n++) m.port.setFpr(n, 0x2222n * BigInt(n + 1));
    m.port.setCr(0x12345678);
    m.port.setSpr(SPR.LR, 0xabcn);
    m.port.setSpr(SPR.SPRG2, 0xdefn);
    m.esm();
    expect(m.nia).toBe(KERNEL);
    expect(m.port.currentMsr).toBe((GUEST_MSR & ~MSR.EE) | MSR.S);
    expect([3, 4, 5].map((n) => m.port.gpr(n))).toEqual([TREE, KERNEL, 0n]);
    for (const n of [0, 1, 2, 6, 12, 13, 30, 31]) expect(m.port.gpr(n), `R${n}`).toBe(0x1111n * BigInt(n + 1));
    for (const n of [0, 31]) expect(m.port.fpr(n), `F${n}`).toBe(0x2222n * BigInt(n + 1));
    expect(m.port.crBits).toBe(0x12345678);
    expect(m.port.spr(SPR.LR)).toBe(0xabcn);
    expect(m.port.spr(SPR.SPRG2)).toBe(0xdefn);
  });

  it('moves all resident pages with their contents (seed 001) to secure memory', () => {
    const m = new Machine();
    m.esm();
    for (const gfn of [0, 2, 3, 4, 5]) {
      expect(m.isFilled(m.guestPage(gfn), 0x10 + gfn), `frame ${gfn}`).toBe(true);
      expect(Number(m.leaf(gfn) & 0x01fffffffffff000n)).toBeGreaterThanOrEqual(SECURE_ADDRESS_BIT);
    }
    expect(m.svmState()).toBe('SECURE');
  });

  it('a hole succeeds without data and reads as zero (10.1 #26)', () => {
    const m = new Machine();
    m.resident.delete(4);
    m.esm();
    expect(m.state(4)).toBe('SECURE');
    expect(m.leaf(4)).toBe(0n);
  });

  it('puts its own tree into dw0 and leaves dw1 as the hypervisor wrote it (2.6)', () => {
    const m = new Machine();
    m.esm();
    const [dw0, dw1] = m.pate();
    expect(dw0 & ~RADIX_ROOT.RPDB).toBe(RADIX_ROOT.HR | 0x40000000000000a0n | 13n);
    expect(Number(dw0 & RADIX_ROOT.RPDB)).toBeGreaterThanOrEqual(SECURE_ADDRESS_BIT);
    expect(dw1).toBe(HV_PATE.dw1);
    expect(m.port.invalidated).toContain(LPID);
  });

  it('adds its pages to the memory reserve map of the tree and writes it back to its place (steps 7, 15)', () => {
    const m = new Machine();
    m.esm();
    const page = m.guestPage(1);
    const tree = readFdt(page.subarray(0, TREE_BYTES));
    expect(tree.reservations).toEqual([{ address: BigInt(6 * PAGE), size: BigInt(2 * PAGE) }]);
    expect(tree.root).toEqual(readFdt(guestTree()).root);
    expect(page.subarray(TREE_BYTES, RTAS_AT).every((byte) => byte === 0x11)).toBe(true);
    expect(page.slice(INITRD_AT, INITRD_AT + 6)).toEqual(new TextEncoder().encode('070701'));
    for (const gfn of [6, 7]) {
      expect(m.state(gfn)).toBe('SHARED_IMPLICIT');
      expect(m.leaf(gfn)).toBe(0n);
      expect(m.isFilled(m.hv.read(m.ra(gfn), PAGE), 0)).toBe(true);
    }
  });

  it('shows the hypervisor cookie, guest MSR with S and LEV=1, and nothing else (6.2.1, right column)', () => {
    const m = new Machine();
    for (let n = 0; n < 32; n++) m.port.setGpr(n, 0x5ec4e7n);
    m.startEsm();
    const [seen] = m.seen;
    const cookie = seen.gprs[31];
    expect(seen.nia).toBe(0xc00n);
    expect(seen.gprs.map((value, n) => (n === 31 ? 0n : value))).toEqual(
      new Array(32).fill(0n).map((_, n) => (n === 3 ? BigInt(HCALL.H_SVM_INIT_START) : 0n)),
    );
    for (const spr of [SPR.SRR0, SPR.HSRR0]) expect(seen.sprs.get(spr)).toBe(cookie);
    for (const spr of [SPR.SRR1, SPR.HSRR1]) expect(seen.sprs.get(spr)).toBe(GUEST_MSR | MSR.S | SRR1.LEV1);
    expect(seen.msr).toBe(MSR.SF | MSR.HV | MSR.ME);
  });

  it('reports what happened to the trace', () => {
    const m = new Machine();
    m.esm();
    expect(m.trace.ofType('vm-state').map(({ from, to }) => [from, to])).toEqual([
      ['NORMAL', 'ACTIVE'],
      ['ACTIVE', 'SECURE'],
    ]);
    const calls = m.trace.ofType('call').map(({ name, from }) => `${name} from ${from}`);
    expect(calls).toContain('UV_ESM from guest');
    expect(calls).toContain('UV_PAGE_IN from hypervisor');
    expect(calls).toContain('H_SVM_INIT_DONE from ultravisor');
    expect(m.uv.report().svms).toEqual([
      { lpid: LPID, state: 'SECURE', pages: { SECURE: GUEST_FRAMES - 2, SHARED_IMPLICIT: 2 } },
    ]);
  });
});

describe('UV_ESM refused before INIT_START leaves no trace (3.15)', () => {
  it.each([
    ['a blob address of 0: U_PARAMETER', -4, (m: Machine) => m.startEsm(0n)],
    ['a blob address outside guest physical space: U_PARAMETER', -4, (m: Machine) => m.startEsm(1n << 52n)],
    ['an fdt address of 0: U_P2', -55, (m: Machine) => m.startEsm(KERNEL, 0n)],
    ['an unaligned fdt: U_P2', -55, (m: Machine) => m.startEsm(KERNEL, TREE + 1n)],
    [
      'LPID 0: U_PERMISSION',
      -11,
      (m: Machine) => {
        m.port.setSpr(SPR.LPIDR, 0n);
        return m.startEsm();
      },
    ],
    [
      'problem state: U_PERMISSION',
      -11,
      (m: Machine) => {
        m.port.currentMsr = GUEST_MSR | MSR.PR;
        return m.ultracall('UV_ESM', KERNEL, TREE);
      },
    ],
    [
      'the hypervisor itself: U_PERMISSION',
      -11,
      (m: Machine) => {
        m.port.currentMsr = HV_ENTRY.msr;
        return m.ultracall('UV_ESM', KERNEL, TREE);
      },
    ],
  ] as const)('%s', (_, code, call) => {
    const m = new Machine();
    const before = m.dump();
    expect(call(m)).toBe(code);
    expect(m.dump()).toBe(before);
    expect(m.svmState()).toBe('NORMAL');
  });

  it('no secure memory for the root of the tree: U_RETRY', () => {
    const m = new Machine({ secureFrames: 1 });
    const before = m.dump();
    expect(m.startEsm()).toBe(-5);
    expect(m.dump()).toBe(before);
  });

  it('from an SVM that is secure already: U_SUCCESS, no effect (10.2 #34)', () => {
    const m = new Machine();
    m.esm();
    const before = m.dump();
    expect(m.ultracall('UV_ESM', KERNEL, TREE)).toBe(0);
    expect(m.dump()).toBe(before);
    expect(m.secure).toBe(true);
  });

  it('from a second vCPU while the first is in it: U_RETRY (10.2 #35)', () => {
    const m = new Machine();
    m.startEsm();
    const before = m.dump();
    expect(m.startEsm()).toBe(-5);
    expect(m.dump()).toBe(before);
  });
});

describe('UV_ESM aborted (6.1 A1-A4)', () => {
  const failing = (number: number, on = 1) => {
    let n = 0;
    return (asked: number) => (asked === number && ++n === on ? -4 : undefined);
  };
  it.each([
    ['INIT_START is refused', HCALL.H_SVM_INIT_START, 1],
    ['the tree is not paged in', HCALL.H_SVM_PAGE_IN, 1],
    ['a page is not shared', HCALL.H_SVM_PAGE_IN, 3],
    ['the last page is not paged in', HCALL.H_SVM_PAGE_IN, 8],
    ['INIT_DONE is refused', HCALL.H_SVM_INIT_DONE, 1],
  ] as const)('when %s the guest goes on as a normal VM with H_PARAMETER, its pages in the clear', (_, number, on) => {
    const m = new Machine();
    const contents = () => [0, 1, 2, 3, 4, 5].map((gfn) => Buffer.from(m.hv.read(m.ra(gfn), PAGE)).toString('latin1'));
    const before = contents();
    m.serve = failing(number, on);
    m.startEsm();
    m.hypervise();
    expect(m.resumed).toEqual({ nia: ESM_NIA, r3: 0xfffffffffffffffcn });
    expect(m.svmState()).toBe('NORMAL');
    expect(contents().every((page, gfn) => page === before[gfn])).toBe(true);
    expect(m.pate()).toEqual([HV_PATE.dw0, HV_PATE.dw1]);
    const { total, free } = m.uv.report().secureFrames;
    expect(total - free).toBe(1);
  });

  it('what was paged out comes in once more, and goes out in the clear; all else stays out (seed 000, 1 and 4)', () => {
    const m = new Machine();
    const KERNEL_GFN = Number(KERNEL) / PAGE;
    const given = m.hv.read(m.ra(KERNEL_GFN), PAGE);
    m.serve = (number) => {
      if (number !== HCALL.H_SVM_INIT_DONE) return undefined;
      expect(m.pageOut(KERNEL_GFN)).toBe(0);
      return -4;
    };
    m.startEsm();
    while (m.svmState() !== 'ABORT') m.answer();
    expect(m.hv.read(m.ra(KERNEL_GFN), PAGE)).not.toEqual(given);
    const before = m.dump();
    for (const gfn of [0, 1, 6]) expect(m.pageIn(gfn)).toBe(U_CODE.U_STATE);
    expect(m.pageIn(100, m.newPage())).toBe(U_CODE.U_STATE);
    expect(m.dump()).toBe(before);

    const changed = m.newPage();
    m.hv.write(changed, m.hv.read(m.ra(KERNEL_GFN), PAGE));
    m.hv.write((changed + 5) as RealAddress, Uint8Array.of(m.hv.read((changed + 5) as RealAddress, 1)[0] ^ 1));
    expect(m.pageIn(KERNEL_GFN, changed)).toBe(U_CODE.U_P3);
    expect(m.pageIn(KERNEL_GFN)).toBe(0);
    expect(m.pageIn(KERNEL_GFN)).toBe(U_CODE.U_STATE);
    expect(m.pageOut(KERNEL_GFN)).toBe(0);
    expect(m.hv.read(m.ra(KERNEL_GFN), PAGE)).toEqual(given);
  });

  it('enters the hypervisor with the guest registers unmasked, S=0 and LEV=1 (A2)', () => {
    const m = new Machine();
    m.port.setGpr(14, 0x1414n);
    m.port.setGpr(31, 0x3131n);
    m.port.setSpr(SPR.SPRG1, 0x99n);
    m.serve = failing(HCALL.H_SVM_PAGE_IN);
    m.startEsm();
    m.hypervise();
    const seen = m.seen.at(-1)!;
    expect(seen.gprs[3]).toBe(BigInt(HCALL.H_SVM_INIT_ABORT));
    expect([4, 5, 14, 31].map((n) => seen.gprs[n])).toEqual([KERNEL, TREE, 0x1414n, 0x3131n]);
    expect(seen.sprs.get(SPR.SRR0)).toBe(ESM_NIA);
    expect(seen.sprs.get(SPR.SRR1)).toBe(GUEST_MSR | SRR1.LEV1);
    expect(seen.sprs.get(SPR.SPRG1)).toBe(0x99n);
    expect(seen.msr).toBe(MSR.SF | MSR.HV | MSR.ME);
  });

  it.each([
    ['no magic', () => new Uint8Array(64)],
    ['a size over the limit', () => Uint8Array.from([0xd0, 0x0d, 0xfe, 0xed, 0x00, 0x20, 0, 0])],
    ['a size over the slot', () => Uint8Array.from([0xd0, 0x0d, 0xfe, 0xed, 0x00, 0x0f, 0xff, 0xf0])],
    ['no memory node that begins at 0', () => guestTree(0)],
    ['two RTAS calls that have one token', () => guestTree(undefined, { rtas: { 'nvram-store': u32Value(0x2003) } })],
  ])('a device tree with %s aborts', (_, tree) => {
    const m = new Machine();
    m.hv.write(m.ra(1), tree());
    m.startEsm();
    m.hypervise();
    expect(m.resumed?.r3).toBe(0xfffffffffffffffcn);
  });

  it('the record waits for UV_SVM_TERMINATE: another UV_ESM before it gives U_RETRY', () => {
    const m = new Machine();
    m.serve = failing(HCALL.H_SVM_INIT_START);
    m.startEsm();
    m.answer();
    expect(m.svmState()).toBe('ABORT');
    expect(m.startEsm()).toBe(-5);
  });

  it('a tree that is paged out after INIT_DONE is asked for again', () => {
    const m = new Machine();
    m.serve = (number) => {
      if (number === HCALL.H_SVM_INIT_DONE) m.pageOut(1);
      return undefined;
    };
    m.esm();
    expect(m.calls.slice(-2).map(({ number, args }) => [number, args[0]])).toEqual([
      [HCALL.H_SVM_INIT_DONE, 0n],
      [HCALL.H_SVM_PAGE_IN, TREE],
    ]);
    expect(readFdt(m.guestPage(1).subarray(0, TREE_BYTES)).reservations).toHaveLength(1);
  });

  it.each([
    ['refuses to give it back', -4, 1],
    ['only says that it gives it back', 0, 4],
  ])('a hypervisor that takes the tree out after INIT_DONE and %s ends the SVM by ibm,os-term, not by an abort (10.2 #50)', (_, answer, times) => {
    const m = new Machine();
    let isDone = false;
    m.serve = (number) => {
      if (isDone && number === HCALL.H_SVM_PAGE_IN) return answer;
      if (number !== HCALL.H_SVM_INIT_DONE) return undefined;
      isDone = true;
      m.pageOut(1);
      return undefined;
    };
    m.startEsm();
    while (m.svmState() !== 'DEAD') m.answer();
    expect(m.calls.slice(-times).map(({ number }) => number)).toEqual(new Array(times).fill(HCALL.H_SVM_PAGE_IN));
    expect(m.calls.at(-times - 1)?.number).toBe(HCALL.H_SVM_INIT_DONE);
    expect(m.port.gpr(3)).toBe(BigInt(HCALL.H_RTAS));
    expect(m.port.gpr(4)).toBe(BigInt(6 * PAGE));
    expect([0, 4, 8, 12].map((at) => m.hv.readU32((m.ra(6) + at) as RealAddress))).toEqual([0x201f, 1, 1, 0]);
    expect(m.uvReturn(0)).toBe(-4);
    expect(m.inHypervisor).toBe(true);
  });
});
