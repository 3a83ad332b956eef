import { describe, expect, test } from 'vitest';
import { runS390Guest } from '../../support/s390-guest.ts';

const END = { kind: 'poweroff', detail: 'every CPU is stopped' };

describe.each(['machine', 'SIE', 'protected'] as const)('s390 guests, place: %s', (place) => {
  test('hello writes on its console and stops', () => {
    const { outcome, console } = runS390Guest('hello', { place });
    expect({ outcome, console }).toEqual({ outcome: END, console: 'hello from s390x\n' });
  });

  test('echo gives back what is typed, by interruptions', () => {
    const { console } = runS390Guest('echo', { place, typed: 'abc.' });
    expect(console).toBe('type, and end with a full stop\nABC.\nover\n');
  });

  test('disk reads and writes through the channel subsystem', () => {
    const disk = new Uint8Array(65536).map((_, n) => n * 7);
    const before = disk.slice();
    const { console } = runS390Guest('disk', { place, disk });
    expect(console).toContain('told by interruptions\nwith a cookie\n');
    expect(disk.subarray(0, 8192)).toEqual(before.subarray(0, 8192));
    expect(disk).not.toEqual(before);
  });

  test('four CPUs signal each other', () => {
    const { outcome, console } = runS390Guest('smp', { place, cpus: 4, hostCpus: 2 });
    expect(outcome).toEqual(END);
    expect(console).toContain('under the lock 200000\nstopped again 3\n');
  });
});

/** Everything that a guest left behind: time and registers. */
function stateAfter(name: string, interpret: boolean): unknown {
  const { machine } = runS390Guest(name, { interpret, cmdline: '1', cpus: name === 'smp' ? 4 : 1 });
  return {
    now: machine.clock.now,
    idle: machine.clock.idle,
    cpus: machine.cpus.map(({ core }) => core.captureState()),
  };
}

test.each(['timer', 'smp', 'kernels/string'])('%s ends in the same state interpreted and translated', (name) => {
  expect(stateAfter(name, false)).toEqual(stateAfter(name, true));
});
