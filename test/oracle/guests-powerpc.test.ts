import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeProvider } from '../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../src/devices/console.ts';
import { type DiskBackend, MemoryDisk } from '../../src/devices/disk.ts';
import { PowerMachine } from '../../src/powerpc/machine.ts';
import { requireTool } from '../support/tools.ts';

const GUESTS = join(import.meta.dirname, '../../guests');
const guest = (name: string) => join(GUESTS, 'powerpc', `${name}.elf`);

/** The machine that docs and design name as the judge of normal Power guests. */
const PSERIES = [
  ...['-M', 'pseries,x-vof=on,cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off'],
  ...['-cpu', 'power9', '-nodefaults', '-serial', 'stdio', '-display', 'none'],
];

/** What lets H_RANDOM answer. */
const RANDOM = ['-object', 'rng-builtin,id=rng', '-device', 'spapr-rng,rng=rng'];

/** Bare metal with IBM's own OPAL firmware (skiboot, which comes with QEMU); its BMC is what turns the machine off. */
const POWERNV = [
  ...['-M', 'powernv9', '-m', '1G', '-nodefaults', '-serial', 'stdio', '-display', 'none'],
  ...['-device', 'ipmi-bmc-sim,id=bmc', '-device', 'isa-ipmi-bt,bmc=bmc,irq=10'],
];

/** Boots a machine and gives its console once it has turned itself off. */
function boot(...args: string[]): string {
  return bootTyping('', ...args);
}

/** The same with what is typed on its console. */
function bootTyping(typed: string, ...args: string[]): string {
  const { error, status, stdout, stderr } = spawnSync('qemu-system-ppc64', args, {
    encoding: 'utf8',
    input: typed,
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  if (error) throw new Error(`QEMU: ${error.message}; console so far:\n${stdout}`);
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.replaceAll('\r', '');
}

/** What the payload printed. The firmware's log lines begin with a time in brackets, and end with the start of it. */
function bootPowernv(hypervisor: string, initrd: string): string {
  const console = boot(...POWERNV, '-kernel', hypervisor, '-initrd', initrd);
  const [, payload] = console.split(/^\[.*INIT: Starting kernel at .*\n/m);
  return (payload ?? '').replaceAll(/^\[.*\n/gm, '');
}

/** A run on our machine. */
interface OurRun {
  /** Typed on its console. */
  readonly typed?: string;
  readonly entry: 'of' | 'fdt';
  readonly interpret: boolean;
  readonly cmdline?: string;
  readonly cpus?: number;
  readonly protected?: boolean;
  readonly disk?: DiskBackend;
}

/** Starts and ways to execute: the console must be the same in all of them. */
const WAYS: readonly OurRun[] = [
  { entry: 'of', interpret: false },
  { entry: 'of', interpret: true },
  { entry: 'fdt', interpret: false },
  { entry: 'fdt', interpret: true },
];

const MEMORY = 0x4000000;
/** Far more instructions than any of these guests needs. */
const LIMIT = 1e9;

/** Runs a guest on our machine and gives its console once it has turned itself off. */
function runOurs(
  name: string,
  { entry, interpret, cmdline = '', cpus = 1, protected: offered = false, disk, typed = '' }: OurRun,
): string {
  let text = '';
  const keyboard = new ConsoleBuffer();
  keyboard.feed(Buffer.from(typed));
  const machine = new PowerMachine({
    protected: offered,
    secureMemory: MEMORY,
    seed: '1',
    interpret,
    crypto: nodeProvider,
    trace: null,
    software: {
      role: 'guest',
      guests: [
        {
          name,
          image: { file: guest(name), bytes: new Uint8Array(readFileSync(guest(name))) },
          initrd: null,
          cmdline,
          memory: MEMORY,
          cpus,
          ...(disk && { disk }),
          entry,
          console: {
            output(bytes) {
              text += Buffer.from(bytes).toString('latin1');
            },
            input: (max) => keyboard.input(max),
          },
        },
      ],
    },
  });
  const outcome = machine.run(LIMIT);
  expect({ outcome: outcome.kind, console: text }).toMatchObject({ outcome: 'poweroff' });
  return text;
}

const lines = (...texts: string[]) => texts.map((text) => `${text}\n`).join('');

const HELLO = 'hello from ppc64le\n';

const TIMER = lines('10 ticks while counting', '20 ticks while asleep', 'held back, then taken');

/** Each CPU adds its number, counted from 1, 20000 times. */
const SMP = (cpus: number) => {
  const total = 20000 * ((cpus * (cpus + 1)) / 2);
  return lines(`${cpus} CPUs`, `doublewords ${total}`, `words ${total}`, `locked ${total}`, `stopped ${cpus - 1}`);
};

const NONE = 'no interrupt';
const reported = (vector: string, srr1: string, srr0 = 0) => `${vector} SRR1 ${srr1} SRR0 ${srr0}`;
const dataStorage = (dar: string, dsisr: string) => `${reported('300', '00000000')} DAR ${dar} DSISR ${dsisr}`;

const FAULTS = lines(
  `illegal: ${reported('700', '00080000')}`,
  `trap: ${reported('700', '00020000')}`,
  `trap not taken: ${NONE}`,
  `system call: ${reported('c00', '00000000', 4)}`,
  `no such register: ${NONE}`,
  `floating point: ${reported('800', '00000000')}`,
  `vector: ${reported('f20', '00000000')}`,
  `alignment, lwarx: ${reported('600', '00000000')}`,
  '  DAR exact',
  `alignment, lmw: ${reported('600', '00000000')}`,
  'translated',
  `privileged: ${reported('700', '00040000')}`,
  `privileged register: ${reported('700', '00040000')}`,
  `no such register, user: ${reported('700', '00040000')}`,
  `illegal, user: ${reported('700', '00080000')}`,
  `system call, user: ${reported('c00', '00000000', 4)}`,
  `load: ${dataStorage('10001018', '40000000')}`,
  `store: ${dataStorage('10001020', '42000000')}`,
  `store, read-only: ${dataStorage('10002008', '0a000000')}`,
  `load, read-only: ${NONE}`,
  `load, user's: ${NONE}`,
  `load, kernel's: ${dataStorage('10003030', '08000000')}`,
  `fetch, hole: ${reported('400', '40000000')}`,
  `fetch, no execute: ${reported('400', '10000000')}`,
  "fetch, kernel's: 400 SRR0 0",
  `above the tables: ${reported('380', '00000000')} DAR 00000000`,
  `dcbz: ${dataStorage('10001080', '42000000')}`,
  `lwarx: ${dataStorage('10001084', '40000000')}`,
  `load across: ${dataStorage('10001000', '40000000')}`,
  `store across: ${dataStorage('10001000', '42000000')}`,
  '  the page before as before',
  `byte-reversed across: ${dataStorage('10001000', '40000000')}`,
  `halfword across: ${dataStorage('10001000', '40000000')}`,
  `load with update: ${dataStorage('10001050', '40000000')}`,
  '  its base as before',
  `store with update: ${dataStorage('10001058', '42000000')}`,
  '  its base as before',
  `load multiple: ${dataStorage('10001000', '40000000')}`,
  '  its registers as before',
  `store multiple: ${dataStorage('10001000', '42000000')}`,
  '  its registers as before',
  `load string: ${dataStorage('10001000', '40000000')}`,
  '  its registers as before',
  `store string: ${dataStorage('10001000', '42000000')}`,
  '  its registers as before',
  '  the page before as before',
  `page there: ${NONE}`,
  `page gone: ${dataStorage('10006000', '40000000')}`,
  `page back: ${NONE}`,
  `page read-only: ${dataStorage('10006000', '0a000000')}`,
  // 4096 turns in half a page, then 256 of 1000 up to the hole; the store is the fifth instruction of the attempt.
  'loop into a hole: 300 SRR1 00000000 SRR0 16 DAR 10007000 DSISR 42000000',
  '  turns left 744',
  // The eighth instruction, with 2000 turns to go when it took the page away.
  'loop that unmaps its page: 300 SRR1 00000000 SRR0 28 DAR 10006010 DSISR 42000000',
  '  turns left 1999',
);

const hex = (value: number) => value.toString(16).padStart(16, '0');
const sumTo = (turns: number, of: (turn: number) => number) => {
  let sum = 0;
  for (let turn = 0; turn < turns; turn++) sum += of(turn);
  return sum;
};

/** The last line is what memory holds after many accesses that cross pages: QEMU's number. */
const SMC = lines(
  `between calls ${hex(sumTo(3000, (i) => i % 1000))}`,
  `hot ${hex(60000 * (1 + 2 + 3 + 4 + 5 + 6 + 7 + 8))}`,
  `across pages ${hex(sumTo(3000, (i) => 1 + (i % 7)))}`,
  // 30000 turns add 1, then 10000 add 5.
  `in a running loop ${hex(30000 + 5 * 10000)}`,
  `data beside code ${hex(sumTo(30000, (i) => 3 * (i + 1)))}`,
  `its counter ${hex(90000)}`,
  'accesses across pages e7e73fc9bd036dc9',
);

const TALK = ['talking through one page', 'made a secret of 32 bytes', 'mixed it', 'secret intact'];
const SHARED_NORMAL = lines(
  'normal: asking for secure mode',
  'no secure mode here, staying normal',
  ...TALK,
  'ran as a normal VM',
);
const SHARED_SECURE = lines(
  'normal: asking for secure mode',
  ...TALK,
  'page taken back, and empty',
  'ran as a secure VM',
);

const HYPERCALLS = (kind: string) => lines(kind, 'start', 'done');

const BOOTS = (kind: string, memory: string) =>
  lines(
    ...[`boot 1: memory is empty`, `running as a ${kind} VM`],
    ...[2, 3].flatMap((boot) => [`boot ${boot}: memory is ${memory}`, `running as a ${kind} VM`]),
  );
const PAGER = lines(
  ...new Array<string>(3).fill('160 pages checked and changed'),
  '0 words wrong',
  'checksum b7f2c4990c9e7d65',
);

const ROUNDS = ['made a secret', ...[1, 2, 3, 4, 5, 6].map((round) => `round ${round}: intact`)];
const VICTIM_NORMAL = lines(
  'normal: asking for secure mode',
  'no secure mode here, staying normal',
  ...ROUNDS,
  'ran as a normal VM',
);
const VICTIM_SECURE = lines('normal: asking for secure mode', ...ROUNDS, 'ran as a secure VM');

/** Guests that say the same wherever they run; they ask for little memory and for one CPU. */
const SAME_EVERYWHERE: readonly (readonly [string, string])[] = [
  ['hello', HELLO],
  ['timer', TIMER],
  ['smp', SMP(1)],
  ['faults', FAULTS],
  ['smc', SMC],
  ['secret_shared', SHARED_NORMAL],
  ['hypercalls', HYPERCALLS('normal')],
  ['reboot', BOOTS('normal', 'as it was left')],
  ['pager', PAGER],
  ['victim', VICTIM_NORMAL],
  ['passphrase', 'a normal VM has no pass phrase\n'],
];

/** Iterations for a test: the second finds what the first left. */
const ITERATIONS = '2';
const KERNELS = ['list', 'matrix', 'state', 'crc', 'sha256', 'string', 'quicksort', 'hash', 'float'].map(
  (name) => `kernels/${name}`,
);
/** So slow to interpret that one way of doing it must do. */
const SLOW = ['kernels/hash', 'kernels/float'];

const SECRET = (made: string) =>
  [
    'normal: asking for secure mode',
    'no secure mode here, staying normal',
    made,
    'mixed 16 of 64 rounds',
    'mixed 32 of 64 rounds',
    'mixed 48 of 64 rounds',
    'mixed 64 of 64 rounds',
    'secret intact',
    'ran as a normal VM',
    '',
  ].join('\n');

describe.skipIf(!requireTool('qemu-system-ppc64').available)('our Power guests on QEMU', () => {
  test.each(SAME_EVERYWHERE)('%s says what it should', (name, expected) => {
    expect(boot(...PSERIES, '-kernel', guest(name))).toBe(expected);
  });

  test('smp uses four CPUs', () => {
    expect(boot(...PSERIES, '-smp', '4', '-kernel', guest('smp'))).toBe(SMP(4));
  });

  test.each(['hello\nbye\n', `\r${'x'.repeat(80)}\r\rbye\r`])('echo gives back %j as on our machine', (typed) => {
    const judge = bootTyping(typed, ...PSERIES, '-kernel', guest('echo'));
    expect(judge).toMatch(/^type, and end with bye\n(\d+: .*\n)+3: bye\n$/);
    for (const way of WAYS) expect(runOurs('echo', { ...way, typed })).toBe(judge);
  });

  test.each(KERNELS)('%s comes to the same checksum as on our machine', (name) => {
    const judge = boot(...PSERIES, '-kernel', guest(name), '-append', ITERATIONS);
    expect(judge).toMatch(/^start\n[0-9a-f]{16}\n$/);
    for (const way of SLOW.includes(name) ? WAYS.slice(0, 2) : WAYS) {
      expect(runOurs(name, { ...way, cmdline: ITERATIONS })).toBe(judge);
    }
  });

  test('secret runs as a normal VM, with random numbers of the hypervisor', () => {
    expect(boot(...PSERIES, ...RANDOM, '-kernel', guest('secret'))).toBe(SECRET('made a secret of 32 bytes'));
  });

  test('secret goes on where the hypervisor has no random numbers', () => {
    expect(boot(...PSERIES, '-kernel', guest('secret'))).toBe(SECRET('made a secret of 32 bytes, from the clock'));
  });

  describe.each([
    ['off', false],
    ['on', true],
  ] as const)('disk, with iommu_platform=%s', (platform, offered) => {
    const contents = randomBytes(1 << 17);

    /** Console and disk afterwards. */
    function bootWithDisk(): { console: string; disk: Uint8Array } {
      const directory = mkdtempSync(join(tmpdir(), 'cloister-disk-'));
      try {
        const file = join(directory, 'disk.img');
        writeFileSync(file, contents);
        const device = `virtio-blk-pci,disable-legacy=on,iommu_platform=${platform},drive=disk`;
        const drive = ['-drive', `if=none,id=disk,format=raw,file=${file}`, '-device', device];
        const console = boot(...PSERIES, ...drive, '-kernel', guest('disk'));
        return { console, disk: readFileSync(file) };
      } finally {
        rmSync(directory, { recursive: true });
      }
    }

    test('says and leaves on the disk the same as on our machine, as a secure VM too', () => {
      const judge = bootWithDisk();
      expect(judge.console).toMatch(/^256 sectors\ncontents [0-9a-f]{16}\nwrite: ok\n/);
      for (const way of WAYS) {
        const disk = new MemoryDisk(Uint8Array.from(contents));
        const text = runOurs('disk', { ...way, protected: offered, disk });
        // What a secure guest says on top is not QEMU's to judge.
        const common = judge.console.split('one interrupt\n')[0] ?? '';
        expect(text.slice(0, common.length)).toBe(common);
        if (!offered) expect(text).toBe(judge.console);
        expect(Buffer.compare(disk.bytes, judge.disk)).toBe(0);
      }
    });
  });

  test.each([
    ['hello', HELLO],
    ['secret', SECRET('made a secret of 32 bytes')],
    ['timer', TIMER],
    ['victim', VICTIM_NORMAL],
    ['reboot', BOOTS('normal', 'as it was left')],
    ['pager', PAGER],
  ])('the machine-code hypervisor runs %s on POWER9 bare metal below OPAL', (name, expected) => {
    expect(bootPowernv(guest('hypervisor'), guest(name))).toBe(expected);
  });

  test('the machine-code hypervisor refuses a guest that is no ELF file', () => {
    expect(bootPowernv(guest('hypervisor'), join(GUESTS, 'build.sh'))).toMatch(
      /^hypervisor: no ELF64 file for the guest at 0x[0-9a-f]{16}\n$/,
    );
  });
});

describe.each(WAYS)('our Power guests on our machine, entry $entry, interpret $interpret', (way) => {
  test.each(SAME_EVERYWHERE)('%s says what it should', (name, expected) => {
    expect(runOurs(name, way)).toBe(expected);
  });

  test('smp uses four CPUs', () => {
    expect(runOurs('smp', { ...way, cpus: 4 })).toBe(SMP(4));
  });

  test('secret_shared becomes secure and takes its page back', () => {
    expect(runOurs('secret_shared', { ...way, protected: true })).toBe(SHARED_SECURE);
  });

  test('the victim of attacks finds nothing changed as a secure VM', () => {
    expect(runOurs('victim', { ...way, protected: true })).toBe(VICTIM_SECURE);
  });

  test('hypercalls are reflected from a secure guest', () => {
    expect(runOurs('hypercalls', { ...way, protected: true })).toBe(HYPERCALLS('secure'));
  });

  test('a secure VM reboots, and nothing of it is left', () => {
    expect(runOurs('reboot', { ...way, protected: true })).toBe(BOOTS('secure', 'empty'));
  });

  test.each(['timer', 'faults', 'smc'])('%s stays a normal VM where it could become secure', (name) => {
    const expected = SAME_EVERYWHERE.find(([known]) => known === name)?.[1];
    expect(runOurs(name, { ...way, protected: true })).toBe(expected);
  });
});

const cross = (['powerpc64le-linux-gnu-gcc', 'aarch64-linux-gnu-gcc', 'dtc'] as const).every(
  (tool) => requireTool(tool).available,
);

describe.skipIf(!cross)('guests/build.sh --check', () => {
  test('finds a single changed bit, and names the file', () => {
    const copy = mkdtempSync(join(tmpdir(), 'cloister-guests-'));
    try {
      cpSync(GUESTS, copy, { recursive: true });
      const check = () => spawnSync('bash', [join(copy, 'build.sh'), '--check'], { encoding: 'utf8' });
      const clean = check();
      expect(clean.stderr).toBe('');
      expect(clean.status).toBe(0);

      const elf = join(copy, 'powerpc/secret.elf');
      const bytes = readFileSync(elf);
      bytes.writeUInt8(bytes.readUInt8(0x200) ^ 1, 0x200);
      writeFileSync(elf, bytes);
      const changed = check();
      expect(changed.status).toBe(1);
      expect(changed.stderr).toBe('DIFFERENT: guests/powerpc/secret.elf is not what its sources build\n');
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});
