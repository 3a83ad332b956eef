// Compute kernels of each architecture: translated and interpreted on our machine, on QEMU's, and on user-mode QEMU where there is a program for
// it. The time is from the guest's line `start` to its checksum, so making a machine does not count, and compiling does.
import { existsSync } from 'node:fs';
import { geometricMean, guest, interval, median, printTable, repeat } from './measure.js';
import { runOurs } from './ours.js';
import { haveQemu, haveUserQemu, qemuName, runQemu, runUserQemu } from './qemu.js';
import { userKernels } from './user-kernels.js';

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

/** Fewer where all of floating point is done in TypeScript. */
const FEWER = { s390: { float: 4 } };

/** What QEMU needs for the hash table says little: its TLB is too small for it. */
const NOT_IN_MEAN = ['hash'];
/** The interpreter gets a fraction of the iterations. */
const INTERPRETED_PART = 8;
/** A short bench takes a fraction of all; compiling is then most of it. */
const SHORT_PART = 16;
const ROUNDS = 3;

/** @param {{ short: boolean, kernels: string[], archs: string[] }} options */
export async function benchKernels({ short, kernels, archs }) {
  const wrong = [];
  for (const arch of archs) {
    const names = kernels.length > 0 ? kernels : Object.keys(KERNELS);
    const there = names.filter((name) => existsSync(guest(`kernels/${name}`, arch)));
    const program = haveUserQemu(arch) ? userKernels(arch) : null;
    const measured = [];
    for (const name of there) {
      const all = FEWER[arch]?.[name] ?? KERNELS[name];
      const iterations = Math.max(1, Math.round(all / (short ? SHORT_PART : 1)));
      measured.push(await benchKernel({ arch, name, iterations, rounds: short ? 1 : ROUNDS, program }));
    }
    report(arch, measured, program !== null);
    for (const { name, mismatch } of measured) if (mismatch !== null) wrong.push(`${arch} ${name}: ${mismatch}`);
  }
  if (wrong.length > 0) throw new Error(wrong.join('; '));
}

async function benchKernel({ arch, name, iterations, rounds, program }) {
  const image = guest(`kernels/${name}`, arch);
  const few = Math.max(1, Math.round(iterations / INTERPRETED_PART));
  const cmdline = `${iterations}`;
  const ours = (count, interpret) => {
    const { lines, instructions } = runOurs({ arch, image, cmdline: `${count}`, interpret });
    return { ...interval(lines, 'start'), instructions };
  };
  const results = await repeat(rounds, async () => ({
    translated: ours(iterations, false),
    qemu: haveQemu(arch) ? interval((await runQemu({ arch, image, cmdline })).lines, 'start') : null,
    user:
      program === null ? null : interval((await runUserQemu({ arch, image: program(name), cmdline })).lines, 'start'),
    interpreted: ours(few, true),
  }));
  const { text: fewChecksum } = ours(few, false);

  const seconds = (of) => (results[0][of] === null ? null : median(results.map((r) => r[of].seconds)));
  /** By processor time: what else the computer does is no fault of the interpreter. QEMU's is not known, so ratios are of time on the wall. */
  const cpuSeconds = (of) => median(results.map((r) => r[of].cpuSeconds));
  const checksum = results[0].translated.text;
  let mismatch = null;
  for (const { translated, interpreted, ...judges } of results) {
    if (translated.text !== checksum) mismatch = `translated ${checksum} and ${translated.text}`;
    for (const [judge, result] of Object.entries(judges))
      if (result !== null && result.text !== checksum) mismatch = `translated ${checksum}, ${judge} ${result.text}`;
    if (interpreted.text !== fewChecksum) mismatch = `translated ${fewChecksum}, interpreted ${interpreted.text}`;
  }
  const translated = seconds('translated');
  const ratio = (of) => (seconds(of) === null ? null : seconds(of) / translated);
  return {
    name,
    mismatch,
    translated,
    mips: results[0].translated.instructions / cpuSeconds('translated') / 1e6,
    interpretedMips: results[0].interpreted.instructions / cpuSeconds('interpreted') / 1e6,
    qemuSeconds: seconds('qemu'),
    ratio: ratio('qemu'),
    userRatio: ratio('user'),
  };
}

const times = (ratio) => (ratio === null ? '-' : `${ratio.toFixed(2)}x`);

function report(arch, measured, withUser) {
  const heading = ['kernel', 'translated s', 'MIPS', 'interpreted MIPS', 'QEMU s', 'QEMU / ours'];
  const rows = measured.map((m) => [
    m.name,
    m.translated.toFixed(2),
    m.mips.toFixed(0),
    m.interpretedMips.toFixed(0),
    m.qemuSeconds?.toFixed(2) ?? '-',
    times(m.ratio),
    ...(withUser ? [times(m.userRatio)] : []),
    m.mismatch === null ? 'equal' : 'WRONG',
  ]);
  const title = `${arch} kernels (QEMU / ours: above 1 is faster than ${qemuName(arch)}; MIPS by processor time)`;
  printTable(title, [[...heading, ...(withUser ? ['user QEMU / ours'] : []), 'results'], ...rows]);
  const counted = measured.filter(({ name }) => !NOT_IN_MEAN.includes(name));
  if (counted.length === 0) return;
  const mean = (of) => geometricMean(counted.map(of));
  const without = `geometric mean without ${NOT_IN_MEAN.join(', ')}`;
  console.log(
    `${without}: ${mean((m) => m.mips).toFixed(0)} MIPS, interpreted ${mean((m) => m.interpretedMips).toFixed(0)} MIPS`,
  );
  if (withUser) console.log(`${without}: ${mean((m) => m.userRatio).toFixed(2)}x user-mode QEMU`);
  if (!haveQemu(arch)) return;
  const lowest = counted.reduce((a, b) => (a.ratio < b.ratio ? a : b));
  console.log(
    `${without}: ${mean((m) => m.ratio).toFixed(2)}x QEMU; lowest ${lowest.name} ${lowest.ratio.toFixed(2)}x`,
  );
}
