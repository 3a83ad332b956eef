import { describe, expect, it } from 'vitest';
import { Instruction, InstructionSet } from '../../src/engine/instruction.ts';
import { extractField, parsePattern } from '../../src/engine/pattern.ts';
import type { Mode } from '../../src/engine/semantics.ts';
import { encode, toyIsa, toyLength } from './toy-isa.ts';

describe('parsePattern', () => {
  it('reads the Power example of its description', () => {
    // Power ISA 3.0B, XO-form: opcode 31 in bits 0-5, RT 6-10, RA 11-15, RB 16-20, OE 21, 266 in 22-30, Rc 31.
    const p = parsePattern('011111 RT:5 RA:5 RB:5 OE:1 100001010 Rc:1');
    expect(p.length).toBe(4);
    expect(p.mask).toBe(0xfc0003fe);
    expect(p.value).toBe((31 * 2 ** 26 + 266 * 2) >>> 0);
    expect([p.tailMask, p.tailValue]).toEqual([0, 0]);
    const shifts = Object.fromEntries([...p.fields.values()].map((f) => [f.name, [f.shift, f.width]]));
    expect(shifts).toEqual({ RT: [21, 5], RA: [16, 5], RB: [11, 5], OE: [10, 1], Rc: [0, 1] });
    // addo. r3,r4,r5, as binutils assembles it: 7c 64 2e 15.
    const values = [...p.fields.values()].map((f) => extractField(f, 0x7c642e15, 0));
    expect(values).toEqual([3, 4, 5, 1, 1]);
  });

  it('puts the fields of six bytes into the first four or the last two', () => {
    // z/Architecture RIL (12-bit opcode c0_0 LARL) has an immediate across byte 4: it is given in two parts.
    const p = parsePattern('11000000 R1:4 0000 I2H:16 I2L:12 X:4');
    expect(p.length).toBe(6);
    expect([p.mask, p.value, p.tailMask, p.tailValue]).toEqual([0xff0f0000, 0xc0000000, 0, 0]);
    expect(p.fields.get('R1')).toEqual({ name: 'R1', shift: 20, width: 4 });
    expect(p.fields.get('I2H')).toEqual({ name: 'I2H', shift: 0, width: 16 });
    expect(p.fields.get('I2L')).toEqual({ name: 'I2L', shift: 36, width: 12 });
    expect(p.fields.get('X')).toEqual({ name: 'X', shift: 32, width: 4 });
    const values = [...p.fields.values()].map((f) => extractField(f, 0xc0a01234, 0xabcd));
    expect(values).toEqual([0xa, 0x1234, 0xabc, 0xd]);
  });

  it('keeps fixed bits of the last two bytes apart', () => {
    const p = parsePattern('11101011 R1:4 R3:4 B2:4 DL:12 DH:8 00000100');
    expect([p.mask, p.value, p.tailMask, p.tailValue]).toEqual([0xff000000, 0xeb000000, 0x00ff, 0x0004]);
  });

  it('reads two bytes as a number of 16 bits', () => {
    const p = parsePattern('00011010 R1:4 R2:4');
    expect([p.length, p.mask, p.value]).toEqual([2, 0xff00, 0x1a00]);
    expect([...p.fields.values()].map((f) => extractField(f, 0x1ac7, 0))).toEqual([0xc, 7]);
  });

  it('gives unsigned values at the widest and the highest', () => {
    const p = parsePattern('A:32');
    expect(extractField(p.fields.get('A') as never, 0xfedcba98, 0)).toBe(0xfedcba98);
    expect([p.mask, p.value]).toEqual([0, 0]);
    const top = parsePattern('1 A:31');
    expect([top.mask, top.value]).toEqual([0x80000000, 0x80000000]);
    expect(extractField(top.fields.get('A') as never, 0xffffffff, 0)).toBe(0x7fffffff);
  });

  it.each([
    ['0101 RT:4 x', /cannot read "x"/],
    ['0101 RT: .4', /cannot read "RT:"/],
    ['012 .13', /cannot read "012"/],
    ['', /cannot read ""/],
    ['00000000 R1:4 R1:4', /field R1 twice/],
    ['0000000 R1:4 R2:4', /has 15 bits/],
    ['.24', /has 24 bits/],
    ['.64', /has 64 bits/],
    ['.24 I:16 .8', /field I crosses byte 4/],
  ])('refuses "%s"', (text, message) => {
    expect(() => parsePattern(text)).toThrow(message);
  });
});

const nothing = (): void => {};
const make = (name: string, encoding: string): Instruction<Mode> =>
  new Instruction<Mode>({ name, encoding, operands: '', meaning: nothing });

describe('decoding', () => {
  it('prefers the encoding with more fixed bits, whatever the order of definition', () => {
    const general = make('general', '0110 A:4 .8');
    const special = make('special', '0110 0000 B:8');
    const exact = make('exact', '0110 0000 11111111');
    for (const order of [
      [general, special, exact],
      [exact, special, general],
      [special, general, exact],
    ]) {
      const isa = new InstructionSet(order, 2);
      expect(isa.decode(0x61120000, 0)?.name).toBe('general');
      expect(isa.decode(0x60120000, 0)?.name).toBe('special');
      expect(isa.decode(0x60ff0000, 0)?.name).toBe('exact');
      expect(isa.decode(0x70000000, 0)).toBeUndefined();
    }
  });

  it('counts fixed bits of the tail, too', () => {
    const isa = new InstructionSet([make('any', '11100000 .40'), make('one', '11100000 .24 .8 00000001')], 2, () => 6);
    expect(isa.decode(0xe0000000, 0xff01)?.name).toBe('one');
    expect(isa.decode(0xe0000000, 0xff02)?.name).toBe('any');
  });

  it('does not look at ignored bits and fields', () => {
    const isa = new InstructionSet([make('x', '1010 .4 F:8 0101 .12')], 4);
    for (const head of [0xa0005000, 0xafff5fff, 0xa5a55a5a]) expect(isa.decode(head, 0)?.name).toBe('x');
    for (const head of [0xb0005000, 0xa0004000, 0xa000d000]) expect(isa.decode(head, 0)).toBeUndefined();
  });

  it('compares the sign bit as any other', () => {
    const isa = new InstructionSet([make('x', '1 .30 1')], 4);
    expect(isa.decode(0x80000001, 0)?.name).toBe('x');
    expect(isa.decode(0x00000001, 0)).toBeUndefined();
  });

  it('does not let bytes behind a short instruction decide', () => {
    const isa = new InstructionSet([make('short', '00000001 R:8')], 2);
    expect(isa.decode(0x0112ffff, 0xffff)?.name).toBe('short');
  });

  it('finds every instruction of the toy from its own encoding, and lengths agree', () => {
    for (const i of toyIsa.instructions) {
      const bytes = encode(i.name, {});
      const head = ((bytes[0] << 24) | (bytes[1] << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)) >>> 0;
      const found = toyIsa.decode(head, ((bytes[4] ?? 0) << 8) | (bytes[5] ?? 0));
      expect(found?.name).toBe(i.name);
      expect(toyLength(head >>> 16)).toBe(i.pattern.length);
    }
  });

  it('is exhaustive over first halfwords: the toy decodes just what a plain reading of the encodings says', () => {
    const texts = new Map(
      toyIsa.instructions.map((i) => [i, { mask: i.pattern.mask, value: i.pattern.value, length: i.pattern.length }]),
    );
    for (let half = 0; half < 0x10000; half++) {
      const matching = [...texts].filter(([i, p]) => {
        // Six-byte instructions with an opcode in the tail have a test of their own.
        if (i.pattern.tailMask !== 0) return false;
        const word = p.length === 2 ? half : half * 65536;
        return (word & p.mask) >>> 0 === p.value;
      });
      const decoded = toyIsa.decode((half << 16) >>> 0, 0);
      expect(decoded === undefined).toBe(matching.length === 0);
      if (matching.length === 1) expect(decoded).toBe(matching[0][0]);
      // The only overlap of the toy: a return is a branch.
      if (matching.length > 1) expect([half, decoded?.name]).toEqual([0x05fe, 'ret']);
    }
  });
});

describe('instructions', () => {
  it('refuse a split on a field that they do not have', () => {
    const spec = { name: 'bad', encoding: '00000000 R1:8', operands: '', meaning: nothing };
    expect(() => new Instruction({ ...spec, split: ['R2'] })).toThrow('bad has no field R2');
    expect(() => new Instruction({ ...spec, split: ['R2=0'] })).toThrow('bad has no field R2');
    expect(() => new Instruction({ ...spec, split: ['R1=0'] })).not.toThrow();
  });
});
