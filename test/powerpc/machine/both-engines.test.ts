import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../../src/devices/console.ts';
import { PowerMachine } from '../../../src/powerpc/machine.ts';

const GUESTS = ['hello', 'secret', 'timer', 'smp', 'faults', 'smc', 'secret_shared'];
const KERNELS = ['list', 'matrix', 'state', 'crc', 'sha256', 'string', 'quicksort', 'float'].map((k) => `kernels/${k}`);

interface RunOptions {
  readonly guest: string;
  readonly interpret: boolean;
  readonly protected: boolean;
  /** Stop and go on after this many instructions, again and again. */
  readonly step?: number;
}

/** Everything that a run leaves behind, wall time aside. */
function finalState({ guest, interpret, protected: isProtected, step }: RunOptions): Record<string, unknown> {
  const file = `guests/powerpc/${guest}.elf`;
  const console = new ConsoleBuffer();
  const cpus = guest === 'smp' ? 4 : 1;
  const machine = new PowerMachine({
    protected: isProtected,
    secureMemory: 16 << 20,
    interpret,
    seed: '1',
    crypto: nodeProvider,
    trace: null,
    software: {
      role: 'guest',
      guests: [
        {
          name: 'guest',
          image: { file, bytes: new Uint8Array(readFileSync(file)) },
          initrd: null,
          // The kernels take their number of iterations from here.
          cmdline: '1',
          memory: 16 << 20,
          cpus,
          entry: 'fdt',
          console,
        },
      ],
    },
  });
  let outcome = machine.run(step ?? 400_000_000);
  for (let limit = step ?? 0; step !== undefined && outcome.kind === 'limit' && limit < 400_000_000; ) {
    limit += step;
    outcome = machine.run(limit);
  }
  const { store, regions } = machine.memory;
  const digests = regions.map((r) => [...nodeProvider.sha256(store.bytes.subarray(r.host, r.host + r.size))].join());
  return {
    console: new TextDecoder().decode(console.written()),
    outcome,
    instructions: machine.clock.now,
    registers: machine.cpus.map((cpu) => cpu.architectedRegisters()),
    memory: digests,
    statistics: machine.statistics(),
  };
}

describe('interpreted and translated runs end in the same state', () => {
  it.each([...GUESTS, ...KERNELS])('%s as a normal VM', (guest) => {
    const interpreted = finalState({ guest, interpret: true, protected: false });
    expect(interpreted.outcome).toMatchObject({ kind: 'poweroff' });
    expect(finalState({ guest, interpret: false, protected: false })).toEqual(interpreted);
  });

  it.each(['secret', 'secret_shared', 'timer'])('%s where protection is offered', (guest) => {
    const interpreted = finalState({ guest, interpret: true, protected: true });
    expect(interpreted.outcome).toMatchObject({ kind: 'poweroff' });
    expect(finalState({ guest, interpret: false, protected: true })).toEqual(interpreted);
  });
});

describe('a run that is stopped and goes on, at any instruction, ends in the same state', () => {
  it.each([
    ['secret', 97, true],
    ['faults', 101, false],
    ['smc', 9973, false],
  ] as const)('%s, every %i instructions', (guest, step, isProtected) => {
    const whole = finalState({ guest, interpret: false, protected: isProtected });
    expect(finalState({ guest, interpret: false, protected: isProtected, step })).toEqual(whole);
  });
});
