import { describe, expect, it } from 'vitest';
import { HCALL, MSR, RADIX_ROOT, SECURE_ADDRESS_BIT } from '../../../src/powerpc/abi.ts';
import { HV_ENTRY, HV_PATE, LPID, Machine, secureMachine } from './machine.ts';

const HR = RADIX_ROOT.HR;
const SECURE = BigInt(SECURE_ADDRESS_BIT);

describe('UV_WRITE_PATE (3.4)', () => {
  it('stores both doublewords; a second write forgets translations of the first', () => {
    const m = new Machine();
    const dw0 = HV_PATE.dw0 + 0x10000n;
    m.port.invalidated.length = 0;
    expect(m.ultracall('UV_WRITE_PATE', 9, dw0, HR | 0x123000n | 4n)).toBe(0);
    expect(m.pate(9)).toEqual([dw0, HR | 0x123000n | 4n]);
    expect(m.port.invalidated).toEqual([]);
    expect(m.ultracall('UV_WRITE_PATE', 9, 0, 0)).toBe(0);
    expect(m.pate(9)).toEqual([0n, 0n]);
    expect(m.port.invalidated).toEqual([9]);
  });

  it.each([
    ['lpid 4096: U_PARAMETER', -4, [4096, HV_PATE.dw0, HV_PATE.dw1]],
    ['a reserved bit in dw0: U_P2', -55, [9, HV_PATE.dw0 | (1n << 60n), HV_PATE.dw1]],
    ['a root in secure memory: U_P2', -55, [9, HV_PATE.dw0 | SECURE, HV_PATE.dw1]],
    ['a root of 2^4 entries: U_P2', -55, [9, (HV_PATE.dw0 & ~0x1fn) | 4n, HV_PATE.dw1]],
    ['a reserved bit in dw1: U_P3', -56, [9, HV_PATE.dw0, HR | 0x20n]],
    ['PRTS 25: U_P3', -56, [9, HV_PATE.dw0, HR | 25n]],
    ['GR without HR: U_P3', -56, [9, 0, HR]],
    ['HR without GR: U_P3', -56, [9, HV_PATE.dw0, 0]],
    ['a process table of LPID 0 in secure memory: U_P3', -56, [0, HV_PATE.dw0, HR | SECURE]],
  ] as const)('%s, nothing has changed', (_, code, args) => {
    const m = new Machine();
    const before = m.dump();
    expect(m.ultracall('UV_WRITE_PATE', ...args)).toBe(code);
    expect(m.dump()).toBe(before);
  });

  it.each([
    ['a guest', MSR.SF],
    ['user mode of the host', HV_ENTRY.msr | MSR.PR],
  ] as const)('from %s: U_PERMISSION', (_, msr) => {
    const m = new Machine();
    m.port.currentMsr = msr;
    expect(m.ultracall('UV_WRITE_PATE', 9, HV_PATE.dw0, HV_PATE.dw1)).toBe(-11);
  });

  describe('for an SVM (10.2 #51)', () => {
    const NEW_RADIX = 0x18 | 4;
    const TABLE = 0x30000n;
    const ASKED = HR | TABLE | 4n;

    it('dw0 stays the Ultravisor’s; another dw0, or a dw1 that the guest never asked for, gives U_PERMISSION', () => {
      const m = secureMachine();
      const [own, had] = m.pate();
      m.port.currentMsr = HV_ENTRY.msr;
      const before = m.dump();
      expect(m.ultracall('UV_WRITE_PATE', LPID, HV_PATE.dw0, had)).toBe(0);
      expect(m.ultracall('UV_WRITE_PATE', LPID, HV_PATE.dw0, ASKED)).toBe(-11);
      expect(m.ultracall('UV_WRITE_PATE', LPID, HV_PATE.dw0 + 0x10000n, had)).toBe(-11);
      expect(m.ultracall('UV_WRITE_PATE', LPID, own, had)).toBe(-55);
      expect(m.ultracall('UV_WRITE_PATE', LPID, 0, 0)).toBe(-11);
      expect(m.dump()).toBe(before);
    });

    it('the process table that it asks for by H_REGISTER_PROC_TBL is written when the hypervisor grants it, and not before', () => {
      const m = secureMachine();
      const [own, had] = m.pate();
      m.hypercall(HCALL.H_REGISTER_PROC_TBL, NEW_RADIX, TABLE, 0, 4);
      expect(m.inHypervisor).toBe(true);
      const registers = m.port.gprs.slice();
      expect(m.ultracall('UV_WRITE_PATE', LPID, HV_PATE.dw0, ASKED + 1n)).toBe(-11);
      expect(m.ultracall('UV_WRITE_PATE', LPID, HV_PATE.dw0, ASKED)).toBe(0);
      expect(m.pate()).toEqual([own, had]);
      for (const [n, value] of registers.entries()) m.port.setGpr(n, value);
      m.uvReturn(0);
      expect(m.pate()).toEqual([own, ASKED]);
    });

    it.each([
      ['refused by the hypervisor', -1, [NEW_RADIX, TABLE, 0, 4]],
      ['that nobody could grant', 0, [NEW_RADIX, TABLE + 8n, 0, 4]],
      ['of a hashed page table', 0, [0x18, TABLE, 0, 4]],
    ] as const)('nothing is written for one %s', (_, result, args) => {
      const m = secureMachine();
      const before = m.pate();
      m.hypercall(HCALL.H_REGISTER_PROC_TBL, ...args);
      m.uvReturn(result);
      expect(m.pate()).toEqual(before);
    });
  });

  it('with a transaction active in the hypervisor: U_BAD_MODE (10.3 #68)', () => {
    const m = new Machine();
    m.port.currentMsr |= MSR.TS_S;
    expect(m.ultracall('UV_WRITE_PATE', 9, 0, 0)).toBe(-59);
  });
});
