import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runS390Guest, type S390Place, s390Guest } from '../support/s390-guest.ts';
import { requireTool } from '../support/tools.ts';

/** The machine that docs and design name as the judge of normal s390 guests: with TCG, and one console, on which it types. */
const MACHINE = ['-M', 's390-ccw-virtio', '-nodefaults', '-serial', 'stdio', '-display', 'none', '-m', '64'];

/** Boots a guest on QEMU and gives its console once it has turned itself off. */
function boot(name: string, ...args: string[]): string {
  return bootTyping('', name, ...args);
}

function bootTyping(typed: string, name: string, ...args: string[]): string {
  const { error, status, stdout, stderr } = spawnSync(
    'qemu-system-s390x',
    [...MACHINE, '-kernel', s390Guest(name), ...args],
    { encoding: 'latin1', input: typed, timeout: 60_000, killSignal: 'SIGKILL' },
  );
  if (error) throw new Error(`QEMU: ${error.message}; console so far:\n${stdout}`);
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** A disk whose contents look random. */
function diskBytes(): Uint8Array {
  let state = 0x1234567;
  return Uint8Array.from({ length: 65536 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 24;
  });
}

/** The same with a disk; gives what is on it afterwards, too. */
function bootWithDisk(cmdline: string): { readonly console: string; readonly disk: Uint8Array } {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-'));
  try {
    const file = join(folder, 'disk.img');
    writeFileSync(file, diskBytes());
    const drive = ['-drive', `file=${file},if=none,format=raw,id=d`, '-device', 'virtio-blk-ccw,drive=d'];
    const console = boot('disk', '-append', cmdline, ...drive);
    return { console, disk: new Uint8Array(readFileSync(file)) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const lines = (...texts: string[]): string => texts.map((text) => `${text}\n`).join('');

/** What QEMU 7.2 says of SCLP and is no judge of, and what we say. */
const SCLP_CHOICES: readonly (readonly [string, string])[] = [
  // It offers storage increments too (SCLP_FC_ASSIGN_ATTACH_READ_STOR).
  ['  facilities 0c\n', '  facilities 08\n'],
  // It tells the length that it would need only with facility 140, which its TCG has not.
  ['any length 0300\n  length 64\n', 'any length 0300\n  length 160\n'],
  // Two bytes in the order of its host.
  ['  the first at 14336\n', '  the first at 56\n'],
];

/** What `sclp` says on QEMU with an operator's console: what comes there stands where our one console has it. */
function bootWithOperator(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-'));
  try {
    const file = join(folder, 'operator.txt');
    const operator = ['-chardev', `file,id=op,path=${file}`, '-device', 'sclplmconsole,chardev=op'];
    const console = boot('sclp', '-smp', '2', ...operator);
    return console.replace('\nanswer', `${readFileSync(file, 'latin1')}\nanswer`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Each CPU adds its number, counted from 1, 20000 times. SIGP's codes: Principles of Operation, "Signal Processor". */
const SMP = (cpus: number): string => {
  const total = 20000 * ((cpus * (cpus + 1)) / 2);
  return lines(
    'sense of this CPU: 0, status 000',
    ...(cpus > 1 ? ['sense of one that has not begun: 1, status 040'] : []),
    `CPUs ${cpus}`,
    'one that is not there: 3',
    'no order: 1, status 002',
    'prefix of a CPU that runs: 1, status 100',
    `second calls that did not fit ${cpus - 1}`,
    `added ${total}`,
    `under the lock ${total}`,
    `stopped again ${cpus - 1}`,
    'the emergency signal first, then the other: 1',
  );
};

/** Iterations for a test: the second finds what the first left. */
const ITERATIONS = '2';
const KERNELS = ['list', 'matrix', 'state', 'crc', 'sha256', 'string', 'quicksort', 'hash', 'float'].map(
  (name) => `kernels/${name}`,
);

/** Guests with one CPU, by what they say. */
const GUESTS: readonly (readonly [string, string])[] = [
  ['hello', 'hello from s390x\n'],
  [
    'timer',
    lines(
      'ticks while counting: 10',
      'ticks with those asleep: 20',
      'ticks of the CPU timer: 1',
      'held back by CR0, then taken',
      'the clock never stands still',
      'other interrupts: 0',
    ),
  ],
  ['smp', SMP(1)],
];

/** Those that are more than that in a protected VM. */
const FOR_PROTECTION: readonly (readonly [string, string])[] = [
  [
    'secret',
    lines(
      'talking through one page',
      'made a secret of 32 bytes',
      'mixed it',
      'secret intact',
      'page taken back',
      'ran as a normal VM',
    ),
  ],
  // No facility 158: no such instruction (s390-pv.md 2.1).
  ['sharing', 'UVC: program interruption 0001\n'],
  [
    'victim',
    lines('made a secret', ...[1, 2, 3, 4, 5, 6].map((round) => `round ${round}: intact`), 'ran as a normal VM'),
  ],
];

describe.skipIf(!requireTool('qemu-system-s390x').available)('our s390 guests on QEMU', () => {
  test.each(['smp', 'smp_z13'])('%s uses four CPUs', (name) => {
    expect(boot(name, '-smp', '4')).toBe(SMP(4));
  });

  test('echo gives back what is typed', () => {
    const typed = 'each character comes by itself.';
    const judge = bootTyping(typed, 'echo');
    expect(judge).toBe(lines('type, and end with a full stop', typed.toUpperCase(), 'over'));
  });

  test.each(['', 'adapter'])('disk with command line "%s" uses its disk', (cmdline) => {
    const { console, disk } = bootWithDisk(cmdline);
    expect(console).toContain('told by interruptions\nwith a cookie\n');
    expect(Buffer.compare(disk.subarray(0, 8192), diskBytes().subarray(0, 8192))).toBe(0);
    expect(Buffer.compare(disk, diskBytes())).not.toBe(0);
  });

  test.each([...GUESTS, ...FOR_PROTECTION])('%s says what it should', (name, expected) => {
    expect(boot(name)).toBe(expected);
  });
});

/** The last CPU has stopped, which turns QEMU's machine off too. */
const END = { kind: 'poweroff', detail: 'every CPU is stopped' };

const PLACES: readonly { readonly place: S390Place; readonly interpret: boolean }[] = [
  { place: 'machine', interpret: false },
  { place: 'machine', interpret: true },
  { place: 'SIE', interpret: false },
  { place: 'SIE', interpret: true },
];

/** Each place and each engine once. */
const CROSSED = PLACES.filter(({ place, interpret }) => interpret === (place === 'machine'));

test.each(FOR_PROTECTION)('%s says what it should on our machine', (name, expected) => {
  for (const how of CROSSED) expect(runS390Guest(name, how).console).toBe(expected);
});

describe.each(PLACES)('our s390 guests on our machine, %o', (how) => {
  test.each(GUESTS)('%s says what it should', (name, expected) => {
    const { outcome, console } = runS390Guest(name, how);
    expect({ outcome, console }).toEqual({ outcome: END, console: expected });
  });

  test.each(['smp', 'smp_z13'])('%s uses four CPUs', (name) => {
    for (const hostCpus of how.place === 'SIE' ? [1, 2, 4] : [1]) {
      const { outcome, console } = runS390Guest(name, { ...how, cpus: 4, hostCpus });
      expect({ outcome, console }).toEqual({ outcome: END, console: SMP(4) });
    }
  });

  test('echo gives back what is typed', () => {
    const typed = 'each character comes by itself.';
    const { console } = runS390Guest('echo', { ...how, typed });
    expect(console).toBe(lines('type, and end with a full stop', typed.toUpperCase(), 'over'));
  });
});

describe.skipIf(!requireTool('qemu-system-s390x').available)('against QEMU', () => {
  test.each(KERNELS)('%s comes to the same checksum', (name) => {
    const judge = boot(name, '-append', ITERATIONS);
    expect(judge).toMatch(/^start\n[0-9a-f]{16}\n$/);
    for (const place of ['machine', 'SIE'] as const) {
      expect(runS390Guest(name, { place, cmdline: ITERATIONS }).console).toBe(judge);
    }
  });

  test('reboot finds the same after each way to begin again', () => {
    const judge = boot('reboot', '-smp', '2');
    for (const { place, interpret } of CROSSED) {
      const { console, outcome } = runS390Guest('reboot', { place, interpret, cpus: 2 });
      expect({ console, outcome }).toEqual({ console: judge, outcome: END });
    }
  });

  test('machine_check gets the same machine checks', () => {
    // Some device, so that there is a channel path.
    const judge = boot('machine_check', '-device', 'virtio-rng-ccw');
    expect(judge).toContain('let through: 2\nreport 44020000\n');
    for (const how of PLACES) {
      expect(runS390Guest('machine_check', { ...how, disk: diskBytes() }).console).toBe(judge);
    }
  });

  test('pager finds what it stored', () => {
    const judge = boot('pager', '-append', '300');
    expect(judge).toContain('words not empty at first 0\n');
    expect(judge).toContain('words wrong 0\n');
    for (const place of ['machine', 'SIE'] as const) {
      expect(runS390Guest('pager', { place, cmdline: '300' }).console).toBe(judge);
    }
  });

  test('faults reports the same interruptions', () => {
    // QEMU 7.2 has stored a part of what goes on in the hole; nullification leaves all as it was (Principles of Operation, chapter 5).
    const judge = boot('faults').replace('  the page before CHANGED\n', '  the page before as before\n');
    for (const { place, interpret } of CROSSED) {
      expect(runS390Guest('faults', { place, interpret }).console).toBe(judge);
    }
  });

  test('sclp gets the same answers', () => {
    const judge = SCLP_CHOICES.reduce((text, [theirs, ours]) => {
      expect(text).toContain(theirs);
      return text.replace(theirs, ours);
    }, bootWithOperator());
    for (const place of ['machine', 'SIE'] as const) {
      expect(runS390Guest('sclp', { place, cpus: 2 }).console).toBe(judge);
    }
  });

  test.each(['', 'adapter'])('disk with command line "%s" does the same to its disk', (cmdline) => {
    const judge = bootWithDisk(cmdline);
    for (const place of ['machine', 'SIE'] as const) {
      const disk = diskBytes();
      expect(runS390Guest('disk', { place, cmdline, disk }).console).toBe(judge.console);
      expect(Buffer.compare(disk, judge.disk)).toBe(0);
    }
  });
});
