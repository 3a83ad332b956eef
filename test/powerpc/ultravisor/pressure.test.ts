import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HCALL, PTE, RADIX_ROOT, SPR } from '../../../src/powerpc/abi.ts';
import { HV_PATE, LPID, Machine, PAGE, SLOT, secureMachine } from './machine.ts';

/** Of 8 frames of the guest two are the Ultravisor's, so 6 want a secure frame. Partition table, root and tables take three more. */
const TIGHT = { secureFrames: 7 };

const pageOuts = (m: Machine) =>
  m.calls.filter(({ number }) => number === HCALL.H_SVM_PAGE_OUT).map(({ args }) => Number(args[0]) / PAGE);
const resident = (m: Machine) => [0, 1, 2, 3, 4, 5].filter((gfn) => m.state(gfn) === 'SECURE' && m.leaf(gfn) !== 0n);

/** Clears or sets R in the leaf of a frame, as the CPU sets it at an access. */
function setReferenced(m: Machine, gfn: number, on: boolean): void {
  const at = leafAddress(m, gfn);
  const leaf = m.all.readU64(at);
  m.all.writeU64(at, on ? leaf | PTE.R : leaf & ~PTE.R);
}

function leafAddress(m: Machine, gfn: number): RealAddress {
  let table = Number(m.pate()[0] & RADIX_ROOT.RPDB);
  for (const index of [0, 0, Math.floor(gfn / 32)]) {
    table = Number(m.all.readU64((table + index * 8) as RealAddress) & RADIX_ROOT.RPDB);
  }
  return (table + (gfn % 32) * 8) as RealAddress;
}

describe('secure memory runs low (5.7, 6.5 B)', () => {
  it('UV_ESM moves more in than secure memory holds, and every page has its contents', () => {
    const m = secureMachine(TIGHT);
    expect(resident(m)).toHaveLength(4);
    for (const gfn of [5, 2, 0, 4, 3, 2, 5, 0]) {
      if (m.leaf(gfn) === 0n) m.touch(gfn);
      expect(m.secure).toBe(true);
      expect(m.isFilled(m.guestPage(gfn), 0x10 + gfn), `frame ${gfn}`).toBe(true);
    }
    expect(pageOuts(m).length).toBeGreaterThan(2);
    expect(m.svmState()).toBe('SECURE');
  });

  it('the page that is asked for is the least recently used: one whose R bit is clear, those that are passed lose theirs', () => {
    const m = secureMachine(TIGHT);
    const [first, ...others] = resident(m);
    for (const gfn of [first, ...others]) setReferenced(m, gfn, true);
    const least = others[1];
    setReferenced(m, least, false);
    const wanted = [2, 3, 4, 5].find((gfn) => m.leaf(gfn) === 0n) as number;
    const { length } = m.port.invalidated;
    m.touch(wanted);
    expect(pageOuts(m)).toEqual([least]);
    // A CPU sets R only where it has no translation, so translations went with the bits.
    expect(m.port.invalidated.length).toBeGreaterThan(length);
    expect(m.calls.map(({ number }) => number)).toEqual([HCALL.H_SVM_PAGE_OUT, HCALL.H_SVM_PAGE_IN]);
    expect(m.calls[0].args.slice(0, 3)).toEqual([BigInt(least * PAGE), 0n, 16n]);
  });

  it('second chance: with every page in use, each is passed once, and the first one goes', () => {
    const m = secureMachine(TIGHT);
    for (const gfn of resident(m)) setReferenced(m, gfn, true);
    const before = resident(m);
    const wanted = [2, 3, 4, 5].find((gfn) => m.leaf(gfn) === 0n) as number;
    m.touch(wanted);
    const [out] = pageOuts(m);
    expect(before).toContain(out);
    for (const gfn of before) if (gfn !== out) expect(m.leaf(gfn) & PTE.R).toBe(0n);
    expect(m.leaf(wanted) & PTE.R).toBe(PTE.R);
  });

  it('a fresh page that is touched gets a frame the same way', () => {
    const m = secureMachine(TIGHT);
    m.fromHypervisor(() => m.ultracall('UV_REGISTER_MEM_SLOT', LPID, 0x200000, 2 * PAGE, 0, SLOT + 1));
    m.touch(33);
    expect(m.isFilled(m.all.read(Number(m.leaf(33) & 0x01fffffffffff000n) as RealAddress, PAGE), 0)).toBe(true);
    expect(pageOuts(m)).toHaveLength(1);
  });

  it('never a page that a share is busy with, nor one of the Ultravisor', () => {
    const m = secureMachine(TIGHT);
    const shared = resident(m)[0];
    m.serve = (number, args) => {
      // While the share waits, another CPU of the hypervisor looks for pages to go out: none may be that one.
      if (number === HCALL.H_SVM_PAGE_IN && args[1] === 1n) expect(m.state(shared)).toBe('HV_SHARING');
      return undefined;
    };
    m.ultracall('UV_SHARE_PAGE', shared, 1);
    expect(m.state(shared)).toBe('HV_SHARING');
    m.hypervise();
    for (const gfn of [2, 3, 4, 5, 2, 3, 4, 5]) if (m.state(gfn) === 'PAGEDOUT') m.touch(gfn);
    expect(pageOuts(m)).not.toContain(shared);
    expect(pageOuts(m).filter((gfn) => gfn >= 6)).toEqual([]);
    expect(m.state(6)).toBe('SHARED_IMPLICIT');
  });

  it('during UV_ESM never the device tree, which it still has to write', () => {
    const m = new Machine(TIGHT);
    m.esm();
    expect(pageOuts(m).length).toBeGreaterThan(0);
    expect(pageOuts(m)).not.toContain(1);
  });

  it('to share a page that is paged out, it comes in first: with room made for it', () => {
    const m = secureMachine(TIGHT);
    const out = [2, 3, 4, 5].find((gfn) => m.state(gfn) === 'PAGEDOUT') as number;
    m.ultracall('UV_SHARE_PAGE', out, 1);
    m.hypervise();
    expect(m.port.gpr(3)).toBe(0n);
    expect(m.state(out)).toBe('SHARED');
    expect(m.calls.map(({ number }) => number)).toEqual([
      HCALL.H_SVM_PAGE_OUT,
      HCALL.H_SVM_PAGE_IN,
      HCALL.H_SVM_PAGE_IN,
    ]);
  });

  it('the answer of an RTAS call finds room for a fresh page', () => {
    const m = secureMachine(TIGHT);
    m.fromHypervisor(() => m.ultracall('UV_REGISTER_MEM_SLOT', LPID, 0x200000, 2 * PAGE, 0, SLOT + 1));
    if (m.leaf(0) === 0n) m.touch(0);
    // The block's input is on a resident page, its answer on the next one, which nobody has touched.
    m.fromHypervisor(() => m.ultracall('UV_REGISTER_MEM_SLOT', LPID, 8 * PAGE, PAGE, 0, SLOT + 2));
    const block = 0x200000 + PAGE - 12;
    m.touch(32);
    m.rtasBlock(block, [0x2001, 0, 1]);
    m.hypercall(HCALL.H_RTAS, block);
    m.hypervise();
    expect(m.secure).toBe(true);
    expect(m.leaf(33)).not.toBe(0n);
  });

  it('a frame is set aside for the page that was asked for: another CPU cannot take it', () => {
    const m = secureMachine(TIGHT);
    m.fromHypervisor(() => m.ultracall('UV_REGISTER_MEM_SLOT', LPID, 0x200000, 2 * PAGE, 0, SLOT + 1));
    const [wanted, other] = [0, 2, 3, 4, 5].filter((gfn) => m.state(gfn) === 'PAGEDOUT');
    m.serve = (number, args) => {
      if (number !== HCALL.H_SVM_PAGE_IN || args[0] !== BigInt(wanted * PAGE)) return undefined;
      expect(m.uv.report().secureFrames.free).toBe(0);
      expect(m.pageIn(other)).toBe(1);
      return undefined;
    };
    m.touch(wanted);
    expect(m.state(wanted)).toBe('SECURE');
  });

  it('what was set aside and not used is free again when the hypervisor answers', () => {
    const m = secureMachine(TIGHT);
    const wanted = [2, 3, 4, 5].find((gfn) => m.state(gfn) === 'PAGEDOUT') as number;
    m.serve = (number) => (number === HCALL.H_SVM_PAGE_IN ? -4 : undefined);
    m.touch(wanted);
    expect(m.state(wanted)).toBe('PAGEDOUT');
    expect(m.secure).toBe(true);
    expect(m.uv.report().secureFrames.free).toBe(1);
    m.serve = () => undefined;
    m.touch(wanted);
    expect(m.isFilled(m.guestPage(wanted), 0x10 + wanted)).toBe(true);
  });
});

describe('a hypervisor that does not page out', () => {
  it('another page is tried, and in the end an SVM that has nobody to wait for is killed: denial of service, and no more', () => {
    const m = secureMachine(TIGHT);
    m.serve = (number) => (number === HCALL.H_SVM_PAGE_OUT ? -4 : undefined);
    const wanted = [2, 3, 4, 5].find((gfn) => m.state(gfn) === 'PAGEDOUT') as number;
    m.fault(wanted * PAGE);
    for (let n = 0; n < 100 && m.inHypervisor && m.svmState() !== 'DEAD'; n++) m.answer();
    expect(m.svmState()).toBe('DEAD');
    expect(new Set(pageOuts(m)).size).toBe(4);
  });

  it('that says it did, and did not, is asked again, and the SVM is killed too', () => {
    const m = secureMachine(TIGHT);
    m.serve = (number) => (number === HCALL.H_SVM_PAGE_OUT ? 0 : undefined);
    const wanted = [2, 3, 4, 5].find((gfn) => m.state(gfn) === 'PAGEDOUT') as number;
    m.fault(wanted * PAGE);
    for (let n = 0; n < 100 && m.inHypervisor && m.svmState() !== 'DEAD'; n++) m.answer();
    expect(m.svmState()).toBe('DEAD');
  });

  it('during UV_ESM: the VM goes on as a normal one, with H_PARAMETER, and its memory as it was', () => {
    const m = new Machine(TIGHT);
    const before = m.hv.read(m.ra(5), PAGE);
    m.serve = (number) => (number === HCALL.H_SVM_PAGE_OUT ? -4 : undefined);
    m.startEsm();
    m.hypervise();
    expect(m.resumed?.r3).toBe(0xfffffffffffffffcn);
    expect(m.hv.read(m.ra(5), PAGE)).toEqual(before);
    expect(m.svmState()).toBe('NORMAL');
  });
});

describe('several SVMs', () => {
  const OTHER = LPID + 1;

  /** One SVM that holds all but the Ultravisor's own frames, and a second VM of which nothing has moved. */
  function crowded(): Machine {
    const m = secureMachine({ secureFrames: 64 });
    m.fromHypervisor(() => m.ultracall('UV_REGISTER_MEM_SLOT', LPID, 0x1000000, 128 * PAGE, 0, SLOT + 1));
    for (let gfn = 0x100; m.uv.report().secureFrames.free > 2; gfn++) m.touch(gfn);
    expect(pageOuts(m)).toEqual([]);
    m.fromHypervisor(() => m.ultracall('UV_WRITE_PATE', OTHER, HV_PATE.dw0, HV_PATE.dw1));
    return m;
  }

  it('one that finds no frame lets others run, and one of them gives a page up at its next exit', () => {
    const m = crowded();
    // The first SVM makes a hypercall, and the hypervisor goes over to the second VM.
    m.hypercall(HCALL.H_CPPR, 0);
    const waiting = { gprs: [...m.port.gprs], nia: m.nia, hsrr0: m.port.spr(SPR.HSRR0), srr0: m.port.spr(SPR.SRR0) };
    const pages = new Map(m.resident);
    m.port.setSpr(SPR.LPIDR, BigInt(OTHER));
    for (let gfn = 0; gfn < 8; gfn++) m.resident.set(gfn, 0x180000 + gfn * PAGE);
    m.hv.write(m.ra(1), m.hv.read(pages.get(1) as RealAddress, PAGE));
    m.startEsm();
    expect(m.inHypervisor).toBe(true);
    while (Number(m.port.gpr(3)) !== HCALL.H_CONFER) m.answer();

    const second = { gprs: [...m.port.gprs], hsrr0: m.port.spr(SPR.HSRR0) };
    m.port.setSpr(SPR.LPIDR, BigInt(LPID));
    for (const [n, value] of waiting.gprs.entries()) m.port.setGpr(n, value);
    m.port.setSpr(SPR.HSRR0, waiting.hsrr0);
    m.resident.clear();
    m.calls.length = 0;
    m.uvReturn(0);
    // Not the SVM goes on, but the hypervisor is asked for a page of it; again at each exit, until there is enough for the second VM. Its root
    // and its tables took the two frames that the Ultravisor keeps for such.
    for (let exit = 1; exit <= 3; exit++) {
      expect(Number(m.port.gpr(3))).toBe(HCALL.H_SVM_PAGE_OUT);
      m.answer();
      expect(m.secure).toBe(true);
      expect(pageOuts(m)).toHaveLength(exit);
      expect(m.uv.report().secureFrames.free).toBe(exit);
      m.hypercall(HCALL.H_CPPR, 0);
      m.uvReturn(0);
    }
    expect(m.secure).toBe(true);

    m.hypercall(HCALL.H_CPPR, 0);
    m.port.setSpr(SPR.LPIDR, BigInt(OTHER));
    for (const [n, value] of second.gprs.entries()) m.port.setGpr(n, value);
    m.port.setSpr(SPR.HSRR0, second.hsrr0);
    m.uvReturn(0);
    expect(Number(m.port.gpr(3))).toBe(HCALL.H_SVM_PAGE_IN);
  });

  it('UV_ESM goes on as a normal VM when nobody gives anything up for long', () => {
    const m = crowded();
    m.hypercall(HCALL.H_CPPR, 0);
    m.port.setSpr(SPR.LPIDR, BigInt(OTHER));
    m.startEsm();
    for (let n = 0; n < 100 && Number(m.port.gpr(3)) !== HCALL.H_SVM_INIT_ABORT; n++) m.answer();
    expect(Number(m.port.gpr(3))).toBe(HCALL.H_SVM_INIT_ABORT);
    expect(m.svmState()).toBe('SECURE');
  });
});
