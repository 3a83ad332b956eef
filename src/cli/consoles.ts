import { isatty } from 'node:tty';
import type { ConsoleBackend, Machine } from '../index.ts';
import { LinePrefixer, writeOut } from './console-output.ts';
import { EscapeKeys, KEY_HELP, type KeyAction } from './escape-keys.ts';
import { EXIT_STATUS } from './exit-status.ts';
import { type InputSource, NO_INPUT, standardInput } from './input.ts';
import { Progress } from './progress.ts';
import type { RunPlan } from './run-options.ts';
import { say } from './say.ts';
import { type StopWatch, UNHEARD_STATUS } from './signals.ts';

const STDOUT = 1;
const NO_BYTES = new Uint8Array(0);

/** What connects guests with the terminal, or with whatever stands in its place. */
export class Consoles {
  readonly stop: StopWatch;
  input: InputSource = NO_INPUT;
  readonly #names: readonly string[];
  readonly #prefixers: readonly LinePrefixer[];
  readonly #progress: Progress | null;
  readonly #sharesTerminal = isatty(STDOUT);
  #hinted = false;
  /** Nobody reads standard output any more. */
  #unheard = false;
  /** Index of the VM that gets what is typed. */
  #typist = 0;

  constructor(machine: Machine, { vms, progress }: RunPlan, stop: StopWatch) {
    this.stop = stop;
    this.#names = vms.map(({ name }) => name);
    this.#prefixers = vms.length === 1 ? [] : this.#names.map((name) => new LinePrefixer(name, (b) => this.#output(b)));
    const { stderr } = process;
    this.#progress = progress && stderr.isTTY ? new Progress(machine, stderr) : null;
  }

  /** The console of the VM with this index. */
  backend(index: number): ConsoleBackend {
    const prefixer = this.#prefixers[index];
    return {
      output: (bytes) => (prefixer === undefined ? this.#output(bytes) : prefixer.write(bytes)),
      input: (max) => (index === this.#typist ? this.input.take(max) : NO_BYTES),
    };
  }

  /** Takes the terminal. */
  open(): void {
    const keys = new EscapeKeys((action) => this.#actions[action]());
    this.input = standardInput((typed) => {
      this.#progress?.end();
      return keys.filter(typed);
    });
  }

  /** Says how the run goes. */
  look(): void {
    this.#progress?.update();
  }

  /** Writes lines that no guest ended, and gives the terminal back. */
  close(): void {
    this.#progress?.end();
    for (const prefixer of this.#prefixers) prefixer.finish();
    this.input.close();
  }

  #output(bytes: Uint8Array): void {
    if (this.#unheard) return;
    if (this.#sharesTerminal) this.#progress?.beforeOutput(bytes);
    if (writeOut(bytes)) return;
    this.#unheard = true;
    this.stop.ask({ detail: 'nobody reads standard output', status: UNHEARD_STATUS });
  }

  readonly #actions: Readonly<Record<KeyAction, () => void>> = {
    end: () => this.stop.ask({ detail: 'Ctrl-A x', status: EXIT_STATUS.ok }),
    next: () => {
      this.#typist = (this.#typist + 1) % this.#names.length;
      say(`typing to ${this.#names[this.#typist]}`);
    },
    hint: () => {
      if (!this.#hinted) say('Ctrl-C goes to the guest; Ctrl-A x ends the run');
      this.#hinted = true;
    },
    help: () => {
      for (const line of KEY_HELP) say(line);
    },
  };
}
