import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HCALL, MSR, SPR } from '../../../src/powerpc/abi.ts';
import { LPID, type Machine, PAGE, secureMachine } from './machine.ts';

const NIA = 0x20100n;
const BLOCK = 0x100;
const OWN = 6;
const BUFFERS = 7;

function rtas(m: Machine, words: readonly number[], gpa = BLOCK): void {
  m.rtasBlock(gpa, words);
  m.nia = NIA - 4n;
  m.hypercall(HCALL.H_RTAS, gpa);
}

const guestWord = (m: Machine, at: number) => new DataView(m.guestPage(0).buffer).getUint32(at);
const hvWord = (m: Machine, at: number) => m.hv.readU32(at as RealAddress);

describe('H_RTAS of an SVM (6.7)', () => {
  it('power-off: the hypervisor finds the block in a bounce buffer, and its status comes back', () => {
    const m = secureMachine();
    m.port.setGpr(5, 0x5ec4e7n);
    rtas(m, [0x2003, 2, 1, 0xaaaa, 0xbbbb, 0xdead]);
    const [seen] = m.seen;
    expect(seen.gprs.slice(3, 6)).toEqual([BigInt(HCALL.H_RTAS), BigInt(BUFFERS * PAGE), 0n]);
    expect([0, 4, 8, 12, 16, 20].map((at) => hvWord(m, m.ra(BUFFERS) + at))).toEqual([0x2003, 2, 1, 0xaaaa, 0xbbbb, 0]);
    m.hv.writeU32((m.ra(BUFFERS) + 20) as RealAddress, 0xfffffffe);
    m.port.setGpr(4, 0x666n);
    m.uvReturn(0);
    expect(m.nia).toBe(NIA);
    expect(guestWord(m, BLOCK + 20)).toBe(0xfffffffe);
    expect([3, 4, 5].map((n) => m.port.gpr(n))).toEqual([0n, BigInt(BLOCK), 0x5ec4e7n]);
  });

  it('what the hypervisor writes to token, nargs, nret and arguments meanwhile does not count (10.3 #69)', () => {
    const m = secureMachine();
    rtas(m, [0x2003, 2, 1, 0xaaaa, 0xbbbb, 0xdead, 0x1234]);
    for (let at = 0; at < 4096; at += 4) m.hv.writeU32((m.ra(BUFFERS) + at) as RealAddress, 0x77);
    m.uvReturn(0);
    expect([0, 4, 8, 12, 16, 20, 24].map((at) => guestWord(m, BLOCK + at))).toEqual([
      0x2003, 2, 1, 0xaaaa, 0xbbbb, 0x77, 0x1234,
    ]);
  });

  it.each([
    ['more than 16 words', [0x2003, 9, 8]],
    ['a number of arguments that wraps', [0x2003, 0xffffffff, 2]],
    ['a number of results that wraps', [0x2003, 2, 0xffffffff]],
  ] as const)('%s: H_PARAMETER, the hypervisor sees nothing', (_, words) => {
    const m = secureMachine();
    rtas(m, words);
    expect(m.port.gpr(3)).toBe(0xfffffffffffffffcn);
    expect(m.secure).toBe(true);
    expect(m.seen).toEqual([]);
  });

  it.each([
    ['unaligned', 0x102n],
    ['in no slot', BigInt(100 * PAGE)],
    ['half in no slot', BigInt(8 * PAGE - 4)],
    ['in a page of the Ultravisor', BigInt(OWN * PAGE)],
    ['beyond guest physical space', 1n << 60n],
  ] as const)('a block that is %s: H_PARAMETER', (_, gpa) => {
    const m = secureMachine();
    const before = m.dump();
    m.hypercall(HCALL.H_RTAS, gpa);
    expect(m.port.gpr(3)).toBe(0xfffffffffffffffcn);
    expect(m.dump()).toBe(before);
  });

  it('a block in a page that is out is paged in first, then the guest calls again', () => {
    const m = secureMachine();
    m.rtasBlock(BLOCK, [0x2003, 0, 1, 0]);
    m.pageOut(0);
    m.nia = NIA - 4n;
    m.hypercall(HCALL.H_RTAS, BLOCK);
    expect(m.port.gprs.slice(3, 5)).toEqual([BigInt(HCALL.H_SVM_PAGE_IN), 0n]);
    m.hypervise();
    expect(m.nia).toBe(NIA - 4n);
    m.hypercall(HCALL.H_RTAS, BLOCK);
    expect(m.port.gpr(3)).toBe(BigInt(HCALL.H_RTAS));
  });

  it('a block whose page goes out during the call is paged in for the answer', () => {
    const m = secureMachine();
    m.serve = (number) => {
      if (number !== HCALL.H_RTAS) return undefined;
      m.hv.writeU32((m.ra(BUFFERS) + 12) as RealAddress, 0x99);
      m.pageOut(0);
      return 0;
    };
    rtas(m, [0x2003, 0, 1, 0]);
    m.hypervise();
    expect(m.calls.map(({ number }) => number)).toEqual([HCALL.H_RTAS, HCALL.H_SVM_PAGE_IN]);
    expect(m.nia).toBe(NIA);
    expect(guestWord(m, BLOCK + 12)).toBe(0x99);
    expect(m.port.gpr(3)).toBe(0n);
  });

  it('buffers that the hypervisor invalidated are asked for again (step 1)', () => {
    const m = secureMachine();
    m.fromHypervisor(() => m.ultracall('UV_PAGE_INVAL', LPID, BUFFERS * PAGE, 16));
    rtas(m, [0x2003, 0, 1, 0]);
    expect(m.port.gprs.slice(3, 6)).toEqual([BigInt(HCALL.H_SVM_PAGE_IN), BigInt(BUFFERS * PAGE), 1n]);
    m.hypervise();
    expect(m.nia).toBe(NIA - 4n);
    expect(m.state(BUFFERS)).toBe('SHARED_IMPLICIT');
  });

  it('stop-self uses the block of the Ultravisor and takes no bounce buffer', () => {
    const m = secureMachine();
    rtas(m, [0x2007, 0, 1, 0]);
    expect(m.port.gpr(4)).toBe(BigInt(OWN * PAGE + 4096));
    expect([0, 4, 8, 12].map((at) => hvWord(m, m.ra(OWN) + 4096 + at))).toEqual([0x2007, 0, 1, 0]);
    expect(m.uv.save().state.svms.get(LPID)?.rtas?.busy).not.toContain(true);
  });

  it('start-cpu: the hypervisor is told a cookie; the new vCPU starts with the R3 that the guest gave (6.7)', () => {
    const m = secureMachine();
    const { second } = m.startSecondCpu();
    expect(m.secondNia).toBe(0x3000n);
    expect(second.gpr(3)).toBe(0xabcdn);
    expect(second.currentMsr).toBe(MSR.SF | MSR.ME | MSR.S);
    expect(second.gprs.filter((value) => value !== 0n)).toEqual([0xabcdn]);
    const cookie = hvWord(m, m.ra(BUFFERS) + 20);
    expect(cookie).not.toBe(0xabcd);
    expect(cookie & 3).toBe(0);
    second.currentMsr = MSR.SF | MSR.HV | MSR.ME;
    second.setGpr(31, 0n);
    m.uvReturn(cookie);
    expect(m.svmState(), 'the cookie is good once').toBe('DEAD');
  });

  it('start-cpu that the hypervisor refused starts nothing', () => {
    const m = secureMachine();
    rtas(m, [0x2006, 3, 1, 1, 0x3000, 0xabcd]);
    m.hv.writeU32((m.ra(BUFFERS) + 24) as RealAddress, 0xffffffff);
    m.uvReturn(0);
    expect(m.uv.save().state.svms.get(LPID)?.starting.size).toBe(0);
  });

  it('a vCPU that stopped itself can be started again; its old cookie is gone (10.3 #71)', () => {
    const m = secureMachine();
    const { first, second } = m.startSecondCpu();
    rtasOn(m, second, [0x2007, 0, 1, 0]);
    const stale = second.gpr(31);
    m.port = first;
    rtas(m, [0x2006, 3, 1, 1, 0x4000, 0x77]);
    const cookie = hvWord(m, m.ra(BUFFERS) + 20);
    m.uvReturn(0);
    m.port = second;
    second.setGpr(31, stale);
    m.uvReturn(cookie);
    expect(m.nia).toBe(0x4000n);
    expect(second.gpr(3)).toBe(0x77n);
    expect(m.uv.save().state.svms.get(LPID)?.pending.size).toBe(0);
    expect(second.spr(SPR.LPIDR)).toBe(BigInt(LPID));
  });

  it('17 calls at once: the last finds no buffer and gets the status −2', () => {
    const m = secureMachine();
    for (let cpu = 1; cpu <= 16; cpu++) {
      const { first, second } = m.startSecondCpu(cpu);
      rtasOn(m, second, [0x2005, 1, 2, cpu, 0, 0]);
      expect(m.inHypervisor).toBe(true);
      m.port = first;
    }
    m.seen.length = 0;
    rtas(m, [0x2005, 1, 2, 0, 0, 0]);
    expect(m.seen).toEqual([]);
    expect(m.port.gpr(3)).toBe(0n);
    expect(guestWord(m, BLOCK + 16)).toBe(0xfffffffe);
  });
});

function rtasOn(m: Machine, port: Machine['port'], words: readonly number[]): void {
  m.port = port;
  rtas(m, words);
}

describe('RTAS calls with a buffer in guest memory (6.7)', () => {
  const DATA = 0x5000;
  const BOUNCE = (m: Machine) => (m.ra(BUFFERS) + 4096) as RealAddress;
  const SECRET = Buffer.from('what lies behind the buffer is nobody’s business');

  /** Name, words of the call, index of the address, bytes of the buffer that go out, what the hypervisor answers, bytes that come back. */
  const CASES = [
    ['check-exception', [0x200e, 6, 1, 0, 0, 0, 0, DATA, 64, 0], 4, 0, [0], 64],
    ['check-exception, nothing found', [0x200e, 6, 1, 0, 0, 0, 0, DATA, 64, 0], 4, 0, [1], 0],
    ['event-scan', [0x200f, 4, 1, 1, 2, DATA, 256, 0], 2, 0, [0], 256],
    ['ibm,get-system-parameter', [0x2008, 3, 1, 20, DATA, 64, 0], 1, 0, [0], 2 + 9],
    ['ibm,get-system-parameter, refused', [0x2008, 3, 1, 20, DATA, 64, 0], 1, 0, [0xfffffffd], 0],
    ['ibm,set-system-parameter', [0x2009, 2, 1, 20, DATA, 0], 1, 2 + 4, [0], 0],
    ['ibm,configure-connector', [0x201e, 2, 1, DATA, 0, 0], 0, 4096, [1], 4096],
    ['ibm,configure-connector, call again', [0x201e, 2, 1, DATA, 0, 0], 0, 4096, [0xfffffffe], 4096],
    ['ibm,configure-connector, failed', [0x201e, 2, 1, DATA, 0, 0], 0, 4096, [0xffffffff], 0],
    ['nvram-fetch', [0x2012, 3, 2, 7, DATA, 32, 0, 0], 1, 0, [0, 20], 20],
    ['nvram-store', [0x2013, 3, 2, 7, DATA, 32, 0, 0], 1, 32, [0, 32], 0],
  ] as const;

  it.each(CASES)('%s', (_, words, argument, out, answer, back) => {
    const m = secureMachine();
    const guest = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7 + 1) & 0xff);
    guest.set([0, 4], 0);
    m.writeGuest(DATA, guest);
    m.writeGuest(DATA + 4096, SECRET);
    rtas(m, words);
    expect(m.inHypervisor).toBe(true);
    // The hypervisor gets an address of a shared page, and in it what the call is to tell it and zeroes else.
    expect(hvWord(m, m.ra(BUFFERS) + 12 + 4 * argument)).toBe(BUFFERS * PAGE + 4096);
    const seen = m.hv.read(BOUNCE(m), 4096);
    expect([...seen]).toEqual([...guest.subarray(0, out), ...new Array(4096 - out).fill(0)]);
    expect(Buffer.from(m.hv.read(m.ra(BUFFERS), PAGE)).includes(SECRET)).toBe(false);

    const theirs = Uint8Array.from({ length: 4096 }, (_, i) => (i * 3 + 2) & 0xff);
    theirs.set([0, 9], 0);
    m.hv.write(BOUNCE(m), theirs);
    const nargs = words[1];
    for (const [i, word] of answer.entries())
      m.hv.writeU32((m.ra(BUFFERS) + 12 + 4 * (nargs + i)) as RealAddress, word);
    m.uvReturn(0);
    expect(m.secure).toBe(true);
    const after = m.guestPage(0).subarray(DATA, DATA + 4096);
    expect([...after]).toEqual([...theirs.subarray(0, back), ...guest.subarray(back)]);
    expect(guestWord(m, BLOCK + 12 + 4 * nargs)).toBe(answer[0]);
    // The guest's own argument is as it was.
    expect(guestWord(m, BLOCK + 12 + 4 * argument)).toBe(DATA);
    expect(m.uv.save().state.svms.get(LPID)?.rtas?.busy).not.toContain(true);
  });

  it.each([
    ['longer than 4096 bytes', [0x2008, 3, 1, 20, DATA, 4097, 0]],
    ['with a prefix that makes it longer', [0x2009, 2, 1, 20, 0x6000, 0]],
    ['in no slot', [0x2008, 3, 1, 20, 200 * PAGE, 64, 0]],
    ['in a page of the Ultravisor', [0x2008, 3, 1, 20, OWN * PAGE, 64, 0]],
    ['with an extent that is not null', [0x201e, 2, 1, DATA, 0x1000, 0]],
    ['without its arguments', [0x2008, 1, 1, 20, 0]],
  ] as const)('a buffer %s: status −3, and the hypervisor sees nothing', (_, words) => {
    const m = secureMachine();
    m.writeGuest(0x6000, Uint8Array.of(0xff, 0xff));
    rtas(m, words);
    expect(m.seen).toEqual([]);
    expect(m.port.gpr(3)).toBe(0n);
    expect(guestWord(m, BLOCK + 12 + 4 * words[1])).toBe(0xfffffffd);
  });

  it('ibm,os-term passes its message on, up to the NUL and no byte more; one without an end not at all', () => {
    const m = secureMachine();
    m.writeGuest(DATA, Buffer.concat([Buffer.from('panic: no root\0'), SECRET]));
    rtas(m, [0x201f, 1, 1, DATA, 0]);
    const bounce = Buffer.from(m.hv.read(BOUNCE(m), 4096));
    expect(bounce.toString('latin1', 0, 15)).toBe('panic: no root\0');
    expect(bounce.subarray(15).every((byte) => byte === 0)).toBe(true);
    const n = secureMachine();
    n.writeGuest(DATA, new Uint8Array(4096).fill(0x41));
    rtas(n, [0x201f, 1, 1, DATA, 0]);
    expect(n.hv.read(BOUNCE(n), 4096).every((byte) => byte === 0)).toBe(true);
  });

  it('a buffer in a page that goes out meanwhile comes back before the answer is written', () => {
    const m = secureMachine();
    const buffer = 3 * PAGE + 0x100;
    rtas(m, [0x2008, 3, 1, 20, buffer, 64, 0]);
    m.hv.write(BOUNCE(m), Uint8Array.of(0, 2, 0xaa, 0xbb));
    const registers = [...m.port.gprs];
    m.pageOut(3);
    for (const [n, value] of registers.entries()) m.port.setGpr(n, value);
    m.uvReturn(0);
    expect(Number(m.port.gpr(3))).toBe(HCALL.H_SVM_PAGE_IN);
    m.hypervise();
    expect([...m.guestPage(3).subarray(0x100, 0x106)]).toEqual([0, 2, 0xaa, 0xbb, 0x13, 0x13]);
    expect(guestWord(m, BLOCK + 24)).toBe(0);
  });
});

describe('machine checks (6.3 step 6)', () => {
  const inject = (m: Machine, vector: bigint) => {
    m.hypercall(HCALL.H_CPPR, 0);
    m.port.setSpr(SPR.HSRR0, vector);
    m.port.setGpr(2, 0n);
    m.uvReturn(0);
    return m.nia;
  };

  it('go to 0x200 until ibm,nmi-register has succeeded, then to the handler that it named, and nowhere else', () => {
    const m = secureMachine();
    m.nia = NIA;
    expect(inject(m, 0x200n)).toBe(0x200n);
    for (const [status, handler] of [
      [0xfffffffd, 0x4000],
      [0, 0x4008],
      [0, 0x4000],
    ]) {
      rtas(m, [0x202b, 2, 1, 0x3000, handler, 0]);
      m.hv.writeU32((m.ra(BUFFERS) + 20) as RealAddress, status);
      m.uvReturn(0);
      const registered = status === 0 && handler % 16 === 0;
      expect(inject(m, BigInt(handler)) === BigInt(handler)).toBe(registered);
      m.nia = NIA;
      expect(inject(m, 0x200n) === 0x200n).toBe(!registered);
      m.nia = NIA;
    }
  });
});
