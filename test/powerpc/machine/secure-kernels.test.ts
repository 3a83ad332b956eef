import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../../src/devices/console.ts';
import { PowerMachine } from '../../../src/powerpc/machine.ts';

/** Console lines of a kernel that is run once. */
function run(kernel: string, cmdline: string, isProtected: boolean): string[] {
  const file = `guests/powerpc/kernels/${kernel}.elf`;
  const console = new ConsoleBuffer();
  const machine = new PowerMachine({
    protected: isProtected,
    secureMemory: 32 << 20,
    interpret: false,
    seed: '1',
    crypto: nodeProvider,
    trace: null,
    software: {
      role: 'guest',
      guests: [
        {
          name: kernel,
          image: { file, bytes: new Uint8Array(readFileSync(file)) },
          initrd: null,
          cmdline,
          memory: 32 << 20,
          cpus: 1,
          entry: 'of',
          console,
        },
      ],
    },
  });
  expect(machine.run(200_000_000).kind).toBe('poweroff');
  return new TextDecoder().decode(console.written()).trim().split('\n');
}

describe('kernels as secure VMs', () => {
  // Integers with calls, and floating point, whose registers the Ultravisor saves and clears. QEMU judges the normal checksums.
  it.each(['quicksort', 'float'])('%s computes what it does as a normal VM', (kernel) => {
    const [started, checksum] = run(kernel, '2', false);
    expect(started).toBe('start');
    expect(run(kernel, '2 secure', true)).toEqual(['secure', 'start', checksum]);
    expect(run(kernel, '2 secure', false)).toEqual(['normal', 'start', checksum]);
    expect(run(kernel, '2 secured', true)).toEqual(['start', checksum]);
  });
});
