import { describe, expect, it } from 'vitest';
import { powerIsa } from '../../../src/powerpc/isa/index.ts';
import { ca, ca32, cr, ctr, gpr, lr, ov, ov32, so } from '../../../src/powerpc/isa/state.ts';
import { encode } from './cases.ts';
import { FlatMachine } from './flat-model.ts';

/**
 * MSR[SF]=0 where 64-bit registers show (Power ISA 3.0B, book I, 1.10.3, 2.4, 3.3.9): addresses, CR0, carries and the test of CTR look at the low word,
 * results are still 64 bits long. The oracle test compares the low words with qemu-ppc; this one says what the other halves do.
 */

const TEXT = 0x1000n;
const DATA = 0x8000n;
const SC = 0x44000002;

function word(name: string, fields: Readonly<Record<string, number>>): number {
  const found = powerIsa.instructions.find(
    (i) => i.name === name && Object.keys(fields).every((f) => i.pattern.fields.has(f)),
  );
  if (found === undefined) throw new Error(`no ${name}`);
  return encode(found, fields);
}

function run(
  words: readonly number[],
  registers: Readonly<Record<number, bigint>>,
  prepare?: (m: FlatMachine) => void,
): FlatMachine {
  const machine = new FlatMachine({
    mode: 0,
    translate: false,
    ranges: [
      { start: TEXT, bytes: 4096 },
      { start: DATA, bytes: 4096 },
      { start: 0xffff_f000n, bytes: 4096 },
    ],
  });
  const bytes = new Uint8Array(4 * (words.length + 1));
  [...words, SC].forEach((w, i) => {
    new DataView(bytes.buffer).setUint32(4 * i, w);
  });
  machine.write(TEXT, bytes);
  for (const [n, value] of Object.entries(registers)) machine.context.set64(gpr.slots[Number(n)]!, value);
  prepare?.(machine);
  expect(machine.run(TEXT)).toEqual({ kind: 'sc' });
  return machine;
}

const register = (m: FlatMachine, n: number): bigint => m.context.get64(gpr.slots[n]!);
const cr0 = (m: FlatMachine): number[] => [0, 1, 2, 3].map((i) => m.context.get32(cr.slots[i]!));

describe('32-bit mode', () => {
  it('sums 64 bits, records the low word', () => {
    const m = run([word('add', { RT: 3, RA: 4, RB: 5, Rc: 1 })], { 4: 0x1_7fff_ffffn, 5: 1n });
    expect(register(m, 3)).toBe(0x1_8000_0000n);
    expect(cr0(m)).toEqual([1, 0, 0, 0]);
  });

  it('records a low word of 0 as equal, whatever stands above', () => {
    const m = run([word('or', { RS: 4, RA: 3, RB: 4, Rc: 1 })], { 4: 0x5_0000_0000n });
    expect(register(m, 3)).toBe(0x5_0000_0000n);
    expect(cr0(m)).toEqual([0, 0, 1, 0]);
  });

  it('takes CA and OV from bit 32', () => {
    const m = run([word('addco', { RT: 3, RA: 4, RB: 5 })], { 4: 0xffff_ffffn, 5: 1n });
    expect(register(m, 3)).toBe(0x1_0000_0000n);
    const flags = [ca, ca32, ov, ov32, so].map((slot) => m.context.get32(slot));
    expect(flags).toEqual([1, 1, 0, 0, 0]);
    const overflowed = run([word('addo', { RT: 3, RA: 4, RB: 5 })], { 4: 0x7fff_ffffn, 5: 1n });
    expect([ov, ov32, so].map((slot) => overflowed.context.get32(slot))).toEqual([1, 1, 1]);
  });

  it('does not take a carry out of bit 0', () => {
    const m = run([word('addc', { RT: 3, RA: 4, RB: 5 })], { 4: 0xffff_ffff_0000_0000n, 5: 0x1_0000_0000n });
    expect([ca, ca32].map((slot) => m.context.get32(slot))).toEqual([0, 0]);
  });

  it('cuts effective addresses to 32 bits, and writes them so to the base of update forms', () => {
    const m = run(
      [
        word('lwz', { RT: 3, RA: 4, D: 8 }),
        word('stwux', { RS: 3, RA: 4, RB: 5 }),
        word('lwzx', { RT: 6, RA: 0, RB: 7 }),
      ],
      { 4: 0xabcd_0000_0000_8000n, 5: 0xffff_ffff_0000_0010n, 7: 0x9_0000_8010n },
    );
    expect(register(m, 4)).toBe(0x8010n);
    expect(register(m, 6)).toBe(register(m, 3));
  });

  it('wraps effective addresses', () => {
    const m = run([word('stb', { RS: 3, RA: 4, D: -1 & 0xffff })], { 3: 0x5an, 4: 0n });
    expect([...m.memory(0xffff_ffffn, 1)]).toEqual([0x5a]);
  });

  it('loads doublewords and keeps all of them', () => {
    const m = run([word('std', { RS: 3, RA: 4, DS: 0 }), word('ld', { RT: 5, RA: 4, DS: 0 })], {
      3: 0x0123_4567_89ab_cdefn,
      4: 0x7_0000_8000n,
    });
    expect(register(m, 5)).toBe(0x0123_4567_89ab_cdefn);
  });

  it('tests the low word of CTR, and counts all of it', () => {
    // bdnz +8; li r3,1; sc
    const bdnz = (0x42000000 | 8) >>> 0;
    const m = run([bdnz, word('addi', { RT: 3, RA: 0, SI: 1 })], {}, ({ context }) =>
      context.set64(ctr, 0x1_0000_0001n),
    );
    expect(register(m, 3)).toBe(1n);
    expect(m.context.get64(ctr)).toBe(0x1_0000_0000n);
  });

  it('cuts branch targets to 32 bits', () => {
    const blr = 0x4e800020;
    const m = run([blr, word('addi', { RT: 3, RA: 0, SI: 1 })], {}, ({ context }) => context.set64(lr, 0x5_0000_1008n));
    expect(register(m, 3)).toBe(0n);
    expect(m.context.pc).toBe(TEXT + 8n);
  });

  it('compares doublewords where L=1', () => {
    const m = run([word('cmp', { BF: 0, L: 1, RA: 4, RB: 5 })], { 4: 0x1_0000_0000n, 5: 0xffff_ffffn });
    expect(cr0(m)).toEqual([0, 1, 0, 0]);
  });
});

describe('absolute branches', () => {
  it.each([
    ['ba', (0x48000002 | 0x1008) >>> 0],
    ['bca always', (0x40000002 | (20 << 21) | 0x1008) >>> 0],
    ['bca bdnz', (0x40000002 | (16 << 21) | 0x1008) >>> 0],
    ['bca bne', (0x40000002 | (4 << 21) | (2 << 16) | 0x1008) >>> 0],
  ])('%s goes to its address', (_name, branch) => {
    const m = run([branch, word('addi', { RT: 3, RA: 0, SI: 1 })], {});
    expect(register(m, 3)).toBe(0n);
  });

  it('bca falls through where the condition does not hold', () => {
    const beq = (0x40000002 | (12 << 21) | (2 << 16) | 0x1008) >>> 0;
    expect(register(run([beq, word('addi', { RT: 3, RA: 0, SI: 1 })], {}), 3)).toBe(1n);
  });
});

describe('quadword reservations', () => {
  const code = [word('lqarx', { RTp: 5, RA: 4, RB: 6 }), word('stqcx.', { RSp: 7, RA: 4, RB: 6 })];

  it('store the pair where memory still holds what was read', () => {
    const m = run(code, { 4: 0x8000n, 6: 0x20n, 14: 0x1111n, 15: 0x2222n });
    expect(cr0(m)).toEqual([0, 0, 1, 0]);
    const view = new DataView(m.memory(0x8020n, 16).slice().buffer);
    expect([view.getBigUint64(0), view.getBigUint64(8)]).toEqual([0x1111n, 0x2222n]);
  });

  it('fail where the second half changed', () => {
    const [load, store] = code as [number, number];
    const m = run([load, word('std', { RS: 14, RA: 4, DS: 10 }), store], { 4: 0x8000n, 6: 0x20n, 14: 0x1111n });
    expect(cr0(m)).toEqual([0, 0, 0, 0]);
  });
});
