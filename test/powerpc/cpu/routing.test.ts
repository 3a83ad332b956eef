import { beforeEach, describe, expect, test } from 'vitest';
import { LPCR, MSR, SMFCTRL, SPR, SRR1 } from '../../../src/powerpc/abi.ts';
import { ASM, LEVEL, LEVELS, type LevelName, TestMachine } from './machine.ts';

const { SF, HV, S, PR, ME, EE, IR, DR, FP } = MSR;
const AT = 0x4000n;

const m = new TestMachine();

beforeEach(() => m.start());

/** Executes one instruction at a level, and says where that led. */
function execute(level: LevelName, word: number): { at: string; nia: bigint } {
  m.step(LEVEL[level], word, Number(AT));
  return { at: m.cpu.level.name, nia: m.cpu.context.pc };
}

const USER: ReadonlySet<LevelName> = new Set(['guestUser', 'svmUser', 'hostUser']);

/** HEAI of sheet 1.8: HV=1, S as it was; HSRR0 the instruction, HEIR its image. */
function expectEmulation(level: LevelName, word: number): void {
  const secure = (LEVEL[level] & S) !== 0n;
  expect(execute(level, word)).toEqual({ at: secure ? 'ultravisor' : 'hypervisor', nia: 0xe40n });
  expect(m.spr('HSRR0')).toBe(AT);
  expect(m.spr('HSRR1')).toBe(LEVEL[level]);
  expect(m.spr('HEIR')).toBe(BigInt(word));
}

/** Program interrupt, taken where SRR interrupts of the level go. */
function expectProgram(level: LevelName, word: number, status: bigint): void {
  const { at, nia } = execute(level, word);
  const msr = LEVEL[level];
  const kernel = (msr & HV) !== 0n ? 'hypervisor' : (msr & S) !== 0n ? 'secure guest' : 'guest';
  expect({ at, nia }).toEqual({ at: (msr & (HV | S)) === (HV | S) ? 'ultravisor' : kernel, nia: 0x700n });
  expect(m.spr('SRR0')).toBe(AT);
  expect(m.spr('SRR1')).toBe(msr | status);
}

describe('sheet 1.5: system call routing', () => {
  const rows: [LevelName, number, string, string, bigint][] = [
    ['guest', 0, 'guest', 'guest', 0n],
    ['guestUser', 0, 'guest', 'guest', 0n],
    ['hypervisor', 0, 'hypervisor', 'hypervisor', 0n],
    ['hostUser', 0, 'hypervisor', 'hypervisor', 0n],
    ['svm', 0, 'secure guest', '', 0n],
    ['svmUser', 0, 'secure guest', '', 0n],
    ['guest', 1, 'hypervisor', 'hypervisor', SRR1.LEV1],
    ['guestUser', 1, 'hypervisor', 'hypervisor', SRR1.LEV1],
    ['hypervisor', 1, 'hypervisor', 'hypervisor', SRR1.LEV1],
    ['svm', 1, 'ultravisor', '', SRR1.LEV1],
    ['svmUser', 1, 'ultravisor', '', SRR1.LEV1],
    ['guest', 2, 'ultravisor', 'hypervisor', SRR1.LEV2],
    ['guestUser', 2, 'ultravisor', 'hypervisor', SRR1.LEV2],
    ['hypervisor', 2, 'ultravisor', 'hypervisor', SRR1.LEV2],
    ['hostUser', 2, 'ultravisor', 'hypervisor', SRR1.LEV2],
    ['svm', 2, 'ultravisor', '', SRR1.LEV2],
    ['svmUser', 2, 'ultravisor', '', SRR1.LEV2],
  ];

  test.each(rows)('from %s, sc %i goes to the %s', (level, lev, to, _, field) => {
    expect(execute(level, ASM.sc(lev))).toEqual({ at: to, nia: 0xc00n });
    expect(m.spr('SRR0')).toBe(AT + 4n);
    expect(m.spr('SRR1')).toBe(LEVEL[level] | field);
  });

  test.each(
    rows.filter(([, , , without]) => without !== ''),
  )('with SMFCTRL[E]=0, from %s, sc %i: %s becomes %s', (level, lev, _, to) => {
    m.setSpr('SMFCTRL', 0n);
    expect(execute(level, ASM.sc(lev))).toEqual({ at: to, nia: 0xc00n });
    expect(m.spr('SRR1') & SRR1.LEV).toBe(lev === 0 ? 0n : SRR1.LEV1);
  });
});

describe('sheet 1.8: privilege of instructions', () => {
  const needs: [string, number, 'os' | 'hv' | 'uv'][] = [
    ['mfmsr', ASM.mfmsr(3), 'os'],
    ['mtmsr', ASM.mtmsr(3), 'os'],
    ['mtmsrd', ASM.mtmsrd(3), 'os'],
    ['rfid', ASM.rfid, 'os'],
    ['rfscv', ASM.rfscv, 'os'],
    ['slbia', ASM.slbia, 'os'],
    ['tlbiel PRS=1', ASM.tlbiel(3, 4, 1, 1), 'os'],
    ['msgsndp', ASM.msgsndp(3), 'os'],
    ['hrfid', ASM.hrfid, 'hv'],
    ['stop', ASM.stop, 'hv'],
    ['tlbie PRS=0', ASM.tlbie(3, 4, 0, 1), 'hv'],
    ['tlbiel PRS=0', ASM.tlbiel(3, 4, 0, 1), 'hv'],
    ['tlbie with GTSE=0', ASM.tlbie(3, 4, 1, 1), 'hv'],
    ['msgsnd', ASM.msgsnd(3), 'hv'],
    ['urfid', ASM.urfid, 'uv'],
  ];
  const rank: Record<LevelName, number> = {
    guestUser: 0,
    svmUser: 0,
    hostUser: 0,
    guest: 1,
    svm: 1,
    hypervisor: 2,
    ultravisor: 3,
  };
  const cells = needs.flatMap(([name, word, need]) =>
    LEVELS.map((level) => [name, level, word, { os: 1, hv: 2, uv: 3 }[need] <= rank[level]] as const),
  );

  test.each(cells)('%s at %s', (_, level, word, allowed) => {
    if (allowed) {
      execute(level, word);
      expect(m.cpu.context.pc).not.toBe(0x700n);
      expect(m.cpu.context.pc).not.toBe(0xe40n);
    } else if (USER.has(level)) expectProgram(level, word, SRR1.PROGRAM_PRIVILEGED);
    else expectEmulation(level, word);
  });

  test.each(LEVELS)('an illegal instruction at %s is HEAI', (level) => {
    expectEmulation(level, ASM.illegal);
  });

  test.each(LEVELS)('sc with the reserved LEV 3 at %s is HEAI', (level) => {
    expectEmulation(level, ASM.sc(3));
  });

  test.each(LEVELS)('a trap instruction at %s is a program interrupt', (level) => {
    expectProgram(level, ASM.tdAlways, SRR1.PROGRAM_TRAP);
  });

  test('the OS may use tlbie for its processes with GTSE=1', () => {
    m.setSpr('LPCR', LPCR.HR | LPCR.UPRT | LPCR.GTSE);
    expect(execute('guest', ASM.tlbie(3, 4, 1, 1)).nia).toBe(AT + 4n);
    expect(m.flushes).toBe(1);
    expectEmulation('guest', ASM.tlbie(3, 4, 0, 1));
  });
});

describe('sheet 1.8: return instructions', () => {
  test('urfid: MSR is USRR1, NIA is USRR0 & ~3', () => {
    m.setSpr('USRR0', 0x5003n);
    m.setSpr('USRR1', SF | S | ME);
    expect(execute('ultravisor', ASM.urfid)).toEqual({ at: 'secure guest', nia: 0x5000n });
    m.setSpr('USRR1', SF | HV | ME);
    expect(execute('ultravisor', ASM.urfid)).toEqual({ at: 'hypervisor', nia: 0x5000n });
    expect(m.cpu.core.msr).toBe(SF | HV | ME);
  });

  test.each([0n, S])('hrfid: MSR is HSRR1 except S (S was %s)', (s) => {
    m.setSpr('HSRR0', 0x5002n);
    m.setSpr('HSRR1', SF | ME | (S ^ s));
    expect(execute(s === 0n ? 'hypervisor' : 'ultravisor', ASM.hrfid).nia).toBe(0x5000n);
    expect(m.cpu.core.msr).toBe(SF | ME | s);
  });

  test('rfid: HV and S of SRR1 give the OS nothing', () => {
    m.setSpr('SRR0', 0x5000n);
    m.setSpr('SRR1', SF | HV | S);
    expect(execute('guest', ASM.rfid)).toEqual({ at: 'guest', nia: 0x5000n });
    expect(m.cpu.core.msr).toBe(SF | ME);
  });

  test('rfscv is rfid from LR and CTR', () => {
    m.code(0x4000, 0x7c6803a6, 0x7c8903a6, ASM.rfscv);
    m.cpu.setGpr(3, 0x5001n);
    m.cpu.setGpr(4, SF | HV | PR);
    m.cpu.place(LEVEL.guest, AT);
    m.cpu.run(3);
    expect(m.cpu.context.pc).toBe(0x5000n);
    expect(m.cpu.core.msr).toBe(SF | ME | PR | EE | IR | DR);
  });

  test('a return to 32-bit mode cuts the address', () => {
    m.setSpr('SRR0', 0x1_0000_5000n);
    m.setSpr('SRR1', HV | ME);
    expect(execute('hypervisor', ASM.rfid).nia).toBe(0x5000n);
  });
});

describe('unavailable facilities', () => {
  test('FP (1.9: 0x800)', () => {
    expect(execute('guest', ASM.lfd(1, 0, 3))).toEqual({ at: 'guest', nia: 0x800n });
    expect(m.spr('SRR0')).toBe(AT);
  });

  test.each([
    ['VEC', ASM.vaddubm, 0xf20n, MSR.VEC],
    ['VSX', ASM.xxlor, 0xf40n, MSR.VSX],
  ] as const)('%s: its own interrupt, and HEAI once the MSR bit is on', (_, word, vector, bit) => {
    expect(execute('guest', word)).toEqual({ at: 'guest', nia: vector });
    m.step(LEVEL.guest | bit, word);
    expect(m.cpu.context.pc).toBe(0xe40n);
    expect(m.spr('HEIR')).toBe(BigInt(word));
  });

  test('FP on: the instruction executes', () => {
    m.ram.put(0x5000, 0x3ff0000000000000n);
    m.cpu.setGpr(3, 0x5000n);
    m.step(LEVEL.guest | FP, ASM.lfd(1, 0, 3));
    expect(m.cpu.context.pc).toBe(AT + 4n);
  });
});

test('an unaligned ldarx: alignment interrupt with DAR (1.9: 0x600)', () => {
  m.cpu.setGpr(3, 0x5000n);
  m.cpu.setGpr(4, 4n);
  expect(execute('svm', ASM.ldarx(5, 3, 4))).toEqual({ at: 'secure guest', nia: 0x600n });
  expect(m.spr('DAR')).toBe(0x5004n);
});

describe('sheet 1.8, 1.3: SPRs by privilege', () => {
  type Right = 'ok' | 'privileged' | 'emulation';
  /** Read and write for OS (S=0 and S=1), HV and UV; problem state may use none of them. */
  const rows: [string, number, [Right, Right], [Right, Right], [Right, Right]][] = [
    ['SRR0', SPR.SRR0, ['ok', 'ok'], ['ok', 'ok'], ['ok', 'ok']],
    ['SPRG0', SPR.SPRG0, ['ok', 'ok'], ['ok', 'ok'], ['ok', 'ok']],
    ['DEC', SPR.DEC, ['ok', 'ok'], ['ok', 'ok'], ['ok', 'ok']],
    ['PIDR', SPR.PIDR, ['ok', 'ok'], ['ok', 'ok'], ['ok', 'ok']],
    ...(['LPCR', 'LPIDR', 'HFSCR', 'HSRR0', 'HSRR1', 'HSPRG0', 'HDEC', 'HRMOR', 'ASDR'] as const).map(
      (name): [string, number, [Right, Right], [Right, Right], [Right, Right]] => [
        name,
        SPR[name],
        ['emulation', 'emulation'],
        ['ok', 'ok'],
        ['ok', 'ok'],
      ],
    ),
    ['PTCR', SPR.PTCR, ['emulation', 'emulation'], ['ok', 'emulation'], ['ok', 'ok']],
    ['LDBAR', SPR.LDBAR, ['emulation', 'emulation'], ['ok', 'emulation'], ['ok', 'ok']],
    ['IMC', SPR.IMC, ['emulation', 'emulation'], ['ok', 'emulation'], ['ok', 'ok']],
    ...(['SMFCTRL', 'URMOR', 'USRR0', 'USRR1', 'USPRG0', 'USPRG1'] as const).map(
      (name): [string, number, [Right, Right], [Right, Right], [Right, Right]] => [
        name,
        SPR[name],
        ['emulation', 'emulation'],
        ['emulation', 'emulation'],
        ['ok', 'ok'],
      ],
    ),
  ];
  const cells = rows.flatMap(([name, number, os, hv, uv]) =>
    LEVELS.flatMap((level) => {
      const user: [Right, Right] = ['privileged', 'privileged'];
      const rights = USER.has(level) ? user : level === 'hypervisor' ? hv : level === 'ultravisor' ? uv : os;
      return (['mfspr', 'mtspr'] as const).map((op, i) => [op, name, level, number, rights[i]!] as const);
    }),
  );

  test.each(cells)('%s %s at %s', (op, name, level, number, right) => {
    // Writing back what is there changes nothing else.
    m.cpu.setGpr(3, name === 'DEC' || name === 'HDEC' ? 1000n : m.spr(name as 'SRR0'));
    const word = op === 'mfspr' ? ASM.mfspr(3, number) : ASM.mtspr(number, 3);
    if (right === 'ok') expect(execute(level, word).nia).toBe(AT + 4n);
    else if (right === 'privileged') expectProgram(level, word, SRR1.PROGRAM_PRIVILEGED);
    else expectEmulation(level, word);
  });

  test.each([SPR.CIABR, SPR.DAWR0, SPR.DAWRX0])('1.6: SPR %i is the Ultravisor’s while SMFCTRL[D]=1', (number) => {
    expect(execute('hypervisor', ASM.mtspr(number, 3)).nia).toBe(AT + 4n);
    m.setSpr('SMFCTRL', SMFCTRL.E | SMFCTRL.D);
    expectEmulation('hypervisor', ASM.mtspr(number, 3));
    expectEmulation('hypervisor', ASM.mfspr(3, number));
    expect(execute('ultravisor', ASM.mtspr(number, 3)).nia).toBe(AT + 4n);
  });

  test('with the facility off, PTCR is the hypervisor’s', () => {
    m.setSpr('SMFCTRL', 0n);
    m.cpu.setGpr(3, m.spr('PTCR'));
    expect(execute('hypervisor', ASM.mtspr(SPR.PTCR, 3)).nia).toBe(AT + 4n);
  });

  test('user programs may use XER, CTR, VRSAVE, TAR and the time base', () => {
    for (const number of [SPR.XER, SPR.CTR, SPR.VRSAVE, SPR.TAR, SPR.TB]) {
      m.setSpr('FSCR', 0x100n);
      expect(execute('guestUser', ASM.mfspr(3, number)).nia).toBe(AT + 4n);
    }
  });

  test('FSCR and HFSCR: facility unavailable with the cause (1.7)', () => {
    m.setSpr('FSCR', 0n);
    expect(execute('guestUser', ASM.mfspr(3, SPR.DSCR_USER))).toEqual({ at: 'guest', nia: 0xf60n });
    expect(m.spr('FSCR') >> 56n).toBe(2n);
    expect(execute('guestUser', ASM.mtspr(SPR.EBBHR, 3))).toEqual({ at: 'guest', nia: 0xf60n });
    expect(m.spr('FSCR') >> 56n).toBe(7n);
    m.setSpr('HFSCR', 0n);
    expect(execute('svm', ASM.mfspr(3, SPR.PMC1))).toEqual({ at: 'ultravisor', nia: 0xf80n });
    expect(m.spr('HFSCR') >> 56n).toBe(3n);
    expect(m.spr('HSRR0')).toBe(AT);
    expect(execute('hypervisor', ASM.mfspr(3, SPR.PMC1)).nia).toBe(AT + 4n);
  });

  describe('ISA 3.0B, Book III 5.4.4: numbers that are no register', () => {
    const unknown = 1001 & ~0x10;
    const privileged = 1001 | 0x10;

    test.each(LEVELS)('at %s', (level) => {
      m.cpu.setGpr(3, 77n);
      const read = ASM.mfspr(3, unknown);
      const readPrivileged = ASM.mfspr(3, privileged);
      if (USER.has(level)) {
        expectEmulation(level, read);
        expectProgram(level, readPrivileged, SRR1.PROGRAM_PRIVILEGED);
      } else {
        for (const word of [read, readPrivileged, ASM.mtspr(privileged, 3)]) {
          expect(execute(level, word).nia).toBe(AT + 4n);
        }
        for (const number of [0, 4, 5, 6]) expectEmulation(level, ASM.mfspr(3, number));
        expectEmulation(level, ASM.mtspr(0, 3));
      }
      expect(m.cpu.gpr(3)).toBe(77n);
      for (const number of [808, 809, 810, 811]) {
        expect(execute(level, ASM.mfspr(3, number)).nia).toBe(AT + 4n);
      }
    });
  });
});
