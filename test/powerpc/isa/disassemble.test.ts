import { describe, expect, test } from 'vitest';
import { disassemble } from '../../../src/powerpc/isa/disassemble.ts';

/** Encodings from the PEF reference sheet, 1.5 and 1.8 (Power ISA 3.1B, book III). */
const SHEET: readonly (readonly [word: number, text: string])[] = [
  [0x44000002, 'sc'],
  [0x44000022, 'sc 1'],
  [0x44000042, 'sc 2'],
  [0x4c000264, 'urfid'],
  [0x4c000224, 'hrfid'],
  [0x4c000024, 'rfid'],
  [0x4c0000a4, 'rfscv'],
  [0x7c6105e6, 'darn r3,1'],
];

/** What objdump of binutils 2.40 prints with `-M power9`. The whole sweep is in test/oracle/powerpc-disassembler.test.ts. */
const BINUTILS: readonly (readonly [word: number, text: string])[] = [
  [0x38600005, 'li r3,5'],
  [0x3c60fffb, 'lis r3,-5'],
  [0x60000000, 'nop'],
  [0x7c832378, 'mr r3,r4'],
  [0x7c832379, 'mr. r3,r4'],
  [0x7c6318f8, 'not r3,r3'],
  [0x7c632c51, 'subfo. r3,r3,r5'],
  [0x54631838, 'slwi r3,r3,3'],
  [0x5463f0be, 'srwi r3,r3,2'],
  [0x78631f24, 'sldi r3,r3,3'],
  [0x78630020, 'clrldi r3,r3,32'],
  [0x2c030000, 'cmpwi r3,0'],
  [0x2fa30000, 'cmpdi cr7,r3,0'],
  [0x7fe00008, 'trap'],
  [0x7c0802a6, 'mflr r0'],
  [0x7c7b02a6, 'mfsrr1 r3'],
  [0x7c7e0ba6, 'mtspr 62,r3'],
  [0x7c7143a6, 'mtsprg 1,r3'],
  [0x7c6ff120, 'mtcr r3'],
  [0x4cc63182, 'crclr 4*cr1+eq'],
  [0xe8640008, 'ld r3,8(r4)'],
  [0xf821ff91, 'stdu r1,-112(r1)'],
  [0xb0208d2d, 'sth r1,-29395(0)'],
  [0x7c2004ac, 'lwsync'],
  [0x7c0327ec, 'dcbz r3,r4'],
  [0x7dc77829, 'lwarx r14,r7,r15,1'],
];

/** Words that are no instruction or an invalid form. */
const NONE: readonly (readonly [word: number, why: string])[] = [
  [0x00000000, 'opcode 0'],
  [0x44000003, 'sc with its last bit set'],
  [0x84630004, 'lwzu r3,4(r3)'],
  [0x7c600027 | 0x00100000, 'mfocrf without a field'],
  [0x4ea00020, 'bclr with a reserved BO'],
];

describe('disassemble', () => {
  test.each(
    [...SHEET, ...BINUTILS].map(([word, text]) => ({ hex: word.toString(16), word, text })),
  )('0x$hex is $text', ({ word, text }) => {
    expect(disassemble(word, 0n)).toBe(text);
  });

  test.each(NONE.map(([word, why]) => ({ hex: word.toString(16), word, why })))('0x$hex is none: $why', ({
    hex,
    word,
  }) => {
    expect(disassemble(word, 0n)).toBe(`.long 0x${hex}`);
  });

  test('branches are shown with their targets', () => {
    expect(disassemble(0x48000010, 0x1000n)).toBe('b 0x1010');
    expect(disassemble(0x4bfffff1, 0x1000n)).toBe('bl 0xff0');
    expect(disassemble(0x4bfffff0, 0n)).toBe('b 0xfffffffffffffff0');
    expect(disassemble(0x48000013, 0x1000n)).toBe('bla 0x10');
    expect(disassemble(0x41be0010, 0x1000n)).toBe('beq cr7,0x1010');
    expect(disassemble(0x41de0010, 0x1000n)).toBe('beq- cr7,0x1010');
    expect(disassemble(0x4200fff0, 0x1000n)).toBe('bdnz 0xff0');
    expect(disassemble(0x4e800020, 0n)).toBe('blr');
    expect(disassemble(0x4e800421, 0n)).toBe('bctrl');
  });
});
