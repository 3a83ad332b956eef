import { writeSync } from 'node:fs';
import type { ConsoleBackend } from '../index.ts';

const STDOUT = 1;
const NEWLINE = 0x0a;
const NO_BYTES = new Uint8Array(0);

/** Writes all bytes to standard output at once; a reader that has gone away is no error of ours. */
function writeOut(bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') continue;
      if (code === 'EPIPE') return;
      throw error;
    }
  }
}

/** The guest's console on standard output, byte for byte. */
export function plainConsole(): ConsoleBackend {
  return { output: writeOut, input: () => NO_BYTES };
}

/** Several guests on standard output: whole lines, each behind its VM's name. */
export class PrefixedConsole implements ConsoleBackend {
  readonly #prefix: Uint8Array;
  #line: number[] = [];

  constructor(name: string) {
    this.#prefix = new TextEncoder().encode(`${name}: `);
  }

  output(bytes: Uint8Array): void {
    for (const b of bytes) {
      this.#line.push(b);
      if (b === NEWLINE) this.#writeLine();
    }
  }

  /** Writes what is left of a line that the guest did not end. */
  finish(): void {
    if (this.#line.length === 0) return;
    this.#line.push(NEWLINE);
    this.#writeLine();
  }

  input(): Uint8Array {
    return NO_BYTES;
  }

  #writeLine(): void {
    writeOut(Uint8Array.of(...this.#prefix, ...this.#line));
    this.#line = [];
  }
}
