import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { defaultProvider } from '../crypto/default.ts';
import { ATTACKS } from '../index.ts';
import { armDemo } from './arm64-demo.ts';
import { ATTACK_TABLE_HEAD, attackTableLine, isContained, powerAttackRows } from './attack-table.ts';
import { print } from './console-output.ts';
import { type DemoTenant, demoTenant, withChangedBlob } from './demo-blob.ts';
import { EXIT_STATUS } from './exit-status.ts';
import { readImage } from './files.ts';
import { differences, type Experiment, type ExperimentOptions, runExperiment } from './secret-experiment.ts';
import { parseChoice, parseSeed } from './values.ts';

const GUESTS = new URL('../../guests/powerpc/', import.meta.url);

/** A few that show different walls. */
const DEMO_ATTACKS = ['read-memory', 'swap-pages', 'change-registers'];

const HELP = `
A tenant makes a key for a machine and a blob that proves his guest. Then the guest runs: as a normal VM, as a secure VM, as
the secure VM with another secret, below a hypervisor that changes the blob, and below a hypervisor in machine code; each time
with what the hypervisor had in its hands. The experimenter knows the secret from the seed, and looks for it in all registers
and all memory that the hypervisor can read, each time it has control. Then a few hypervisors that attack.

On arm64: a guest with a secret from firmware, as a plain and as a protected VM of pKVM, and the same.

Exit status: 0 if the secret was seen in the normal VMs and nowhere else, and the attacks worked there only; 1 if not.`;

/** Adds `cloister demo`. */
export function addDemo(program: Command, finish: (status: number) => void): void {
  program
    .command('demo')
    .description('the tour: a guest with a secret, as a normal and as a protected VM, and what the hypervisor saw')
    .option('--arch <name>', 'architecture: powerpc, arm64 or all', 'all')
    .option('--seed <n>', 'seed of all randomness: a number, or "random"', '1')
    .addHelpText('after', HELP)
    .action((options: { arch: string; seed: string }) => {
      const arch = parseChoice('--arch', options.arch, ['all', 'powerpc', 'arm64']);
      const seed = parseSeed('--seed', options.seed);
      const good = [
        arch === 'arm64' || demo(seed),
        arch === 'powerpc' || armDemo(seed, say, arch === 'all' ? 7 : 1),
      ].every(Boolean);
      say(good ? 'The secret was safe where it should be, and only there.' : 'THE DEMO FAILED: see above.');
      finish(good ? EXIT_STATUS.ok : EXIT_STATUS.crashed);
    });
}

function say(line = ''): void {
  print(`${line}\n`);
}

/** @returns whether everything was as it should be */
function demo(seed: string): boolean {
  const crypto = defaultProvider();
  const guest = image('secret.elf');
  say(
    'IBM Power, Protected Execution Facility. A ppc64le guest asks for secure mode, then makes a secret from H_RANDOM. Each',
  );
  say('time its hypervisor gets control, we search all memory and all registers that it can read for the secret.');
  say();
  const tenant = demoTenant(guest);
  sayTenant(tenant);
  const run = (what: string, options: Partial<ExperimentOptions>): Experiment => {
    say(what);
    const result = runExperiment({ crypto, guest, hypervisor: null, protected: true, seed, tenant, ...options });
    for (const line of digest(result.console)) say(`    | ${line}`);
    return result;
  };

  const normal = run('2. A POWER9 without the facility: the guest stays a normal VM.', { protected: false });
  saySeen(normal);
  const secure = run('3. The same guest and hypervisor, with an Ultravisor that opens the blob: a secure VM.', {});
  saySeen(secure);
  const other = runExperiment({
    ...{ crypto, guest, hypervisor: null, protected: true, seed, tenant },
    secretSeed: `${seed}, another secret`,
  });
  const differ = differences(secure, other);
  const [first] = differ;
  say(
    first === undefined
      ? `    With another secret it saw exactly the same, ${secure.observations.length} times, ${secure.ciphertext.size} page of ciphertext aside.`
      : `    WITH ANOTHER SECRET IT SAW ${differ.length} DIFFERENCES, the first at entry ${first.observation}: ${first.what}.`,
  );
  const corrupt = run(
    '4. The hypervisor, which loads the blob, changes a byte of it: H_SVM_INIT_ABORT, and the VM stays normal.',
    {
      tenant: withChangedBlob(tenant),
    },
  );
  say(`    Ultravisor: ${corrupt.esmFailure}`);
  const machineCode = run('5. A hypervisor in machine code (guests/powerpc/hypervisor) in place of ours.', {
    hypervisor: image('hypervisor.elf'),
  });
  saySeen(machineCode);

  say('6. Hypervisors that do more than look ("cloister attack" has all of them).');
  const attacks = ATTACKS.filter(({ name }) => DEMO_ATTACKS.includes(name));
  say(`    ${ATTACK_TABLE_HEAD}`);
  const rows = [...powerAttackRows(attacks, seed)];
  for (const row of rows) say(`    ${attackTableLine(row)}`);
  say();

  return (
    rows.every(isContained) &&
    normal.sightings.length > 0 &&
    [secure, other, machineCode].every(
      (r) => r.sightings.length === 0 && r.vmState === 'secure' && r.outcome.kind === 'poweroff',
    ) &&
    corrupt.vmState === 'normal' &&
    corrupt.outcome.kind === 'poweroff' &&
    corrupt.calls.H_SVM_INIT_ABORT === 1 &&
    differ.length === 0
  );
}

/** What the tenant did before his VM goes to somebody else's hypervisor. */
function sayTenant({ fingerprint, digests, blob }: DemoTenant): void {
  say('1. The tenant makes a blob for one machine ("cloister keys rsa", "cloister image esmb create").');
  say(`    machine  RSA-2048, sha256 ${hex(fingerprint)}`);
  say(`    kernel   ${digests.kernelSize} bytes, sha512 ${hex(digests.kernel)}`);
  say(`    blob     ${blob.bytes.length} bytes: the digests under a key that only the machine's private key opens`);
}

/** Enough of a digest to know it again. */
function hex(bytes: Uint8Array): string {
  return `${Buffer.from(bytes.subarray(0, 20)).toString('hex')}...`;
}

/** What a console says first and last. */
function digest(console: string): string[] {
  const lines = console.trimEnd().split('\n');
  return lines.length <= 3 ? lines : [...lines.slice(0, 2), '...', ...lines.slice(-1)];
}

function saySeen({ sightings, observations }: Experiment): void {
  const [first] = sightings;
  const places = new Set(sightings.map(({ where }) => where));
  const found =
    first === undefined
      ? 'the secret was nowhere to be seen'
      : `found the secret in ${places.size} places, first in ${first.where} at instruction ${first.clock}`;
  say(`    hypervisor: in control ${observations.length} times; ${found}`);
}

function image(name: string): ReturnType<typeof readImage> {
  return readImage(fileURLToPath(new URL(name, GUESTS)));
}
