// The round trip of one hypercall that does next to nothing: of a normal guest, and of a secure one, where it is
// reflected through the Ultravisor.
import { guest, interval, median, printTable, repeat } from './measure.js';
import { runOurs } from './ours.js';
import { haveQemu, runQemu } from './qemu.js';

const CALLS = 100_000;
const ROUNDS = 5;

/** @param {{ short: boolean }} options */
export async function benchHypercalls({ short }) {
  const image = guest('hypercalls');
  const calls = short ? CALLS / 10 : CALLS;
  const cmdline = `${calls}`;
  const ours = (isProtected) => {
    const { lines } = runOurs({ image, cmdline, protected: isProtected });
    const kind = isProtected ? 'secure' : 'normal';
    if (!lines.some(({ text }) => text === kind)) throw new Error(`hypercalls: the guest did not become ${kind}`);
    return interval(lines, 'start', 'done').seconds;
  };
  const results = await repeat(short ? 1 : ROUNDS, async () => ({
    normal: ours(false),
    secure: ours(true),
    qemu: haveQemu() ? interval((await runQemu({ image, cmdline })).lines, 'start', 'done').seconds : null,
  }));
  const each = (of) => (1e6 * median(results.map(of))) / calls;
  const normal = each((r) => r.normal);
  const secure = each((r) => r.secure);
  printTable('hypercall round trip (H_PROD)', [
    ['guest', 'µs per call', 'ratio'],
    ['normal', normal.toFixed(2), '1.00x'],
    ['secure, reflected', secure.toFixed(2), `${(secure / normal).toFixed(2)}x`],
    ...(haveQemu()
      ? [['normal, on QEMU', each((r) => r.qemu).toFixed(2), `${(each((r) => r.qemu) / normal).toFixed(2)}x`]]
      : []),
  ]);
}
