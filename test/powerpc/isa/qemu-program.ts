import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A program that runs many short pieces of code on QEMU's user emulation, each on a register state of its own, and writes the states that
 * they leave. All addresses are fixed, so that the same code can run at the same place in our engine.
 *
 * A record holds the state of one case: it is read before the code runs and overwritten afterwards. Numbers are in the target's byte order.
 */
export const RECORD = {
  /** r0 to r31; r1, r2 and r13 belong to the program. */
  gpr: 0,
  cr: 256,
  xer: 264,
  ctr: 272,
  lr: 280,
  tar: 288,
  /** Address of the code's stub; 0 ends the table. */
  stub: 296,
  /** How the code ended: 0 at its end, 1 at its target, or the number of a signal. */
  end: 304,
  fpscr: 312,
  fpr: 320,
  /** Bytes that the code may load and store. */
  memory: 640,
  memoryBytes: 384,
  bytes: 1024,
} as const;

export const TEXT = 0x1000_0000n;
/** Where code goes when it has run to its end, and when it branched to its target. */
export const DONE = TEXT;
export const TAKEN = TEXT + 4n;
export const STUBS = 0x1100_0000n;
export const RECORDS = 0x2000_0000n;

/** Registers that code may use. */
export const FREE_GPRS = Array.from({ length: 32 }, (_, i) => i).filter((n) => n !== 1 && n !== 2 && n !== 13);

/** What a program runs on. */
export interface Target {
  readonly name: string;
  readonly emulator: readonly [string, ...string[]];
  readonly tools: 'powerpc64le-linux-gnu' | 'powerpc64-linux-gnu';
  readonly bits: 32 | 64;
  readonly bigEndian: boolean;
}

export const LITTLE: Target = {
  name: 'qemu-ppc64le',
  emulator: ['qemu-ppc64le', '-cpu', 'power9'],
  tools: 'powerpc64le-linux-gnu',
  bits: 64,
  bigEndian: false,
};
export const BIG: Target = {
  name: 'qemu-ppc64',
  emulator: ['qemu-ppc64', '-cpu', 'power9'],
  tools: 'powerpc64-linux-gnu',
  bits: 64,
  bigEndian: true,
};
export const NARROW: Target = {
  name: 'qemu-ppc',
  emulator: ['qemu-ppc', '-cpu', '7457'],
  tools: 'powerpc64-linux-gnu',
  bits: 32,
  bigEndian: true,
};

/** Words before the code proper: they load the last registers. */
const PRELUDE = 3;

/** A piece of code and the words around it: entered at `entry`, it goes to `DONE` at its end; `target` leads to `TAKEN`. */
export interface Stub {
  readonly start: bigint;
  readonly entry: bigint;
  readonly target: bigint;
  /** A branch backwards to `entry`, to make it hot. */
  readonly again: bigint;
}

const branch = (from: bigint, to: bigint): number => (0x48000000 | (Number(to - from) & 0x03fffffc)) >>> 0;
const CTR_PRELUDE = {
  64: [0xe8610110, 0x7c6903a6, 0xe8610018],
  32: [0x80610114, 0x7c6903a6, 0x8061001c],
} as const;

/** Lays out code one piece after the other. */
export class StubWriter {
  readonly words: number[] = [];
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  add(code: readonly number[]): Stub {
    const start = STUBS + BigInt(this.words.length) * 4n;
    const entry = start + BigInt(PRELUDE) * 4n;
    const end = entry + BigInt(code.length) * 4n;
    this.words.push(...CTR_PRELUDE[this.#target.bits], ...code);
    this.words.push(branch(end, DONE), branch(end + 4n, TAKEN), branch(end + 8n, entry));
    return { start, entry, target: end + 4n, again: end + 8n };
  }

  /** The words in memory order. */
  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.words.length * 4);
    const view = new DataView(bytes.buffer);
    this.words.forEach((word, i) => {
      view.setUint32(i * 4, word, !this.#target.bigEndian);
    });
    return bytes;
  }
}

/** Assembles the program around stubs and records, runs it, and returns the records as it left them. */
export function runOnQemu(target: Target, stubs: Uint8Array, records: Uint8Array): Uint8Array {
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
    writeFileSync(join(folder, 'program.s'), source(target, records.length));
    const { tools, bits, bigEndian } = target;
    run(`${tools}-as`, [
      bits === 32 ? '-a32' : '-a64',
      '-mpower9',
      bigEndian ? '-mbig' : '-mlittle',
      'program.s',
      '-o',
      'program.o',
    ]);
    const emulation = bits === 32 ? 'elf32ppc' : bigEndian ? 'elf64ppc' : 'elf64lppc';
    const at = (section: string, address: bigint): string => `--section-start=${section}=0x${address.toString(16)}`;
    const sections = [at('.text', TEXT), at('.stubs', STUBS), at('.records', RECORDS), at('.control', 0x1f000000n)];
    run(`${tools}-ld`, [
      '-m',
      emulation,
      '-static',
      '--no-relax',
      '-e',
      '_start',
      ...sections,
      'program.o',
      '-o',
      'program',
    ]);
    const [emulator, ...options] = target.emulator;
    const output = run(emulator, [...options, './program']);
    if (output.length !== records.length)
      throw new Error(`${emulator} wrote ${output.length} of ${records.length} bytes`);
    return output;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function source(target: Target, recordBytes: number): string {
  const wide = target.bits === 64;
  const move = (mnemonic: 'load' | 'store', register: number, offset: number): string => {
    const name = { load: ['lwz', 'ld'], store: ['stw', 'std'] }[mnemonic][wide ? 1 : 0];
    return `${name} ${register},${wide ? offset : offset + 4}(1)`;
  };
  const all = (mnemonic: 'load' | 'store', registers: readonly number[]): string[] =>
    registers.map((n) => move(mnemonic, n, RECORD.gpr + 8 * n));
  const floats = (name: string): string[] =>
    Array.from({ length: 32 }, (_, n) => `${name} ${n},${RECORD.fpr + 8 * n}(1)`);
  const word = wide ? '.quad' : '.long';
  return [
    wide ? '.abiversion 2' : '',
    '.section .text,"ax"',
    'b done',
    'b taken',
    '.globl _start',
    '_start:',
    // A stack of its own for signals, and handlers that end the case at hand.
    ...['li 0,185', 'lis 3,0x1f00', 'li 4,0', 'sc'],
    ...[4, 5, 7, 8, 11].flatMap((n) => [
      'li 0,173',
      `li 3,${n}`,
      'lis 4,0x1f00',
      'ori 4,4,64',
      'li 5,0',
      'li 6,8',
      'sc',
    ]),
    'lis 1,0x2000',
    'next:',
    move('load', 3, RECORD.stub),
    `cmp${wide ? 'd' : 'w'}i 3,0`,
    'beq finish',
    'mtctr 3',
    ...[
      move('load', 3, RECORD.cr),
      'mtcr 3',
      move('load', 3, RECORD.xer),
      'mtxer 3',
      move('load', 3, RECORD.lr),
      'mtlr 3',
    ],
    ...(wide ? [move('load', 3, RECORD.tar), 'mtspr 815,3'] : []),
    `lfd 0,${RECORD.fpscr}(1)`,
    wide ? 'mtfsf 255,0,1,0' : 'mtfsf 255,0',
    ...floats('lfd'),
    ...all('load', FREE_GPRS),
    'bctr',
    'done: li 2,0',
    'b common',
    'taken: li 2,1',
    'common:',
    ...all('store', FREE_GPRS),
    ...['cr 3', 'xer 3', 'ctr 3', 'lr 3'].flatMap((name, i) => [`mf${name}`, move('store', 3, RECORD.cr + 8 * i)]),
    ...(wide ? ['mfspr 3,815', move('store', 3, RECORD.tar)] : []),
    move('store', 2, RECORD.end),
    ...floats('stfd'),
    'mffs 0',
    `stfd 0,${RECORD.fpscr}(1)`,
    `addi 1,1,${RECORD.bytes}`,
    'b next',
    // Signal handler: r3 the signal, r5 the context. Execution goes on at `common` with the number in r2.
    'handler:',
    ...(wide
      ? ['lis 6,common@ha', 'addi 6,6,common@l', 'std 6,488(5)', 'std 3,248(5)', 'blr']
      : ['lis 6,common@ha', 'addi 6,6,common@l', 'lwz 7,48(5)', 'stw 6,128(7)', 'stw 3,8(7)', 'blr']),
    'finish:',
    'lis 4,0x2000',
    `lis 5,${recordBytes >>> 16}`,
    `ori 5,5,${recordBytes & 0xffff}`,
    'more:',
    ...['li 0,4', 'li 3,1', 'sc', 'cmpwi 3,0', 'ble quit', 'add 4,4,3', 'subf. 5,3,5', 'bgt more'],
    'quit:',
    ...['li 0,1', 'li 3,0', 'sc'],
    '.section .stubs,"ax"',
    '.incbin "stubs.bin"',
    '.section .records,"aw"',
    '.incbin "records.bin"',
    // The end of the table.
    `.space ${RECORD.bytes}`,
    '.section .control,"aw"',
    `${word} 0x1f001000`,
    ...(wide ? ['.long 0', '.long 0'] : ['.long 0']),
    `${word} 0x8000`,
    '.balign 64',
    ...[`${word} handler`, `${word} 0x48000004`, `${word} 0`, '.quad 0'],
    '.org 0x1000',
    '.space 0x8000',
    '',
  ].join('\n');
}
