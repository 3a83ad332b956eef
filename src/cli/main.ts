import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { ImageError, OptionError } from '../index.ts';
import { addAttack } from './attack.ts';
import { print, Unheard } from './console-output.ts';
import { addDemo } from './demo.ts';
import { EXIT_STATUS, UsageError } from './exit-status.ts';
import { addImage } from './image.ts';
import { addKeys } from './keys.ts';
import { addRun } from './run.ts';
import { say } from './say.ts';
import { UNHEARD_STATUS } from './signals.ts';

const PACKAGE = new URL('../../package.json', import.meta.url);

const HELP = `
Start with "cloister demo", then run a guest of your own:
  cloister run guests/powerpc/hello.elf
  cloister run --protected --entry fdt --report report.json guests/powerpc/secret.elf
"cloister help run" explains consoles, exit statuses and files.`;

/** Every error is one line that begins with the name of the command. */
function oneLine(text: string): string {
  return `${text
    .replace(/^error: /, 'cloister: ')
    .trimEnd()
    .replaceAll(/\s*\n\s*/g, ' ')}\n`;
}

/** All settings that a command has of its own. */
export function configure(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeOut: print, outputError: (text, write) => write(oneLine(text)) })
    .configureHelp({ showGlobalOptions: false });
}

/** The same for a command and all below it. */
function configureAll(command: Command): void {
  configure(command);
  for (const below of command.commands) configureAll(below);
}

function version(): string {
  return (JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version: string }).version;
}

/**
 * Runs the command.
 * @param args arguments behind the program's name
 * @returns the exit status (`EXIT_STATUS`)
 * @throws whatever is a bug of ours
 */
export async function main(args: readonly string[]): Promise<number> {
  // What we say on standard error is not what somebody runs us for: where nobody reads it, the work goes on.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  let status: number = EXIT_STATUS.ok;
  const finish = (code: number): void => {
    status = code;
  };
  const program = new Command('cloister')
    .description('Protected virtual machines that run anywhere')
    .version(version(), '--version', 'show the version')
    .addHelpText('after', HELP);
  addRun(program, finish);
  addDemo(program, finish);
  addAttack(program, finish);
  addImage(program, finish);
  addKeys(program);
  configureAll(program);
  try {
    await program.parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof Unheard) return UNHEARD_STATUS;
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_STATUS.ok : EXIT_STATUS.usage;
    const badInput = [UsageError, ImageError, OptionError].some((kind) => error instanceof kind);
    if (!badInput) throw error;
    say((error as Error).message.replaceAll('\n', ' '));
    return EXIT_STATUS.usage;
  }
}
