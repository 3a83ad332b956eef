import { describe, expect, it } from 'vitest';
import { HCALL, HCALL_REGISTERS, HFSCR, HID0, LPCR, MSR, SPR, SRR1, VECTOR } from '../../../src/powerpc/abi.ts';
import { NEUTRAL_SPRS, PASSED_SPRS } from '../../../src/powerpc/ultravisor/neutral-registers.ts';
import { LPID, type Machine, PIDR, secureMachine } from './machine.ts';

/**
 * The table of 6.2.1, copied by hand: registers that are zero in the hypervisor and the guest's own again afterwards.
 */
const SAVED_ZERO = [
  'LR CTR XER CFAR SPRG0 SPRG1 SPRG2 SPRG3 DAR DSISR',
  'SPURR PURR CIABR DAWR0 DAWRX0 IAMR DSCR PSPB TAR UAMOR VRSAVE SDAR SIAR SIER',
  'PMC1 PMC2 PMC3 PMC4 PMC5 PMC6 MMCRC EBBHR EBBRR TIDR AMR BESCR FSCR MMCR1 MMCR2',
]
  .join(' ')
  .split(' ') as (keyof typeof SPR)[];
const CLEARED = ['HDAR', 'HDSISR', 'ASDR', 'HEIR', 'TRACE', 'IC'] as const;
const PASSED = 'HSPRG0 HSPRG1 LPIDR PIDR AMOR HDEC HRMOR LDBAR PCR PSSCR VTB'.split(' ') as (keyof typeof SPR)[];

const SECRET = 0x5ec4e7c0ffeen;
const NIA = 0x20100n;

/** An SVM with a secret in every register. */
function withSecrets(): Machine {
  const m = secureMachine();
  m.nia = NIA;
  for (let n = 0; n < 32; n++) m.port.setGpr(n, SECRET + BigInt(n));
  for (let n = 0; n < 32; n++) m.port.setFpr(n, SECRET + 0x100n + BigInt(n));
  m.port.setFpscr(SECRET);
  m.port.setCr(0x5ec4e7);
  for (const name of [...SAVED_ZERO, ...CLEARED]) m.port.setSpr(SPR[name], SECRET + BigInt(SPR[name]));
  m.port.setSpr(SPR.PPR, 0x0008000000000000n);
  m.port.setSpr(SPR.MMCR0, 0x3c80b4n);
  m.port.setSpr(SPR.MMCRA, 0x3n);
  for (const name of PASSED)
    if (name !== 'LPIDR' && name !== 'PIDR') m.port.setSpr(SPR[name], 0x7000n + BigInt(SPR[name]));
  m.port.setSpr(SPR.DEC, 1000n);
  return m;
}

describe('a reflected hypercall shows neutral registers (6.2.1)', () => {
  it('H_PUT_TERM_CHAR: R3 to R7 are the guest values, R31 the cookie, every other general register 0', () => {
    const m = withSecrets();
    m.hypercall(HCALL.H_PUT_TERM_CHAR, 0n, 4n);
    const [seen] = m.seen;
    const expected = new Array<bigint>(32).fill(0n);
    expected.splice(3, 5, BigInt(HCALL.H_PUT_TERM_CHAR), 0n, 4n, SECRET + 6n, SECRET + 7n);
    expected[31] = seen.gprs[31];
    expect(seen.gprs).toEqual(expected);
    expect(seen.fprs).toEqual(new Array(32).fill(0n));
    expect(seen.fpscr).toBe(0n);
    expect(seen.cr).toBe(0);
  });

  it('the cookie has 32 bits, is at least 0x2000, and its lowest two bits are 0', () => {
    const m = withSecrets();
    for (let n = 0; n < 50; n++) {
      m.hypercall(HCALL.H_GET_TERM_CHAR, 0n);
      m.hypervise();
    }
    const cookies = m.seen.map(({ gprs }) => gprs[31]);
    expect(new Set(cookies).size).toBe(50);
    for (const cookie of cookies) {
      expect(cookie & ~0xfffffffcn).toBe(0n);
      expect(cookie).toBeGreaterThanOrEqual(0x2000n);
    }
  });

  it('special purpose registers are as the table says', () => {
    const m = withSecrets();
    m.hypercall(HCALL.H_PUT_TERM_CHAR, 0n, 4n);
    const [seen] = m.seen;
    const spr = (name: keyof typeof SPR) => seen.sprs.get(SPR[name]) ?? 0n;
    for (const name of [...SAVED_ZERO, ...CLEARED]) expect(spr(name), name).toBe(0n);
    for (const name of PASSED) {
      const expected = name === 'LPIDR' ? BigInt(LPID) : name === 'PIDR' ? PIDR : 0x7000n + BigInt(SPR[name]);
      expect(spr(name), name).toBe(expected);
    }
    for (const name of ['SRR0', 'HSRR0'] as const) expect(spr(name), name).toBe(seen.gprs[31]);
    const msr = (m.port.spr(SPR.SRR1) & ~SRR1.LEV) | MSR.S;
    for (const name of ['SRR1', 'HSRR1'] as const) expect(spr(name), name).toBe(msr | SRR1.LEV1);
    expect(spr('PPR')).toBe(0x0010000000000000n);
    expect(seen.dec).toBe(0x7fffffffn);
    expect(spr('MMCRA')).toBe(0n);
  });

  it('MMCR0 has FC on, and nothing of what the guest set: not BHRBA, EBE, PMCC, PMAO, PMAE and FC56 alone', () => {
    const m = withSecrets();
    m.port.setSpr(SPR.MMCR0, 0xffffffffn);
    m.hypercall(HCALL.H_CPPR, 0n);
    expect(m.seen[0].sprs.get(SPR.MMCR0)).toBe(0x80000000n);
  });

  it.each(
    [...HCALL_REGISTERS.values()].filter(({ number }) => number < 0xef00 && number !== HCALL.H_RANDOM),
  )('$name shows $in registers and takes $out back (6.2.2)', ({ number, in: count, out }) => {
    const m = withSecrets();
    m.hypercall(number);
    const [seen] = m.seen;
    for (let n = 4; n < 31; n++) expect(seen.gprs[n], `R${n}`).toBe(n < 3 + count ? SECRET + BigInt(n) : 0n);
    for (let n = 1; n < 31; n++) m.port.setGpr(n, 0xbad0n + BigInt(n));
    m.uvReturn(0x77);
    expect(m.port.gpr(3)).toBe(0x77n);
    for (let n = 4; n < 32; n++) {
      expect(m.port.gpr(n), `R${n}`).toBe(n < 3 + out ? 0xbad0n + BigInt(n) : SECRET + BigInt(n));
    }
  });

  it('afterwards the guest has all its registers back (6.2 steps 7 to 9)', () => {
    const m = withSecrets();
    const msr = m.port.currentMsr;
    m.hypercall(HCALL.H_PUT_TERM_CHAR, 0n, 4n);
    m.port.clock += 300n;
    for (const name of SAVED_ZERO) m.port.setSpr(SPR[name], 0xbadn);
    m.port.setCr(0xbad);
    m.port.setFpr(7, 0xbadn);
    m.uvReturn(0);
    expect(m.nia).toBe(NIA + 4n);
    expect(m.port.currentMsr).toBe(msr);
    for (const name of SAVED_ZERO) expect(m.port.spr(SPR[name]), name).toBe(SECRET + BigInt(SPR[name]));
    expect(m.port.crBits).toBe(0x5ec4e7);
    for (let n = 0; n < 32; n++) expect(m.port.fpr(n)).toBe(SECRET + 0x100n + BigInt(n));
    expect(m.port.spr(SPR.PPR)).toBe(0x0008000000000000n);
    expect(m.port.spr(SPR.DEC)).toBe(700n);
  });

  it('sets on return HFSCR[TM]=0, HFSCR[MSGP]=1, TRACE=0, DPDES=0, LPCR[ONL]=0, MMCR0[FCH]=1, and adds the IC of the hypervisor', () => {
    const m = withSecrets();
    m.hypercall(HCALL.H_CPPR, 0n);
    m.port.setSpr(SPR.HFSCR, HFSCR.TM | HFSCR.FP);
    m.port.setSpr(SPR.TRACE, 5n);
    m.port.setSpr(SPR.DPDES, 1n);
    m.port.setSpr(SPR.LPCR, m.port.spr(SPR.LPCR) | LPCR.ONL);
    m.port.setSpr(SPR.IC, 9n);
    m.uvReturn(0);
    expect(m.port.spr(SPR.HFSCR)).toBe(HFSCR.MSGP | HFSCR.FP);
    expect(m.port.spr(SPR.TRACE)).toBe(0n);
    expect(m.port.spr(SPR.DPDES)).toBe(0n);
    expect(m.port.spr(SPR.LPCR) & LPCR.ONL).toBe(0n);
    expect(m.port.spr(SPR.MMCR0)).toBe(0x3c80b5n);
    expect(m.port.spr(SPR.IC)).toBe(SECRET + BigInt(SPR.IC) + 9n);
  });

  it('passes FP, VEC and VSX of the guest and the byte order of HID0[HILE]', () => {
    const m = withSecrets();
    m.port.setSpr(SPR.HID0, HID0.HILE);
    m.port.currentMsr |= MSR.FP;
    m.hypercall(HCALL.H_CPPR, 0n);
    expect(m.seen[0].msr).toBe(MSR.SF | MSR.HV | MSR.ME | MSR.LE | MSR.FP);
  });

  it('H_CEDE shows the real decrementer and the guest goes on with EE=1 (6.9)', () => {
    const m = withSecrets();
    expect(m.port.currentMsr & MSR.EE).toBe(0n);
    m.hypercall(HCALL.H_CEDE);
    expect(m.seen[0].dec).toBe(1000n);
    m.uvReturn(0);
    expect(m.port.currentMsr & MSR.EE).toBe(MSR.EE);
  });

  it('two guests with other secrets in registers that the call does not use look the same', () => {
    const views = [1n, 2n].map((secret) => {
      const m = secureMachine();
      for (let n = 8; n < 32; n++) m.port.setGpr(n, secret);
      m.port.setSpr(SPR.LR, secret);
      m.hypercall(HCALL.H_PUT_TERM_CHAR, 0n, 1n, 0x41n, 0n);
      const { sprs, ...rest } = m.seen[0];
      return { ...rest, sprs: [...sprs].filter(([spr]) => spr !== SPR.USRR0 && spr !== SPR.USRR1) };
    });
    expect(views[0]).toEqual(views[1]);
  });
});

describe('the table of neutral registers', () => {
  it('has a row for every special purpose register that we know, unless it belongs to the hypervisor or is another name', () => {
    const written = [SPR.SRR0, SPR.SRR1, SPR.HSRR0, SPR.HSRR1, SPR.DEC];
    const rows = [...NEUTRAL_SPRS.map(({ spr }) => spr), ...PASSED_SPRS, ...written];
    expect(new Set(rows).size).toBe(rows.length);
    const others = Object.entries(SPR).filter(([, number]) => !rows.includes(number));
    expect(others.map(([name]) => name).join(' ')).toBe(
      'DSCR_USER CTRL_WRITE RPR SPRG3_USER TBU SPRC SPRD TBL_WRITE TBU_WRITE TBU40 PVR HMER HMEER PTCR USPRG0 USPRG1 ' +
        'URMOR USRR0 USRR1 SMFCTRL IMC TSCR HID0',
    );
  });
});

describe('hypercalls that never reach the hypervisor', () => {
  it('H_RANDOM: R3 = 0, R4 = 64 random bits (1.10)', () => {
    const m = secureMachine();
    const seen = new Set<bigint>();
    for (let n = 0; n < 8; n++) {
      m.hypercall(HCALL.H_RANDOM);
      expect(m.secure).toBe(true);
      expect(m.port.gpr(3)).toBe(0n);
      seen.add(m.port.gpr(4));
    }
    expect(seen.size).toBe(8);
    expect(m.seen).toEqual([]);
    const told = JSON.stringify(m.trace.events, (_, v) => (typeof v === 'bigint' ? v.toString(16) : v));
    for (const value of seen) expect(told).not.toContain(value.toString(16));
  });

  it.each([
    ['an unknown one (10.3 #57)', 0x7ffc],
    ['one beyond all numbers', 0x1_0000_0000],
    ['H_CAS (6.2.2: not listed)', HCALL.H_CAS],
    ['H_INT_GET_QUEUE_CONFIG (6.2.2: none)', HCALL.H_INT_GET_QUEUE_CONFIG],
    ['H_SVM_PAGE_IN (10.3 #56)', HCALL.H_SVM_PAGE_IN],
    ['H_SVM_INIT_ABORT (4.1)', HCALL.H_SVM_INIT_ABORT],
    ['0xEF80, the last reserved number (4.1)', 0xef80],
  ] as const)('%s: H_FUNCTION', (_, number) => {
    const m = secureMachine();
    const before = m.dump();
    m.nia = NIA;
    m.hypercall(number, 1, 2, 3);
    expect(m.secure).toBe(true);
    expect(m.nia).toBe(NIA + 4n);
    expect(m.port.gpr(3)).toBe(0xfffffffffffffffen);
    expect([4, 5, 6].map((n) => m.port.gpr(n))).toEqual([1n, 2n, 3n]);
    expect(m.dump()).toBe(before);
    expect(m.seen).toEqual([]);
  });

  it('from user mode every listed one is reflected: to refuse it is the hypervisor’s part (10.3 #58)', () => {
    const m = secureMachine();
    m.port.currentMsr |= MSR.PR;
    m.hypercall(HCALL.H_RANDOM, 7);
    expect(m.inHypervisor).toBe(true);
    expect(m.seen[0].sprs.get(SPR.SRR1)! & MSR.PR).toBe(MSR.PR);
  });
});

describe('reflected interrupts (6.3)', () => {
  it.each([
    ['HV decrementer', VECTOR.HV_DECREMENTER],
    ['hypervisor maintenance', VECTOR.HV_MAINTENANCE],
    ['directed hypervisor doorbell', VECTOR.HV_DOORBELL],
    ['hypervisor virtualization', VECTOR.HV_VIRTUALIZATION],
  ] as const)('%s: no general register but the cookie, RI=1, and the guest goes on as it was', (_, vector) => {
    const m = withSecrets();
    const msr = m.port.currentMsr | MSR.EE;
    m.port.setSpr(SPR.SRR0, 0xaaa0n);
    m.port.setSpr(SPR.SRR1, 0xbbb0n);
    const gprs = [...m.port.gprs];
    m.interrupt(vector, NIA, msr);
    const [seen] = m.seen;
    expect(seen.nia).toBe(vector);
    expect(seen.msr).toBe(MSR.SF | MSR.HV | MSR.ME | MSR.RI);
    expect(seen.gprs.slice(0, 31)).toEqual(new Array(31).fill(0n));
    expect(seen.sprs.get(SPR.HSRR1)).toBe(msr);
    m.uvReturn(0x4242);
    expect(m.nia).toBe(NIA);
    expect(m.port.currentMsr).toBe(msr);
    expect(m.port.gprs).toEqual(gprs);
    expect(m.port.spr(SPR.SRR0)).toBe(0xaaa0n);
    expect(m.port.spr(SPR.SRR1)).toBe(0xbbb0n);
  });

  it('machine check: real DAR, DSISR and ASDR, ME=0 (1.9, 6.2.1)', () => {
    const m = withSecrets();
    m.interrupt(VECTOR.MACHINE_CHECK, NIA, m.port.currentMsr);
    const [seen] = m.seen;
    for (const spr of [SPR.DAR, SPR.DSISR, SPR.ASDR]) expect(seen.sprs.get(spr)).toBe(SECRET + BigInt(spr));
    for (const spr of [SPR.HDAR, SPR.HDSISR, SPR.HEIR]) expect(seen.sprs.get(spr)).toBe(0n);
    expect(seen.msr).toBe(MSR.SF | MSR.HV);
  });

  it('mediated external interrupt, LPES=0: straight to 0x500 of the SVM, unseen by the hypervisor (6.3)', () => {
    const m = withSecrets();
    m.hypercall(HCALL.H_SET_MODE, 1, 4, 0, 0);
    m.hypervise();
    m.seen.length = 0;
    const msr = m.port.currentMsr | MSR.EE;
    m.interrupt(VECTOR.EXTERNAL, NIA, msr);
    expect(m.nia).toBe(0x500n);
    expect(m.port.currentMsr).toBe(MSR.SF | MSR.S | MSR.ME | MSR.LE);
    expect(m.port.spr(SPR.SRR0)).toBe(NIA);
    expect(m.port.spr(SPR.SRR1)).toBe(msr);
    expect(m.seen).toEqual([]);
  });

  it.each([
    ['hypervisor emulation assistance (10.3 #66)', VECTOR.HV_EMULATION_ASSISTANCE, 0n],
    ['hypervisor facility unavailable, TM (10.3 #67)', VECTOR.HV_FACILITY_UNAVAILABLE, 5n << 56n],
  ] as const)('%s: program interrupt, illegal instruction, in the SVM', (_, vector, hfscr) => {
    const m = withSecrets();
    m.port.setSpr(SPR.HFSCR, hfscr);
    m.interrupt(vector, NIA, m.port.currentMsr | MSR.PR);
    expect(m.nia).toBe(0x700n);
    expect(m.port.spr(SPR.SRR0)).toBe(NIA);
    expect(m.port.spr(SPR.SRR1) & SRR1.STATUS).toBe(SRR1.PROGRAM_ILLEGAL);
    expect(m.port.currentMsr & MSR.PR).toBe(0n);
    expect(m.secure).toBe(true);
    expect(m.seen).toEqual([]);
  });

  it('hypervisor facility unavailable for another facility is reflected (1.9)', () => {
    const m = withSecrets();
    m.port.setSpr(SPR.HFSCR, 2n << 56n);
    m.interrupt(VECTOR.HV_FACILITY_UNAVAILABLE, NIA, m.port.currentMsr);
    expect(m.seen[0].nia).toBe(VECTOR.HV_FACILITY_UNAVAILABLE);
  });

  it('a decrementer that expired while the hypervisor had the CPU is negative on entry (10.3 #65)', () => {
    const m = withSecrets();
    m.interrupt(VECTOR.HV_DECREMENTER, NIA, m.port.currentMsr);
    m.port.clock += 1500n;
    m.uvReturn(0);
    expect(BigInt.asIntN(64, m.port.spr(SPR.DEC))).toBe(-500n);
  });
});
