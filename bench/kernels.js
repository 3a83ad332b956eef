// Compute kernels: translated and interpreted on our machine, and on QEMU. The time is from the guest's line `start` to
// its checksum, so making a machine does not count, and compiling does.
import { geometricMean, guest, interval, median, printTable, repeat } from './measure.js';
import { runOurs } from './ours.js';
import { haveQemu, runQemu } from './qemu.js';

/** Iterations: one to two seconds on QEMU. */
export const KERNELS = {
  list: 160,
  matrix: 350,
  state: 400,
  crc: 220,
  sha256: 1600,
  string: 200,
  quicksort: 220,
  hash: 5,
  float: 400,
};

/** What QEMU needs for the hash table says little: its TLB is too small for it. */
const NOT_IN_MEAN = ['hash'];
/** The interpreter gets a fraction of the iterations. */
const INTERPRETED_PART = 8;
/** A short bench takes a fraction of all. */
const SHORT_PART = 4;
const ROUNDS = 3;

/** @param {{ short: boolean, kernels: string[] }} options */
export async function benchKernels({ short, kernels }) {
  const names = kernels.length > 0 ? kernels : Object.keys(KERNELS);
  const qemu = haveQemu();
  const measured = [];
  for (const name of names) {
    const iterations = Math.max(1, Math.round(KERNELS[name] / (short ? SHORT_PART : 1)));
    measured.push(await benchKernel(name, iterations, short ? 1 : ROUNDS, qemu));
  }
  report(measured, qemu);
  const broken = measured.filter(({ mismatch }) => mismatch !== null);
  if (broken.length > 0) throw new Error(broken.map(({ name, mismatch }) => `${name}: ${mismatch}`).join('; '));
}

async function benchKernel(name, iterations, rounds, qemu) {
  const image = guest(`kernels/${name}`);
  const few = Math.max(1, Math.round(iterations / INTERPRETED_PART));
  const ours = (count, interpret) => {
    const { lines, instructions } = runOurs({ image, cmdline: `${count}`, interpret });
    return { ...interval(lines, 'start'), instructions };
  };
  const results = await repeat(rounds, async () => ({
    translated: ours(iterations, false),
    qemu: qemu ? interval((await runQemu({ image, cmdline: `${iterations}` })).lines, 'start') : null,
    interpreted: ours(few, true),
  }));
  const { text: fewChecksum } = ours(few, false);

  const translated = median(results.map((r) => r.translated.seconds));
  const qemuSeconds = qemu ? median(results.map((r) => r.qemu.seconds)) : null;
  /** By processor time: what else the computer does is no fault of the interpreter. QEMU's is not known, so ratios are of time on the wall. */
  const cpuSeconds = (of) => median(results.map((r) => of(r).cpuSeconds));
  const checksum = results[0].translated.text;
  let mismatch = null;
  for (const r of results) {
    if (r.translated.text !== checksum) mismatch = `translated ${checksum} and ${r.translated.text}`;
    if (qemu && r.qemu.text !== checksum) mismatch = `translated ${checksum}, QEMU ${r.qemu.text}`;
    if (r.interpreted.text !== fewChecksum) mismatch = `translated ${fewChecksum}, interpreted ${r.interpreted.text}`;
  }
  const { instructions } = results[0].translated;
  return {
    name,
    mismatch,
    translated,
    qemuSeconds,
    mips: instructions / cpuSeconds((r) => r.translated) / 1e6,
    interpretedMips: results[0].interpreted.instructions / cpuSeconds((r) => r.interpreted) / 1e6,
    ratio: qemuSeconds === null ? null : qemuSeconds / translated,
  };
}

function report(measured, qemu) {
  const heading = ['kernel', 'translated s', 'MIPS', 'interpreted MIPS', 'QEMU s', 'QEMU / ours', 'results'];
  const rows = measured.map((m) => [
    m.name,
    m.translated.toFixed(2),
    m.mips.toFixed(0),
    m.interpretedMips.toFixed(0),
    m.qemuSeconds?.toFixed(2) ?? '-',
    m.ratio === null ? '-' : `${m.ratio.toFixed(2)}x`,
    m.mismatch === null ? 'equal' : 'WRONG',
  ]);
  printTable('kernels (QEMU / ours: above 1 is faster than qemu-system-ppc64; MIPS by processor time)', [
    heading,
    ...rows,
  ]);
  const counted = measured.filter(({ name }) => !NOT_IN_MEAN.includes(name));
  if (counted.length === 0) return;
  const mean = (of) => geometricMean(counted.map(of));
  const without = `geometric mean without ${NOT_IN_MEAN.join(', ')}`;
  console.log(
    `${without}: ${mean((m) => m.mips).toFixed(0)} MIPS, interpreted ${mean((m) => m.interpretedMips).toFixed(0)} MIPS`,
  );
  if (!qemu) return;
  const lowest = counted.reduce((a, b) => (a.ratio < b.ratio ? a : b));
  console.log(
    `${without}: ${mean((m) => m.ratio).toFixed(2)}x QEMU; lowest ${lowest.name} ${lowest.ratio.toFixed(2)}x`,
  );
}
