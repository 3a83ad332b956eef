import { writeSync } from 'node:fs';

const STDOUT = 1;
const NEWLINE = 0x0a;
const PAUSE = 1;

/** Writes all bytes to standard output at once. @returns false where nobody reads there any more */
export function writeOut(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EPIPE') return false;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
    }
  }
  return true;
}

/** Nobody reads standard output any more: the command ends at once, and says nothing. */
export class Unheard extends Error {
  override readonly name = 'Unheard';
}

/** Writes text or bytes of ours to standard output, at once. @throws Unheard where nobody reads there any more */
export function print(output: string | Uint8Array): void {
  const bytes = typeof output === 'string' ? new TextEncoder().encode(output) : output;
  if (!writeOut(bytes)) throw new Unheard('nobody reads standard output');
}

/** Takes bytes of a console, in the order in which they are written. */
export type Output = (bytes: Uint8Array) => void;

/** Makes whole lines of what a guest writes, each behind its VM's name. */
export class LinePrefixer {
  readonly #prefix: Uint8Array;
  readonly #output: Output;
  #line: number[] = [];

  constructor(name: string, output: Output) {
    this.#prefix = new TextEncoder().encode(`${name}: `);
    this.#output = output;
  }

  write(bytes: Uint8Array): void {
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

  #writeLine(): void {
    this.#output(Uint8Array.of(...this.#prefix, ...this.#line));
    this.#line = [];
  }
}
