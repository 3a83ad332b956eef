// What the benches share: guests, intervals, means, tables.
import { join } from 'node:path';

/** The ELF file of one of our guests. */
export const guest = (name, arch = 'powerpc') => join(import.meta.dirname, '../guests', arch, `${name}.elf`);

/**
 * The time between two lines of a console, and the text of the later one. Other load does not count in processor time, nor do threads that compile
 * in the background; there is none of QEMU.
 * @param {import('./ours.js').Line[]} lines
 * @param {string} from text of the earlier line
 * @param {string} [to] text of the later line; the one after the earlier line if it is not given
 */
export function interval(lines, from, to) {
  const first = lines.findIndex(({ text }) => text === from);
  const last = to === undefined ? first + 1 : lines.findIndex(({ text }) => text === to);
  if (first < 0 || last <= first || last >= lines.length) {
    const console = lines.map(({ text }) => text).join('\n');
    throw new Error(
      `no line "${from}" followed by ${to === undefined ? 'another' : `"${to}"`} on the console:\n${console}`,
    );
  }
  const passed = (clock) => (lines[last][clock] - lines[first][clock]) / 1000;
  return { seconds: passed('at'), cpuSeconds: passed('cpu'), text: lines[last].text };
}

export const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

export const geometricMean = (numbers) => Math.exp(numbers.reduce((sum, n) => sum + Math.log(n), 0) / numbers.length);

/** Runs `once` a number of times and gives the results. */
export async function repeat(times, once) {
  const results = [];
  for (let i = 0; i < times; i++) results.push(await once(i));
  return results;
}

/** Prints a table whose first row is the heading; numbers should be texts already. */
export function printTable(title, rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[0]) : text.padStart(widths[column]))).join('  ');
  console.log(`\n${title}`);
  for (const row of rows) console.log(line(row).trimEnd());
}
