import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A program that runs many short pieces of code on QEMU's user emulation, each on a register state of its own, and writes the states that
 * they leave. All addresses are fixed, so that the same code can run at the same place in our engine.
 *
 * A record holds the state of one case: it is read before the code runs and overwritten afterwards. Numbers are little-endian.
 */
export const RECORD = {
  /** X0 to X30; X27 and X28 belong to the program. */
  x: 0,
  sp: 248,
  nzcv: 256,
  fpcr: 264,
  fpsr: 272,
  /** Address of the code's stub; 0 ends the table. */
  stub: 280,
  /** How the code ended: 0 at its end, 1 at its target, or the number of a signal. */
  end: 288,
  /** V0 to V31, 16 bytes each. */
  v: 320,
  /** Bytes that the code may load and store. */
  memory: 832,
  memoryBytes: 448,
  bytes: 1280,
} as const;

export const TEXT = 0x1000_0000n;
/** Where code goes when it has run to its end, and when it branched to its target. */
export const DONE = TEXT;
export const TAKEN = TEXT + 4n;
export const STUBS = 0x1100_0000n;
export const RECORDS = 0x2000_0000n;
const CONTROL = 0x1f00_0000n;

/** Registers that code may use. */
export const FREE = Array.from({ length: 31 }, (_, n) => n).filter((n) => n !== 27 && n !== 28);

export const TOOLS = ['qemu-aarch64', 'aarch64-linux-gnu-as', 'aarch64-linux-gnu-ld'] as const;

/** A piece of code and the words around it: entered at `entry`, it goes to `DONE` at its end; `target` leads to `TAKEN`. */
export interface Stub {
  readonly entry: bigint;
  readonly target: bigint;
  /** A branch backwards to `entry`, to make it hot. */
  readonly again: bigint;
}

const branch = (from: bigint, to: bigint): number => (0x14000000 | (Number((to - from) >> 2n) & 0x03ffffff)) >>> 0;

/** Lays out code one piece after the other. */
export class StubWriter {
  readonly words: number[] = [];

  add(code: readonly number[]): Stub {
    const entry = STUBS + BigInt(this.words.length) * 4n;
    const end = entry + BigInt(code.length) * 4n;
    this.words.push(...code, branch(end, DONE), branch(end + 4n, TAKEN), branch(end + 8n, entry));
    return { entry, target: end + 4n, again: end + 8n };
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.words.length * 4);
    const view = new DataView(bytes.buffer);
    this.words.forEach((word, i) => {
      view.setUint32(i * 4, word, true);
    });
    return bytes;
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
    run('aarch64-linux-gnu-as', ['program.s', '-o', 'program.o']);
    const at = (section: string, address: bigint): string => `--section-start=${section}=0x${address.toString(16)}`;
    const sections = [at('.text', TEXT), at('.stubs', STUBS), at('.records', RECORDS), at('.control', CONTROL)];
    run('aarch64-linux-gnu-ld', ['-static', '-e', '_start', ...sections, 'program.o', '-o', 'program']);
    const output = run('qemu-aarch64', ['-cpu', 'max', './program']);
    if (output.length !== records.length) {
      throw new Error(`qemu-aarch64 wrote ${output.length} of ${records.length} bytes`);
    }
    return output;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Offsets in the `ucontext` that a signal handler gets (Linux, asm/sigcontext.h). */
const UCONTEXT = { x27: 400, pc: 440 } as const;
const SYSCALL = { write: 64, exit: 93, sigaltstack: 132, rt_sigaction: 134, rt_sigreturn: 139 } as const;
const SIGNALS = [4, 5, 7, 8, 11];

function source(recordBytes: number): string {
  const general = (operation: 'ldr' | 'str'): string[] => FREE.map((n) => `${operation} x${n},[x28,${8 * n}]`);
  const vectors = (operation: 'ldr' | 'str'): string[] =>
    Array.from({ length: 32 }, (_, n) => `${operation} q${n},[x28,${RECORD.v + 16 * n}]`);
  const special: readonly (readonly [register: string, offset: number])[] = [
    ['nzcv', RECORD.nzcv],
    ['fpcr', RECORD.fpcr],
    ['fpsr', RECORD.fpsr],
  ];
  return [
    '.section .text,"ax"',
    'b done',
    'b taken',
    '.globl _start',
    '_start:',
    // A stack of its own for signals, and a handler that ends the case at hand.
    `ldr x0,=0x${CONTROL.toString(16)}`,
    `mov x1,0`,
    `mov x8,${SYSCALL.sigaltstack}`,
    'svc 0',
    ...SIGNALS.flatMap((n) => [
      `mov x0,${n}`,
      `ldr x1,=0x${(CONTROL + 64n).toString(16)}`,
      'mov x2,0',
      'mov x3,8',
      `mov x8,${SYSCALL.rt_sigaction}`,
      'svc 0',
    ]),
    `ldr x28,=0x${RECORDS.toString(16)}`,
    'next:',
    `ldr x27,[x28,${RECORD.stub}]`,
    'cbz x27,finish',
    ...special.flatMap(([name, offset]) => [`ldr x0,[x28,${offset}]`, `msr ${name},x0`]),
    ...vectors('ldr'),
    `ldr x0,[x28,${RECORD.sp}]`,
    'mov sp,x0',
    ...general('ldr'),
    'br x27',
    'done: mov x27,0',
    'b common',
    'taken: mov x27,1',
    'common:',
    ...general('str'),
    'mov x0,sp',
    `str x0,[x28,${RECORD.sp}]`,
    ...special.flatMap(([name, offset]) => [`mrs x0,${name}`, `str x0,[x28,${offset}]`]),
    ...vectors('str'),
    `str x27,[x28,${RECORD.end}]`,
    `add x28,x28,${RECORD.bytes}`,
    'b next',
    // Signal handler: x0 the signal, x2 the context. Execution goes on at `common` with the number in x27.
    'handler:',
    'adr x3,common',
    `str x3,[x2,${UCONTEXT.pc}]`,
    `str x0,[x2,${UCONTEXT.x27}]`,
    `mov x8,${SYSCALL.rt_sigreturn}`,
    'svc 0',
    'finish:',
    `ldr x20,=0x${RECORDS.toString(16)}`,
    `ldr x21,=${recordBytes}`,
    'more:',
    ...['mov x0,1', 'mov x1,x20', 'mov x2,x21', `mov x8,${SYSCALL.write}`, 'svc 0'],
    ...['cmp x0,0', 'b.le quit', 'add x20,x20,x0', 'subs x21,x21,x0', 'b.gt more'],
    'quit:',
    ...['mov x0,0', `mov x8,${SYSCALL.exit}`, 'svc 0'],
    '.section .stubs,"ax"',
    '.incbin "stubs.bin"',
    '.section .records,"aw"',
    '.incbin "records.bin"',
    // The end of the table.
    `.space ${RECORD.bytes}`,
    '.section .control,"aw"',
    // stack_t, and at 64 sigaction: handler, flags (SA_SIGINFO | SA_ONSTACK), restorer, mask.
    `.quad 0x${(CONTROL + 4096n).toString(16)}`,
    ...['.long 0', '.long 0', '.quad 0x8000'],
    '.balign 64',
    ...['.quad handler', '.quad 0x08000004', '.quad 0', '.quad 0'],
    '.org 0x1000',
    '.space 0x8000',
    '',
  ].join('\n');
}
