import { beforeEach, describe, expect, test } from 'vitest';
import { LPCR, MSR, SPR } from '../../../src/powerpc/abi.ts';
import { readSpr, writeSpr } from '../../../src/powerpc/cpu/spr.ts';
import { ASM, LEVEL, type LevelName, TestMachine } from './machine.ts';

const { EE } = MSR;
const BASE_LPCR = LPCR.HR | LPCR.UPRT;
const m: TestMachine = new TestMachine({ cpus: 2 });

beforeEach(() => {
  m.start();
  m.code(0x4000, ...Array(64).fill(ASM.nop));
});

/** Places the CPU and lets it take what is pending; says where it is, or that nothing was taken. */
function settle(msr: bigint): string {
  m.cpu.place(msr, 0x4000n);
  m.cpu.settle();
  const { pc } = m.cpu.context;
  return pc === 0x4000n ? 'nothing' : `${m.cpu.level.name} 0x${pc.toString(16)}`;
}

const at = (level: LevelName, ee: boolean): bigint => (ee ? LEVEL[level] | EE : LEVEL[level] & ~EE);

describe('sheet 1.9: external interrupts', () => {
  beforeEach(() => {
    m.cpu.lines.external = true;
  });

  test.each([
    ['guest', true, 'guest 0x500'],
    ['guest', false, 'nothing'],
    ['guestUser', true, 'guest 0x500'],
    ['svm', true, 'secure guest 0x500'],
    ['svm', false, 'nothing'],
    ['hypervisor', true, 'hypervisor 0x500'],
    ['hypervisor', false, 'nothing'],
    ['ultravisor', false, 'nothing'],
  ] as const)('LPES=1: %s with EE=%s: %s', (level, ee, expected) => {
    m.setSpr('LPCR', BASE_LPCR | LPCR.LPES);
    expect(settle(at(level, ee))).toBe(expected);
    if (expected !== 'nothing') expect(m.spr('SRR0')).toBe(0x4000n);
  });

  test.each([
    ['guest', true, 'hypervisor 0x500'],
    ['guest', false, 'hypervisor 0x500'],
    ['guestUser', true, 'hypervisor 0x500'],
    ['svm', true, 'ultravisor 0x500'],
    ['svm', false, 'ultravisor 0x500'],
    ['hypervisor', true, 'hypervisor 0x500'],
    ['hypervisor', false, 'nothing'],
  ] as const)('LPES=0: %s with EE=%s: %s, by HSRR', (level, ee, expected) => {
    expect(settle(at(level, ee))).toBe(expected);
    if (expected !== 'nothing') expect(m.spr('HSRR0')).toBe(0x4000n);
  });

  test('HEIC holds it back in the hypervisor only', () => {
    m.setSpr('LPCR', BASE_LPCR | LPCR.HEIC);
    expect(settle(at('hypervisor', true))).toBe('nothing');
    expect(settle(at('guest', true))).toBe('hypervisor 0x500');
  });

  test('it is a level: taken again until the controller takes it back', () => {
    expect(settle(at('guest', true))).toBe('hypervisor 0x500');
    expect(settle(at('guest', true))).toBe('hypervisor 0x500');
    m.cpu.lines.external = false;
    expect(settle(at('guest', true))).toBe('nothing');
  });
});

test.each([
  ['guest', true, 'hypervisor 0x500'],
  ['guest', false, 'nothing'],
  ['svm', true, 'ultravisor 0x500'],
  ['svm', false, 'nothing'],
  ['hypervisor', true, 'nothing'],
] as const)('mediated by LPCR[MER]: %s with EE=%s: %s', (level, ee, expected) => {
  m.setSpr('LPCR', BASE_LPCR | LPCR.MER | LPCR.LPES);
  expect(settle(at(level, ee))).toBe(expected);
  if (expected !== 'nothing') expect(m.spr('HSRR1') & 0x200000n).toBe(0x200000n);
});

describe.each([
  ['HDEC', LPCR.HDICE, '0x980', () => writeSpr(m.cpu.core, SPR.HDEC, -1n)],
  ['host external', LPCR.HVICE, '0xea0', () => Object.assign(m.cpu.lines, { virtualization: true })],
  ['hypervisor doorbell', 0n, '0xe80', () => Object.assign(m.cpu.lines, { hypervisorDoorbell: true })],
] as const)('sheet 1.9: %s', (_, enable, vector, raise) => {
  beforeEach(() => {
    raise();
    m.setSpr('LPCR', BASE_LPCR | enable);
  });

  test.each([
    ['guest', true, 'hypervisor'],
    ['guest', false, 'hypervisor'],
    ['svm', false, 'ultravisor'],
    ['svmUser', true, 'ultravisor'],
    ['hypervisor', true, 'hypervisor'],
    ['hypervisor', false, ''],
  ] as const)('%s with EE=%s', (level, ee, to) => {
    expect(settle(at(level, ee))).toBe(to === '' ? 'nothing' : `${to} ${vector}`);
  });

  test('its enable bit in LPCR', () => {
    m.setSpr('LPCR', BASE_LPCR);
    expect(settle(at('guest', true))).toBe(enable === 0n ? `hypervisor ${vector}` : 'nothing');
  });
});

describe('sheet 1.9: decrementer', () => {
  test.each([
    ['guest', true, 'guest 0x900'],
    ['guest', false, 'nothing'],
    ['svm', true, 'secure guest 0x900'],
    ['hypervisor', true, 'hypervisor 0x900'],
  ] as const)('%s with EE=%s: %s', (level, ee, expected) => {
    writeSpr(m.cpu.core, SPR.DEC, 0xffffffffn);
    expect(settle(at(level, ee))).toBe(expected);
  });

  test('a level: it comes back until DEC is set', () => {
    writeSpr(m.cpu.core, SPR.DEC, 0xffffffffn);
    expect(settle(at('guest', true))).toBe('guest 0x900');
    expect(settle(at('guest', true))).toBe('guest 0x900');
    writeSpr(m.cpu.core, SPR.DEC, 100n);
    expect(settle(at('guest', true))).toBe('nothing');
  });

  test('HDEC is an edge: it comes once', () => {
    m.setSpr('LPCR', BASE_LPCR | LPCR.HDICE);
    writeSpr(m.cpu.core, SPR.HDEC, -1n);
    expect(settle(at('guest', true))).toBe('hypervisor 0x980');
    expect(settle(at('guest', true))).toBe('nothing');
    writeSpr(m.cpu.core, SPR.HDEC, -5n);
    expect(settle(at('guest', true))).toBe('hypervisor 0x980');
  });

  test('LPCR[LD]: 56 bits, sign-extended; else 32', () => {
    writeSpr(m.cpu.core, SPR.DEC, 0x80000000n);
    expect(readSpr(m.cpu.core, SPR.DEC)).toBe(0x80000000n);
    expect(settle(at('guest', true))).toBe('guest 0x900');
    writeSpr(m.cpu.core, SPR.LPCR, BASE_LPCR | LPCR.LD);
    writeSpr(m.cpu.core, SPR.DEC, 0x80000000n);
    expect(settle(at('guest', true))).toBe('nothing');
    writeSpr(m.cpu.core, SPR.DEC, -2n);
    expect(readSpr(m.cpu.core, SPR.DEC)).toBe(0xfffffffffffffffen);
    expect(settle(at('guest', true))).toBe('guest 0x900');
  });

  test('it is taken at the exact instruction', () => {
    m.cpu.place(at('guest', true), 0x4000n);
    writeSpr(m.cpu.core, SPR.DEC, 10n);
    const start = m.clock.now;
    m.cpu.run(11);
    expect(m.clock.now - start).toBe(11);
    expect(m.cpu.context.pc).toBe(0x402cn);
    m.cpu.run(1);
    expect(m.spr('SRR0')).toBe(0x402cn);
  });

  test('a write of DEC in the middle of a slice is noticed', () => {
    m.code(0x4008, ASM.mtspr(SPR.DEC, 3));
    m.cpu.setGpr(3, 4n);
    m.cpu.place(at('guest', true), 0x4000n);
    m.cpu.run(9);
    expect(m.cpu.core.msr & EE).toBe(0n);
    // Executed: 3 up to mtspr, 5 until DEC is −1, then the first at the vector.
    expect(m.spr('SRR0')).toBe(0x4020n);
  });
});

describe('priority (ISA 3.0B, Book III 6.9)', () => {
  test('HDEC, host external, external, decrementer, doorbells', () => {
    m.setSpr('LPCR', BASE_LPCR | LPCR.HDICE | LPCR.HVICE | LPCR.LPES);
    m.cpu.lines.hypervisorDoorbell = true;
    m.setSpr('DPDES', 1n);
    writeSpr(m.cpu.core, SPR.DEC, 0xffffffffn);
    m.cpu.lines.external = true;
    m.cpu.lines.virtualization = true;
    writeSpr(m.cpu.core, SPR.HDEC, -1n);
    m.cpu.lines.systemReset = true;
    const guest = at('guest', true);
    expect(settle(guest)).toBe('hypervisor 0x100');
    expect(settle(guest)).toBe('hypervisor 0x980');
    expect(settle(guest)).toBe('hypervisor 0xea0');
    m.cpu.lines.virtualization = false;
    expect(settle(guest)).toBe('guest 0x500');
    m.cpu.lines.external = false;
    expect(settle(guest)).toBe('guest 0x900');
    writeSpr(m.cpu.core, SPR.DEC, 1000n);
    expect(settle(guest)).toBe('guest 0xa00');
    expect(settle(guest)).toBe('hypervisor 0xe80');
    expect(settle(guest)).toBe('nothing');
  });
});

describe('MSR[EE] lets a pending interrupt in at once', () => {
  beforeEach(() => {
    m.setSpr('LPCR', BASE_LPCR | LPCR.LPES);
    m.cpu.lines.external = true;
  });

  test.each([
    ['mtmsrd', ASM.mtmsrd(3)],
    ['mtmsrd L=1', ASM.mtmsrd(3, 1)],
    ['mtmsr', ASM.mtmsr(3)],
    ['mtmsr L=1', ASM.mtmsr(3, 1)],
  ])('%s', (_, word) => {
    m.cpu.setGpr(3, LEVEL.guest | EE);
    m.step(LEVEL.guest, word);
    expect(m.cpu.context.pc).toBe(0x500n);
    expect(m.spr('SRR0')).toBe(0x4004n);
    expect(m.spr('SRR1')).toBe(LEVEL.guest | EE);
  });

  test('rfid', () => {
    m.setSpr('SRR0', 0x4800n);
    m.setSpr('SRR1', LEVEL.guest | EE);
    m.step(LEVEL.guest, ASM.rfid);
    expect(m.cpu.context.pc).toBe(0x500n);
    expect(m.spr('SRR0')).toBe(0x4800n);
  });
});

describe('waiting', () => {
  test('stop waits for an exception, masked or not, and goes on behind it (PSSCR[EC]=0)', () => {
    m.step(LEVEL.hypervisor, ASM.stop);
    expect(m.cpu.waiting).toBe(true);
    expect(m.cpu.run(10)).toBe(0);
    m.cpu.lines.external = true;
    expect(m.cpu.run(1)).toBe(1);
    expect(m.cpu.waiting).toBe(false);
    expect(m.cpu.context.pc).toBe(0x4008n);
  });

  test('an enabled interrupt is taken behind it', () => {
    m.step(LEVEL.hypervisor | EE, ASM.stop);
    m.cpu.lines.external = true;
    m.cpu.settle();
    expect(m.cpu.context.pc).toBe(0x500n);
    expect(m.spr('HSRR0')).toBe(0x4004n);
  });

  test('the clock can jump to the deadline of a decrementer', () => {
    writeSpr(m.cpu.core, SPR.DEC, 1000n);
    const start = m.clock.now;
    m.step(LEVEL.hypervisor, ASM.stop);
    expect(m.cpu.deadline).toBe(start + 1001);
    m.clock.advance(1000 - 1);
    expect(m.cpu.run(1)).toBe(0);
    m.clock.advance(1);
    expect(m.cpu.run(1)).toBe(1);
  });

  test('PSSCR[EC]=1: system reset with the reason in SRR1[42:45], for what LPCR[PECE] lets through', () => {
    m.setSpr('PSSCR', 0x100000n);
    m.step(LEVEL.hypervisor, ASM.stop);
    m.cpu.lines.external = true;
    m.cpu.settle();
    expect(m.cpu.waiting).toBe(true);
    m.setSpr('LPCR', BASE_LPCR | 0x4000n);
    m.cpu.settle();
    expect(m.cpu.context.pc).toBe(0x100n);
    expect(m.spr('SRR1') & 0x3c0000n).toBe(0x200000n);
    expect(m.spr('SRR0')).toBe(0x4004n);
  });

  test('wait 0 waits in any state, wait 1 does not', () => {
    m.step(LEVEL.guestUser, ASM.wait(1));
    expect(m.cpu.waiting).toBe(false);
    m.step(LEVEL.guestUser, ASM.wait(0));
    expect(m.cpu.waiting).toBe(true);
    writeSpr(m.cpu.core, SPR.DEC, 0xffffffffn);
    m.cpu.settle();
    expect(m.cpu.context.pc).toBe(0x900n);
    expect(m.spr('SRR0')).toBe(0x4004n);
  });
});

describe('doorbells (ISA 3.0B, Book III 11.2)', () => {
  const RB = (5n << 27n) | 1n;

  test('msgsnd rings the hypervisor doorbell of the CPU with that PIR', () => {
    m.cpu.setGpr(3, RB);
    m.step(LEVEL.hypervisor, ASM.msgsnd(3));
    expect(m.cpus.map(({ lines }) => lines.hypervisorDoorbell)).toEqual([false, true]);
    m.cpus[1]!.lines.hypervisorDoorbell = false;
  });

  test('other message types do nothing', () => {
    m.cpu.setGpr(3, (4n << 27n) | 0n);
    m.step(LEVEL.hypervisor, ASM.msgsnd(3));
    expect(m.cpu.lines.hypervisorDoorbell).toBe(false);
  });

  test('msgclr takes the own one back', () => {
    m.cpu.setGpr(3, 5n << 27n);
    m.cpu.lines.hypervisorDoorbell = true;
    m.step(LEVEL.hypervisor, ASM.msgclr(3));
    expect(m.cpu.lines.hypervisorDoorbell).toBe(false);
  });

  test('msgsndp and msgclrp set and clear DPDES', () => {
    m.cpu.setGpr(3, 5n << 27n);
    m.step(LEVEL.guest, ASM.msgsndp(3));
    expect(m.spr('DPDES')).toBe(1n);
    m.step(LEVEL.guest, ASM.msgclrp(3));
    expect(m.spr('DPDES')).toBe(0n);
    m.step(LEVEL.guest | EE, ASM.msgsndp(3));
    m.cpu.settle();
    expect(m.cpu.context.pc).toBe(0xa00n);
    expect(m.spr('SRR0')).toBe(0x4004n);
    expect(m.spr('DPDES')).toBe(0n);
  });
});
