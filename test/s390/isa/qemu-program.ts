import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A program that runs pieces of code on given registers and storage: one record for each case, which it loads, runs and stores again. It is
 * static, so it runs on `qemu-s390x`; our engine runs the same bytes.
 */

/** Offsets in a record. Register 15 has the record's address while code runs. */
export const RECORD = {
  gpr: 0,
  /** Condition code and program mask, as IPM stores them. */
  cc: 124,
  /** Where the stub starts; 0 ends the table. */
  stub: 128,
  /** 0: fell through, 1: branched to the stub's target, else the signal. */
  end: 136,
  fpc: 144,
  fpr: 152,
  ar: 280,
  memory: 512,
  memoryBytes: 512,
  bytes: 1024,
} as const;

export const TEXT = 0x1000_0000n;
/** Behind these jumps the state is saved. */
export const DONE = TEXT;
export const TAKEN = TEXT + 6n;
export const STUBS = 0x1100_0000n;
export const RECORDS = 0x2000_0000n;

/** Registers that code may use. */
export const FREE_GPRS = Array.from({ length: 15 }, (_, n) => n);

/** A piece of code and the instructions around it: entered at `entry`, it goes to `DONE` at its end; `target` leads to `TAKEN`. */
export interface Stub {
  readonly start: bigint;
  readonly entry: bigint;
  readonly target: bigint;
  /** A branch backwards to `entry`, to make it hot. */
  readonly again: bigint;
}

/** lmg %r0,%r14,0(%r15) */
const PRELUDE = [0xeb, 0x0e, 0xf0, 0x00, 0x00, 0x04];

/** brcl 15,target */
function branch(from: bigint, to: bigint): number[] {
  const halfwords = Number((to - from) >> 1n);
  return [0xc0, 0xf4, (halfwords >>> 24) & 0xff, (halfwords >>> 16) & 0xff, (halfwords >>> 8) & 0xff, halfwords & 0xff];
}

/** Lays out code one piece after the other, each from a doubleword on. */
export class StubWriter {
  readonly #bytes: number[] = [];

  /** @param data follows behind the stub's own branches, at `target + 12` */
  add(code: readonly number[], data: readonly number[] = []): Stub {
    while (this.#bytes.length % 8 !== 2) this.#bytes.push(0);
    const start = STUBS + BigInt(this.#bytes.length);
    const entry = start + 6n;
    const end = entry + BigInt(code.length);
    this.#bytes.push(...PRELUDE, ...code);
    this.#bytes.push(...branch(end, DONE), ...branch(end + 6n, TAKEN), ...branch(end + 12n, entry), ...data);
    return { start, entry, target: end + 6n, again: end + 12n };
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#bytes);
  }
}

/** Assembles the program around stubs and records, runs it, and returns the records as it left them. */
export function runOnQemu(stubs: Uint8Array, records: Uint8Array): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-qemu-'));
  const run = (command: string, args: readonly string[]): Buffer => {
    const result = spawnSync(command, args, { cwd: folder, maxBuffer: 2 ** 30 });
    if (result.error || result.status !== 0) {
      const what = result.error?.message ?? `status ${result.status} ${result.signal ?? ''}`;
      throw new Error(`${command} ${args.join(' ')}: ${what} ${result.stderr?.toString().slice(0, 2000)}`);
    }
    return result.stdout;
  };
  try {
    writeFileSync(join(folder, 'stubs.bin'), stubs);
    writeFileSync(join(folder, 'records.bin'), records);
    writeFileSync(join(folder, 'program.s'), source(records.length));
    run('s390x-linux-gnu-as', ['-march=z13', 'program.s', '-o', 'program.o']);
    const at = (section: string, address: bigint): string => `--section-start=${section}=0x${address.toString(16)}`;
    const sections = [at('.text', TEXT), at('.stubs', STUBS), at('.records', RECORDS), at('.control', 0x1f000000n)];
    run('s390x-linux-gnu-ld', ['-static', '--no-relax', '-e', '_start', ...sections, 'program.o', '-o', 'program']);
    const output = run('qemu-s390x', ['-cpu', 'max', './program']);
    if (output.length !== records.length) {
      throw new Error(`qemu-s390x wrote ${output.length} of ${records.length} bytes`);
    }
    return output;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Linux's signals that program interruptions become. */
const SIGNALS = [4, 5, 7, 8, 11];

/** Where a signal's context has the PSW's address, and register 15 (Linux, `struct ucontext` and `_sigregs`). */
const CONTEXT = { address: 48, r15: 56 + 15 * 8 } as const;

function source(recordBytes: number): string {
  const floats = (name: string): string[] =>
    Array.from({ length: 16 }, (_, n) => `${name} %f${n},${RECORD.fpr + 8 * n}(%r15)`);
  return [
    '.section .text,"ax"',
    'jg done',
    'jg taken',
    '.globl _start',
    '_start:',
    // A stack of its own for signals, and handlers that end the case at hand.
    ...['llilf %r2,0x1f000000', 'lghi %r3,0', 'svc 186'],
    ...SIGNALS.flatMap((n) => [`lghi %r2,${n}`, 'llilf %r3,0x1f000040', 'lghi %r4,0', 'lghi %r5,8', 'svc 174']),
    'llilf %r15,0x20000000',
    'next:',
    ...[`ltg %r1,${RECORD.stub}(%r15)`, 'jz finish'],
    ...floats('ld'),
    `lfpc ${RECORD.fpc}(%r15)`,
    `lam %a0,%a15,${RECORD.ar}(%r15)`,
    ...[`l %r2,${RECORD.cc}(%r15)`, 'spm %r2', 'br %r1'],
    'done:',
    ...['stmg %r0,%r14,0(%r15)', 'lghi %r1,0', 'j ended'],
    'taken:',
    ...['stmg %r0,%r14,0(%r15)', 'lghi %r1,1', 'j ended'],
    'signalled:',
    ...['stmg %r0,%r14,0(%r15)', 'j save'],
    'ended:',
    `stg %r1,${RECORD.end}(%r15)`,
    'save:',
    ...['lghi %r2,0', 'ipm %r2', `st %r2,${RECORD.cc}(%r15)`],
    `stfpc ${RECORD.fpc}(%r15)`,
    // Exceptions that a case has enabled are not for the program around it.
    'lghi %r2,0',
    'sfpc %r2',
    ...floats('std'),
    `stam %a0,%a15,${RECORD.ar}(%r15)`,
    `aghi %r15,${RECORD.bytes}`,
    'j next',
    // r2 the signal, r4 the context. Execution goes on at `signalled`.
    'handler:',
    ...[`lg %r1,${CONTEXT.r15}(%r4)`, `stg %r2,${RECORD.end}(%r1)`],
    ...['larl %r1,signalled', `stg %r1,${CONTEXT.address}(%r4)`, 'br %r14'],
    'finish:',
    ...['llilf %r3,0x20000000', `llilf %r4,${recordBytes}`],
    'more:',
    ...['lghi %r2,1', 'svc 4', 'ltgr %r2,%r2', 'jle quit', 'agr %r3,%r2', 'sgr %r4,%r2', 'jh more'],
    'quit:',
    ...['lghi %r2,0', 'svc 1'],
    '.section .stubs,"ax"',
    '.incbin "stubs.bin"',
    '.section .records,"aw"',
    '.incbin "records.bin"',
    // The end of the table.
    `.space ${RECORD.bytes}`,
    '.section .control,"aw"',
    ...['.quad 0x1f001000', '.long 0', '.long 0', '.quad 0x8000'],
    '.balign 64',
    // SA_SIGINFO, SA_ONSTACK, SA_NODEFER
    ...['.quad handler', '.quad 0x48000004', '.quad 0', '.quad 0'],
    '.org 0x1000',
    '.space 0x8000',
    '',
  ].join('\n');
}
