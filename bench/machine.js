// A machine with one guest, as the benches make it, and the clock that they read.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import '../bin/v8-flags.js';

const MEMORY = 64 << 20;
/** Of the main thread, where Linux tells it (Documentation/scheduler/sched-stats.rst). */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;

/** Milliseconds of processor time of the main thread; of the whole process where that is not known. */
export function processorTime() {
  if (existsSync(SCHEDSTAT)) return Number(readFileSync(SCHEDSTAT, 'latin1').split(' ')[0]) / 1e6;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The lines of a guest's console, as they are complete. */
export class LineConsole {
  /** @type {import('./ours.js').Line[]} */
  lines = [];
  /** When the first byte came. */
  firstByte;
  #text = '';

  output(bytes) {
    const at = performance.now();
    const cpu = processorTime();
    this.firstByte ??= at;
    const parts = (this.#text + Buffer.from(bytes).toString('latin1')).split('\n');
    this.#text = parts.pop();
    for (const text of parts) this.lines.push({ text, at, cpu });
  }

  input() {
    return new Uint8Array(0);
  }
}

/**
 * What makes machines of a build.
 * @param {string} dist its folder
 * @returns {Promise<(run: import('./ours.js').GuestRun, console: LineConsole) => import('../dist/index.js').Machine>}
 */
export async function machineMaker(dist) {
  const { createMachine } = await import(pathToFileURL(join(dist, 'index.js')).href);
  return ({ arch = 'powerpc', image, cmdline = '', ...options }, console) => {
    const machine = createMachine({ arch, secureMemory: MEMORY, ...options });
    const bytes = new Uint8Array(readFileSync(image));
    machine.addVm({ name: 'guest', image: { file: image, bytes }, cmdline, memory: MEMORY, console });
    machine.prepare();
    return machine;
  };
}

/** @throws Error where the guest did not power off by itself */
export function requirePoweroff(outcome, { lines }) {
  if (outcome.kind === 'poweroff') return;
  throw new Error(`${outcome.kind}: ${outcome.detail}\n${lines.map(({ text }) => text).join('\n')}`);
}
