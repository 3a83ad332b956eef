import { beforeEach, describe, expect, test } from 'vitest';
import { HFSCR, LPCR, MSR, SPR, SRR1 } from '../../../src/powerpc/abi.ts';
import { ASM, LEVEL, type LevelName, TestMachine } from './machine.ts';

const m = new TestMachine();
const { SF, EE, RI, IR, DR } = MSR;
const FSCR_SCV = 0x1000n;

beforeEach(() => m.start());

/** What came of an instruction at a level: done, or the interrupt by its vector. */
function come(level: LevelName, word: number): 'done' | number {
  m.step(LEVEL[level], word);
  const { pc } = m.cpu.context;
  return pc === 0x4004n ? 'done' : Number(pc);
}

const PRIVILEGED = 0x700;
const EMULATION = 0xe40;

describe('caching-inhibited accesses are the hypervisor\u2019s (ISA 3.0B, Book III 4.4.1)', () => {
  const forms = {
    lbzcix: 853,
    lhzcix: 821,
    lwzcix: 789,
    ldcix: 885,
    stbcix: 981,
    sthcix: 949,
    stwcix: 917,
    stdcix: 1013,
  };
  test.each(Object.entries(forms))('%s', (_, xo) => {
    const word = (0x7c000000 | (5 << 21) | (3 << 11) | (xo << 1)) >>> 0;
    m.cpu.setGpr(3, 0x5000n);
    expect(come('guestUser', word)).toBe(PRIVILEGED);
    expect(m.spr('SRR1') & SRR1.STATUS).toBe(SRR1.PROGRAM_PRIVILEGED);
    expect([come('guest', word), come('svm', word)]).toEqual([EMULATION, EMULATION]);
    expect([come('hypervisor', word), come('ultravisor', word)]).toEqual(['done', 'done']);
  });
});

describe('tlbsync, slbsync, msgsync (ISA 3.0B, Book III 5.9.3, 11.2)', () => {
  const TLBSYNC = 0x7c00046c;
  test.each([
    ['tlbsync, GTSE=1', TLBSYNC, LPCR.GTSE, 'done'],
    ['tlbsync, GTSE=0', TLBSYNC, 0n, EMULATION],
    ['slbsync', 0x7c0002a4, 0n, 'done'],
    ['msgsync', 0x7c0006ec, LPCR.GTSE, EMULATION],
  ] as const)('%s', (_, word, lpcr, os) => {
    m.setSpr('LPCR', m.spr('LPCR') | lpcr);
    expect(come('guestUser', word)).toBe(PRIVILEGED);
    expect([come('guest', word), come('svm', word)]).toEqual([os, os]);
    expect([come('hypervisor', word), come('ultravisor', word)]).toEqual(['done', 'done']);
  });
});

describe('cache instructions fault as a load does (ISA 3.0B, Book III 5.7.14)', () => {
  test.each([
    ['icbi', 982],
    ['dcbst', 54],
    ['dcbf', 86],
  ])('%s', (_, xo) => {
    const word = (0x7c000000 | (3 << 11) | (xo << 1)) >>> 0;
    m.cpu.setGpr(3, 0x5000n);
    expect(come('guest', word)).toBe('done');
    m.cpu.setGpr(3, 0x4000_0000_1000n);
    expect(come('guest', word)).toBe(0xe00);
    expect(m.spr('HDSISR')).toBe(0x40000000n);
    expect(m.spr('HDAR')).toBe(0x4000_0000_1000n);
  });

  test('dcbt does not', () => {
    m.cpu.setGpr(3, 0x4000_0000_1000n);
    expect(come('guest', (0x7c000000 | (3 << 11) | (278 << 1)) >>> 0)).toBe('done');
  });
});

describe('update forms that are invalid are illegal, as on QEMU 7.2', () => {
  test.each([
    ['lwzu r5,8(0)', 0x84a00008],
    ['lwzu r5,8(r5)', 0x84a50008],
    ['ldux r5,r5,r4', 0x7ca5206a],
    ['stdu r5,8(0)', 0xf8a00009],
    ['lfdu f5,8(0)', 0xcca00008],
    ['stfsux f5,0,r4', 0x7ca0256e],
  ])('%s', (_, word) => {
    m.cpu.setGpr(5, 0x5000n);
    expect(come('guest', word)).toBe(EMULATION);
    expect(m.cpu.gpr(5)).toBe(0x5000n);
  });

  test('a store may update the register that it stores', () => {
    m.cpu.setGpr(5, 0x5000n);
    expect(come('guest', 0xf8a50009)).toBe('done');
    expect([m.ram.get(0x5008), m.cpu.gpr(5)]).toEqual([0x5000n, 0x5008n]);
  });
});

describe('bctar needs TAR (ISA 3.0B, Book III 6.2.10, 6.2.11)', () => {
  const BCTAR = 0x4e800460;
  const CAUSE = 8n << 56n;
  const branch = (level: LevelName): number => {
    m.cpu.core.setRaw('TAR', 0x8000n);
    m.step(LEVEL[level], BCTAR);
    return Number(m.cpu.context.pc);
  };

  test('FSCR[TAR] in problem state', () => {
    expect(branch('guestUser')).toBe(0x8000);
    m.setSpr('FSCR', 0n);
    expect(branch('guestUser')).toBe(0xf60);
    expect(m.spr('FSCR')).toBe(CAUSE);
    expect(branch('guest')).toBe(0x8000);
  });

  test('HFSCR[TAR] below the hypervisor', () => {
    m.setSpr('HFSCR', m.spr('HFSCR') & ~HFSCR.TAR);
    const causes = m.spr('HFSCR');
    expect([branch('guestUser'), branch('guest'), branch('svm')]).toEqual([0xf80, 0xf80, 0xf80]);
    expect(m.spr('HFSCR')).toBe(causes | CAUSE);
    expect(branch('hypervisor')).toBe(0x8000);
  });
});

describe('transactional memory is unavailable, by FSCR cause 5', () => {
  test.each([
    ['tbegin.', 0x7c00051d],
    ['tend.', 0x7c00055d],
    ['tabortwci.', 0x7c00069d],
    ['tcheck', 0x7c00059c],
    ['mfspr TFHAR', ASM.mfspr(5, 128)],
    ['mtspr TEXASR', ASM.mtspr(130, 5)],
  ])('%s', (_, word) => {
    expect([come('guestUser', word), come('guest', word), come('hypervisor', word)]).toEqual([0xf60, 0xf60, 0xf60]);
    expect(m.spr('FSCR') >> 56n).toBe(5n);
  });

  test('treclaim. and trechkpt. are privileged first', () => {
    for (const word of [0x7c00075d, 0x7c0007dd]) {
      expect([come('guestUser', word), come('guest', word)]).toEqual([PRIVILEGED, 0xf60]);
    }
  });
});

describe('scv (ISA 3.0B, Book III 6.5.28)', () => {
  const scv = (lev: number): number => 0x44000001 | (lev << 5);

  test('without FSCR[SCV] it is a facility unavailable', () => {
    expect(come('guestUser', scv(0))).toBe(0xf60);
    expect(m.spr('FSCR') >> 56n).toBe(12n);
  });

  test('LR and CTR hold where it goes on and the MSR; the vector depends on LEV; SRR0 and SRR1 stay', () => {
    m.setSpr('FSCR', FSCR_SCV);
    m.setSpr('SRR0', 0x123n);
    expect(come('guestUser', scv(3))).toBe(0x17060);
    expect(m.cpu.core.msr).toBe(SF | MSR.ME | EE);
    m.cpu.core.context.pc = 0x4000n;
    m.code(0x17060, ASM.mfspr(5, SPR.LR), ASM.mfspr(6, SPR.CTR), ASM.rfscv);
    m.cpu.core.setMsr(LEVEL.guestUser);
    m.step(LEVEL.guestUser | RI, scv(3));
    m.cpu.run(3);
    expect([m.cpu.gpr(5), m.cpu.gpr(6)]).toEqual([0x4004n, LEVEL.guestUser | RI]);
    expect([m.cpu.context.pc, m.cpu.core.msr, m.spr('SRR0')]).toEqual([0x4004n, LEVEL.guestUser | RI, 0x123n]);
  });

  test('with AIL=3 and translation on: 0xC…3000', () => {
    m.setSpr('FSCR', FSCR_SCV);
    m.setSpr('LPCR', m.spr('LPCR') | LPCR.AIL);
    m.step(LEVEL.guestUser, scv(1));
    expect(m.cpu.context.pc).toBe(0xc000000000003020n);
    expect(m.cpu.core.msr & (IR | DR)).toBe(IR | DR);
  });
});
