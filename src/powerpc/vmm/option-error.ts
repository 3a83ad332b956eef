/** An option of a machine that cannot be granted: which one, and why. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
  /** The option as the command line names it. */
  readonly option: string;
  readonly reason: string;

  constructor(option: string, reason: string) {
    super(`${option}: ${reason}`);
    this.option = option;
    this.reason = reason;
  }
}
