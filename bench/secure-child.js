// One guest on three machines in one process: as a normal VM, as a secure one, and as a normal one again. They run a slice each in turn, in another
// order each time, so that whatever else the computer does meanwhile falls on all three alike. The result goes to stdout as JSON.
import { LineConsole, machineMaker, processorTime, requirePoweroff } from './machine.js';

/** Tens of milliseconds: the kernel's accounts of processor time may be a tick of 4 ms late. */
const SLICE = 60_000_000;
/** Before the work begins: it is to begin with a slice. */
const SHORT_SLICE = 200_000;

/**
 * Slices of a machine's work that do not count: V8 compiles, on other threads, which get the more time the less the computer has to do. By instructions
 * and not by time: a fast computer would be done before it is warm.
 */
const WARM_UP = 6;

const [, , dist, json] = process.argv;
const { from, ...run } = JSON.parse(json);
const make = await machineMaker(dist);

class Runner {
  done = false;
  #warmUp = 0;
  #seconds = 0;
  #instructions = 0;
  #console = new LineConsole();
  #machine;

  constructor(isProtected) {
    this.#machine = make({ ...run, protected: isProtected }, this.#console);
  }

  get result() {
    return {
      lines: this.#lines,
      vmState: this.#machine.vmStates.guest,
      nanoseconds: (1e9 * this.#seconds) / this.#instructions,
    };
  }

  get #lines() {
    return this.#console.lines.map(({ text }) => text);
  }

  /** Runs a slice. The kernels do the same over and over, so time by the instruction is the same as time for the work. */
  step() {
    const began = this.#lines.includes(from);
    const start = this.#machine.clock;
    const before = processorTime();
    const outcome = this.#machine.run(start + (began ? SLICE : SHORT_SLICE));
    const seconds = (processorTime() - before) / 1000;
    if (this.#warmUp === WARM_UP) {
      this.#seconds += seconds;
      this.#instructions += this.#machine.clock - start;
    } else if (began) this.#warmUp++;
    if (outcome.kind === 'limit') return;
    requirePoweroff(outcome, this.#console);
    if (this.#instructions === 0) throw new Error(`too short to be measured:\n${this.#lines.join('\n')}`);
    this.done = true;
  }
}

const runners = { normal: new Runner(false), secure: new Runner(true), again: new Runner(false) };
const order = Object.values(runners);
for (let turn = 0; !order.every(({ done }) => done); turn++) {
  for (let i = 0; i < order.length; i++) {
    const runner = order[(turn + i) % order.length];
    if (!runner.done) runner.step();
  }
}
const results = Object.entries(runners).map(([name, { result }]) => [name, result]);
process.stdout.write(JSON.stringify(Object.fromEntries(results)));
