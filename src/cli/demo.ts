import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { defaultProvider } from '../crypto/default.ts';
import { ATTACKS } from '../index.ts';
import { ATTACK_TABLE_HEAD, attackRows, attackTableLine, isContained } from './attack-table.ts';
import { EXIT_STATUS } from './exit-status.ts';
import { readImage } from './files.ts';
import { differences, type Experiment, type ExperimentOptions, runExperiment } from './secret-experiment.ts';
import { parseChoice, parseSeed } from './values.ts';

const GUESTS = new URL('../../guests/powerpc/', import.meta.url);

/** A few that show different walls. */
const DEMO_ATTACKS = ['read-memory', 'swap-pages', 'change-registers'];

const HELP = `
Four runs, each with what the hypervisor had in its hands: a normal VM, a secure VM, the secure VM with another secret, and
the secure VM below a hypervisor in machine code. The experimenter knows the secret from the seed, and looks for it in all
registers and all memory that the hypervisor can read, each time it has control. Then a few hypervisors that attack.

Exit status: 0 if the secret was seen in the normal VM and nowhere else, and the attacks worked there only; 1 if not.`;

/** Adds `cloister demo`. */
export function addDemo(program: Command, finish: (status: number) => void): void {
  program
    .command('demo')
    .description('the tour: a guest with a secret, as a normal and as a protected VM, and what the hypervisor saw')
    .option('--arch <name>', 'architecture: powerpc', 'powerpc')
    .option('--seed <n>', 'seed of all randomness: a number, or "random"', '1')
    .addHelpText('after', HELP)
    .action((options: { arch: string; seed: string }) => {
      parseChoice('--arch', options.arch, ['powerpc']);
      finish(demo(parseSeed('--seed', options.seed)));
    });
}

function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

function demo(seed: string): number {
  const crypto = defaultProvider();
  const guest = image('secret.elf');
  const hypervisor = image('hypervisor.elf');
  const run = (what: string, options: Partial<ExperimentOptions>): Experiment => {
    say(what);
    const result = runExperiment({ crypto, guest, hypervisor: null, protected: false, seed, ...options });
    for (const line of result.console.trimEnd().split('\n')) say(`    | ${line}`);
    say(`    ${result.outcome.detail}, ${result.instructions} instructions, VM state at the end: ${result.vmState}`);
    say(`    hypervisor: in control ${result.observations.length} times; ${seen(result)}`);
    say();
    return result;
  };

  say(
    'IBM Power, Protected Execution Facility. One ppc64le guest asks for secure mode, then makes a secret from H_RANDOM.',
  );
  say(
    'Each time the hypervisor gets control we search all memory it can reach and all registers it can read for the secret.',
  );
  say();
  const normal = run('1. A POWER9 without the facility: the guest stays a normal VM.', {});
  const secure = run('2. The same guest, the same hypervisor, with an Ultravisor: the guest becomes a secure VM.', {
    protected: true,
  });
  const other = run('3. The secure run again; only the seed of the secret is another.', {
    protected: true,
    secretSeed: `${seed}, another secret`,
  });
  const differ = differences(secure, other);
  say(
    differ.length === 0
      ? `    In both runs the hypervisor saw exactly the same, ${secure.observations.length} times: registers, memory and time.`
      : `    The hypervisor saw ${differ.length} differences, the first at entry ${differ[0]?.observation}: ${differ[0]?.what}.`,
  );
  say(`    Left out: ${secure.ciphertext.size} page that the Ultravisor encrypted when the hypervisor paged it out.`);
  say();
  const machineCode = run('4. A hypervisor in machine code (guests/powerpc/hypervisor) in place of ours.', {
    protected: true,
    hypervisor,
  });

  say(
    '5. Hypervisors that do more than look, against a normal and a protected VM ("cloister attack" has all of them).',
  );
  const attacks = ATTACKS.filter(({ name }) => DEMO_ATTACKS.includes(name));
  say(`    ${ATTACK_TABLE_HEAD}`);
  const rows = [...attackRows(attacks, seed)];
  for (const row of rows) say(`    ${attackTableLine(row)}`);
  say();

  const good =
    rows.every(isContained) &&
    normal.sightings.length > 0 &&
    [secure, other, machineCode].every(
      (r) => r.sightings.length === 0 && r.vmState === 'secure' && r.outcome.kind === 'poweroff',
    ) &&
    differ.length === 0;
  say(good ? 'The secret was safe where it should be, and only there.' : 'THE DEMO FAILED: see above.');
  return good ? EXIT_STATUS.ok : EXIT_STATUS.crashed;
}

function seen({ sightings }: Experiment): string {
  const [first] = sightings;
  if (first === undefined) return 'the secret was nowhere to be seen';
  const places = new Set(sightings.map(({ where }) => where));
  return `found the secret in ${places.size} places, first in ${first.where} at instruction ${first.clock}`;
}

function image(name: string): ReturnType<typeof readImage> {
  return readImage(fileURLToPath(new URL(name, GUESTS)));
}
