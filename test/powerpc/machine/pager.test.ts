import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { PowerMachine, type PowerMachineOptions } from '../../../src/powerpc/machine.ts';

const image = (name: string) => ({
  file: `guests/powerpc/${name}`,
  bytes: new Uint8Array(readFileSync(`guests/powerpc/${name}`)),
});

/** QEMU's: `test/oracle/guests-powerpc.test.ts` has the same text from `qemu-system-ppc64`. */
const CONSOLE = `${'160 pages checked and changed\n'.repeat(3)}0 words wrong\nchecksum b7f2c4990c9e7d65\n`;

const MIB = 1 << 20;
const LIMIT = 1e9;

function console() {
  let text = '';
  return {
    output(bytes: Uint8Array) {
      text += Buffer.from(bytes).toString('latin1');
    },
    input: () => new Uint8Array(0),
    text: () => text,
  };
}

function run(secureMemory: number, software: PowerMachineOptions['software'], options = {}) {
  const machine = new PowerMachine({
    protected: true,
    secureMemory,
    seed: '1',
    interpret: false,
    crypto: nodeProvider,
    trace: null,
    software,
    ...options,
  });
  return { machine, outcome: machine.run(LIMIT) };
}

const guest = (name: string, out: ReturnType<typeof console>) => ({
  name,
  image: image('pager.elf'),
  initrd: null,
  cmdline: '',
  memory: 24 * MIB,
  cpus: 1,
  entry: 'fdt' as const,
  console: out,
});

describe('the pager guest: 10 MiB in 2.5 MiB of secure memory', () => {
  it.each([
    ['more than enough', 32 * MIB, 0, 'iapm'],
    ['a quarter of what it touches', 2.5 * MIB, 500, 'iapm'],
    ['a quarter of what it touches, under AES-GCM', 2.5 * MIB, 500, 'gcm'],
  ])('below the native hypervisor, with %s', (_, secureMemory, pageOuts, cipher) => {
    const out = console();
    const { machine, outcome } = run(secureMemory, { role: 'guest', guests: [guest('pager', out)] }, { cipher });
    expect(outcome.kind).toBe('poweroff');
    expect(out.text()).toBe(CONSOLE);
    const { calls, vmStates } = machine.statistics();
    expect(vmStates).toEqual({ pager: 'secure' });
    expect(calls.H_SVM_PAGE_OUT ?? 0).toBeGreaterThanOrEqual(pageOuts);
    expect(calls.UV_PAGE_OUT ?? 0).toBeGreaterThanOrEqual(pageOuts);
  });

  it('below the hypervisor in machine code', () => {
    const out = console();
    const { outcome } = run(2.5 * MIB, {
      role: 'host',
      image: image('hypervisor.elf'),
      initrd: image('pager.elf'),
      cmdline: '',
      memory: 40 * MIB,
      cpus: 1,
      console: out,
    });
    expect(outcome.kind).toBe('poweroff');
    expect(out.text()).toBe(CONSOLE);
  });

  it('three of them side by side, in a tenth of what they touch', () => {
    const outs = [console(), console(), console()];
    const guests = outs.map((out, i) => guest(`pager ${i}`, out));
    const { outcome } = run(3 * MIB, { role: 'guest', guests });
    expect(outcome.kind).toBe('poweroff');
    for (const out of outs) expect(out.text()).toBe(CONSOLE);
  });
});
