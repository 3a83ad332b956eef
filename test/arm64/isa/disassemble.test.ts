import { expect, it } from 'vitest';
import { disassemble } from '../../../src/arm64/isa/disassemble.ts';

/** What GNU objdump 2.40 prints for these words at 0x1000. */
const OBJDUMP: readonly (readonly [number, string])[] = [
  [0xa9bf7bfd, 'stp x29, x30, [sp, #-16]!'],
  [0x910003fd, 'mov x29, sp'],
  [0xd2800020, 'mov x0, #0x1'],
  [0xf2a24680, 'movk x0, #0x1234, lsl #16'],
  [0x8b22c820, 'add x0, x1, w2, sxtw #2'],
  [0xeb01001f, 'cmp x0, x1'],
  [0x54ffff81, 'b.ne 0xff0'],
  [0x9a9f17e0, 'cset x0, eq'],
  [0xd3417c20, 'ubfx x0, x1, #1, #31'],
  [0xb8627820, 'ldr w0, [x1, x2, lsl #2]'],
  [0xf8e10002, 'ldaddal x1, x2, [x0]'],
  [0xd50b7e20, 'dc civac, x0'],
  [0xd5033f9f, 'dsb sy'],
  [0xd4000002, 'hvc #0x0'],
  [0xd65f03c0, 'ret'],
  [0x00000000, 'udf #0'],
  [0xffffffff, '.inst 0xffffffff ; undefined'],
];

it.each(OBJDUMP)('%i is %s', (word, text) => {
  expect(disassemble(word, 0x1000n)).toBe(text);
});

it('names system registers that the caller knows', () => {
  expect(disassemble(0xd5381000, 0n)).toBe('mrs x0, s3_0_c1_c0_0');
  expect(disassemble(0xd5381000, 0n, (encoding) => (encoding === 0xc080 ? 'SCTLR_EL1' : undefined))).toBe(
    'mrs x0, sctlr_el1',
  );
});
