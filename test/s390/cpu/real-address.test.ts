import { expect, test } from 'vitest';
import { ProgramMachine } from './s390-program.ts';

/**
 * LCTLG 1,1,0x200; LG 1,0x208; LG 2,0x210; an instruction; STG 2,0x218; SVC. With a segment table at 0x40000, of which entry 0 leads to a page table at
 * 0x48000 and entry 1 is invalid; page 0x10 is mapped, page 0x11 is not.
 */
function translate(instruction: string, address: bigint, mask?: bigint): { cc: number; r2: bigint } {
  const code = `eb11 0200 002f e310 0208 0004 e320 0210 0004 ${instruction} e320 0218 0024 0a00`;
  const m = new ProgramMachine(code, mask === undefined ? {} : { mask });
  m.put(0x200, 0x40000n);
  m.put(0x208, address);
  m.put(0x210, 0x1111111122222222n);
  m.put(0x40000, 0x48000n);
  m.put(0x40008, 0x20n);
  m.put(0x48080, 0x77000n);
  m.put(0x48088, 0x400n);
  m.run();
  expect(m.end).toBe(0xc0n);
  return { cc: Number((m.get(0x140, 8) >> 44n) & 3n), r2: m.get(0x218, 8) };
}

const LRAG = 'e320 1000 0003';
const LRA = 'b120 1000';
const IN_31_BITS = 0x80000000n;

// Principles of Operation, "LOAD REAL ADDRESS": what is in the first operand by condition code.
test.each([
  ['a mapped page', LRAG, 0x10123n, undefined, 0, 0x77123n],
  ['a mapped page, 31-bit mode', LRA, 0x10123n, IN_31_BITS, 0, 0x1111111100077123n],
  ['an invalid segment: where its entry is', LRAG, 0x100000n, undefined, 1, 0x40008n],
  ['an invalid segment, 31-bit mode', LRA, 0x100000n, IN_31_BITS, 1, 0x1111111100040008n],
  ['an invalid page: where its entry is', LRAG, 0x11000n, undefined, 2, 0x48088n],
  ['beyond the length of the table: the exception', LRAG, 0x20000000n, undefined, 3, 0x1111111180000010n],
  ['beyond all tables of the designation', LRAG, 0x80000000n, undefined, 3, 0x1111111180000038n],
])('LRA of %s', (_, instruction, address, mask, cc, r2) => {
  expect(translate(instruction, address, mask)).toEqual({ cc, r2 });
});
