// The same guest as a protected VM and as a normal one of the same hypervisor: what protection costs where nothing is paged. Three machines run it in one process, a slice each
// in turn (secure-child.js); how far the two normal ones are apart says what a ratio is worth.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { KERNELS } from './kernels.js';
import { geometricMean, guest, median, printTable, repeat } from './measure.js';
import { DIST } from './ours.js';

const MIXING_ROUNDS = 60_000;
const RUNS = 5;
/** A short bench takes a fraction of the work (`ARCHS`), and some of the kernels. */
const SHORT_KERNELS = ['list', 'sha256', 'quicksort'];

const secret = (part) => ({
  name: 'secret_shared',
  image: guest('secret_shared'),
  cmdline: `${MIXING_ROUNDS / part}`,
  from: 'made a secret of 32 bytes',
  result: 'secret intact',
});

const kernel = (arch, name, part) => ({
  name: `kernels/${name}`,
  image: guest(`kernels/${name}`, arch),
  cmdline: `${Math.max(1, Math.round(KERNELS[name] / part))}${ARCHS[arch].word}`,
  from: 'start',
  arch,
  ...ARCHS[arch].options,
});

/** By architecture: what tells a kernel to become secure, what else its machine needs, and guests beside the kernels. */
const ARCHS = {
  powerpc: { word: ' secure', options: {}, others: (part) => [secret(part)], shortPart: 2 },
  // A plain guest below the same hyp and KVM.
  arm64: { word: '', options: { pkvmProfile: 'I' }, others: () => [], shortPart: 1 },
};

/** Ratios of processor time by the instruction. */
function run({ name, result, ...work }) {
  const child = join(import.meta.dirname, 'secure-child.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [child, DIST, JSON.stringify(work)], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${name} on our machine:\n${stderr || stdout}`);
  const { normal, secure, again } = JSON.parse(stdout);
  /** What the guest came to: the line behind the one at which its work begins, or one that has to be there. */
  const outcome = ({ lines }) =>
    result === undefined ? lines[lines.indexOf(work.from) + 1] : lines.find((l) => l === result);
  for (const [kind, variants] of Object.entries({ normal: [normal, again], secure: [secure] })) {
    for (const variant of variants) {
      if (variant.vmState !== kind) throw new Error(`secure: ${name} did not run as a ${kind} VM`);
      if (outcome(variant) === undefined || outcome(variant) !== outcome(normal))
        throw new Error(`secure: ${name} said "${outcome(normal)}" and "${outcome(variant)}"`);
    }
  }
  return {
    secure: (2 * secure.nanoseconds) / (normal.nanoseconds + again.nanoseconds),
    control: again.nanoseconds / normal.nanoseconds,
  };
}

const spread = (ratios) =>
  `${median(ratios).toFixed(3)}x (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`;

/** @param {{ short: boolean, archs: string[] }} options */
export async function benchSecure({ short, archs }) {
  for (const arch of archs.filter((one) => one in ARCHS)) await benchArch(arch, short);
}

async function benchArch(arch, short) {
  const part = short ? ARCHS[arch].shortPart : 1;
  const names = short ? SHORT_KERNELS : Object.keys(KERNELS);
  const there = names.filter((name) => existsSync(guest(`kernels/${name}`, arch)));
  const rows = [];
  const medians = { secure: [], control: [] };
  for (const subject of [...ARCHS[arch].others(part), ...there.map((name) => kernel(arch, name, part))]) {
    const ratios = await repeat(short ? 1 : RUNS, () => run(subject));
    const of = (which) => ratios.map((r) => r[which]);
    for (const which of ['secure', 'control']) medians[which].push(median(of(which)));
    rows.push([subject.name, spread(of('secure')), spread(of('control'))]);
  }
  printTable(`${arch} guests at work, processor time by the instruction: median of the ratios (all of them)`, [
    ['guest', 'secure / normal', 'normal / normal'],
    ...rows,
    ['geometric mean', ...['secure', 'control'].map((which) => `${geometricMean(medians[which]).toFixed(3)}x`)],
  ]);
}
