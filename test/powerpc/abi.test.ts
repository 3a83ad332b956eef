import { describe, expect, it } from 'vitest';
import {
  codeToRegister,
  gfnOf,
  guestPhysical,
  HCALL,
  HCALL_REGISTERS,
  HID0,
  HYPERCALLS,
  hcallName,
  LPCR,
  MSR,
  PTE,
  packPde,
  packPte,
  packRadixRoot,
  RADIX_52_ROOT_BITS,
  RADIX_52_RTS,
  RADIX_ROOT,
  registerToCode,
  SECURE_ADDRESS_BIT,
  SPR,
  SRR1,
  U_CODE,
  ULTRACALL,
  ultracallName,
  unpackRadixRoot,
} from '../../src/powerpc/abi.ts';

/** The mask of an IBM bit number in a 64-bit register. */
const bit = (n: number) => 1n << BigInt(63 - n);

describe('power-pef.md 1.1: MSR bits by their IBM numbers', () => {
  it.each([
    ['SF', 0],
    ['HV', 3],
    ['TM', 31],
    ['VEC', 38],
    ['VSX', 40],
    ['S', 41],
    ['EE', 48],
    ['PR', 49],
    ['FP', 50],
    ['ME', 51],
    ['FE0', 52],
    ['FE1', 55],
    ['IR', 58],
    ['DR', 59],
    ['PMM', 61],
    ['RI', 62],
    ['LE', 63],
  ] as const)('%s is bit %i', (name, n) => expect(MSR[name]).toBe(bit(n)));

  it('TS is bits 29:30, TE is bits 53:54', () => {
    expect(MSR.TS).toBe(bit(29) | bit(30));
    expect(MSR.TE).toBe(bit(53) | bit(54));
  });
});

describe('power-pef.md 1.7: fields', () => {
  it('the status part of SRR1 is bits 33:36 and 42:47', () => {
    const bits = [33, 34, 35, 36, 42, 43, 44, 45, 46, 47];
    expect(SRR1.STATUS).toBe(bits.reduce((mask, n) => mask | bit(n), 0n));
  });

  it('LPCR and HID0 fields are at their IBM bits', () => {
    expect(LPCR.LPES).toBe(bit(60));
    expect(LPCR.ONL).toBe(bit(45));
    expect(LPCR.HR).toBe(bit(43));
    expect(LPCR.UPRT).toBe(bit(41));
    expect(LPCR.AIL).toBe(bit(39) | bit(40));
    expect(LPCR.ILE).toBe(bit(38));
    expect(HID0.HILE).toBe(bit(4));
    expect(HID0.RADIX).toBe(bit(8));
  });

  it('SPR numbers agree with their hexadecimal column', () => {
    expect(SPR).toMatchObject({ USRR0: 0x1fa, USRR1: 0x1fb, URMOR: 0x1f9, SMFCTRL: 0x1ff, PTCR: 0x1d0 });
    expect(SPR).toMatchObject({ LPCR: 0x13e, LPIDR: 0x13f, HDAR: 0x133, HEIR: 0x153, ASDR: 0x330, PIR: 0x3ff });
  });
});

describe('power-pef.md 2.2, 2.4: radix entries', () => {
  it('packs the 52-bit root of the example in 2.2', () => {
    const dw0 = packRadixRoot({ base: 0n, rootBits: RADIX_52_ROOT_BITS, rts: RADIX_52_RTS });
    expect(dw0).toBe(0x40000000000000a0n | 13n);
  });

  it('unpacks what it packed, without HR', () => {
    const root = { base: 0x1000000120000n, rootBits: 13, rts: 21 };
    expect(unpackRadixRoot(packRadixRoot(root) | RADIX_ROOT.HR)).toEqual(root);
  });

  it('a directory entry has V and not L, a leaf has both', () => {
    expect(packPde(0x1000000010000n, 9)).toBe(bit(0) | 0x1000000010000n | 9n);
    expect(packPte(0x1000000010000n, PTE.R | PTE.C | PTE.READ)).toBe(bit(0) | bit(1) | 0x1000000010184n);
  });
});

describe('power-pef.md 3.1, 3.2: codes in registers', () => {
  it('-4 is 0xFFFFFFFFFFFFFFFC', () => {
    expect(codeToRegister(U_CODE.U_PARAMETER)).toBe(0xfffffffffffffffcn);
    expect(registerToCode(0xfffffffffffffffcn)).toBe(-4);
  });

  it('every code comes back from its register', () => {
    for (const code of Object.values(U_CODE)) expect(registerToCode(codeToRegister(code))).toBe(code);
  });
});

describe('power-pef.md 3.3, 4.1, 6.2.2: call numbers', () => {
  it('every ultracall is 0xF100 plus a multiple of 4, none twice', () => {
    const numbers = Object.values(ULTRACALL);
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, i) => 0xf104 + 4 * i));
    expect(ultracallName(0xf110)).toBe('UV_ESM');
    expect(ultracallName(0xf100)).toBe('0xf100');
  });

  it('no hypercall number stands twice', () => {
    const numbers = Object.values(HCALL);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(hcallName(0x58)).toBe('H_PUT_TERM_CHAR');
  });

  it('register counts include R3 and end at R12', () => {
    for (const { name, in: n, out } of HCALL_REGISTERS.values()) {
      expect(n, name).toBeGreaterThanOrEqual(1);
      expect(n, name).toBeLessThanOrEqual(10);
      expect(out, name).toBeGreaterThanOrEqual(1);
      expect(out, name).toBeLessThanOrEqual(10);
    }
    expect(HCALL_REGISTERS.get(HCALL.H_PUT_TERM_CHAR)).toMatchObject({ in: 5, out: 1 });
    expect(HCALL_REGISTERS.get(HCALL.H_GET_MPP_X)).toMatchObject({ in: 1, out: 8 });
  });

  it('unlisted and unused hypercalls cannot be reflected', () => {
    for (const name of ['H_CAS', 'H_INT_GET_SOURCE_CONFIG', 'H_RPT_INVALIDATE', 'H_VOF_CLIENT'] as const) {
      expect(HCALL_REGISTERS.has(HYPERCALLS[name].number), name).toBe(false);
    }
  });
});

describe('power-pef.md 0.2, 2.1: addresses', () => {
  it('secure memory is real-address bit 15', () => {
    expect(BigInt(SECURE_ADDRESS_BIT)).toBe(bit(15));
  });

  it('a guest physical address is below 2^52, its gfn in units of 64 KiB', () => {
    const gpa = guestPhysical(0x12345678n);
    expect(gpa).toBe(0x12345678);
    expect(gpa === undefined ? gpa : gfnOf(gpa)).toBe(0x1234);
    expect(guestPhysical(2n ** 52n)).toBeUndefined();
    expect(guestPhysical(-1)).toBeUndefined();
  });
});
