import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeProvider } from '../../src/crypto/node.ts';
import { MemoryDisk } from '../../src/devices/disk.ts';
import { honestConsole } from '../arm64/attack/victim.ts';
import { armGuest, diskContents, runArmGuest } from '../support/arm-guest.ts';
import { requireTool } from '../support/tools.ts';

/** The machine that docs and design name as the judge of normal arm64 guests. */
const VIRT = ['-M', 'virt,gic-version=3,its=off', '-nodefaults', '-serial', 'stdio', '-display', 'none', '-m', '64'];

/** Boots a guest on QEMU and gives its console once it has turned itself off. */
function boot(name: string, ...args: string[]): string {
  return bootTyping('', name, ...args);
}

/** The same with what is typed on its console. */
function bootTyping(typed: string, name: string, ...args: string[]): string {
  const { error, status, stdout, stderr } = spawnSync(
    'qemu-system-aarch64',
    [...VIRT, '-kernel', armGuest(name), ...args],
    { encoding: 'utf8', input: typed, timeout: 60_000, killSignal: 'SIGKILL' },
  );
  if (error) throw new Error(`QEMU: ${error.message}; console so far:\n${stdout}`);
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

const lines = (...texts: string[]): string => texts.map((text) => `${text}\n`).join('');

/** Each CPU adds its number, counted from 1, 20000 times. */
const SMP = (cpus: number): string => {
  const total = 20000 * ((cpus * (cpus + 1)) / 2);
  return lines(
    `CPUs ${cpus}`,
    'one that is on: 4, one that is not there: 2',
    `added ${total}`,
    `under the lock ${total}`,
    'interrupts here 0',
    `off again ${cpus - 1}`,
  );
};

/** Iterations for a test: the second finds what the first left. */
const ITERATIONS = '2';
const KERNELS = ['list', 'matrix', 'state', 'crc', 'sha256', 'string', 'quicksort', 'hash'].map(
  (name) => `kernels/${name}`,
);

/** Guests with one CPU, by what they say. */
const GUESTS: readonly (readonly [string, string])[] = [
  ['hello', 'hello from aarch64\n'],
  [
    'timer',
    lines(
      'ticks while counting: 10',
      'ticks with those asleep: 20',
      'held back by the mask, then taken',
      // GICv3: idle priority, the spurious INTID, and what a Cortex-A57's CPU interface says of itself.
      'running priority ff, highest pending 1023, control 8c00',
    ),
  ],
  ['smp', SMP(1)],
  ['victim', honestConsole('normal')],
];

describe.skipIf(!requireTool('qemu-system-aarch64').available)('our arm64 guests on QEMU', () => {
  test.each([
    ['smp', 'cortex-a57'],
    ['smp_lse', 'max'],
  ])('%s uses four CPUs', (name, cpu) => {
    expect(boot(name, '-cpu', cpu, '-smp', '4')).toBe(SMP(4));
  });

  test('echo gives back what is typed as on our machine, by interrupts', () => {
    const typed = 'each character comes by itself.';
    const judge = bootTyping(typed, 'echo', '-cpu', 'cortex-a57');
    expect(judge).toBe(lines('type, and end with a full stop', typed.toUpperCase(), 'by interrupts'));
    for (const interpret of [false, true]) {
      expect(runArmGuest('echo', { interpret, typed }).console).toBe(judge);
    }
  });

  test('disk reads and writes the same disk as on our machine, in the same transport', () => {
    const directory = mkdtempSync(join(tmpdir(), 'cloister-disk-'));
    try {
      const file = join(directory, 'disk.img');
      const contents = diskContents(64);
      writeFileSync(file, contents);
      const drive = ['-drive', `if=none,id=d,format=raw,file=${file}`, '-device', 'virtio-blk-device,drive=d'];
      const modern = ['-global', 'virtio-mmio.force-legacy=false'];
      const judge = boot('disk', '-cpu', 'cortex-a57', ...modern, ...drive);
      expect(judge).toMatch(/^disk at 0a003e00, sectors 64\n/);
      const written = readFileSync(file);
      for (const interpret of [false, true]) {
        const disk = new MemoryDisk(contents.slice());
        expect(runArmGuest('disk', { interpret, disk }).console).toBe(judge);
        expect(Buffer.from(disk.read(0, 64)).equals(written)).toBe(true);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each(KERNELS)('%s comes to the same checksum as on our machine', (name) => {
    const judge = boot(name, '-cpu', 'cortex-a57', '-append', ITERATIONS);
    expect(judge).toMatch(/^start\n[0-9a-f]{16}\n$/);
    for (const interpret of [false, true]) {
      expect(runArmGuest(name, { interpret, cmdline: ITERATIONS }).console).toBe(judge);
    }
  });

  test.each(GUESTS)('%s says what it should', (name, expected) => {
    for (const cpu of ['cortex-a57', 'cortex-a72']) expect(boot(name, '-cpu', cpu)).toBe(expected);
  });
});

describe.each([false, true])('our arm64 guests on our machine, interpret %s', (interpret) => {
  test.each(['smp', 'smp_lse'])('%s uses four CPUs', (name) => {
    const { outcome, console } = runArmGuest(name, { interpret, cpus: 4 });
    expect({ outcome, console }).toEqual({ outcome: 'poweroff', console: SMP(4) });
  });

  test.each(GUESTS)('%s says what it should', (name, expected) => {
    const { outcome, console } = runArmGuest(name, { interpret });
    expect({ outcome, console }).toEqual({ outcome: 'poweroff', console: expected });
  });
});

/** Everything that a guest left behind: time, registers, memory. */
function stateAfter(name: string, interpret: boolean, cpus: number): unknown {
  const { machine } = runArmGuest(name, { interpret, cpus, cmdline: ITERATIONS });
  const { memory, clock } = machine;
  const [ram] = memory.regions;
  if (ram === undefined) throw new Error('no RAM');
  const bytes = memory.store.bytes.subarray(ram.host, ram.host + ram.size);
  return {
    now: clock.now,
    idle: clock.idle,
    cpus: machine.cpus.map((cpu) => ({
      pc: cpu.context.pc,
      pstate: cpu.core.pstate,
      x: Array.from({ length: 31 }, (_, n) => cpu.x(n)),
      elr: cpu.core.register('ELR_EL1'),
    })),
    memory: nodeProvider.sha256(bytes).join(),
  };
}

describe('interpreted and translated', () => {
  test.each([
    ['timer', 1],
    ['smp', 4],
    ['smp_lse', 4],
    ['kernels/quicksort', 1],
    ['kernels/string', 1],
  ] as const)('%s ends in the same state', (name, cpus) => {
    expect(stateAfter(name, false, cpus)).toEqual(stateAfter(name, true, cpus));
  });
});
