// One guest on our machine; what happened goes to stdout as JSON.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import '../bin/v8-flags.js';

const [, , dist, json] = process.argv;
const { image, cmdline = '', interpret = false, protected: isProtected = false } = JSON.parse(json);
const load = (file) => import(pathToFileURL(join(dist, file)).href);
const { PowerMachine } = await load('powerpc/machine.js');
const { nodeProvider } = await load('crypto/node.js');

const MEMORY = 64 << 20;
/** Of the main thread, where Linux tells it (Documentation/scheduler/sched-stats.rst). */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;

/** Milliseconds of processor time of the main thread; of the whole process where that is not known. */
function processorTime() {
  if (existsSync(SCHEDSTAT)) return Number(readFileSync(SCHEDSTAT, 'latin1').split(' ')[0]) / 1e6;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const lines = [];
let text = '';
let firstByte;

const guestConsole = {
  output(bytes) {
    const at = performance.now();
    const cpu = processorTime();
    firstByte ??= at;
    const parts = (text + Buffer.from(bytes).toString('latin1')).split('\n');
    text = parts.pop();
    for (const line of parts) lines.push({ text: line, at, cpu });
  },
  input: () => new Uint8Array(0),
};

const made = performance.now();
const machine = new PowerMachine({
  protected: isProtected,
  secureMemory: MEMORY,
  seed: '1',
  interpret,
  crypto: nodeProvider,
  trace: null,
  software: {
    role: 'guest',
    guests: [
      {
        name: 'guest',
        image: { file: image, bytes: new Uint8Array(readFileSync(image)) },
        initrd: null,
        cmdline,
        memory: MEMORY,
        cpus: 1,
        entry: 'of',
        console: guestConsole,
      },
    ],
  },
});
const outcome = machine.run();
if (outcome.kind !== 'poweroff')
  throw new Error(`${outcome.kind}: ${outcome.detail}\n${lines.map((l) => l.text).join('\n')}`);
const result = {
  lines,
  firstByteAt: performance.timeOrigin + firstByte,
  machineToFirstByte: firstByte - made,
  instructions: machine.clock.now,
  peakMemory: process.resourceUsage().maxRSS * 1024,
};
process.stdout.write(JSON.stringify(result));
