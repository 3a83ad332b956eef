/** Says a line of ours: on standard error, behind the name of the command. */
export function say(line: string): void {
  process.stderr.write(`cloister: ${line}\n`);
}
