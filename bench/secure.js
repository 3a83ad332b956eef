// The same guest as a secure VM and as a normal one: what protection costs where nothing is paged.
import { guest, interval, median, printTable, repeat } from './measure.js';
import { runOurs } from './ours.js';

const MIXING_ROUNDS = 20_000;
const RUNS = 5;

/** @param {{ short: boolean }} options */
export async function benchSecure({ short }) {
  const image = guest('secret_shared');
  const cmdline = `${short ? MIXING_ROUNDS / 4 : MIXING_ROUNDS}`;
  const ours = (isProtected) => {
    const { lines } = runOurs({ image, cmdline, protected: isProtected });
    const kind = isProtected ? 'ran as a secure VM' : 'ran as a normal VM';
    if (!lines.some(({ text }) => text === kind)) throw new Error(`secure: no line "${kind}"`);
    return interval(lines, 'made a secret of 32 bytes', 'secret intact').seconds;
  };
  const results = await repeat(short ? 2 : RUNS, () => ({ normal: ours(false), secure: ours(true) }));
  const normal = median(results.map((r) => r.normal));
  const secure = median(results.map((r) => r.secure));
  const spread = Math.max(...results.map((r) => r.normal)) / Math.min(...results.map((r) => r.normal));
  printTable(`the secret guest at work (normal runs differ among themselves by ${(100 * (spread - 1)).toFixed(0)} %)`, [
    ['guest', 'seconds', 'ratio'],
    ['normal', normal.toFixed(3), '1.000x'],
    ['secure', secure.toFixed(3), `${(secure / normal).toFixed(3)}x`],
  ]);
}
