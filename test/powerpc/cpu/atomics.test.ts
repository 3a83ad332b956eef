import { beforeEach, describe, expect, test } from 'vitest';
import { LEVEL, TestMachine } from './machine.ts';

/** Power ISA 3.0B, Book II 4.5: what QEMU 7.2 cannot judge, by hand. */
const m = new TestMachine();
const AT = 0x5010;
const TOP = 1n << 63n;
const MAX_SIGNED = 5;
const MIN_SIGNED = 7;
const DECREMENT_BOUNDED = 28;

const atomic = (xo: number, rt: number, ra: number, fc: number): number =>
  (0x7c000000 | (rt << 21) | (ra << 16) | (fc << 11) | (xo << 1)) >>> 0;
const lwat = (fc: number) => atomic(582, 5, 3, fc);
const ldat = (fc: number) => atomic(614, 5, 3, fc);
const stwat = (fc: number) => atomic(710, 5, 3, fc);
const stdat = (fc: number) => atomic(742, 5, 3, fc);

beforeEach(() => {
  m.start();
  m.cpu.setGpr(3, BigInt(AT));
});

describe('signed maximum and minimum of words', () => {
  test.each([
    [MAX_SIGNED, 0xffffffffn, 0x5_0000_0001n, 1n],
    [MAX_SIGNED, 1n, 0xffffffffn, 1n],
    [MIN_SIGNED, 0xfffffffen, 7n, 0xfffffffen],
    [MIN_SIGNED, 7n, 0x1_8000_0000n, 0x80000000n],
  ])('function %i of 0x%s and 0x%s', (fc, memory, operand, stored) => {
    m.ram.put(AT, (memory << 32n) | 0x55n);
    m.cpu.setGpr(6, operand);
    m.step(LEVEL.guest, lwat(fc));
    expect(m.cpu.gpr(5)).toBe(memory);
    expect(m.ram.get(AT)).toBe((stored << 32n) | 0x55n);
    m.ram.put(AT, (memory << 32n) | 0x55n);
    m.cpu.setGpr(5, operand);
    m.step(LEVEL.guest, stwat(fc));
    expect(m.ram.get(AT)).toBe((stored << 32n) | 0x55n);
  });
});

describe('Fetch and Decrement Bounded: the bound is before the operand', () => {
  test.each([
    [9n, 8n, 9n, 8n],
    [8n, 8n, TOP, 8n],
  ])('%i, bound %i', (memory, bound, result, stored) => {
    m.ram.put(AT - 8, bound);
    m.ram.put(AT, memory);
    m.step(LEVEL.guest, ldat(DECREMENT_BOUNDED));
    expect(m.cpu.gpr(5)).toBe(result);
    expect([m.ram.get(AT), m.ram.get(AT - 8)]).toEqual([stored, bound]);
  });
});

test('the operands are in the registers behind RT, R31 being before R0', () => {
  m.ram.put(AT, 5n);
  m.cpu.setGpr(0, 5n);
  m.cpu.setGpr(1, 6n);
  m.step(LEVEL.guest, atomic(614, 31, 3, 16));
  expect([m.cpu.gpr(31), m.ram.get(AT)]).toEqual([5n, 5n]);
  m.cpu.setGpr(0, 4n);
  m.step(LEVEL.guest, atomic(614, 31, 3, 16));
  expect([m.cpu.gpr(31), m.ram.get(AT)]).toEqual([5n, 6n]);
});

test.each([
  ['lwat', lwat(9)],
  ['ldat', ldat(31)],
  ['stwat swap', stwat(8)],
  ['stdat', stdat(25)],
])('%s of a function that is none is illegal', (_, word) => {
  m.step(LEVEL.guest, word);
  expect(m.cpu.context.pc).toBe(0xe40n);
  expect(m.spr('HEIR')).toBe(BigInt(word));
});

test.each([
  ['lwat', lwat(0), 2],
  ['stdat', stdat(0), 4],
])('%s of an unaligned address is an alignment interrupt', (_, word, offset) => {
  m.cpu.setGpr(3, BigInt(AT + offset));
  m.step(LEVEL.guest, word);
  expect(m.cpu.context.pc).toBe(0x600n);
  expect(m.spr('DAR')).toBe(BigInt(AT + offset));
});
