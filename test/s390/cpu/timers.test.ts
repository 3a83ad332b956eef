import { expect, test } from 'vitest';
import { ProgramMachine } from './s390-program.ts';

test('EXTRACT CPU TIME: what the CPU timer has counted since a value, and two operands (Principles of Operation)', () => {
  // SPT 0x200; LGHI 3,0x210; ECTG 0x200(0),0x208(0),3; STMG 0,3,0x220; SVC.
  const m = new ProgramMachine('b208 0200 a739 0210 c831 0200 0208 eb03 0220 0024 0a00');
  m.put(0x200, 0x1000000n);
  m.put(0x208, 0x22n);
  m.put(0x210, 0x33n);
  m.run();
  expect([m.get(0x228, 8), m.get(0x238, 8)]).toEqual([0x22n, 0x33n]);
  // Two instructions, some units of 1/4096 microseconds.
  expect(m.get(0x220, 8)).toBeGreaterThan(0n);
  expect(m.get(0x220, 8)).toBeLessThan(4096n);
});
