import { beforeEach, describe, expect, test } from 'vitest';
import { SPR } from '../../../src/powerpc/abi.ts';
import { readSpr, writeSpr } from '../../../src/powerpc/cpu/spr.ts';
import { ASM, LEVEL, TestMachine } from './machine.ts';

const m = new TestMachine();
const USER_AMR = 13;
const PPR32 = 898;

beforeEach(() => m.start());

const get = (n: number): bigint => readSpr(m.cpu.core, n);
const set = (n: number, value: bigint): void => writeSpr(m.cpu.core, n, value);

test('sheet 1.2: PVR is a Nimbus DD2.3', () => {
  expect(get(SPR.PVR)).toBe(0x004e1203n);
});

test('XER is put together from its flags (Book I 3.2.2)', () => {
  for (const value of [0n, 0x80000000n, 0x40000000n, 0x20000000n, 0x80000n, 0x40000n, 0x7fn, 0xe00c0055n]) {
    set(SPR.XER, value);
    expect(get(SPR.XER)).toBe(value);
  }
  set(SPR.XER, ~0n & 0xffffffffffffffffn);
  expect(get(SPR.XER)).toBe(0xe00c007fn);
});

describe('time base', () => {
  test('it counts instructions, the one that reads it too', () => {
    m.code(0x4000, ASM.mfspr(3, SPR.TB), ASM.nop, ASM.nop, ASM.mfspr(4, SPR.TB));
    m.cpu.place(LEVEL.guest, 0x4000n);
    m.cpu.run(4);
    expect(m.cpu.gpr(4) - m.cpu.gpr(3)).toBe(3n);
    expect(m.cpu.gpr(4)).toBe(BigInt(m.clock.now));
  });

  test('the hypervisor sets it, in halves or its upper 40 bits', () => {
    set(SPR.TBL_WRITE, 0n);
    set(SPR.TBU_WRITE, 0x12345678n);
    set(SPR.TBL_WRITE, 0x9abcdef0n);
    expect(get(SPR.TB)).toBe(0x123456789abcdef0n);
    expect(get(SPR.TBU)).toBe(0x12345678n);
    set(SPR.TBU40, 0xfedcba9876ffffffn);
    expect(get(SPR.TB)).toBe(0xfedcba9876bcdef0n);
    set(SPR.TBU_WRITE, 0n);
  });

  test('a rate other than one tick per instruction', () => {
    const fast = new TestMachine({ timebase: { ticks: 1n, instructions: 4n } });
    fast.start();
    fast.clock.advance(401);
    const { core } = fast.cpu;
    expect(readSpr(core, SPR.TB)).toBe(100n);
    writeSpr(core, SPR.DEC, 9n);
    // DEC is −1 ten ticks later: at tick 110.
    expect(fast.cpu.deadline).toBe(440);
  });

  test('PURR, SPURR, VTB and IC run with it', () => {
    for (const number of [SPR.PURR, SPR.SPURR, SPR.VTB, SPR.IC]) {
      set(number, 1000n);
      m.clock.advance(7);
      expect(get(number)).toBe(1007n);
    }
  });

  test('DEC and HDEC count down', () => {
    set(SPR.DEC, 100n);
    set(SPR.HDEC, 200n);
    m.clock.advance(30);
    expect([get(SPR.DEC), get(SPR.HDEC)]).toEqual([70n, 170n]);
    m.clock.advance(71);
    expect(get(SPR.DEC)).toBe(0xffffffffn);
    m.clock.advance(100);
    expect(get(SPR.HDEC)).toBe(0xffffffffffffffffn);
  });
});

describe('second names', () => {
  test('DSCR, SPRG3, PPR32, CTRL, user names of the performance monitor', () => {
    set(SPR.DSCR_USER, 5n);
    expect(get(SPR.DSCR)).toBe(5n);
    set(SPR.SPRG3, 6n);
    expect(get(SPR.SPRG3_USER)).toBe(6n);
    set(PPR32, 0x00080000n);
    expect(get(SPR.PPR)).toBe(0x0008000000000000n);
    expect(get(PPR32)).toBe(0x00080000n);
    set(SPR.CTRL_WRITE, 0n);
    expect(get(SPR.CTRL_READ)).toBe(0n);
    set(SPR.PMC1, 9n);
    expect(get(SPR.PMC1 - 16)).toBe(9n);
  });
});

test('32-bit registers keep their low half', () => {
  for (const number of [SPR.DSISR, SPR.PIDR, SPR.VRSAVE, SPR.LPIDR]) {
    set(number, 0x1_2345_6789n);
    expect(get(number)).toBe(0x23456789n);
  }
});

test('HMER: writing clears the bits that are 0', () => {
  m.setSpr('HMER', 0xf0n);
  set(SPR.HMER, 0x3cn);
  expect(get(SPR.HMER)).toBe(0x30n);
});

describe('AMOR and UAMOR mask AMR, IAMR and UAMOR (ISA 3.0B, Book III 5.7.13.1)', () => {
  const all = 0xffffffffffffffffn;

  test('the hypervisor changes all, the OS what AMOR allows, a program what UAMOR allows', () => {
    m.cpu.core.setMsr(LEVEL.hypervisor);
    set(SPR.AMR, all);
    set(SPR.AMOR, 0xff00n);
    m.cpu.core.setMsr(LEVEL.guest);
    set(SPR.AMR, 0n);
    expect(get(SPR.AMR)).toBe(all & ~0xff00n);
    set(SPR.IAMR, all);
    expect(get(SPR.IAMR)).toBe(0xff00n);
    set(SPR.UAMOR, all);
    expect(get(SPR.UAMOR)).toBe(0xff00n);
    set(USER_AMR, all);
    expect(get(USER_AMR)).toBe(all);
  });
});

test('numbers that are no register cannot be read or written from inside', () => {
  expect(() => get(1000)).toThrow(RangeError);
  expect(() => set(1000, 0n)).toThrow(RangeError);
});

test('sheet 6.2.1: what the hypervisor sees is every register that HV may read, and none of the Ultravisor’s', () => {
  m.cpu.setGpr(31, 0xc00c1en);
  m.setSpr('HSRR0', 0x123n);
  const seen = m.cpu.architectedRegisters();
  for (const name of ['R0', 'R31', 'F0', 'F31', 'CR', 'FPSCR', 'MSR', 'XER', 'LR', 'CTR', 'TB', 'DEC', 'HDEC']) {
    expect(seen).toHaveProperty(name);
  }
  for (const name of ['SRR0', 'SRR1', 'HSRR0', 'HSRR1', 'DAR', 'DSISR', 'HDAR', 'HDSISR', 'ASDR', 'HEIR', 'SPRG0']) {
    expect(seen).toHaveProperty(name);
  }
  for (const name of [
    'HSPRG0',
    'PIDR',
    'LPIDR',
    'AMR',
    'IAMR',
    'DSCR',
    'TAR',
    'PPR',
    'VRSAVE',
    'PMC1',
    'FSCR',
    'HFSCR',
  ]) {
    expect(seen).toHaveProperty(name);
  }
  for (const name of ['USRR0', 'USRR1', 'USPRG0', 'USPRG1', 'URMOR', 'SMFCTRL']) expect(seen).not.toHaveProperty(name);
  expect(seen.R31).toBe(0xc00c1en);
  expect(seen.HSRR0).toBe(0x123n);
});

test('sheet 1.4: power-on is Ultravisor state with the facility, else hypervisor state', () => {
  expect(m.cpu.level.name).toBe('ultravisor');
  expect(m.spr('SMFCTRL') >> 63n).toBe(1n);
  const plain = new TestMachine({ secureMemory: false });
  plain.cpu.powerOn(0x8000n);
  expect(plain.cpu.level.name).toBe('hypervisor');
  expect(plain.cpu.context.pc).toBe(0x8000n);
  expect(plain.spr('SMFCTRL')).toBe(0n);
});
