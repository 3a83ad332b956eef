import { describe, expect, it } from 'vitest';
import { chromeTrace } from '../../src/trace/chrome.ts';
import { samples } from './samples.ts';

interface Parsed {
  name: string;
  cat?: string;
  ph: string;
  ts: number;
  pid: number;
  tid: number;
  id?: string;
  s?: string;
  args?: Record<string, unknown>;
}

// The rules are those of "Trace Event Format" (Google, catapult-project), sections "JSON Array Format", "Event
// Descriptions", "Duration Events", "Async Events" (nestable), "Instant Events" and "Metadata Events".
describe('chromeTrace', () => {
  const records: Parsed[] = JSON.parse(chromeTrace(samples));
  const phase = (...phases: string[]) => records.filter(({ ph }) => phases.includes(ph));

  it('is a JSON array of records with the fields that every record needs', () => {
    expect(Array.isArray(records)).toBe(true);
    for (const record of records) {
      expect(record.name).toBeTypeOf('string');
      expect(['B', 'E', 'b', 'e', 'i', 'M']).toContain(record.ph);
      expect(Number.isFinite(record.ts)).toBe(true);
      expect(Number.isInteger(record.pid)).toBe(true);
      expect(Number.isInteger(record.tid)).toBe(true);
      if (record.args !== undefined) expect(record.args).toBeTypeOf('object');
    }
  });

  it('never goes back in time within a thread', () => {
    const last = new Map<number, number>();
    for (const { ph, tid, ts } of records) {
      if (ph === 'M') continue;
      expect(ts).toBeGreaterThanOrEqual(last.get(tid) ?? 0);
      last.set(tid, ts);
    }
  });

  it('ends each slice of a thread that it began, the inner one first', () => {
    const open = new Map<number, string[]>();
    for (const { ph, tid, name } of phase('B', 'E')) {
      const names = open.get(tid) ?? [];
      open.set(tid, names);
      if (ph === 'B') names.push(name);
      else expect(names.pop()).toBe(name);
    }
    expect([...open.values()].flat()).toEqual([]);
    expect(phase('B').map(({ tid, ts, name }) => [tid, ts, name])).toEqual([
      [0, 0, 'guest'],
      [0, 10, 'ultravisor'],
      [0, 12, 'hypervisor'],
      [1, 12, 'hypervisor'],
      [0, 17, 'guest'],
    ]);
  });

  it('pairs the begin and end of an overlapping slice by category and id', () => {
    const begins = phase('b');
    const ends = phase('e');
    const key = ({ cat, id }: Parsed) => `${cat}/${id}`;
    expect(new Set(begins.map(key)).size).toBe(begins.length);
    expect(ends.map(key).sort()).toEqual(begins.map(key).sort());
    for (const record of [...begins, ...ends]) {
      expect(record.cat).toBeTypeOf('string');
      expect(record.id).toBeTypeOf('string');
    }
    const put = ends.find(({ name }) => name === 'H_PUT_TERM_CHAR');
    expect(put).toMatchObject({ ts: 17, args: { result: '0xfffffffffffffffc' } });
  });

  it('closes a call that never returned at the end of the run', () => {
    expect(phase('e').find(({ name }) => name === 'UV_RETURN')).toMatchObject({ cat: 'ultracall', ts: 20 });
  });

  it('gives instants a scope', () => {
    const instants = phase('i');
    for (const { s } of instants) expect(['g', 'p', 't']).toContain(s);
    expect(instants.map(({ name }) => name)).toEqual([
      'exit: SYSCALL',
      'console of VM 1',
      'NORMAL → SECURE',
      'refused write by hypervisor',
      'TRANSIENT → SECURE',
      'return of ultracall 0xf130',
      'input of VM 1',
      'the "end"',
    ]);
    expect(instants[2].args).toEqual({ vm: 1, gfn: '0x40', from: 'NORMAL', to: 'SECURE' });
  });

  it('names the process and each thread', () => {
    expect(phase('M').map(({ name, tid, args }) => [name, tid, args?.name])).toEqual([
      ['process_name', 0, 'cloister'],
      ['thread_name', 0, 'CPU 0'],
      ['thread_name', 1, 'CPU 1'],
    ]);
  });

  it('is an array for a run without events too', () => {
    expect(JSON.parse(chromeTrace([]))).toHaveLength(1);
  });
});
