import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { kernelBytes } from '../../src/image/kernel-bytes.ts';
import { buildElf } from '../image/elf-builder.ts';
import { Program } from '../support/power-program.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-cli-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Result {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the built command, as a user does. */
function cloister(...args: string[]): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['bin/cloister.js', ...args], { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

/** A guest that gives up as Linux does in a panic; it wants a flat-tree start. */
function panicking(message: string): Uint8Array {
  const words = new DataView(new Uint8Array(message.length + 4 - (message.length % 4)).buffer);
  for (let i = 0; i < message.length; i++) words.setUint8(i, message.charCodeAt(i));
  const program = new Program().b('start').label('text');
  for (let at = 0; at < words.byteLength; at += 4) program.emit(words.getUint32(at));
  const data = program
    .label('start')
    .rtas('ibm,os-term', [program.address('text')])
    .bytes();
  return buildElf({ bits: 64, littleEndian: false, segments: [{ vaddr: 0n, data }] });
}

const HELLO = 'guests/powerpc/hello.elf';
const SECRET = 'guests/powerpc/secret.elf';

describe('a reader that goes away', () => {
  /** Status of the command, and all that anybody says, when its output goes to a reader that takes one line. */
  function cut(command: string): { status: string; text: string } {
    const line = `'${process.execPath}' bin/cloister.js ${command}; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8' });
    const lines = stdout.trimEnd().split('\n');
    return { status: lines.pop() ?? '', text: [...lines, stderr].join('\n') };
  }

  it.each([
    ['run --help', 'Usage: cloister run [options] <image...>\n'],
    ['attack read-memory dma', expect.stringMatching(/^attack +normal VM .*\n$/)],
    ['keys public guests/no-key.pem 2>&1', expect.any(String)],
  ])('%s | head -n 1: ends without a word, as SIGPIPE ends other tools', (command, text) => {
    const seen = cut(`${command} | head -n 1`);
    expect(seen.text).toEqual(text);
    expect(seen.text).not.toMatch(/EPIPE|at .*\.js/);
  });

  it('has the status that a shell shows for SIGPIPE', () => {
    expect(cut('run --help | true').status).toBe('141');
    expect(cut('attack read-memory | true').status).toBe('141');
  });

  it('of standard error alone changes nothing', () => {
    expect(cut(`run --no-such-option 2>&1 >/dev/null | true`)).toEqual({ status: '2', text: '' });
    expect(cut(`run ${HELLO} 2> >(true)`)).toEqual({ status: '0', text: 'hello from ppc64le\n' });
  });
});

describe('cloister run', () => {
  it('gives the console to stdout byte for byte, nothing else, and status 0', () => {
    expect(cloister('run', HELLO)).toEqual({ status: 0, out: 'hello from ppc64le\n', err: '' });
  });

  it('starts several VMs with their lines prefixed', () => {
    const { status, out } = cloister('run', HELLO, HELLO);
    expect(status).toBe(0);
    expect(out.split('\n').sort()).toEqual(['', 'hello.0: hello from ppc64le', 'hello.1: hello from ppc64le']);
  });

  it('writes the report of the contract', () => {
    const file = join(scratch, 'report.json');
    expect(cloister('run', '--protected', '--entry', 'fdt', '--memory', '16M', '--report', file, SECRET).status).toBe(
      0,
    );
    const report = JSON.parse(readFileSync(file, 'utf8'));
    expect(report).toMatchObject({ arch: 'powerpc', protected: true, outcome: 'poweroff', vmState: 'secure' });
    expect(report.calls.H_SVM_INIT_DONE).toBe(1);
    for (const field of ['instructions', 'seconds', 'exits', 'pages', 'hypervisorSaw'])
      expect(report).toHaveProperty(field);
  });

  it('gives equal reports for equal runs, wall time aside', () => {
    const reports = ['a.json', 'b.json'].map((name) => {
      const file = join(scratch, name);
      cloister('run', '--report', file, SECRET);
      return { ...JSON.parse(readFileSync(file, 'utf8')), seconds: 0 };
    });
    expect(reports[0]).toEqual(reports[1]);
  });

  it('writes a trace of JSON lines', () => {
    const file = join(scratch, 'trace.jsonl');
    expect(cloister('run', '--trace', file, HELLO).status).toBe(0);
    const events = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.some((e) => e.type === 'call' && e.name === 'H_PUT_TERM_CHAR')).toBe(true);
  });

  it('stops at exactly the instruction limit with status 3', () => {
    const file = join(scratch, 'limit.json');
    const { status, err } = cloister('run', '--max-instructions', '12345', '--report', file, SECRET);
    expect(status).toBe(3);
    expect(err).toBe('cloister: limit: 12345 instructions\n');
    expect(JSON.parse(readFileSync(file, 'utf8')).instructions).toBe(12345);
  });

  it('has a guest become secure from an Open Firmware start too', () => {
    const { status, out, err } = cloister('run', '--protected', 'guests/powerpc/secret_shared.elf');
    const warning =
      'cloister: no --uv-key: ESM blobs are made with the development key, which is public: it proves and hides nothing\n';
    expect({ status, err }).toEqual({ status: 0, err: warning });
    expect(out).toContain('ran as a secure VM\n');
  });

  it('runs a hypervisor in machine code', () => {
    const args = [
      '--protected',
      '--role',
      'host',
      '--memory',
      '24M',
      '--initrd',
      SECRET,
      'guests/powerpc/hypervisor.elf',
    ];
    const { status, out } = cloister('run', ...args);
    expect(status).toBe(0);
    expect(out).toContain('ran as a secure VM\n');
  });

  it('runs a host of pKVM in machine code', () => {
    const guest = ['--initrd', 'guests/arm64/hello.elf'];
    const { status, out } = cloister('run', '--arch', 'arm64', '--role', 'host', ...guest, 'guests/arm64/host.elf');
    expect(status).toBe(0);
    expect(out).toContain('a protected VM runs\nhello from aarch64\n');
  });
});

describe('bad input gets one line that names place and reason, and status 2', () => {
  const text = join(scratch, 'text');
  writeFileSync(text, 'no image\n');
  const big = join(scratch, 'big');
  writeFileSync(big, '');
  truncateSync(big, 2 ** 30 + 1);
  const cut = join(scratch, 'cut.elf');
  writeFileSync(cut, readFileSync(HELLO).subarray(0, 100));
  const other = join(scratch, 'x86.elf');
  const x86 = readFileSync(HELLO);
  x86[18] = 62;
  writeFileSync(other, x86);

  it.each([
    [['run', 'nothing.elf'], 'nothing.elf: no such file or directory'],
    [['run', ''], '"": no such file or directory'],
    [['run', '/dev/zero'], '/dev/zero: it is a device'],
    [['run', scratch], `${scratch}: it is a directory`],
    [['run', '--initrd', scratch, HELLO], `${scratch}: it is a directory`],
    [['run', '--initrd', big, HELLO], `${big}: initrd: it would reach 0x40420001, guest memory ends at 0x4000000`],
    [['run', '--trace', `${scratch}/no/x`, HELLO], `${scratch}/no/x: no such file or directory`],
    [['run', '--report', scratch, HELLO], `${scratch}: it is a directory`],
    [['run', '--report', HELLO, HELLO], `--report: ${HELLO} is the same file as ${HELLO}`],
    [['run', '--trace', text, '--report', text, HELLO], `--report: ${text} is the same file as ${text}`],
    [['run', '--seed', 'randm', HELLO], '--seed: "randm" is neither a number of up to 100 digits nor "random"'],
    [['demo', '--seed', ''], '--seed: "" is neither a number of up to 100 digits nor "random"'],
    [['run', '--entry', 'efi', HELLO], '--entry: "efi" is none of of, fdt'],
    [['run', '--memory', '4160K', '--entry', 'fdt', HELLO], '--memory: no room for the device tree above 0x400118'],
    [['run', text], `${text}: ELF header: no ELF magic`],
    [['run', '--memory', '3', HELLO], '--memory: 3 is not a multiple of 64K'],
    [['run', '--memory', 'lots', HELLO], '--memory: "lots" is no size (a number, optionally with K, M or G)'],
    [['run', '--memory', '64G', HELLO], '--memory: 65541 MiB in all are more than the 3840 MiB that fit one machine'],
    [
      ['run', '--memory', '1M', HELLO],
      `${HELLO}: program header 0: it reaches 0x400100, guest memory ends at 0x100000`,
    ],
    [['run', '--cpus', '0', HELLO], '--cpus: "0" is no number from 1 to 256'],
    [['run', '--arch', 'vax', HELLO], '--arch: "vax" is none of powerpc, s390, arm64'],
    [['run', '--max-instructions', '-1', HELLO], '--max-instructions: "-1" is no number from 1 to 9007199254740991'],
    [['run', '--role', 'host', HELLO, HELLO], '--role host: there can be one hypervisor only'],
    [['run', '--protected', '--secure-memory', '64K', HELLO], '--secure-memory: the Ultravisor itself needs 256 KiB'],
    [['run', '--secure-pfns', 'few', HELLO], '--secure-pfns: "few" is none of guests, memory, or a number'],
    [['run'], "missing required argument 'image'"],
    [['dance'], "unknown command 'dance'"],
    [['run', '--frobnicate', HELLO], "unknown option '--frobnicate'"],
  ])('cloister %j', (args, message) => {
    expect(cloister(...args)).toEqual({ status: 2, out: '', err: `cloister: ${message}\n` });
  });

  it('before a file is written, or a signal could be missed', () => {
    const report = join(scratch, 'kept.json');
    writeFileSync(report, 'old');
    const fresh = join(scratch, 'fresh');
    expect(cloister('run', '--report', report, '--trace', fresh, cut).status).toBe(2);
    expect(cloister('run', '--report', report, '--trace', `${scratch}/no/x`, HELLO).status).toBe(2);
    expect(readFileSync(report, 'utf8')).toBe('old');
    expect(statSync(fresh, { throwIfNoEntry: false })).toBeUndefined();
  });

  it.each([cut, other])('%s', (file) => {
    const { status, out, err } = cloister('run', file);
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(new RegExp(`^cloister: ${file}: .+\\n$`));
  });
});

describe('exit statuses', () => {
  const osTerm = join(scratch, 'os-term.elf');
  writeFileSync(osTerm, panicking('Kernel panic: told to'));

  it('1: a guest that crashed', () => {
    const { status, out, err } = cloister('run', '--entry', 'fdt', osTerm);
    expect({ status, out, err }).toEqual({ status: 1, out: '', err: 'cloister: crashed: Kernel panic: told to\n' });
  });

  it('1: the crash of one VM of two, whatever the other does', () => {
    const { status, out } = cloister('run', '--entry', 'fdt', HELLO, osTerm);
    expect({ status, out }).toEqual({ status: 1, out: 'hello.0: hello from ppc64le\n' });
  });

  it('3 and the clock at the limit, also where every CPU waits there', () => {
    const report = join(scratch, 'asleep.json');
    const { status } = cloister('run', '--max-instructions', '20000000', '--report', report, 'guests/powerpc/echo.elf');
    expect(status).toBe(3);
    const { instructions, idle } = JSON.parse(readFileSync(report, 'utf8'));
    expect(instructions).toBe(20_000_000);
    expect(idle).toBeGreaterThan(0);
  });

  it('70: a bug of ours, with its stack', () => {
    const bug = 'data:text/javascript,performance.now=()=>{throw new Error("planted")}';
    const { status, stderr } = spawnSync(process.execPath, ['--import', bug, 'bin/cloister.js', 'run', HELLO], {
      encoding: 'utf8',
    });
    expect(status).toBe(70);
    expect(stderr).toContain('Error: planted\n    at ');
  });
});

describe('remarks on options that do nothing', () => {
  it.each([[['--secure-memory', '1M'], '--secure-memory does nothing without --protected']])('%j', (args, remark) => {
    expect(cloister('run', ...args, HELLO)).toEqual({
      status: 0,
      out: 'hello from ppc64le\n',
      err: `cloister: ${remark}\n`,
    });
  });

  it('a random seed is told, and repeats the run', () => {
    const [a, b] = [join(scratch, 'random.json'), join(scratch, 'again.json')];
    const { err } = cloister('run', '--seed', 'random', '--report', a, SECRET);
    const seed = /^cloister: --seed (\d+)\n$/.exec(err)?.[1] ?? '';
    cloister('run', '--seed', seed, '--report', b, SECRET);
    const [first, again] = [a, b].map((file) => ({ ...JSON.parse(readFileSync(file, 'utf8')), seconds: 0 }));
    expect(first.seed).toBe(seed);
    expect(again).toEqual(first);
  });
});

describe('cloister demo', () => {
  it('shows where the secret is found and where not', () => {
    const { status, out } = cloister('demo');
    expect(status).toBe(0);
    // Once on Power and once on arm64; there a hypervisor in machine code is a second one to see nothing.
    expect(out.match(/found the secret in \d+ places/g)).toHaveLength(2);
    expect(out.match(/the secret was nowhere to be seen/g)).toHaveLength(3);
    expect(out.match(/saw exactly the same, \d+ times/g)).toHaveLength(2);
    expect(out).toMatch(/ran as a protected VM\n {4}pages of the guest: \d+ OWNED, 1 MMIO \(\d+ donated, 0 shared/);
    const sha512 = createHash('sha512').update(kernelBytes(new Uint8Array(readFileSync(SECRET)), SECRET));
    expect(out).toContain(`sha512 ${sha512.digest('hex').slice(0, 40)}...`);
    expect(out).toMatch(/H_SVM_INIT_ABORT.*\n(?: {4}\|.*\n)+ {4}\| ran as a normal VM\n {4}Ultravisor: .*digests/);
    expect(out.split('\n').length).toBeLessThan(75);
  });
});
