// From nothing to the first byte on the console, and how much memory that took.
import { guest, median, printTable, repeat } from './measure.js';
import { runOurs } from './ours.js';
import { haveQemu, runQemu } from './qemu.js';

const ROUNDS = 7;
const HELLO = 'hello from ppc64le';

/** @param {{ short: boolean }} options */
export async function benchStart({ short }) {
  const image = guest('hello');
  const check = (result) => {
    if (result.lines[0]?.text !== HELLO) throw new Error(`hello said "${result.lines[0]?.text}"`);
    return result;
  };
  const results = await repeat(short ? 2 : ROUNDS, async () => ({
    ours: check(runOurs({ image })),
    qemu: haveQemu() ? check(await runQemu({ image })) : null,
  }));
  const milliseconds = (of) => `${median(results.map(of)).toFixed(0)} ms`;
  const mebibytes = (of) => {
    const bytes = median(results.map(of));
    return Number.isNaN(bytes) ? '-' : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  };
  printTable('hello, to the first byte on its console', [
    ['', 'from the process', 'from the machine', 'memory of the process'],
    [
      'ours',
      milliseconds((r) => r.ours.firstByte),
      milliseconds((r) => r.ours.machineToFirstByte),
      mebibytes((r) => r.ours.peakMemory),
    ],
    ...(haveQemu() ? [['QEMU', milliseconds((r) => r.qemu.firstByte), '-', mebibytes((r) => r.qemu.peakMemory)]] : []),
  ]);
}
