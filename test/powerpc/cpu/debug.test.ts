import { beforeEach, describe, expect, test } from 'vitest';
import { MSR, SMFCTRL, type SPR } from '../../../src/powerpc/abi.ts';
import { ASM, LEVEL, type LevelName, TestMachine } from './machine.ts';

/** ISA 3.0B, Book III 6.5.15 (trace), 8.2 (CIABR), 8.3 (DAWR); sheet 1.6 for secure state. */
const m = new TestMachine();
const SE = 0x400n;
const BE = 0x200n;
const TRACED = 0x40000000n;
const CIABR_MATCH = 0x100000n;
const { EE } = MSR;

beforeEach(() => m.start());

function set(name: keyof typeof SPR, value: bigint): void {
  m.setSpr(name, value);
  m.cpu.core.debugRegistersChanged();
}

const STATUS = TRACED | CIABR_MATCH;

describe('MSR[TE]', () => {
  test('single step: after each instruction that completes, with the next address', () => {
    m.code(0x4000, ASM.nop, ASM.nop);
    m.cpu.place(LEVEL.guest | SE, 0x4000n);
    m.cpu.run(1);
    expect(m.cpu.context.pc).toBe(0xd00n);
    expect([m.spr('SRR0'), m.spr('SRR1') & STATUS]).toEqual([0x4004n, TRACED]);
    expect(m.spr('SRR1') & SE).toBe(SE);
    expect(m.cpu.core.msr & SE).toBe(0n);
  });

  test('an instruction that interrupts is not traced', () => {
    m.step(LEVEL.guest | SE, ASM.sc(0));
    expect(m.cpu.context.pc).toBe(0xc00n);
    m.step(LEVEL.guest | SE, ASM.illegal);
    expect(m.cpu.context.pc).toBe(0xe40n);
  });

  test('rfid into a traced program is not traced, what follows is', () => {
    m.code(0x6000, ASM.nop);
    m.setSpr('SRR0', 0x6000n);
    m.setSpr('SRR1', LEVEL.guest | SE | EE);
    m.code(0x4000, ASM.rfid);
    m.cpu.place(LEVEL.guest, 0x4000n);
    m.cpu.run(2);
    expect([m.cpu.context.pc, m.spr('SRR0')]).toEqual([0xd00n, 0x6004n]);
  });

  test('mtmsrd that turns it on is not traced, the next instruction is', () => {
    m.code(0x4000, ASM.mtmsrd(3), ASM.nop, ASM.nop);
    m.cpu.setGpr(3, LEVEL.guest | SE);
    m.cpu.place(LEVEL.guest, 0x4000n);
    m.cpu.run(2);
    expect([m.cpu.context.pc, m.spr('SRR0')]).toEqual([0xd00n, 0x4008n]);
  });

  test('branch trace: taken or not', () => {
    const beqForward = 0x41820010;
    const b = 0x48000010;
    for (const [word, next] of [
      [b, 0x4014n],
      [beqForward, 0x4008n],
    ] as const) {
      m.code(0x4000, ASM.nop, word);
      m.cpu.place(LEVEL.guest | BE, 0x4000n);
      m.cpu.run(2);
      expect([m.cpu.context.pc, m.spr('SRR0')]).toEqual([0xd00n, next]);
    }
  });
});

describe('CIABR', () => {
  const PRIVILEGE = { guestUser: 1n, guest: 2n, hypervisor: 3n } as const;

  test.each(Object.entries(PRIVILEGE))('matches in %s where its privilege says so', (level, privilege) => {
    m.code(0x4000, ASM.nop, ASM.nop, ASM.nop);
    for (const wanted of [0n, 1n, 2n, 3n]) {
      set('CIABR', 0x4004n | wanted);
      m.cpu.place(LEVEL[level as LevelName], 0x4000n);
      m.cpu.run(2);
      expect(m.cpu.context.pc).toBe(wanted === privilege ? 0xd00n : 0x4008n);
      if (wanted === privilege) expect([m.spr('SRR0'), m.spr('SRR1') & STATUS]).toEqual([0x4008n, CIABR_MATCH]);
    }
  });

  test('mtspr arms it at once', () => {
    m.code(0x4000, ASM.mtspr(187, 3), ASM.nop, ASM.nop);
    m.cpu.setGpr(3, 0x4004n | 3n);
    m.cpu.place(LEVEL.hypervisor, 0x4000n);
    m.cpu.run(2);
    expect([m.cpu.context.pc, m.spr('SRR0')]).toEqual([0xd00n, 0x4008n]);
  });

  test('in secure state only with SMFCTRL[D] (sheet 1.6)', () => {
    for (const d of [0n, SMFCTRL.D]) {
      m.setSpr('SMFCTRL', SMFCTRL.E | d);
      set('CIABR', 0x4000n | 2n);
      m.step(LEVEL.svm, ASM.nop);
      expect(m.cpu.context.pc).toBe(d === 0n ? 0x4004n : 0xd00n);
    }
  });
});

describe('DAWR', () => {
  const READ = 0x20n;
  const WRITE = 0x40n;
  const WTI = 0x8n;
  const OS = 0x2n;
  const two = 1n << 10n;
  const WATCHED = 0x400000n;
  const STORE = 0x2000000n;

  const access = (word: number, address: bigint, level: LevelName = 'guest'): bigint => {
    m.cpu.setGpr(3, address);
    m.step(LEVEL[level], word);
    return m.cpu.context.pc;
  };
  const LOAD = ASM.ld(5, 0, 3);
  const STORED = ASM.std(5, 0, 3);
  const LBZ = 0x88a30000;
  const DONE = 0x4004n;

  test('reads and writes of what is watched, and nothing beside it, warm TLB or not', () => {
    access(LOAD, 0x5010n);
    set('DAWR0', 0x5010n);
    set('DAWRX0', READ | WTI | OS | two);
    expect(access(LOAD, 0x5010n)).toBe(0x300n);
    expect([m.spr('DAR'), m.spr('DSISR')]).toEqual([0x5010n, WATCHED]);
    expect([access(LOAD, 0x5018n), access(LBZ, 0x501fn), access(LOAD, 0x500cn)]).toEqual([0x300n, 0x300n, 0x300n]);
    expect([access(LOAD, 0x5008n), access(LOAD, 0x5020n), access(LBZ, 0x500fn)]).toEqual([DONE, DONE, DONE]);
    expect(access(STORED, 0x5010n)).toBe(DONE);
    set('DAWRX0', WRITE | WTI | OS);
    expect(access(STORED, 0x5010n)).toBe(0x300n);
    expect(m.spr('DSISR')).toBe(WATCHED | STORE);
    expect([access(STORED, 0x5018n), access(LOAD, 0x5010n)]).toEqual([DONE, DONE]);
    set('DAWRX0', 0n);
    expect(access(STORED, 0x5010n)).toBe(DONE);
  });

  test('a store that matches stores nothing', () => {
    m.ram.put(0x5010, 7n);
    set('DAWR0', 0x5010n);
    set('DAWRX0', WRITE | WTI | OS);
    m.cpu.setGpr(5, 9n);
    access(STORED, 0x5010n);
    expect(m.ram.get(0x5010)).toBe(7n);
  });

  test('privilege, and translation', () => {
    set('DAWR0', 0x5010n);
    set('DAWRX0', READ | WTI | 1n);
    expect([access(LOAD, 0x5010n), access(LOAD, 0x5010n, 'guestUser')]).toEqual([DONE, 0x300n]);
    set('DAWRX0', READ | 3n);
    expect([access(LOAD, 0x5010n), access(LOAD, 0x5010n, 'guestUser')]).toEqual([0x300n, DONE]);
    set('DAWRX0', READ | 0x10n | 3n);
    expect([access(LOAD, 0x5010n), access(LOAD, 0x5010n, 'guestUser')]).toEqual([DONE, 0x300n]);
  });

  test('in secure state only with SMFCTRL[D] (sheet 1.6)', () => {
    set('DAWR0', 0x5010n);
    set('DAWRX0', READ | WTI | OS);
    for (const d of [0n, SMFCTRL.D]) {
      set('SMFCTRL', SMFCTRL.E | d);
      expect(access(LOAD, 0x5010n, 'svm')).toBe(d === 0n ? DONE : 0x300n);
    }
  });
});
