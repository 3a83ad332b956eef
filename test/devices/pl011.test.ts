import { describe, expect, test } from 'vitest';
import { ConsoleBuffer } from '../../src/devices/console.ts';
import { Pl011 } from '../../src/devices/pl011.ts';

/** Offsets and bits: PL011 TRM (ARM DDI 0183G), chapter 3. */
function makeUart() {
  const console = new ConsoleBuffer();
  const lines: boolean[] = [];
  const uart = new Pl011(console, (level) => lines.push(level));
  return { uart, console, level: () => lines.at(-1) };
}

const [DR, FR, LCRH, IMSC, RIS, MIS, ICR] = [0, 0x18, 0x2c, 0x38, 0x3c, 0x40, 0x44] as const;
const text = (value: string) => new TextEncoder().encode(value);

describe('PL011', () => {
  test('says what it is', () => {
    const { uart } = makeUart();
    const ids = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => Number(uart.read(0xfe0 + 4 * i, 4)));
    expect(ids).toEqual([0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
    expect([uart.read(0x30, 4), uart.read(0x34, 4), uart.read(FR, 4)]).toEqual([0x300n, 0x12n, 0x90n]);
  });

  test('sends bytes as they are written', () => {
    const { uart, console } = makeUart();
    for (const byte of text('hi')) uart.write(DR, 1, BigInt(byte));
    uart.write(DR, 4, 0x1ffn);
    expect([...console.written()]).toEqual([0x68, 0x69, 0xff]);
  });

  test('holds one character, or sixteen with its FIFOs on', () => {
    const { uart, console } = makeUart();
    console.feed(text('abcdefghijklmnopqrst'));
    expect(uart.read(FR, 4)).toBe(0xc0n);
    expect(uart.read(DR, 4)).toBe(0x61n);
    expect(uart.read(FR, 4)).toBe(0xc0n);
    uart.write(LCRH, 4, 0x10n);
    expect(uart.read(FR, 4) & 0x50n).toBe(0x40n);
    let received = '';
    while ((uart.read(FR, 4) & 0x10n) === 0n) received += String.fromCharCode(Number(uart.read(DR, 4)));
    expect(received).toBe('bcdefghijklmnopqrst');
  });

  test('turning the FIFOs off flushes them, turning them on loses nothing', () => {
    const { uart, console } = makeUart();
    console.feed(text('abc'));
    expect(uart.read(FR, 4)).toBe(0xc0n);
    uart.write(LCRH, 4, 0x10n);
    expect([uart.read(FR, 4), uart.read(RIS, 4)]).toEqual([0x80n, 0x10n]);
    uart.write(LCRH, 4, 0n);
    expect([uart.read(FR, 4), uart.read(RIS, 4)]).toEqual([0x90n, 0n]);
  });

  test('interrupts for what was typed while it is unmasked, and until it is read', () => {
    const { uart, console, level } = makeUart();
    console.feed(text('x'));
    uart.poll();
    expect([level(), uart.read(RIS, 4), uart.read(MIS, 4)]).toEqual([false, 0x10n, 0n]);
    uart.write(IMSC, 4, 0x10n);
    expect([level(), uart.read(MIS, 4), uart.listening]).toEqual([true, 0x10n, false]);
    uart.read(DR, 4);
    expect([level(), uart.read(RIS, 4), uart.listening]).toEqual([false, 0n, true]);
  });

  test('interrupts after it has sent, until it is told to stop', () => {
    const { uart, level } = makeUart();
    uart.write(IMSC, 4, 0x20n);
    uart.write(DR, 4, 0x41n);
    expect(level()).toBe(true);
    uart.write(ICR, 4, 0x20n);
    expect([level(), uart.read(RIS, 4)]).toEqual([false, 0n]);
  });
});
