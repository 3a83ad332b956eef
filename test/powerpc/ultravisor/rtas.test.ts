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

  it('calls with buffers are not there yet: status −3', () => {
    const m = secureMachine();
    rtas(m, [0x2008, 3, 1, 20, 0x5000, 64, 0]);
    expect(m.seen).toEqual([]);
    expect(m.port.gpr(3)).toBe(0n);
    expect(guestWord(m, BLOCK + 24)).toBe(0xfffffffd);
  });

  it('the address of the message of ibm,os-term is withheld', () => {
    const m = secureMachine();
    rtas(m, [0x201f, 1, 1, 0x12345, 0]);
    expect(hvWord(m, m.ra(BUFFERS) + 12)).toBe(0);
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
