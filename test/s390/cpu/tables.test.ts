import { expect, test } from 'vitest';
import { ProgramMachine } from './s390-program.ts';

/** Registers 2 to 7 from 0x200; CRDTE; registers 2 to 7 to 0x280; SVC: its old PSW has the condition code. */
function compareAndReplace(registers: readonly bigint[], crdte = 'b98f 8024'): ProgramMachine {
  const m = new ProgramMachine(`eb27 0200 0004 ${crdte} eb27 0280 0024 0a00`);
  for (const [n, value] of registers.entries()) m.put(0x200 + 8 * n, value);
  m.run();
  return m;
}

const cc = (m: ProgramMachine): number => Number((m.get(0x140, 8) >> 44n) & 3n);

const PAGE = 0x00n;
const SEGMENT = 0x10n;
const REGION_3 = 0x14n;
const REGION_2 = 0x18n;
const REGION_1 = 0x1cn;

// Principles of Operation, "COMPARE AND REPLACE DAT TABLE ENTRY": which bits of the address are the index into which table.
test.each([
  ['page', PAGE, 0x48000n, 0x1234_5678_9ab1_1123n, 0x48000 + 8 * 0x11],
  ['page, in a table off a page', PAGE, 0x48800n, 0x1234_5678_9ab1_1123n, 0x48800 + 8 * 0x11],
  ['segment', SEGMENT, 0x48000n, 0x7fff_ffff_8050_0000n, 0x48000 + 8 * 5],
  ['region third', REGION_3, 0x48000n, 0x180000000n, 0x48000 + 8 * 3],
  ['region second', REGION_2, 0x48000n, 7n << 42n, 0x48000 + 8 * 7],
  ['region first', REGION_1, 0x48000n, 0x7fn << 53n, 0x48000 + 8 * 0x7f],
])('CRDTE replaces an entry of a %s table', (_, type, table, address, entry) => {
  const registers = [0n, 0x77000n, table | type, address];
  const replaced = compareAndReplace(registers);
  expect({ cc: cc(replaced), entry: replaced.get(entry, 8) }).toEqual({ cc: 0, entry: 0x77000n });
  const kept = compareAndReplace([0x55n, ...registers.slice(1)]);
  expect({ cc: cc(kept), entry: kept.get(entry, 8), r2: kept.get(0x280, 8) }).toEqual({ cc: 1, entry: 0n, r2: 0n });
});

// The same, "Program Exceptions", and chapter 6: the code is in the prefix area at 0x8e.
test.each([
  ['an odd register R1', 'b98f 8034', 0x48000n],
  ['an odd register R2', 'b98f 8025', 0x48000n],
  ['no such table', 'b98f 8024', 0x48004n],
  ['no such table either', 'b98f 8024', 0x4800cn],
])('CRDTE with %s is a specification exception', (_, crdte, designation) => {
  const m = compareAndReplace([0n, 0n, designation, designation], crdte);
  expect({ end: m.end, code: m.get(0x8e, 2) }).toEqual({ end: 0xd0n, code: 6n });
});

test('CRDTE makes the CPU forget the translation', () => {
  // LCTLG 1,1,0x300; LMG 2,5,0x200; LGHI 1,0x2000; STOSM 0x400,4 (DAT); MVI 0(1),0x77; CRDTE; MVI 0(1),0x88; SVC.
  const m = new ProgramMachine('eb11 0300 002f eb25 0200 0004 a719 2000 ad04 0400 9277 1000 b98f 8024 9288 1000 0a00');
  m.put(0x300, 0x40000n);
  m.put(0x40000, 0x48000n);
  for (let page = 0; page < 256; page++) m.put(0x48000 + 8 * page, BigInt(page * 4096));
  m.put(0x48010, 0x70000n);
  for (const [n, value] of [0x70000n, 0x71000n, 0x48000n, 0x2000n].entries()) m.put(0x200 + 8 * n, value);
  m.run();
  expect({ end: m.end, first: m.get(0x70000, 1), second: m.get(0x71000, 1) }).toEqual({
    end: 0xc0n,
    first: 0x77n,
    second: 0x88n,
  });
});

test('PALB is a privileged instruction without an effect', () => {
  expect(compareAndReplace([1n, 2n, 0x48000n, 0n], 'b248 0000').end).toBe(0xc0n);
  const problem = new ProgramMachine('b248 0000', { mask: 0x0001000180000000n });
  problem.run();
  expect({ end: problem.end, code: problem.get(0x8e, 2) }).toEqual({ end: 0xd0n, code: 2n });
});
