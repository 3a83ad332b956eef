// The pager guest, which touches 10 MiB three times: as a normal VM, as a secure one with all of it in secure memory, and with a quarter of it,
// where nearly every page that it touches has to come in and another to go out.
import { readFileSync } from 'node:fs';
import { nodeProvider } from '../dist/crypto/node.js';
import { PowerMachine } from '../dist/powerpc/machine.js';
import { guest, median, printTable, repeat } from './measure.js';

const MIB = 1 << 20;
const RUNS = 9;
/** Of 160 pages, three times; QEMU's. */
const CHECKSUM = 'checksum b7f2c4990c9e7d65\n';

const VARIANTS = [
  { name: 'normal', protected: false, secureMemory: 0 },
  { name: 'secure', protected: true, secureMemory: 32 * MIB },
  { name: 'secure, a quarter of it, IAPM', protected: true, secureMemory: 2.5 * MIB },
  { name: 'secure, a quarter of it, GCM', protected: true, secureMemory: 2.5 * MIB, cipher: 'gcm' },
];

function run({ name, ...options }) {
  let text = '';
  let started;
  const machine = new PowerMachine({
    ...options,
    seed: '1',
    interpret: false,
    crypto: nodeProvider,
    trace: null,
    software: {
      role: 'guest',
      guests: [
        {
          name: 'pager',
          image: { file: 'pager.elf', bytes: new Uint8Array(readFileSync(guest('pager'))) },
          initrd: null,
          cmdline: '',
          memory: 24 * MIB,
          cpus: 1,
          entry: 'fdt',
          console: {
            output: (bytes) => {
              text += Buffer.from(bytes).toString('latin1');
              // What comes before is the start, and the way to be secure.
              if (text.includes('\n')) started ??= performance.now();
            },
            input: () => new Uint8Array(0),
          },
        },
      ],
    },
  });
  const { kind } = machine.run(1e9);
  const seconds = (performance.now() - started) / 1e3;
  if (kind !== 'poweroff' || !text.endsWith(CHECKSUM)) throw new Error(`pager, ${name}: ${kind}\n${text}`);
  const { calls } = machine.statistics();
  return { seconds, pageOuts: calls.UV_PAGE_OUT ?? 0 };
}

/** @param {{ short: boolean }} options */
export async function benchPager({ short }) {
  for (const variant of VARIANTS) run(variant);
  const results = await repeat(short ? 3 : RUNS, () => VARIANTS.map(run));
  const seconds = VARIANTS.map((_, i) => median(results.map((round) => round[i].seconds)));
  const [normal] = seconds;
  printTable('the pager guest, from its second pass on', [
    ['guest', 'ms', 'of the normal VM', 'UV_PAGE_OUTs in all'],
    ...VARIANTS.map(({ name }, i) => [
      name,
      (seconds[i] * 1e3).toFixed(1),
      `${(seconds[i] / normal).toFixed(1)}x`,
      `${results[0][i].pageOuts}`,
    ]),
  ]);
}
