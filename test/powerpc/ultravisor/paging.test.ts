import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HCALL, MSR, SECURE_ADDRESS_BIT, SPR, VECTOR } from '../../../src/powerpc/abi.ts';
import { GUEST_FRAMES, HV_ENTRY, LPID, Machine, PAGE, PIDR, SLOT, secureMachine } from './machine.ts';

const bytesOf = (m: Machine, ra: number) => Buffer.from(m.hv.read(ra as RealAddress, PAGE));

describe('UV_PAGE_OUT and UV_PAGE_IN, round trip (3.10, 3.11, 8)', () => {
  it('the hypervisor gets ciphertext, the SVM its contents again; the frame goes back zeroed', () => {
    const m = secureMachine();
    const { free } = m.uv.report().secureFrames;
    const frame = Number(m.leaf(3) & 0x01fffffffffff000n) as RealAddress;
    expect(m.pageOut(3)).toBe(0);
    expect(m.state(3)).toBe('PAGEDOUT');
    expect(m.leaf(3)).toBe(0n);
    expect(m.port.invalidated.at(-1)).toBe(LPID);
    expect(m.uv.report().secureFrames.free).toBe(free + 1);
    expect(m.isFilled(m.all.read(frame, PAGE), 0)).toBe(true);
    const ciphertext = bytesOf(m, m.ra(3));
    const counts = new Array<number>(256).fill(0);
    for (const byte of ciphertext) counts[byte] += 1;
    expect(Math.max(...counts)).toBeLessThan(400);

    expect(m.pageIn(3)).toBe(0);
    expect(m.state(3)).toBe('SECURE');
    expect(m.isFilled(m.guestPage(3), 0x13)).toBe(true);
  });

  it('two page-outs of the same contents differ everywhere (8.4: nonces are never reused)', () => {
    const m = secureMachine();
    const outs = [0, 1, 2].map(() => {
      m.pageOut(3);
      const ciphertext = bytesOf(m, m.ra(3));
      m.pageIn(3);
      return ciphertext;
    });
    for (const [x, y] of [
      [outs[0], outs[1]],
      [outs[1], outs[2]],
    ]) {
      for (let at = 0; at < PAGE; at += 16) expect(x.subarray(at, at + 16).equals(y.subarray(at, at + 16))).toBe(false);
    }
  });

  it.each([
    [
      'a flipped bit',
      (m: Machine) => {
        const byte = m.hv.read((m.ra(3) + 4711) as RealAddress, 1);
        m.hv.write((m.ra(3) + 4711) as RealAddress, Uint8Array.of(byte[0] ^ 1));
        return m.ra(3);
      },
    ],
    [
      'two blocks swapped',
      (m: Machine) => {
        const page = m.hv.read(m.ra(3), PAGE);
        const block = page.slice(0, 16);
        page.copyWithin(0, 16, 32);
        page.set(block, 16);
        m.hv.write(m.ra(3), page);
        return m.ra(3);
      },
    ],
    ['a page of another frame', (m: Machine) => m.ra(4)],
    ['the plaintext', (m: Machine) => m.ra(2)],
  ] as const)('%s: U_P3, the page stays PAGEDOUT, and the right ciphertext is still taken (10.1 #14)', (_, tamper) => {
    const m = secureMachine();
    m.pageOut(3);
    m.pageOut(4);
    const right = m.newPage();
    m.hv.write(right, m.hv.read(m.ra(3), PAGE));
    const source = tamper(m);
    const before = m.dump();
    expect(m.pageIn(3, source)).toBe(-56);
    expect(m.dump()).toBe(before);
    expect(m.state(3)).toBe('PAGEDOUT');
    expect(m.pageIn(3, right)).toBe(0);
    expect(m.isFilled(m.guestPage(3), 0x13)).toBe(true);
  });

  it('an older ciphertext of the same frame: U_P3 (replay)', () => {
    const m = secureMachine();
    m.pageOut(3);
    const old = m.ra(3);
    m.pageIn(3);
    m.pageOut(3);
    expect(m.pageIn(3, old)).toBe(-56);
    expect(m.pageIn(3)).toBe(0);
  });

  it('a snapshot leaves the page and its contents, and can never come back in (3.11 ◆)', () => {
    const m = secureMachine();
    const mapped = m.leaf(3);
    const original = m.ra(3);
    expect(m.pageOut(3, 1)).toBe(0);
    expect(m.state(3)).toBe('SECURE');
    expect(m.leaf(3)).toBe(mapped);
    const snapshot = m.ra(3);
    expect(bytesOf(m, snapshot).equals(bytesOf(m, original))).toBe(false);
    expect(m.pageIn(3, snapshot)).toBe(-55);
    m.pageOut(3);
    expect(m.pageIn(3, snapshot)).toBe(-56);
    expect(m.pageIn(3)).toBe(0);
  });

  it('a page that went out while the SVM was transient comes back decrypted (10.1 #15)', () => {
    const m = new Machine();
    m.serve = (number, args) => {
      if (number === HCALL.H_SVM_PAGE_IN && args[0] === BigInt(4 * PAGE)) {
        expect(m.pageOut(3)).toBe(0);
        expect(m.pageIn(3)).toBe(0);
      }
      return undefined;
    };
    m.esm();
    expect(m.isFilled(m.guestPage(3), 0x13)).toBe(true);
  });

  it('a page that was never touched goes out and comes back as zeroes', () => {
    const m = new Machine();
    m.resident.delete(4);
    m.esm();
    expect(m.pageOut(4)).toBe(0);
    expect(m.isFilled(m.hv.read(m.ra(4), PAGE), 0)).toBe(false);
    expect(m.pageIn(4)).toBe(0);
    expect(m.isFilled(m.guestPage(4), 0)).toBe(true);
  });
});

describe('UV_PAGE_IN and UV_PAGE_OUT refused (3.10, 3.11): nothing has changed', () => {
  const page = 0x300000;
  it.each([
    ['lpid without an SVM: U_PARAMETER', -4, [LPID + 1, page, 3 * PAGE, 0, 16]],
    ['lpid outside the table: U_PARAMETER', -4, [1n << 40n, page, 3 * PAGE, 0, 16]],
    ['real address 0: U_P2', -55, [LPID, 0, 3 * PAGE, 0, 16]],
    ['unaligned real address: U_P2', -55, [LPID, page + 4096, 3 * PAGE, 0, 16]],
    ['secure real address: U_P2 (10.1 #16)', -55, [LPID, SECURE_ADDRESS_BIT, 3 * PAGE, 0, 16]],
    ['no memory there: U_P2', -55, [LPID, 0x40000000, 3 * PAGE, 0, 16]],
    ['gpa in no slot: U_P3', -56, [LPID, page, GUEST_FRAMES * PAGE, 0, 16]],
    ['unaligned gpa: U_P3 (10.1 #18)', -56, [LPID, page, 3 * PAGE + 4096, 0, 16]],
    ['gpa beyond guest physical space: U_P3', -56, [LPID, page, 1n << 60n, 0, 16]],
    ['unknown flag: U_P4', -57, [LPID, page, 3 * PAGE, 0x80, 16]],
    ['order 12: U_P5 (10.1 #17)', -58, [LPID, page, 3 * PAGE, 0, 12]],
  ] as const)('%s', (_, code, args) => {
    for (const call of ['UV_PAGE_IN', 'UV_PAGE_OUT'] as const) {
      const m = secureMachine();
      if (call === 'UV_PAGE_IN') m.pageOut(3);
      const before = m.dump();
      expect(
        m.fromHypervisor(() => m.ultracall(call, ...args)),
        call,
      ).toBe(code);
      expect(m.dump()).toBe(before);
    }
  });

  it.each([
    'UV_PAGE_IN',
    'UV_PAGE_OUT',
    'UV_PAGE_INVAL',
    'UV_REGISTER_MEM_SLOT',
    'UV_UNREGISTER_MEM_SLOT',
  ] as const)('%s from the SVM, and from user mode of the host: U_PERMISSION', (call) => {
    const m = secureMachine();
    const before = m.dump();
    expect(m.ultracall(call, LPID, page, 3 * PAGE, 0, 16)).toBe(-11);
    m.port.currentMsr = HV_ENTRY.msr | MSR.PR;
    expect(m.ultracall(call, LPID, page, 3 * PAGE, 0, 16)).toBe(-11);
    expect(m.dump()).toBe(before);
  });

  it('page-in of a page that is secure, in a secure VM: U_P2, the page unchanged (10.1 #12)', () => {
    const m = secureMachine();
    const before = m.dump();
    expect(m.pageIn(3, page)).toBe(-55);
    expect(m.dump()).toBe(before);
  });

  it('page-out twice: U_PARAMETER (10.1 #20); of a shared page: U_SUCCESS and nothing done (10.1 #19)', () => {
    const m = secureMachine();
    m.pageOut(3);
    const before = m.dump();
    const { invalidated } = m.port;
    const flushes = invalidated.length;
    expect(m.fromHypervisor(() => m.ultracall('UV_PAGE_OUT', LPID, page, 3 * PAGE, 0, 16))).toBe(-4);
    expect(m.fromHypervisor(() => m.ultracall('UV_PAGE_OUT', LPID, page, 6 * PAGE, 0, 16))).toBe(0);
    expect(m.dump()).toBe(before);
    expect(invalidated.length).toBe(flushes);
  });

  it('UV_PAGE_IN without a free frame: U_BUSY, nothing changed; it succeeds once there is one', () => {
    const m = secureMachine({ secureFrames: 11 });
    m.pageOut(3);
    m.fromHypervisor(() => m.ultracall('UV_REGISTER_MEM_SLOT', LPID, 0x1000000, 4 * PAGE, 0, SLOT + 1));
    for (let gfn = 0x100; m.uv.report().secureFrames.free > 0; gfn++) m.touch(gfn);
    expect(m.uv.report().secureFrames.free).toBe(0);
    const before = m.dump();
    expect(m.pageIn(3)).toBe(1);
    expect(m.dump()).toBe(before);
    m.pageOut(4);
    expect(m.pageIn(3)).toBe(0);
    expect(m.isFilled(m.guestPage(3), 0x13)).toBe(true);
  });
});

describe('memory slots (3.8, 3.9)', () => {
  const register = (m: Machine, ...args: (number | bigint)[]) => m.ultracall('UV_REGISTER_MEM_SLOT', ...args);
  it.each([
    ['lpid without an SVM: U_PARAMETER', -4, [LPID + 1, 16 * PAGE, PAGE, 0, 4]],
    ['unaligned start: U_P2', -55, [LPID, 16 * PAGE + 4096, PAGE, 0, 4]],
    ['start beyond guest physical space: U_P2', -55, [LPID, 1n << 52n, PAGE, 0, 4]],
    ['size 0: U_P3', -56, [LPID, 16 * PAGE, 0, 0, 4]],
    ['unaligned size: U_P3', -56, [LPID, 16 * PAGE, PAGE + 1, 0, 4]],
    ['an end beyond guest physical space: U_P3', -56, [LPID, (1n << 52n) - 0x10000n, 2 * PAGE, 0, 4]],
    ['overlap with another slot: U_P3', -56, [LPID, 7 * PAGE, 2 * PAGE, 0, 4]],
    ['unknown flag: U_P4', -57, [LPID, 16 * PAGE, PAGE, 1, 4]],
    ['slot id 512: U_P5', -58, [LPID, 16 * PAGE, PAGE, 0, 512]],
    ['slot id in use: U_P5', -58, [LPID, 16 * PAGE, PAGE, 0, 3]],
    ['more tables than secure memory holds: U_RETRY', -5, [LPID, 1n << 40n, 1n << 45n, 0, 4]],
  ] as const)('register with %s, nothing has changed', (_, code, args) => {
    const m = secureMachine();
    m.port.currentMsr = HV_ENTRY.msr;
    const before = m.dump();
    expect(register(m, ...args)).toBe(code);
    expect(m.dump()).toBe(before);
  });

  it('a slot added to a secure VM begins secure and zero; its frames are taken when they are touched', () => {
    const m = secureMachine();
    const { free } = m.uv.report().secureFrames;
    expect(m.fromHypervisor(() => register(m, LPID, 1n << 34n, 4 * PAGE, 0, 4))).toBe(0);
    expect(free - m.uv.report().secureFrames.free).toBeLessThanOrEqual(1);
    m.port.setSpr(SPR.ASDR, (1n << 34n) + BigInt(PAGE));
    m.interrupt(VECTOR.HV_DATA_STORAGE, 0x20100n, m.port.currentMsr);
    expect(m.secure).toBe(true);
    expect(m.nia).toBe(0x20100n);
    expect(m.uv.report().svms[0].pages.SECURE).toBe(GUEST_FRAMES - 2 + 4);
  });

  it('unregister: contents, ciphertexts and pages are gone, frames go back; an unknown slot: U_P2', () => {
    const m = secureMachine();
    m.pageOut(3);
    const ciphertext = m.ra(3);
    m.port.currentMsr = HV_ENTRY.msr;
    expect(m.ultracall('UV_UNREGISTER_MEM_SLOT', LPID + 1, 3)).toBe(-4);
    expect(m.ultracall('UV_UNREGISTER_MEM_SLOT', LPID, 4)).toBe(-55);
    const { free } = m.uv.report().secureFrames;
    expect(m.ultracall('UV_UNREGISTER_MEM_SLOT', LPID, 3)).toBe(0);
    expect(m.uv.report().secureFrames.free).toBe(free + GUEST_FRAMES - 3);
    for (let gfn = 0; gfn < GUEST_FRAMES; gfn++) expect(m.leaf(gfn)).toBe(0n);
    expect(m.ultracall('UV_PAGE_IN', LPID, ciphertext, 3 * PAGE, 0, 16)).toBe(-56);
    // The guest was not asked: nothing takes the place of what it lost, not even zeros.
    expect(register(m, LPID, 0, GUEST_FRAMES * PAGE, 0, 3)).toBe(-56);
    expect(register(m, LPID, (GUEST_FRAMES - 1) * PAGE, 2 * PAGE, 0, 3)).toBe(-56);
    expect(register(m, LPID, GUEST_FRAMES * PAGE, PAGE, 0, 3)).toBe(0);
  });

  it('a secure VM that touches what was unregistered is killed: that is no device', () => {
    const m = secureMachine();
    expect(m.fromHypervisor(() => m.ultracall('UV_UNREGISTER_MEM_SLOT', LPID, 3))).toBe(0);
    m.port.setSpr(SPR.ASDR, 3n * BigInt(PAGE));
    m.interrupt(VECTOR.HV_DATA_STORAGE, 0x20100n, m.port.currentMsr);
    expect(m.uv.report().svms[0].state).toBe('DEAD');
  });
});

describe('UV_SVM_TERMINATE (3.13)', () => {
  it('drops pages, tables and keys, scrubs secure memory, and zeroes the partition table entry', () => {
    const m = secureMachine();
    m.pageOut(3);
    const ciphertext = m.ra(3);
    m.hypercall(HCALL.H_CPPR, 0);
    const cookie = m.port.gpr(31);
    expect(m.ultracall('UV_SVM_TERMINATE', LPID)).toBe(0);
    expect(m.svmState()).toBe('NORMAL');
    expect(m.pate()).toEqual([0n, 0n]);
    const { total, free } = m.uv.report().secureFrames;
    expect(total - free).toBe(1);
    const secure = m.all.read(SECURE_ADDRESS_BIT as RealAddress, total * PAGE);
    expect(secure.subarray(PAGE).every((byte) => byte === 0)).toBe(true);
    expect(m.ultracall('UV_PAGE_IN', LPID, ciphertext, 3 * PAGE, 0, 16)).toBe(-4);
    m.port.setGpr(31, cookie);
    expect(m.uvReturn(0)).toBe(-4);
  });

  it('without an SVM: U_SUCCESS for an LPID that the partition table knows, U_INVALID else (10.2 #42)', () => {
    const m = new Machine();
    expect(m.ultracall('UV_SVM_TERMINATE', LPID)).toBe(0);
    expect(m.ultracall('UV_SVM_TERMINATE', LPID + 1)).toBe(-4);
    expect(m.ultracall('UV_SVM_TERMINATE', 0)).toBe(-4);
    expect(m.ultracall('UV_SVM_TERMINATE', 1n << 32n)).toBe(-4);
  });

  it('while a CPU executes in the SVM: U_BUSY, nothing has changed (10.2 #43)', () => {
    const m = secureMachine();
    const before = m.dump();
    expect(m.fromHypervisor(() => m.ultracall('UV_SVM_TERMINATE', LPID))).toBe(1);
    expect(m.dump()).toBe(before);
  });
});

describe('storage faults of the SVM (6.4)', () => {
  const fault = (m: Machine, vector: bigint, gpa: number | bigint, msr = m.port.currentMsr | MSR.IR | MSR.DR) => {
    m.port.setSpr(SPR.ASDR, BigInt(gpa));
    m.port.setSpr(SPR.HDAR, 0x1234n);
    m.port.setSpr(SPR.HDSISR, 0x40000000n);
    m.interrupt(vector, 0x20100n, msr);
  };
  const both = [
    ['0xE00', VECTOR.HV_DATA_STORAGE],
    ['0xE20', VECTOR.HV_INSTRUCTION_STORAGE],
  ] as const;

  it.each(both)('%s of a paged-out page: H_SVM_PAGE_IN(gpa, 0, 16), then the instruction again', (_, vector) => {
    const m = secureMachine();
    m.pageOut(3);
    m.port.setGpr(5, 0x5555n);
    fault(m, vector, 3 * PAGE + 0x1000);
    expect(m.port.gprs.slice(3, 7)).toEqual([BigInt(HCALL.H_SVM_PAGE_IN), BigInt(3 * PAGE), 0n, 16n]);
    expect(m.port.gpr(7)).toBe(0n);
    m.hypervise();
    expect(m.nia).toBe(0x20100n);
    expect(m.port.gpr(5)).toBe(0x5555n);
    expect(m.isFilled(m.guestPage(3), 0x13)).toBe(true);
  });

  it('refused by the hypervisor: the guest tries again, and faults again', () => {
    const m = secureMachine();
    m.pageOut(3);
    m.serve = () => -4;
    fault(m, VECTOR.HV_DATA_STORAGE, 3 * PAGE);
    m.hypervise();
    expect(m.nia).toBe(0x20100n);
    expect(m.state(3)).toBe('PAGEDOUT');
  });

  it('in real mode the top two bits of ASDR do not count', () => {
    const m = secureMachine();
    m.pageOut(3);
    fault(m, VECTOR.HV_DATA_STORAGE, 0xc000000000000000n + BigInt(3 * PAGE), m.port.currentMsr & ~MSR.DR);
    expect(m.port.gpr(4)).toBe(BigInt(3 * PAGE));
  });

  it.each(both)('%s of a page that was never touched: a zero page, and on', (_, vector) => {
    const m = new Machine();
    m.resident.delete(4);
    m.esm();
    m.seen.length = 0;
    fault(m, vector, 4 * PAGE);
    expect(m.isFilled(m.guestPage(4), 0)).toBe(true);
    expect(m.nia).toBe(0x20100n);
    expect(m.seen).toEqual([]);
  });

  it.each(both)('%s of a page that is there already: on (raced)', (_, vector) => {
    const m = secureMachine();
    fault(m, vector, 3 * PAGE);
    expect(m.nia).toBe(0x20100n);
    expect(m.seen).toEqual([]);
  });

  it.each(both)('%s of a page of the Ultravisor: the SVM is killed (10.3 #77)', (_, vector) => {
    const m = secureMachine();
    m.port.setGpr(14, 0x5ec4e7n);
    fault(m, vector, 7 * PAGE);
    expect(m.svmState()).toBe('DEAD');
    expect(m.port.gprs.slice(3, 5)).toEqual([BigInt(HCALL.H_RTAS), BigInt(6 * PAGE)]);
    expect(m.port.gpr(14)).toBe(0n);
    expect(m.port.spr(SPR.PIDR)).toBe(PIDR);
  });

  it('0xE20 in no slot is reflected with HDAR and ASDR', () => {
    const m = secureMachine();
    fault(m, VECTOR.HV_INSTRUCTION_STORAGE, 100 * PAGE);
    expect(m.seen[0].nia).toBe(VECTOR.HV_INSTRUCTION_STORAGE);
    expect([SPR.HDAR, SPR.HDSISR, SPR.ASDR].map((spr) => m.seen[0].sprs.get(spr))).toEqual([
      0x1234n,
      0n,
      BigInt(100 * PAGE),
    ]);
  });

  it('an interrupt that comes with the answer to H_SVM_PAGE_IN is taken before the instruction (6.3 step 5)', () => {
    const m = secureMachine();
    m.pageOut(3);
    fault(m, VECTOR.HV_DATA_STORAGE, 3 * PAGE, m.port.currentMsr | MSR.EE);
    m.port.setSpr(SPR.HSRR0, VECTOR.EXTERNAL);
    m.uvReturn(0);
    expect(m.nia).toBe(0x500n);
    expect(m.port.spr(SPR.SRR0)).toBe(0x20100n);
  });
});
