import { describe, expect, it } from 'vitest';
import { LinePrefixer } from '../../src/cli/console-output.ts';
import { EscapeKeys } from '../../src/cli/escape-keys.ts';
import { Progress } from '../../src/cli/progress.ts';
import type { Machine } from '../../src/index.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

describe('keys behind Ctrl-A', () => {
  function typed(...parts: string[]): [guest: string, actions: string[]] {
    const actions: string[] = [];
    const keys = new EscapeKeys((action) => actions.push(action));
    return [parts.map((part) => text(keys.filter(bytes(part)))).join(''), actions];
  }

  it.each([
    [['plain\r'], 'plain\r', []],
    [['a\x01xb'], 'ab', ['end']],
    [['a\x01', 'Xb'], 'ab', ['end']],
    [['\x01\x01x'], '\x01x', []],
    [['\x01h\x01?\x01n'], '', ['help', 'help', 'next']],
    [['\x01z.'], '.', []],
    [['\x03\x04'], '\x03\x04', []],
  ])('%j', (parts, guest, actions) => {
    expect(typed(...parts)).toEqual([guest, actions]);
  });
});

it('lines of several guests stay whole, and an unfinished one is finished at the end', () => {
  let out = '';
  const [a, b] = ['a', 'b'].map((name) => new LinePrefixer(name, (data) => (out += text(data))));
  a?.write(bytes('one'));
  b?.write(bytes('two\nthree'));
  a?.write(bytes(' more\n\nrest'));
  for (const prefixer of [a, b]) prefixer?.finish();
  b?.finish();
  expect(out).toBe('b: two\na: one more\na: \na: rest\nb: three\n');
});

describe('progress', () => {
  const ERASE = '\r\x1b[K';

  function shown(columns = 80) {
    const state = { clock: 0, idle: 0, vmStates: { guest: 'normal' }, time: 0, out: '' };
    const terminal = { columns, write: (line: string) => (state.out += line) };
    const progress = new Progress(state as unknown as Machine, terminal, () => state.time);
    const at = (time: number, clock: number): string => {
      Object.assign(state, { time, clock, out: '' });
      progress.update();
      return state.out;
    };
    const writes = (line: string): string => {
      state.out = '';
      progress.beforeOutput(bytes(line));
      return state.out;
    };
    return { state, progress, at, writes };
  }

  it('tells instructions, speed since the last line, and the state of the VM', () => {
    const { at, state } = shown();
    expect(at(100, 1e6)).toBe('');
    expect(at(1000, 500e6)).toBe(`${ERASE}cloister: 500M instructions, 500 MIPS, normal`);
    expect(at(1100, 600e6)).toBe('');
    state.idle = 1.2e9;
    state.vmStates = { guest: 'secure' };
    expect(at(2000, 2.7e9)).toBe(`${ERASE}cloister: 1.50G instructions, 1000 MIPS, 1.20G waited, secure`);
  });

  it('goes before the guest writes, and comes back when it was silent at the beginning of a line', () => {
    const { at, writes } = shown();
    at(1000, 1e6);
    expect(writes('login: ')).toBe(ERASE);
    expect(writes('x')).toBe('');
    expect(at(5000, 2e6)).toBe('');
    writes('\n');
    expect(at(5500, 3e6)).toBe('');
    expect(at(9000, 4e6)).toContain('4.00M instructions');
  });

  it('leaves the terminal to a guest that moves the cursor, and to whoever types', () => {
    const first = shown();
    first.writes('\x1b[2J\n');
    expect(first.at(9000, 1e6)).toBe('');
    const second = shown();
    second.at(1000, 1e6);
    second.progress.end();
    expect(second.state.out.endsWith(ERASE)).toBe(true);
    expect(second.at(9000, 2e6)).toBe('');
  });

  it('does not wrap', () => {
    expect(shown(20).at(1000, 1e6)).toBe(`${ERASE}cloister: 1.00M ins`);
  });
});
