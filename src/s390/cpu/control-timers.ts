import { PGM } from '../abi.ts';
import type { Control, Controls, ControlWork } from './control-work.ts';

/** A doubleword in storage, aligned. */
function operand(w: ControlWork, use: (value: bigint) => void): ReturnType<Control> {
  const at = w.address(2);
  if ((at & 7n) !== 0n) return { program: PGM.SPECIFICATION };
  const value = w.load(at, 8);
  if (value === null) return 'fault';
  use(value);
  // What is due now may be another timer.
  w.context.stopRequested = true;
  return 'done';
}

function store(w: ControlWork, value: bigint): ReturnType<Control> {
  const at = w.address(2);
  if ((at & 7n) !== 0n) return { program: PGM.SPECIFICATION };
  return w.store(at, 8, value) ? 'done' : 'fault';
}

/** Functions of PERFORM TIMING FACILITY FUNCTION that there are: the query, by a bit each. */
const PTFF_QUERY_BITS = 0x8000_0000;

/** The TOD clock and the timers (Principles of Operation, "Timing"). */
export const CONTROL_TIMERS: Controls = {
  sck: (w) => {
    const answer = operand(w, (value) => {
      w.core.timers.tod.value = value - w.core.timers.epoch;
    });
    return answer === 'done' ? 0 : answer;
  },
  sckc: (w) =>
    operand(w, (value) => {
      w.core.timers.clockComparator = value;
    }),
  stckc: (w) => store(w, w.core.timers.clockComparator),
  spt: (w) =>
    operand(w, (value) => {
      w.core.timers.cpuTimer = value;
    }),
  stpt: (w) => store(w, w.core.timers.cpuTimer),
  sckpf: (w) => {
    const value = w.gr32(0);
    if ((value & 0xffff0000) !== 0) return { program: PGM.SPECIFICATION };
    w.core.timers.todProgrammable = value & 0xffff;
    return 'done';
  },
  ptff: (w) => {
    const code = w.gr32(0);
    if ((code & 0xffffff80) !== 0) return { program: PGM.SPECIFICATION };
    if (code !== 0) return 3;
    const bits = new Uint8Array(16);
    new DataView(bits.buffer).setUint32(0, PTFF_QUERY_BITS);
    return w.write(w.addressIn(1), bits) ? 0 : 'fault';
  },
  ectg: (w) => {
    const r3 = w.field('R3');
    const [first, second, third] = [w.address(1), w.address(2), w.addressIn(r3)].map((at) => w.load(at, 8));
    if (first == null || second == null || third == null) return 'fault';
    w.setGr(r3, third);
    w.setGr(0, first - w.core.timers.cpuTimer);
    w.setGr(1, second);
    return 'done';
  },
};
