import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** Cases of power-pef.md 10.2. */
const CASES = Array.from({ length: 22 }, (_, i) => 34 + i);

const rows = [...readFileSync('docs/powerpc-cases.md', 'utf8').matchAll(/^\| (\d+) \|.*\| `(\S+)`: (.*) \|$/gm)].map(
  ([, number, file, name]) => ({ number: Number(number), file: file ?? '', name: name ?? '' }),
);

describe('docs/powerpc-cases.md', () => {
  it('has every case once, in order', () => {
    expect(rows.map(({ number }) => number)).toEqual(CASES);
  });

  it.each(rows)('case $number: $file has a test "$name"', ({ file, name }) => {
    const lines = readFileSync(file, 'utf8').split('\n');
    // The name itself, or a row of a table of names; no comment.
    expect(lines.filter((line) => line.includes(name) && !/^\s*(\/\/|\*|\/\*)/.test(line))).not.toEqual([]);
  });
});
