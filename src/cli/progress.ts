import type { Machine } from '../index.ts';

/** Where progress is shown: a terminal. */
export interface ProgressTerminal {
  readonly columns: number;
  write(text: string): void;
}

const DEFAULT_COLUMNS = 80;
const PERIOD = 250;
/** The guest has a terminal to itself while it is this fresh. */
const QUIET = 1000;
const ERASE = '\r\x1b[K';
const NEWLINE = 0x0a;
const ESCAPE = 0x1b;

const COUNTS = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

function count(n: number): string {
  const [unit, letter] = COUNTS.find(([size]) => n >= size) ?? [1, ''];
  const digits = n / unit;
  return `${letter === '' || digits >= 100 ? Math.floor(digits) : digits.toPrecision(3)}${letter}`;
}

/**
 * One line that is written over in place: instructions, speed and state of the VMs. Where the guest writes to the same terminal, the line
 * goes before it does and comes back when it has been silent, at the beginning of a line only; and never again once somebody
 * types or the guest moves the cursor.
 */
export class Progress {
  readonly #machine: Machine;
  readonly #terminal: ProgressTerminal;
  readonly #now: () => number;
  #drawn = false;
  #over = false;
  #atLineStart = true;
  #lastOutput = Number.NEGATIVE_INFINITY;
  #last: { readonly time: number; readonly executed: number };

  /** @param now milliseconds on the wall */
  constructor(machine: Machine, terminal: ProgressTerminal, now: () => number = () => performance.now()) {
    this.#machine = machine;
    this.#terminal = terminal;
    this.#now = now;
    this.#last = { time: now(), executed: 0 };
  }

  /** Draws the line where it is time to. */
  update(): void {
    const time = this.#now();
    if (this.#over || time - this.#last.time < PERIOD) return;
    const { clock, idle, vmStates } = this.#machine;
    const executed = clock - idle;
    const mips = (executed - this.#last.executed) / (time - this.#last.time) / 1000;
    this.#last = { time, executed };
    if (!this.#atLineStart || time - this.#lastOutput < QUIET) return;
    const waited = idle === 0 ? '' : `, ${count(idle)} waited`;
    const states = Object.values(vmStates).join(' ');
    const line = `cloister: ${count(executed)} instructions, ${Math.round(mips)} MIPS${waited}, ${states}`;
    this.#terminal.write(`${ERASE}${line.slice(0, (this.#terminal.columns || DEFAULT_COLUMNS) - 1)}`);
    this.#drawn = true;
  }

  /** The guest is about to write this to the same terminal. */
  beforeOutput(bytes: Uint8Array): void {
    this.erase();
    this.#lastOutput = this.#now();
    this.#atLineStart = bytes.length === 0 ? this.#atLineStart : bytes.at(-1) === NEWLINE;
    if (bytes.includes(ESCAPE)) this.#over = true;
  }

  /** Takes the line away, for something else to be written there. */
  erase(): void {
    if (this.#drawn) this.#terminal.write(ERASE);
    this.#drawn = false;
  }

  /** Takes the line away for good. */
  end(): void {
    this.erase();
    this.#over = true;
  }
}
