// One guest on our machine; what happened goes to stdout as JSON.
import { LineConsole, machineMaker, requirePoweroff } from './machine.js';

const [, , dist, json] = process.argv;
const make = await machineMaker(dist);
const guestConsole = new LineConsole();
const made = performance.now();
const machine = make(JSON.parse(json), guestConsole);
requirePoweroff(machine.run(), guestConsole);
const { firstByte, lines } = guestConsole;
const result = {
  lines,
  firstByteAt: performance.timeOrigin + firstByte,
  machineToFirstByte: firstByte - made,
  instructions: machine.clock,
  peakMemory: process.resourceUsage().maxRSS * 1024,
};
process.stdout.write(JSON.stringify(result));
