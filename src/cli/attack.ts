import type { Command } from 'commander';
import { ARM_ATTACKS, ATTACKS } from '../index.ts';
import { ATTACK_TABLE_HEAD, type AttackRow, armAttackRows, attackTableLine, powerAttackRows } from './attack-table.ts';
import { print } from './console-output.ts';
import { EXIT_STATUS, UsageError } from './exit-status.ts';
import { OutputFile } from './files.ts';
import { hypervisorHelp, parseArmHypervisor, parseHypervisor } from './hypervisor-option.ts';
import { parseChoice, parseSeed } from './values.ts';

interface AttackOptions {
  readonly arch: string;
  readonly seed: string;
  readonly report?: string;
}

/** Adds `cloister attack`. */
export function addAttack(program: Command, finish: (status: number) => void): void {
  program
    .command('attack')
    .description('run hostile hypervisors against a normal and a protected VM, and say what each got')
    .argument('[name...]', 'which; all of them by default')
    .option('--arch <name>', 'architecture: powerpc or arm64', 'powerpc')
    .option('--seed <n>', 'seed of all randomness: a number, or "random"', '1')
    .option('--report <file>', 'write the table as JSON')
    .addHelpText(
      'after',
      `
The victim (victim.c of the architecture, in guests/) makes a secret and works with it in memory and in all registers. An attack has learned the
secret if it holds bytes of it, and has changed something if the victim says what it does not say below an honest hypervisor. To
stop a VM is always possible and is not counted.
Exit status: 0 no protected guest lost anything and every attack worked on the normal VM, 1 otherwise, 2 bad usage.

Hypervisors:
${hypervisorHelp()}`,
    )
    .action((names: string[], options: AttackOptions) => finish(attack(names, options)));
}

function attack(names: readonly string[], options: AttackOptions): number {
  const arch = parseChoice('--arch', options.arch, ['powerpc', 'arm64']);
  const seed = parseSeed('--seed', options.seed);
  const all = arch === 'powerpc' ? powerRows(names, seed) : armRows(names, seed);
  const report = options.report === undefined ? null : new OutputFile(options.report);
  say(ATTACK_TABLE_HEAD);
  const rows: AttackRow[] = [];
  for (const row of all) {
    rows.push(row);
    say(attackTableLine(row));
  }
  if (report !== null) writeReport(report, arch, seed, rows);
  say();
  return conclude(rows);
}

/** @throws UsageError before anything runs */
function powerRows(names: readonly string[], seed: string): Generator<AttackRow> {
  const chosen = names.map((name) => parseHypervisor('attack', name) ?? nothing());
  return powerAttackRows(names.length === 0 ? ['curious', ...ATTACKS] : chosen, seed);
}

/** @throws UsageError before anything runs */
function armRows(names: readonly string[], seed: string): Generator<AttackRow> {
  const chosen = names.map((name) => parseArmHypervisor('attack', name) ?? nothing());
  return armAttackRows(names.length === 0 ? ['curious', ...ARM_ATTACKS] : chosen, seed);
}

function nothing(): never {
  throw new UsageError('attack: "honest" attacks nothing');
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

function writeReport(file: OutputFile, arch: string, seed: string, rows: readonly AttackRow[]): void {
  const attacks = rows.map(({ name, summary, normal, secure }) => ({ name, summary, normal, protected: secure }));
  file.clear();
  file.write(`${JSON.stringify({ arch, seed, attacks }, null, 2)}\n`);
  file.close();
}

function say(text = ''): void {
  print(`${text}\n`);
}
