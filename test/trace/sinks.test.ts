import { describe, expect, it } from 'vitest';
import { JsonLinesTrace } from '../../src/trace/json-lines.ts';
import { MemoryTrace } from '../../src/trace/memory.ts';
import { samples } from './samples.ts';

describe('MemoryTrace', () => {
  it('keeps all events in their order and finds those of one type', () => {
    const trace = new MemoryTrace();
    for (const event of samples) trace.emit(event);
    expect(trace.events).toEqual(samples);
    expect(trace.ofType('call').map(({ name }) => name)).toEqual(['H_PUT_TERM_CHAR', 'UV_RETURN']);
    expect(trace.ofType('exit')).toHaveLength(1);
  });
});

describe('JsonLinesTrace', () => {
  const lines: string[] = [];
  const trace = new JsonLinesTrace((line) => lines.push(line));
  for (const event of samples) trace.emit(event);

  it('writes each event as one line with its fields', () => {
    expect(lines).toHaveLength(samples.length);
    for (const [i, line] of lines.entries()) {
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(Object.keys(JSON.parse(line))).toEqual(Object.keys(samples[i]));
    }
  });

  it('writes 64-bit values in hex, also within arrays, and bytes as hex digits', () => {
    expect(JSON.parse(lines[1])).toEqual({
      type: 'call',
      at: '0xa',
      cpu: 0,
      kind: 'hypercall',
      number: 0x58,
      name: 'H_PUT_TERM_CHAR',
      args: ['0x1'],
      from: 'guest',
    });
    expect(JSON.parse(lines[12]).result).toBe('0xfffffffffffffffc');
    expect(JSON.parse(lines[6]).bytes).toBe('68690a');
  });

  it('writes a negative result as its register shows it, and a Buffer as any other bytes', () => {
    lines.length = 0;
    trace.emit({ type: 'call-return', at: 1n, cpu: 0, kind: 'hypercall', number: 4, result: -4n });
    trace.emit({ type: 'console', at: 1n, cpu: 0, vm: 0, bytes: Buffer.from('hi') });
    expect(JSON.parse(lines[0]).result).toBe('0xfffffffffffffffc');
    expect(JSON.parse(lines[1]).bytes).toBe('6869');
  });
});
