import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/cli/exit-status.ts';
import { configure } from '../../src/cli/main.ts';
import { type RunPlan, runCommand } from '../../src/cli/run-options.ts';
import { createMachine, ImageError, OptionError } from '../../src/index.ts';
import { random } from '../image/random.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-fuzz-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const HELLO = 'guests/powerpc/hello.elf';
const file = (name: string, bytes: string | Uint8Array): string => {
  const path = join(scratch, name);
  writeFileSync(path, bytes);
  return path;
};
const FILES = [
  HELLO,
  'guests/powerpc/hypervisor.elf',
  file('empty', ''),
  file('text', 'no image\n'),
  file('cut.elf', readFileSync(HELLO).subarray(0, 200)),
  join(scratch, 'missing'),
  join(scratch, 'directory'),
  '/dev/null',
  '',
  '-',
];
mkdirSync(join(scratch, 'directory'));

/** Options with values that are granted, where they have one. */
const OPTIONS: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['--arch', ['powerpc']],
  ['--protected', []],
  ['--role', ['guest', 'host']],
  ['--memory', ['8M', '8192K', '6M', '64M']],
  ['--secure-memory', ['1M', '256K', '32M']],
  ['--cpus', ['1', '2', '4']],
  ['--cmdline', ['', 'quiet', 'a b']],
  ['--initrd', FILES],
  ['--entry', ['of', 'fdt']],
  ['--max-instructions', ['1', '9007199254740991']],
  ['--seed', ['1', '0x10', 'random', '00']],
  ['--interpret', []],
  ['--trace', [join(scratch, 'trace'), HELLO]],
  ['--report', [join(scratch, 'report'), HELLO]],
  ['--no-progress', []],
];

const STRANGE = [
  ...[
    '',
    '0',
    '-1',
    '+1',
    '1e9',
    '0x',
    '٣',
    '9'.repeat(400),
    'NaN',
    'Infinity',
    '1.5',
    ' 1',
    '1 ',
    '--',
    '-',
    '-h8',
    '=',
    '\n',
    '\u0000',
  ],
  ...[
    '64k',
    '3M',
    '4G',
    '3840M',
    '65535',
    '65537',
    '9007199254740992',
    'random ',
    'GUEST',
    'o',
    '../../../etc',
    '%s%n',
    '\ud800',
  ],
];

/** Memory that a test machine may take. */
const MOST_PREPARED = 80 << 20;

const next = random(7);
const pick = <T>(from: readonly T[]): T => from[next(from.length)] as T;

function mutated(value: string): string {
  const at = next(value.length + 1);
  switch (next(5)) {
    case 0:
      return pick(STRANGE);
    case 1:
      return value.slice(0, at);
    case 2:
      return value.slice(0, at) + pick(STRANGE) + value.slice(at);
    case 3:
      return value.slice(0, at) + String.fromCharCode(next(0x250)) + value.slice(at + 1);
    default:
      return value + value;
  }
}

function commandLine(): string[] {
  const args: string[] = [];
  for (let n = next(6); n > 0; n--) {
    const [name, values] = pick(OPTIONS);
    const option = next(12) === 0 ? mutated(name) : name;
    if (values.length === 0) args.push(option);
    else {
      const value = next(2) === 0 ? mutated(pick(values)) : pick(values);
      if (next(4) === 0) args.push(`${option}=${value}`);
      else args.push(option, value);
    }
  }
  for (let n = next(10) === 0 ? next(5) : 1; n > 0; n--) {
    args.splice(next(args.length + 1), 0, next(4) === 0 ? pick(FILES) : HELLO);
  }
  if (next(12) === 0) args.splice(next(args.length + 1), 1);
  return args;
}

/** What becomes of a command line: a plan, or a refusal in words. */
function parse(args: readonly string[]): RunPlan | string {
  const plans: RunPlan[] = [];
  let said = '';
  const program = configure(new Command('cloister'));
  program.addCommand(configure(runCommand((made) => void plans.push(made))));
  for (const command of [program, ...program.commands]) {
    command.configureOutput({ writeOut: (text) => (said += text), writeErr: (text) => (said += text) });
  }
  try {
    program.parse(['run', ...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 'help' : said;
    if (error instanceof UsageError || error instanceof ImageError)
      return `cloister: ${error.message.replaceAll('\n', ' ')}\n`;
    throw error;
  }
  return plans[0] ?? 'nothing';
}

/** What becomes of a plan: a machine, or a refusal. */
function prepare(plan: RunPlan): string {
  const machine = createMachine(plan.machine);
  for (const vm of plan.vms) machine.addVm(vm);
  try {
    machine.prepare();
    return 'machine';
  } catch (error) {
    if (error instanceof OptionError || error instanceof ImageError) return `${error.message}\n`;
    throw error;
  }
}

describe('whatever is on the command line', () => {
  it('it is a machine, or refused in one line: 12,000 mutations', () => {
    const counts = { plan: 0, refused: 0, help: 0, machine: 0 };
    for (let i = 0; i < 12_000; i++) {
      const args = commandLine();
      const plan = parse(args);
      if (plan === 'help') counts.help++;
      else if (typeof plan === 'string') {
        expect(plan, JSON.stringify(args)).toMatch(/^cloister: [^\n]+\n$/);
        counts.refused++;
      } else {
        counts.plan++;
        const { secureMemory = 0 } = plan.machine;
        const memory = plan.vms.reduce((sum, vm) => sum + (vm.memory ?? 0), plan.machine.protected ? secureMemory : 0);
        if (memory > MOST_PREPARED || (counts.plan % 20 !== 0 && memory > 0)) continue;
        const result = prepare(plan);
        if (result === 'machine') counts.machine++;
        else expect(result, JSON.stringify(args)).toMatch(/^[^\n]+\n$/);
      }
    }
    expect(counts.plan).toBeGreaterThan(2000);
    expect(counts.refused).toBeGreaterThan(4000);
    expect(counts.machine).toBeGreaterThan(50);
  });
});
