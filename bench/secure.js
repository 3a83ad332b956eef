// The same guest as a secure VM and as a normal one: what protection costs where nothing is paged. Each round runs it as a normal VM, as a
// secure one, and as a normal one again, in another order each time; how far the two normal ones are apart says what a ratio is worth.
import { KERNELS } from './kernels.js';
import { guest, interval, median, printTable, repeat } from './measure.js';
import { runOurs } from './ours.js';

const MIXING_ROUNDS = 20_000;
const RUNS = 9;
const SHORT_RUNS = 3;
/** A short bench takes a fraction of the work, and some of the kernels. */
const SHORT_PART = 4;
const SHORT_KERNELS = ['list', 'sha256', 'quicksort'];

const secret = (part) => ({
  name: 'secret_shared',
  image: guest('secret_shared'),
  cmdline: `${MIXING_ROUNDS / part}`,
  said: { normal: 'ran as a normal VM', secure: 'ran as a secure VM' },
  time: (lines) => interval(lines, 'made a secret of 32 bytes', 'secret intact'),
});

const kernel = (name, part) => ({
  name: `kernels/${name}`,
  image: guest(`kernels/${name}`),
  cmdline: `${Math.max(1, Math.round(KERNELS[name] / part))} secure`,
  said: { normal: 'normal', secure: 'secure' },
  time: (lines) => interval(lines, 'start'),
});

/** Processor time of one run in seconds, and what the guest came to. */
function run({ name, image, cmdline, said, time }, isProtected) {
  const { lines } = runOurs({ image, cmdline, protected: isProtected });
  const kind = isProtected ? 'secure' : 'normal';
  if (!lines.some(({ text }) => text === said[kind])) throw new Error(`secure: ${name} did not run as a ${kind} VM`);
  const { cpuSeconds, text } = time(lines);
  return { seconds: cpuSeconds, text };
}

const VARIANTS = [
  ['normal', false],
  ['secure', true],
  ['again', false],
];

async function compare(subject, runs) {
  const rounds = await repeat(runs, (round) => {
    const results = {};
    for (let i = 0; i < VARIANTS.length; i++) {
      const [variant, isProtected] = VARIANTS[(round + i) % VARIANTS.length];
      results[variant] = run(subject, isProtected);
    }
    return results;
  });
  const [{ normal: first }] = rounds;
  for (const results of rounds) {
    for (const { text } of Object.values(results)) {
      if (text !== first.text) throw new Error(`secure: ${subject.name} said "${first.text}" and "${text}"`);
    }
  }
  return {
    secure: rounds.map(({ normal, secure, again }) => (2 * secure.seconds) / (normal.seconds + again.seconds)),
    control: rounds.map(({ normal, again }) => again.seconds / normal.seconds),
  };
}

const spread = (ratios) =>
  `${median(ratios).toFixed(3)}x (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`;

/** @param {{ short: boolean }} options */
export async function benchSecure({ short }) {
  const part = short ? SHORT_PART : 1;
  const names = short ? SHORT_KERNELS : Object.keys(KERNELS);
  const rows = [];
  for (const subject of [secret(part), ...names.map((name) => kernel(name, part))]) {
    const { secure, control } = await compare(subject, short ? SHORT_RUNS : RUNS);
    rows.push([subject.name, spread(secure), spread(control)]);
  }
  printTable('guests at work, processor time: median of the ratios (all of them)', [
    ['guest', 'secure / normal', 'normal / normal'],
    ...rows,
  ]);
}
