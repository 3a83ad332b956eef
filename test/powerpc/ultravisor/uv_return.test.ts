import { describe, expect, it } from 'vitest';
import { HCALL, LPCR, MSR, SPR, SRR1, VECTOR } from '../../../src/powerpc/abi.ts';
import { HV_ENTRY, LPID, Machine, PAGE, PIDR, secureMachine } from './machine.ts';

const NIA = 0x20100n;

/** The hypervisor has the CPU for a hypercall of a guest with EE=1. */
function reflected(): Machine {
  const m = secureMachine();
  m.nia = NIA;
  m.port.currentMsr |= MSR.EE;
  m.hypercall(HCALL.H_PUT_TERM_CHAR, 0, 1, 0x41);
  return m;
}

/** The SVM is dead, and the hypervisor was told by RTAS ibm,os-term (6.8). */
function expectKilled(m: Machine): void {
  expect(m.svmState()).toBe('DEAD');
  expect(m.inHypervisor).toBe(true);
  expect(m.nia).toBe(0xc00n);
  expect(m.port.gpr(3)).toBe(BigInt(HCALL.H_RTAS));
  expect(m.port.gpr(4)).toBe(BigInt(6 * PAGE));
  expect(m.hv.readU32(m.ra(6))).toBe(0x201f);
  expect(m.uvReturn(0)).toBe(-4);
  expect(m.inHypervisor).toBe(true);
}

describe('UV_RETURN, whose answer it is (6.2 step 7)', () => {
  it('a cookie that was never given kills the SVM (10.3 #59)', () => {
    const m = reflected();
    m.port.setGpr(31, m.port.gpr(31) ^ 4n);
    m.uvReturn(0);
    expectKilled(m);
  });

  it('a cookie that was used before kills the SVM (10.3 #59)', () => {
    const m = reflected();
    const cookie = m.port.gpr(31);
    m.uvReturn(0);
    m.hypercall(HCALL.H_CPPR, 0);
    m.port.setGpr(31, cookie);
    m.uvReturn(0);
    expectKilled(m);
  });

  it.each([
    ['LPIDR', SPR.LPIDR, BigInt(LPID + 1)],
    ['PIDR', SPR.PIDR, PIDR + 1n],
  ] as const)('the right cookie with another %s kills the SVM (10.3 #60)', (_, spr, value) => {
    const m = reflected();
    m.port.setSpr(spr, value);
    m.uvReturn(0);
    expectKilled(m);
  });

  it('no answer is taken for a dead SVM, and none of its vCPUs goes on (6.8)', () => {
    const m = secureMachine();
    const { first } = m.startSecondCpu();
    m.nia = NIA;
    m.hypercall(HCALL.H_CPPR, 0);
    m.port.setGpr(31, 0x4444n);
    m.uvReturn(0);
    expectKilled(m);
    m.port = first;
    m.interrupt(VECTOR.HV_DECREMENTER, NIA, first.currentMsr);
    expect(m.port.gpr(3)).toBe(BigInt(HCALL.H_RTAS));
    expect(m.uvReturn(0)).toBe(-4);
  });

  it.each([
    ['with no SVM in LPIDR', () => new Machine()],
    [
      'in problem state of the host',
      () => {
        const m = reflected();
        m.port.currentMsr |= MSR.PR;
        return m;
      },
    ],
    [
      'from the SVM itself',
      () => {
        const m = secureMachine();
        m.port.setGpr(31, 0x4000n);
        return m;
      },
    ],
  ] as const)('%s: U_INVALID, nothing changed', (_, make) => {
    const m = make();
    const before = m.dump();
    const { currentMsr } = m.port;
    expect(m.uvReturn(0)).toBe(-4);
    expect(m.port.currentMsr).toBe(currentMsr);
    expect(m.dump()).toBe(before);
  });

  it('in UV_ESM a forged cookie aborts: nothing is secret yet (6.1 A1)', () => {
    const m = new Machine();
    m.startEsm();
    m.port.setGpr(31, 0x4444n);
    m.uvReturn(0);
    expect(m.svmState()).toBe('ABORT');
    expect(m.port.gpr(3)).toBe(BigInt(HCALL.H_SVM_INIT_ABORT));
  });

  it('the vCPU may go on on another CPU', () => {
    const m = reflected();
    const old = m.port;
    const { second } = secureMachine().startSecondCpu();
    for (const [n, value] of old.gprs.entries()) second.gprs[n] = value;
    for (const [spr, value] of old.sprs) second.sprs.set(spr, value);
    second.currentMsr = HV_ENTRY.msr;
    m.port = second;
    m.uvReturn(0);
    expect(m.secure).toBe(true);
    expect(m.nia).toBe(NIA + 4n);
  });
});

describe('UV_RETURN, injected interrupts (6.3 step 5)', () => {
  const inject = (m: Machine, vector: bigint, r2 = 0n, hsrr1 = 0n) => {
    m.port.setSpr(SPR.HSRR0, vector);
    m.port.setSpr(SPR.HSRR1, hsrr1);
    m.port.setGpr(2, r2);
    m.uvReturn(0);
  };
  const vectors = (...list: (keyof typeof VECTOR)[]) => list.map((name) => [name, VECTOR[name]] as const);

  it.each(
    vectors(
      'SYSTEM_RESET',
      'MACHINE_CHECK',
      'DATA_STORAGE',
      'DATA_SEGMENT',
      'INSTRUCTION_STORAGE',
      'INSTRUCTION_SEGMENT',
      'EXTERNAL',
      'PROGRAM',
      'DECREMENTER',
      'PRIVILEGED_DOORBELL',
    ),
  )('%s: SRR0 = own address, SRR1 = own MSR with status of R2, MSR = SF|S|ME, whatever HSRR1 says', (_, vector) => {
    const m = reflected();
    const msr = m.port.spr(SPR.HSRR1) & ~SRR1.STATUS;
    inject(m, vector, 0xffffffffffffffffn, 0xffffffffffffffffn);
    expect(m.nia).toBe(vector);
    expect(m.port.currentMsr).toBe(MSR.SF | MSR.S | MSR.ME);
    expect(m.port.spr(SPR.SRR0)).toBe(NIA + 4n);
    expect(m.port.spr(SPR.SRR1)).toBe(msr | SRR1.STATUS);
    expect(m.port.gpr(3)).toBe(0n);
  });

  it("the handler's byte order is what the SVM was granted by H_SET_MODE, not the hypervisor's LPCR[ILE] or HSRR1[LE]", () => {
    for (const result of [0, -4]) {
      const m = secureMachine();
      m.serve = () => result;
      m.hypercall(HCALL.H_SET_MODE, 1, 4, 0, 0);
      m.hypervise();
      m.nia = NIA;
      m.port.currentMsr |= MSR.EE;
      m.hypercall(HCALL.H_CPPR, 0);
      m.port.setSpr(SPR.LPCR, m.port.spr(SPR.LPCR) ^ LPCR.ILE ^ LPCR.AIL ^ LPCR.LD ^ LPCR.HR ^ LPCR.UPRT ^ LPCR.GTSE);
      inject(m, VECTOR.EXTERNAL, 0n, result === 0 ? 0n : MSR.LE);
      expect(m.port.currentMsr & MSR.LE).toBe(result === 0 ? MSR.LE : 0n);
      expect(m.port.spr(SPR.LPCR)).toBe(LPCR.LD | LPCR.HR | LPCR.UPRT | (result === 0 ? LPCR.ILE : 0n));
    }
  });

  it.each([
    ...vectors('SYSTEM_CALL', 'ALIGNMENT', 'TRACE', 'HV_DATA_STORAGE', 'FP_UNAVAILABLE', 'FACILITY_UNAVAILABLE'),
    ['no vector at all', 0x504n],
    ['an address in the guest', 0x20000n],
    ['a vector with a high half', 0x1_0000_0500n],
    ['a relocated vector, which the SVM never asked for (10.3 #63)', 0xc000000000004500n],
  ] as const)('%s is ignored: the guest goes on at its own address (10.3 #62, #64)', (_, vector) => {
    const m = reflected();
    const msr = m.port.spr(SPR.HSRR1) & ~SRR1.STATUS;
    inject(m, vector, 0xffffffffffffffffn, 0n);
    expect(m.nia).toBe(NIA + 4n);
    expect(m.port.currentMsr).toBe(msr);
  });

  it.each(vectors('EXTERNAL', 'DECREMENTER', 'PRIVILEGED_DOORBELL'))('%s is ignored while EE=0', (_, vector) => {
    const m = secureMachine();
    m.nia = NIA;
    m.hypercall(HCALL.H_CPPR, 0);
    inject(m, vector);
    expect(m.nia).toBe(NIA + 4n);
  });

  it('a relocated vector is taken when the SVM has got AIL=3 and runs with translation: IR=DR=1 (10.3 #63)', () => {
    const m = secureMachine();
    m.hypercall(HCALL.H_SET_MODE, 3, 3, 0, 0);
    m.hypervise();
    m.nia = NIA;
    m.port.currentMsr |= MSR.EE | MSR.IR | MSR.DR;
    m.hypercall(HCALL.H_CPPR, 0);
    inject(m, 0xc000000000004500n);
    expect(m.nia).toBe(0xc000000000004500n);
    expect(m.port.currentMsr).toBe(MSR.SF | MSR.S | MSR.ME | MSR.IR | MSR.DR);
  });

  it('AIL=3 does not count if the hypervisor refused it, nor in real mode', () => {
    for (const result of [0, -4]) {
      const m = secureMachine();
      m.serve = () => result;
      m.hypercall(HCALL.H_SET_MODE, 3, 3, 0, 0);
      m.hypervise();
      m.nia = NIA;
      m.port.currentMsr |= MSR.EE | (result === 0 ? 0n : MSR.IR | MSR.DR);
      m.hypercall(HCALL.H_CPPR, 0);
      inject(m, 0xc000000000004500n);
      expect(m.nia).toBe(NIA + 4n);
    }
  });
});
