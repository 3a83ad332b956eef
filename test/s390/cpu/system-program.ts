import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A bare program that runs pieces of code in supervisor state, one after the other, each from the same state of control registers, keys and tables,
 * until it is interrupted; and writes down the registers and what the interruption stored. QEMU's machine and ours run the same bytes.
 */

/** A piece of code: what it is about, and assembly. */
export type SystemCase = readonly [name: string, code: string];

/** Where things are, for the pieces too. Register 12 has the address of `data`. */
export const AT = {
  text: 0x20000,
  records: 0x100000,
  /** 256 bytes that are 0 when a piece begins, and are written down. */
  data: 0x180000,
  tables: 0x200000,
  end: 0x240000,
} as const;

export const STORAGE = 64 << 20;

const RECORD = { gr: 0, psw: 128, kind: 144, lowcore: 152, data: 256, bytes: 512 } as const;
const LOWCORE_FROM = 0x80;
const LOWCORE_BYTES = 0x50;

/** What was found after a piece of code. */
export interface SystemRecord {
  /** General registers 0 to 11. */
  readonly gr: readonly string[];
  readonly psw: string;
  /** Class of the interruption. */
  readonly kind: string;
  /** Bytes 0x80 to 0xcf of the prefix area. */
  readonly lowcore: string;
  readonly data: string;
}

const KINDS = ['nothing', 'program', 'supervisor call', 'external', 'input/output', 'machine check', 'restart'];
const CLASSES = [
  [1, 0x150, 0x1d0],
  [2, 0x140, 0x1c0],
  [3, 0x130, 0x1b0],
  [4, 0x170, 0x1f0],
  [5, 0x160, 0x1e0],
  [6, 0x120, 0x1a0],
] as const;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/**
 * Tables that map storage to itself, with some entries that do not.
 * Page entries of segment 0: 0x80 invalid, 0x81 protected, 0x82 another name of `data`, 0x83 with a bit that must be 0, 0x84 beyond storage.
 * Segments: 4 invalid, 5 a frame of 1 MiB at 3 MiB, 6 of a wrong type, 7 with a page table beyond storage, 8 protected, 9 a protected frame, 10 common.
 * Region-third entries: 1 invalid, 2 of a wrong type, 3 with a table that begins late. Region-second and -first entry 1: invalid.
 */
export const ASCE = {
  segment: hex(AT.tables | 3),
  short: hex(AT.tables),
  private: hex(AT.tables | 0x103),
  third: hex((AT.tables + 0x4000) | 7),
  second: hex((AT.tables + 0x8000) | 0xb),
  first: hex((AT.tables + 0xc000) | 0xf),
  real: '0x20',
} as const;

const fill = (count: number, value: number): string[] => [`.rept ${count}`, `.quad ${hex(value)}`, '.endr'];

function tables(): string[] {
  const pages = AT.tables + 0x10000;
  const lines: string[] = [];
  const entries = (at: number, used: ReadonlyMap<number, number>, otherwise: number, count: number): void => {
    lines.push(`.org ${hex(at - AT.tables)}`);
    let from = 0;
    for (const [index, value] of [...used].sort(([a], [b]) => a - b)) {
      if (index > from) lines.push(...fill(index - from, otherwise));
      lines.push(`.quad ${hex(value)}`);
      from = index + 1;
    }
    if (from < count) lines.push(...fill(count - from, otherwise));
  };
  const segments = new Map([0, 1, 2, 3].map((n) => [n, pages + 0x800 * n]));
  segments.set(5, 0x300400);
  segments.set(6, pages | 4);
  segments.set(7, 0x7fff0000);
  segments.set(8, (pages + 0x800) | 0x200);
  segments.set(9, 0x300600);
  segments.set(10, (pages + 0x800) | 0x10);
  entries(AT.tables, segments, 0x20, 2048);
  const third = new Map([
    [0, AT.tables | 7],
    [1, 0x24],
    [2, AT.tables | 0xb],
    [3, AT.tables | 0x47],
  ]);
  entries(AT.tables + 0x4000, third, 0x24, 2048);
  entries(AT.tables + 0x8000, new Map([[0, (AT.tables + 0x4000) | 0xb]]), 0x28, 2048);
  entries(AT.tables + 0xc000, new Map([[0, (AT.tables + 0x8000) | 0xf]]), 0x2c, 2048);
  const special: Readonly<Record<number, number>> = {
    128: 0x400,
    129: 0x81200,
    130: AT.data,
    131: 0x83800,
    132: 0x10000000,
  };
  const map = new Map(Array.from({ length: 1024 }, (_, n) => [n, special[n] ?? n * 4096]));
  entries(pages, map, 0, 1024);
  return lines;
}

function source(cases: readonly SystemCase[]): string {
  const handlers = CLASSES.flatMap(([kind, old]) => [
    `class${kind}:`,
    'stmg %r0,%r15,0x400(%r0)',
    `mvc 0x480(16,%r0),${hex(old)}(%r0)`,
    `lghi %r1,${kind}`,
    'j ended',
  ]);
  const newPsws = CLASSES.flatMap(([kind, , at]) => [
    `larl %r1,class${kind}`,
    'llilf %r2,0x80000000',
    'oihl %r2,1',
    `stg %r2,${hex(at)}(%r0)`,
    `stg %r1,${hex(at + 8)}(%r0)`,
  ]);
  return [
    '.section .text,"ax"',
    '.globl _start',
    '_start:',
    ...newPsws,
    'larl %r14,cases',
    `llilf %r15,${hex(AT.records)}`,
    'next:',
    'lg %r13,0(%r14)',
    'ltgr %r13,%r13',
    'jz finish',
    'stmg %r14,%r15,0x500(%r0)',
    'larl %r1,control',
    'lctlg %c0,%c15,0(%r1)',
    `xc ${LOWCORE_FROM}(${LOWCORE_BYTES},%r0),${LOWCORE_FROM}(%r0)`,
    `llilf %r12,${hex(AT.data)}`,
    'xc 0(256,%r12),0(%r12)',
    'lghi %r0,0',
    'sske %r0,%r12',
    'ptlb',
    ...Array.from({ length: 11 }, (_, n) => `lghi %r${n + 1},0`),
    // Condition code 0.
    'cr %r0,%r0',
    'br %r13',
    ...handlers,
    'ended:',
    'lmg %r14,%r15,0x500(%r0)',
    `stg %r1,${RECORD.kind}(%r15)`,
    `mvc ${RECORD.gr}(128,%r15),0x400(%r0)`,
    `mvc ${RECORD.psw}(16,%r15),0x480(%r0)`,
    `mvc ${RECORD.lowcore}(${LOWCORE_BYTES},%r15),${LOWCORE_FROM}(%r0)`,
    `llilf %r12,${hex(AT.data)}`,
    `mvc ${RECORD.data}(256,%r15),0(%r12)`,
    `aghi %r15,${RECORD.bytes}`,
    'aghi %r14,8',
    'j next',
    'finish:',
    'larl %r1,stopped',
    'lpswe 0(%r1)',
    '.balign 8',
    'stopped: .quad 0x0002000180000000,0x1234',
    // EDAT, AFP; all classes of external interruptions closed.
    'control: .quad 0x8400e0,0,0,0,0,0,0,0,0,0,0,0,0,0,0xc2000000,0',
    'cases:',
    ...cases.map((_, n) => `.quad case${n}`),
    '.quad 0',
    ...cases.flatMap(([, code], n) => ['.balign 8', `case${n}:`, code, 'svc 0xff']),
    '.section .tables,"aw"',
    ...tables(),
    '',
  ].join('\n');
}

/** An assembled program: an ELF file for QEMU, and the bytes from `AT.text` on. */
export interface SystemProgram {
  readonly folder: string;
  readonly elf: string;
  readonly bytes: Uint8Array;
}

/** Assembles it in a folder of its own. @throws Error with what the tools say */
export function assemble(cases: readonly SystemCase[]): SystemProgram {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-s390-'));
  const run = (command: string, args: readonly string[]): void => {
    const { status, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command}: ${stderr.slice(0, 4000)}`);
  };
  writeFileSync(join(folder, 'program.s'), source(cases));
  run('s390x-linux-gnu-as', ['-march=z13', 'program.s', '-o', 'program.o']);
  const sections = [`--section-start=.text=${hex(AT.text)}`, `--section-start=.tables=${hex(AT.tables)}`];
  run('s390x-linux-gnu-ld', ['-static', '--no-relax', '-e', '_start', ...sections, 'program.o', '-o', 'program']);
  run('s390x-linux-gnu-objcopy', ['-O', 'binary', 'program', 'program.bin']);
  return { folder, elf: join(folder, 'program'), bytes: new Uint8Array(readFileSync(join(folder, 'program.bin'))) };
}

/** Runs it on QEMU until its wait, and gives the records. */
export async function runOnQemu(program: SystemProgram, cases: number): Promise<Uint8Array> {
  const memory = join(program.folder, 'records.bin');
  const machine = ['-M', 's390-ccw-virtio', '-cpu', 'max', '-m', `${STORAGE >> 20}`, '-nodefaults', '-display', 'none'];
  const options = ['-action', 'panic=pause', '-monitor', 'stdio', '-kernel', program.elf];
  const qemu = spawn('qemu-system-s390x', [...machine, ...options], { stdio: ['pipe', 'pipe', 'pipe'] });
  const timeout = setTimeout(() => qemu.kill('SIGKILL'), 20_000);
  let output = '';
  const ended = new Promise<void>((resolve, reject) => {
    qemu.on('error', reject);
    qemu.on('close', resolve);
  });
  const ask = setInterval(() => qemu.stdin.write('info status\n'), 50);
  qemu.stderr.on('data', (text) => {
    output += text;
  });
  qemu.stdout.on('data', (text) => {
    output += text;
    if (!output.includes('paused')) return;
    clearInterval(ask);
    if (!output.includes('pmemsave')) {
      qemu.stdin.write(`pmemsave ${hex(AT.records)} ${cases * RECORD.bytes} "${memory}"\nquit\n`);
      output += 'pmemsave';
    }
  });
  try {
    await ended;
    return new Uint8Array(readFileSync(memory));
  } catch (error) {
    throw new Error(`${error}; QEMU says: ${output.slice(-2000)}`);
  } finally {
    clearInterval(ask);
    clearTimeout(timeout);
  }
}

export function discard({ folder }: SystemProgram): void {
  rmSync(folder, { recursive: true });
}

/** The record of a piece of code. */
export function recordOf(records: Uint8Array, n: number): SystemRecord {
  const at = n * RECORD.bytes;
  const text = (from: number, length: number): string =>
    Buffer.from(records.subarray(at + from, at + from + length)).toString('hex');
  return {
    gr: Array.from({ length: 12 }, (_, r) => text(RECORD.gr + 8 * r, 8)),
    psw: text(RECORD.psw, 16),
    kind: KINDS[records[at + RECORD.kind + 7] as number] ?? '?',
    lowcore: text(RECORD.lowcore, LOWCORE_BYTES),
    data: text(RECORD.data, 256),
  };
}

export const recordBytes = (cases: number): number => cases * RECORD.bytes;
