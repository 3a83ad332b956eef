import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { defaultProvider } from '../crypto/default.ts';
import type { Attack } from '../powerpc/kvm/hostile/attack.ts';
import { ATTACKS } from '../powerpc/kvm/hostile/catalog.ts';
import { runVictim, type VictimOptions, type VictimRun } from './attack-experiment.ts';
import { judge, type Verdict } from './attack-verdict.ts';
import { EXIT_STATUS, UsageError } from './exit-status.ts';
import { OutputFile, readImage } from './files.ts';
import { CURIOUS, hypervisorHelp, parseHypervisor } from './hypervisor-option.ts';
import { parseChoice, parseSeed } from './values.ts';

const VICTIM = new URL('../../guests/powerpc/victim.elf', import.meta.url);

interface AttackOptions {
  readonly arch: string;
  readonly seed: string;
  readonly report?: string;
}

/** One hostile hypervisor against both kinds of VM. */
export interface AttackRow {
  readonly name: string;
  readonly summary: string;
  readonly normal: Verdict;
  readonly secure: Verdict;
}

/** Adds `cloister attack`. */
export function addAttack(program: Command, finish: (status: number) => void): void {
  program
    .command('attack')
    .description('run hostile hypervisors against a normal and a protected VM, and say what each got')
    .argument('[name...]', 'which; all of them by default')
    .option('--arch <name>', 'architecture: powerpc', 'powerpc')
    .option('--seed <n>', 'seed of all randomness: a number, or "random"', '1')
    .option('--report <file>', 'write the table as JSON')
    .addHelpText(
      'after',
      `
The victim (guests/powerpc/victim.c) makes a secret and works with it in memory and in all registers. An attack has learned the
secret if it holds bytes of it, and has changed something if the victim says what it does not say below an honest hypervisor. To
stop a VM is always possible and is not counted.
Exit status: 0 no protected guest lost anything and every attack worked on the normal VM, 1 otherwise, 2 bad usage.

Hypervisors:
${hypervisorHelp()}`,
    )
    .action((names: string[], options: AttackOptions) => finish(attack(names, options)));
}

function attack(names: readonly string[], options: AttackOptions): number {
  parseChoice('--arch', options.arch, ['powerpc']);
  const seed = parseSeed('--seed', options.seed);
  const chosen = names.length === 0 ? ['curious' as const, ...ATTACKS] : names.map(named);
  const report = options.report === undefined ? null : new OutputFile(options.report);
  say(line('attack', 'normal VM', 'protected VM', 'what stopped it'));
  const rows: AttackRow[] = [];
  for (const row of attackRows(chosen, seed)) {
    rows.push(row);
    say(line(row.name, describe(row.normal), describe(row.secure), row.secure.stoppedBy.join('; ')));
  }
  if (report !== null) writeReport(report, seed, rows);
  say();
  return conclude(rows);
}

/** Runs attacks, each against a normal and a secure VM with the same victim, one row at a time. */
export function* attackRows(attacks: readonly (Attack | 'curious')[], seed: string): Generator<AttackRow> {
  const base = { crypto: defaultProvider(), victim: readImage(fileURLToPath(VICTIM)), seed };
  const run = (isProtected: boolean, attack: Attack | 'curious' | null): VictimRun => {
    const options: VictimOptions = { ...base, protected: isProtected, attack: attack === 'curious' ? null : attack };
    return runVictim({ ...options, watch: attack === 'curious' });
  };
  const honest = [run(false, null), run(true, null)] as const;
  for (const attack of attacks) {
    const { name, summary } = attack === 'curious' ? CURIOUS : attack;
    const normal = judge(run(false, attack), honest[0]);
    const secure = judge(run(true, attack), honest[1]);
    yield { name, summary, normal, secure };
  }
}

function named(name: string): Attack | 'curious' {
  const hypervisor = parseHypervisor('attack', name);
  if (hypervisor === null) throw new UsageError('attack: "honest" attacks nothing');
  return hypervisor;
}

function describe({ learned, changed, effect }: Verdict): string {
  switch (effect) {
    case 'lost':
      return [learned > 0 && 'learned the secret', changed && 'changed the guest'].filter(Boolean).join(', ');
    case 'none':
      return 'nothing';
    case 'denied':
      return 'nothing; VM stopped';
    case 'never secure':
      return 'nothing; not secure';
  }
}

function conclude(rows: readonly AttackRow[]): number {
  const lost = rows.filter(({ secure }) => secure.effect === 'lost');
  const failed = rows.filter(({ normal }) => normal.effect !== 'lost');
  const stopped = rows.filter(({ secure }) => secure.effect === 'denied' || secure.effect === 'never secure');
  for (const { name } of lost) say(`THE PROTECTED GUEST LOST SOMETHING TO ${name}.`);
  for (const { name } of failed) say(`${name} had no effect on the normal VM, so it proves nothing.`);
  if (lost.length > 0 || failed.length > 0) return EXIT_STATUS.crashed;
  const stops = stopped.length === 0 ? 'none stopped it' : `${stopped.length} stopped it, which nothing prevents`;
  say(
    `${rows.length} of ${rows.length} worked on the normal VM; on the protected one none learned or changed anything (${stops}).`,
  );
  return EXIT_STATUS.ok;
}

function writeReport(file: OutputFile, seed: string, rows: readonly AttackRow[]): void {
  const attacks = rows.map(({ name, summary, normal, secure }) => ({ name, summary, normal, protected: secure }));
  file.clear();
  file.write(`${JSON.stringify({ arch: 'powerpc', seed, attacks }, null, 2)}\n`);
  file.close();
}

const WIDTHS = [21, 38, 22] as const;

function line(...cells: readonly string[]): string {
  return cells
    .map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0))
    .join('')
    .trimEnd();
}

function say(text = ''): void {
  process.stdout.write(`${text}\n`);
}
