import { Command, CommanderError } from 'commander';
import { ImageError, OptionError } from '../index.ts';
import { addDemo } from './demo.ts';
import { EXIT_STATUS, UsageError } from './exit-status.ts';
import { addRun } from './run.ts';

/**
 * Runs the command.
 * @param args arguments behind the program's name
 * @returns the exit status (`EXIT_STATUS`)
 * @throws whatever is a bug of ours
 */
export async function main(args: readonly string[]): Promise<number> {
  let status: number = EXIT_STATUS.ok;
  const finish = (code: number): void => {
    status = code;
  };
  const program = new Command('cloister')
    .description('Protected virtual machines that run anywhere')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'cloister: ')) });
  addRun(program, finish);
  addDemo(program, finish);
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_STATUS.ok : EXIT_STATUS.usage;
    const badInput = [UsageError, ImageError, OptionError].some((kind) => error instanceof kind);
    if (!badInput) throw error;
    process.stderr.write(`cloister: ${(error as Error).message}\n`);
    return EXIT_STATUS.usage;
  }
}
