import { describe, expect, test } from 'vitest';
import { LOWCORE, PGM } from '../../../src/s390/abi.ts';
import { ProgramMachine, START } from './s390-program.ts';

const PROGRAM = 0xd0n;

/** Old PSW, instruction length and code of the program interruption that ended it. */
function program(machine: ProgramMachine): { code: number; ilc: number; at: number } {
  machine.run();
  expect(machine.end).toBe(PROGRAM);
  return {
    code: Number(machine.get(LOWCORE.PROGRAM_CODE, 2)),
    ilc: Number(machine.get(LOWCORE.PROGRAM_ILC, 2)),
    at: Number(machine.get(LOWCORE.PROGRAM_OLD + 8, 8)) - START,
  };
}

describe.each([
  { interpret: false, sie: false },
  { interpret: true, sie: false },
  { interpret: false, sie: true },
  { interpret: true, sie: true },
])('interruptions (Principles of Operation, chapter 6), %o', (how) => {
  test('SVC stores its number and the address behind it', () => {
    const m = new ProgramMachine('0a2a', how);
    m.run();
    expect(m.end).toBe(0xc0n);
    expect([m.get(LOWCORE.SVC_ILC, 2), m.get(LOWCORE.SVC_CODE, 2)]).toEqual([2n, 0x2an]);
    expect(m.get(LOWCORE.SVC_OLD + 8, 8)).toBe(BigInt(START + 2));
    expect(m.get(LOWCORE.SVC_OLD, 8)).toBe(0x180000000n);
  });

  test.each([
    ['no instruction suppresses', '0000', { code: PGM.OPERATION, ilc: 2, at: 2 }],
    ['a privileged one in problem state', '80000000', { code: PGM.PRIVILEGED_OPERATION, ilc: 4, at: 4 }],
    ['storage that is not there', 'c01900000000 50001000', { code: PGM.ADDRESSING, ilc: 4, at: 10 }],
    ['an odd EXECUTE target', '4400f001', { code: PGM.SPECIFICATION, ilc: 4, at: 4 }],
    ['a divisor of zero: DR 2,4', '1d24', { code: PGM.FIXED_POINT_DIVIDE, ilc: 2, at: 2 }],
  ])('%s', (name, code, expected) => {
    const mask = name.includes('problem') ? 0x0001000180000000n : 0x180000000n;
    // LLILF has no storage operand: register 1 is beyond storage.
    const text = code.replace('c01900000000', 'c01f70000000');
    expect(program(new ProgramMachine(text, { ...how, mask }))).toEqual(expected);
  });

  test('an odd branch target: the old PSW has it, and no length', () => {
    // LARL counts halfwords, so the odd address comes from LA.
    const m = new ProgramMachine('4110 0123 07f1', how);
    expect(program(m)).toEqual({ code: PGM.SPECIFICATION, ilc: 0, at: 0x123 - START });
  });

  test('a page that is not there nullifies, and the TEID says where (8.3, 3.3)', () => {
    // LCTLG 1,1,0x200; LPSWE 0x210: DAT on, at the same address.
    const m = new ProgramMachine('eb11 0200 002f b2b2 0210 0700 5810 3000', how);
    m.put(0x200, 0x40000n | 0x3n);
    m.put(0x210, 0x0400000180000000n);
    m.put(0x218, BigInt(START + 12));
    // Segment table at 0x40000, one page table at 0x48000, which maps the code's page and no other.
    m.put(0x40000, 0x48000n);
    for (let n = 0; n < 256; n++) m.put(0x48000 + 8 * n, 0x400n);
    m.put(0x48000 + 8 * 0x10, BigInt(START));
    expect(program(m)).toEqual({ code: PGM.PAGE_TRANSLATION, ilc: 4, at: 12 });
    expect(m.get(LOWCORE.TRANSLATION_EXCEPTION_ID, 8) & ~0xfffn).toBe(0n);
  });

  test('low-address protection refuses stores to the first 512 bytes (8.3)', () => {
    // LCTLG 0,0,0x200; ST 1,0x100.
    const m = new ProgramMachine('eb00 0200 002f 5010 0100', how);
    m.put(0x200, 1n << 28n);
    expect(program(m)).toEqual({ code: PGM.PROTECTION, ilc: 4, at: 10 });
  });

  test('an invalid program new PSW is a crash: a check-stop, or under SIE interception 8', () => {
    const m = new ProgramMachine('0000', how);
    m.put(0x1d0, 0x8000000000000000n);
    expect(m.run()).toEqual({ kind: 'crashed', detail: 'CPU 0: the program new PSW is invalid' });
    expect(m.end).toBeNull();
  });

  test('an invalid PSW that LPSWE loads is a specification exception with the invalid PSW as the old one', () => {
    const m = new ProgramMachine('b2b2 0200', how);
    m.put(0x200, 0x0008000180000000n);
    m.put(0x208, 0x1234n);
    m.run();
    expect(m.end).toBe(PROGRAM);
    expect(m.get(LOWCORE.PROGRAM_CODE, 2)).toBe(BigInt(PGM.SPECIFICATION));
    expect([m.get(LOWCORE.PROGRAM_OLD, 8), m.get(LOWCORE.PROGRAM_OLD + 8, 8)]).toEqual([0x0008000180000000n, 0x1234n]);
  });

  test.each([
    ['SSM', '8000 0200'],
    ['STOSM', 'ad08 0210'],
  ])('%s loads an invalid system mask, and is complete when the exception comes', (_, code) => {
    const m = new ProgramMachine(code, how);
    m.put(0x200, 0x0800000000000000n);
    expect(program(m)).toEqual({ code: PGM.SPECIFICATION, ilc: 4, at: 4 });
    expect(m.get(LOWCORE.PROGRAM_OLD, 8)).toBe(0x0800000180000000n);
  });
});
