import { beforeEach, describe, expect, test } from 'vitest';
import { MSR } from '../../../src/powerpc/abi.ts';
import type { PowerCpu } from '../../../src/powerpc/cpu/power-cpu.ts';
import { ASM, LEVEL, TestMachine } from './machine.ts';
import { SECURE_BASE } from './tables.ts';

const { SF, LE, IR, DR, EE, PR } = MSR;
const AT = 0x4000n;
const calls: PowerCpu[] = [];
const m = new TestMachine({
  attention: {
    address: 0x7000n,
    call(cpu) {
      calls.push(cpu);
      cpu.setGpr(3, 0n);
    },
  },
});

beforeEach(() => {
  m.start();
  calls.length = 0;
});

describe('MSR moves', () => {
  test('mfmsr shows all of it, S too (1.4)', () => {
    m.step(LEVEL.svm, ASM.mfmsr(3));
    expect(m.cpu.gpr(3)).toBe(LEVEL.svm);
  });

  test('mtmsrd takes effect on the next instruction: 32-bit mode', () => {
    m.code(0x4000, ASM.mtmsrd(3), ASM.ld(5, 0, 4));
    m.ram.put(0x5000, 0x77n);
    m.cpu.setGpr(3, LEVEL.guest & ~SF);
    m.cpu.setGpr(4, 0xffff_0000_0000_5000n);
    m.cpu.place(LEVEL.guest, AT);
    m.cpu.run(2);
    expect(m.cpu.gpr(5)).toBe(0x77n);
    expect(m.cpu.context.pc).toBe(0x4008n);
  });

  test('mtmsrd to problem state', () => {
    m.cpu.setGpr(3, SF | PR);
    m.step(LEVEL.guest, ASM.mtmsrd(3));
    expect(m.cpu.level.name).toBe('guest user');
    expect(m.cpu.core.msr & (EE | IR | DR)).toBe(EE | IR | DR);
    expect(m.cpu.context.pc).toBe(0x4004n);
  });
});

/** Linux 6.1, arch/powerpc/include/asm/exception-64s.h: STF_ENTRY_BARRIER and STF_EXIT_BARRIER on POWER9 become `.long 0x7e0006ac`. */
describe('eieio', () => {
  test.each([
    ['plain', 0x7c0006ac],
    ['with bit 6, as Linux has it on POWER9', 0x7e0006ac],
  ])('%s goes on behind it, in every state', (_, word) => {
    for (const state of [LEVEL.guest, LEVEL.guest | PR, LEVEL.svm]) {
      m.step(state, word);
      expect(m.cpu.context.pc).toBe(0x4004n);
    }
  });

  test('with another bit of the reserved field is illegal', () => {
    m.step(LEVEL.guest, 0x7c2006ac);
    expect(m.cpu.context.pc).not.toBe(0x4004n);
  });
});

describe('Book I 3.3.6, 3.3.7: multiple and string', () => {
  test('lmw and stmw', () => {
    m.ram.put(0x5000, 0x1111111122222222n);
    m.ram.put(0x5008, 0x3333333300000000n);
    m.cpu.setGpr(3, 0x4ff0n);
    m.cpu.setGpr(29, 0xffffffffffffffffn);
    m.step(LEVEL.guest, ASM.lmw(29, 0x10, 3));
    expect([29, 30, 31].map((n) => m.cpu.gpr(n))).toEqual([0x11111111n, 0x22222222n, 0x33333333n]);
    m.cpu.setGpr(30, 0xaaaabbbb_ccccddddn);
    m.step(LEVEL.guest, ASM.stmw(30, 0x20, 3));
    expect(m.ram.get(0x5010)).toBe(0xccccdddd33333333n);
  });

  test('lswi and stswi: bytes from the left, registers wrap', () => {
    m.ram.put(0x5000, 0x0102030405060708n);
    m.cpu.setGpr(3, 0x5000n);
    m.step(LEVEL.guest, ASM.lswi(31, 3, 6));
    expect([m.cpu.gpr(31), m.cpu.gpr(0)]).toEqual([0x01020304n, 0x05060000n]);
    m.cpu.setGpr(3, 0x5011n);
    m.step(LEVEL.guest, ASM.stswi(31, 3, 6));
    expect(m.ram.get(0x5010)).toBe(0x0001020304050600n);
    m.cpu.setGpr(3, 0x5000n);
    m.step(LEVEL.guest, ASM.lswi(4, 3, 0));
    expect([m.cpu.gpr(4), m.cpu.gpr(5), m.cpu.gpr(11)]).toEqual([0x01020304n, 0x05060708n, 0n]);
  });

  test('a fault on the second page leaves all registers and memory as they were', () => {
    m.cpu.setGpr(3, 0x3ffffff8n);
    m.ram.put(0x7ffff8, 1n);
    m.cpu.setGpr(3, 0x7ffff8n);
    m.cpu.setGpr(28, 5n);
    m.step(LEVEL.hypervisor, ASM.lmw(28, 0, 3));
    expect(m.cpu.context.pc).toBe(0x200n);
    expect(m.cpu.gpr(28)).toBe(5n);
    m.step(LEVEL.hypervisor, ASM.stmw(28, 0, 3));
    expect(m.cpu.context.pc).toBe(0x200n);
    expect(m.spr('DAR')).toBe(0x800000n);
    expect(m.ram.get(0x7ffff8)).toBe(1n);
  });

  test('in little-endian mode: alignment interrupt', () => {
    m.ram.memory.store.view.setUint32(m.ram.host(0x4000), ASM.lmw(28, 8, 3), true);
    m.ram.memory.store.written(m.ram.host(0x4000), 4);
    m.cpu.setGpr(3, 0x5000n);
    m.cpu.place(LEVEL.guest | LE, AT);
    m.cpu.run(1);
    expect(m.cpu.context.pc).toBe(0x600n);
    expect(m.spr('DAR')).toBe(0x5008n);
  });
});

describe('sheet 1.8: darn', () => {
  test.each([
    [0, 0x89abcdefn],
    [1, 0x0123456789abcdefn],
    [2, 0x0123456789abcdefn],
    [3, 0xffffffffffffffffn],
  ])('L=%i in any state', (l, expected) => {
    m.step(LEVEL.guestUser, ASM.darn(5, l));
    expect(m.cpu.gpr(5)).toBe(expected);
  });
});

describe('attn, the entry into OPAL', () => {
  test('in hypervisor real mode at its address: the machine is called, and execution goes on', () => {
    m.cpu.setGpr(3, 9n);
    m.step(LEVEL.hypervisor, ASM.attn, 0x7000);
    expect(calls).toEqual([m.cpu]);
    expect(m.cpu.gpr(3)).toBe(0n);
    expect(m.cpu.context.pc).toBe(0x7004n);
  });

  test.each([
    ['elsewhere', LEVEL.hypervisor, 0x7100],
    ['with translation on', LEVEL.hypervisor | IR | DR, 0x7000],
    ['in the OS', LEVEL.guest, 0x7000],
    ['in an SVM', LEVEL.svm, 0x7000],
    ['in the Ultravisor', LEVEL.ultravisor, 0x7000],
    ['in problem state', LEVEL.hostUser, 0x7000],
  ] as const)('%s: illegal', (_, msr, address) => {
    m.step(msr, ASM.attn, address);
    expect(m.cpu.context.pc).toBe(0xe40n);
    expect(m.spr('HEIR')).toBe(0x200n);
    expect(calls).toEqual([]);
  });
});

describe('cached translations', () => {
  const table = SECURE_BASE + 0x10000;

  /** Reads gpa 0x5000 as the guest through the data TLB, after an instruction at another level. */
  const readBefore = (word: number, msr: bigint): bigint[] => {
    m.ram.put(0x5000, 1n);
    m.cpu.setGpr(3, 0x5000n);
    m.step(LEVEL.guest, ASM.ld(5, 0, 3));
    // The partition disappears; only what is cached can still be read.
    m.ram.put(table + 16, 0n);
    m.cpu.setGpr(5, 0n);
    m.code(0x4004, ASM.ld(5, 0, 3));
    m.cpu.place(LEVEL.guest, 0x4004n);
    m.cpu.run(1);
    const cached = m.cpu.gpr(5);
    m.step(msr, word, 0x6000);
    m.cpu.setGpr(5, 0n);
    m.cpu.place(LEVEL.guest, 0x4004n);
    m.cpu.run(1);
    return [cached, m.cpu.context.pc];
  };

  test.each([
    ['tlbie', ASM.tlbie(4, 5, 0, 1)],
    ['tlbiel', ASM.tlbiel(4, 5, 0, 1)],
    ['slbia', ASM.slbia],
  ])('%s forgets them', (_, word) => {
    expect(readBefore(word, LEVEL.hypervisor)).toEqual([1n, 0xe20n]);
  });

  test('nothing else does', () => {
    expect(readBefore(ASM.nop, LEVEL.hypervisor)).toEqual([1n, 0x4008n]);
  });
});

test('an interrupt takes the reservation away', () => {
  const STDCX = 0x7ca019ad; // stdcx. r5,0,r3
  m.code(0x4000, ASM.ldarx(5, 0, 3), STDCX);
  m.cpu.setGpr(3, 0x5000n);
  m.cpu.place(LEVEL.guest, AT);
  m.cpu.run(1);
  m.cpu.setGpr(5, 7n);
  const at = m.cpu.context.pc;
  m.cpu.core.interrupt('decrementer');
  m.cpu.core.return(LEVEL.guest, at);
  m.cpu.run(1);
  expect(m.cpu.context.pc).toBe(0x4008n);
  expect(m.ram.get(0x5000)).toBe(0n);
});

test('endSlice ends a run early', () => {
  m.code(0x7000, ASM.attn, ASM.nop, ASM.nop);
  const ending = new TestMachine({ attention: { address: 0x7000n, call: (cpu) => cpu.endSlice() } });
  ending.cpu.powerOn();
  ending.code(0x7000, ASM.attn, ASM.nop, ASM.nop);
  ending.cpu.place(LEVEL.hypervisor, 0x7000n);
  expect(ending.cpu.run(100)).toBe(1);
  expect(ending.cpu.context.pc).toBe(0x7004n);
});
