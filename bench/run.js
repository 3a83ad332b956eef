// The benchmarks: npm run bench -- [--short] [--arch=NAME] [name…]
//
// Ours and QEMU's runs alternate, so that what else the machine does falls on both alike; read the ratios, not the
// seconds. Results are checked: a wrong one ends with exit status 1.
import { existsSync } from 'node:fs';
import { benchHypercalls } from './hypercalls.js';
import { benchKernels, KERNELS } from './kernels.js';
import { DIST } from './ours.js';
import { benchPager } from './pager.js';
import { benchSecure } from './secure.js';
import { benchStart } from './start.js';
import { benchUltravisor } from './ultravisor.js';

const BENCHES = {
  start: benchStart,
  hypercalls: benchHypercalls,
  secure: benchSecure,
  pager: benchPager,
  ultravisor: benchUltravisor,
  kernels: benchKernels,
};
const ARCHS = ['powerpc', 'arm64', 's390'];
const ARCH_OPTION = '--arch=';
const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'));
const short = options.includes('--short');
const asked = options.find((option) => option.startsWith(ARCH_OPTION))?.slice(ARCH_OPTION.length);

const USAGE = `usage: npm run bench -- [--short] [--arch=${ARCHS.join('|')}] [${[...Object.keys(BENCHES), ...Object.keys(KERNELS)].join(' | ')}]…`;
if (options.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}

const unknown = [
  ...names.filter((name) => !(name in BENCHES) && !(name in KERNELS)),
  ...options.filter((option) => option !== '--short' && option !== `${ARCH_OPTION}${asked}`),
  ...(asked === undefined || ARCHS.includes(asked) ? [] : [asked]),
];
if (unknown.length > 0) {
  console.error(`bench: ${unknown.join(' ')}: there is no such bench`);
  console.error(USAGE);
  process.exit(2);
}
if (!existsSync(DIST)) {
  console.error('bench: not built yet: run npm ci first');
  process.exit(2);
}

/** Kernels by name; all of them if none is named. */
const kernels = names.filter((name) => name in KERNELS);
/** For benches that know several architectures. */
const archs = asked === undefined ? ARCHS : [asked];
let wrong = false;
for (const [name, bench] of Object.entries(BENCHES)) {
  const chosen = names.length === 0 || names.includes(name) || (name === 'kernels' && kernels.length > 0);
  if (!chosen) continue;
  try {
    await bench({ short, kernels, archs });
  } catch (error) {
    wrong = true;
    console.log(`\nWRONG: ${error instanceof Error ? error.message : error}`);
  }
}
process.exitCode = wrong ? 1 : 0;
