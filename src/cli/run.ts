import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { createMachine, JsonLinesTrace, type MachineOptions, type Outcome } from '../index.ts';
import { PrefixedConsole, plainConsole } from './console-output.ts';
import { statusOf, UsageError } from './exit-status.ts';
import { parseChoice, parseCount, parseSize, readImage } from './values.ts';

interface RunOptions {
  readonly arch: string;
  readonly protected?: boolean;
  readonly role: string;
  readonly memory: string;
  readonly secureMemory: string;
  readonly cpus: string;
  readonly cmdline: string;
  readonly initrd?: string;
  readonly entry: string;
  readonly maxInstructions?: string;
  readonly seed: string;
  readonly interpret?: boolean;
  readonly trace?: string;
  readonly report?: string;
}

const MAX_CPUS = 256;

/** Adds `cloister run`. */
export function addRun(program: Command, finish: (status: number) => void): void {
  program
    .command('run')
    .description('run guests, or a hypervisor of your own, on an emulated machine')
    .argument('<image...>', 'ELF images; several start several VMs, and each line of output is then prefixed')
    .option('--arch <name>', 'architecture: powerpc', 'powerpc')
    .option('--protected', 'offer the protection facility; a guest that never asks stays normal')
    .option(
      '--role <role>',
      'guest, or host: run the image at hypervisor privilege in place of our hypervisor',
      'guest',
    )
    .option('--memory <size>', 'memory of each guest (of the host, with --role host)', '64M')
    .option('--secure-memory <size>', 'secure memory of the machine, with --protected', '32M')
    .option('--cpus <n>', 'virtual CPUs of each guest', '1')
    .option('--cmdline <string>', 'kernel command line', '')
    .option('--initrd <file>', 'initial RAM disk; with --role host, what the hypervisor is to run')
    .option('--entry <kind>', 'start of a guest: of (Open Firmware, as QEMU) or fdt (flat device tree in R3)', 'of')
    .option('--max-instructions <n>', 'stop after this many instructions, exit status 3')
    .option('--seed <n>', 'seed of all randomness, keys too; or "random"', '1')
    .option('--interpret', 'do not translate hot code')
    .option('--trace <file>', 'write all events, one JSON object a line')
    .option('--report <file>', 'write a report of the run as JSON')
    .addHelpText(
      'after',
      `
The guest's console is standard output, byte for byte; everything else goes to standard error.
Exit status: 0 the guest powered off, 1 it crashed or was terminated, 2 bad usage or a bad image,
3 the instruction limit was reached, 70 a bug of ours.

Examples:
  cloister run guests/powerpc/hello.elf
  cloister run --protected --entry fdt --report report.json guests/powerpc/secret.elf
  cloister run --protected --role host --initrd guests/powerpc/secret.elf guests/powerpc/hypervisor.elf`,
    )
    .action((images: string[], options: RunOptions) => finish(run(images, options)));
}

function run(images: readonly string[], options: RunOptions): number {
  const role = parseChoice('--role', options.role, ['guest', 'host']);
  if (role === 'host' && images.length > 1) throw new UsageError('--role host: there can be one hypervisor only');
  const limit = options.maxInstructions;
  const most = limit === undefined ? undefined : parseCount('--max-instructions', limit, Number.MAX_SAFE_INTEGER);
  const trace = options.trace === undefined ? null : openTrace(options.trace);
  const machineOptions: MachineOptions = {
    arch: parseChoice('--arch', options.arch, ['powerpc']),
    protected: options.protected ?? false,
    secureMemory: parseSize('--secure-memory', options.secureMemory),
    role,
    interpret: options.interpret ?? false,
    seed: options.seed === 'random' ? randomBytes(16).toString('hex') : options.seed,
    ...(trace && { trace: trace.sink }),
  };
  const machine = createMachine(machineOptions);
  const consoles = images.map((file, i) => {
    const name = images.length === 1 ? basename(file) : `${basename(file, '.elf')}.${i}`;
    const console = images.length === 1 ? plainConsole() : new PrefixedConsole(name);
    machine.addVm({
      name,
      image: readImage(file),
      ...(options.initrd !== undefined && { initrd: readImage(options.initrd) }),
      cmdline: options.cmdline,
      memory: parseSize('--memory', options.memory),
      cpus: parseCount('--cpus', options.cpus, MAX_CPUS),
      entry: parseChoice('--entry', options.entry, ['of', 'fdt']),
      console,
    });
    return console;
  });
  const outcome = machine.run(most);
  for (const c of consoles) if (c instanceof PrefixedConsole) c.finish();
  trace?.close();
  if (options.report !== undefined) writeReport(options.report, machine.report());
  explain(outcome);
  return statusOf(outcome);
}

function explain({ kind, detail }: Outcome): void {
  if (kind !== 'poweroff') process.stderr.write(`cloister: ${kind}: ${detail}\n`);
}

function openTrace(file: string): { readonly sink: JsonLinesTrace; close(): void } {
  const fd = attempt(file, () => openSync(file, 'w'));
  return { sink: new JsonLinesTrace((line) => void writeSync(fd, line)), close: () => closeSync(fd) };
}

function writeReport(file: string, report: unknown): void {
  attempt(file, () => writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`));
}

function attempt<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new UsageError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
