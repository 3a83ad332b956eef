import { fstatSync, readSync } from 'node:fs';
import type { ReadStream } from 'node:tty';

/** Bytes for consoles of guests, in the order in which they were typed. */
export interface InputSource {
  /** Takes up to `max` bytes, possibly none; never waits. */
  take(max: number): Uint8Array;
  /** More may come, at a time that is up to somebody outside. */
  readonly live: boolean;
  /** Waits until there is something to take, at most this long. */
  wait(milliseconds: number): Promise<void>;
  /** Lets go of the source, and gives a terminal back as it was. */
  close(): void;
}

const STDIN = 0;
const NO_BYTES = new Uint8Array(0);

/**
 * Standard input. A file is read when the guest asks for it, so that a run depends on its contents only; a pipe or a terminal is read
 * as it comes.
 * @param filter for a terminal, which is put into raw mode: what of the keys is the guest's
 */
export function standardInput(filter: (keys: Uint8Array) => Uint8Array): InputSource {
  const { stdin } = process;
  if (stdin.isTTY) return new StreamInput(stdin, filter, stdin);
  const stat = fstatSync(STDIN);
  if (stat.isFile() || stat.isCharacterDevice()) return new FileInput();
  return new StreamInput(stdin, (bytes) => bytes, null);
}

/** Nobody types. */
export const NO_INPUT: InputSource = {
  take: () => NO_BYTES,
  live: false,
  wait: () => Promise.resolve(),
  close: () => {},
};

class FileInput implements InputSource {
  readonly live = false;
  #ended = false;

  take(max: number): Uint8Array {
    if (this.#ended) return NO_BYTES;
    const bytes = new Uint8Array(max);
    const length = readSync(STDIN, bytes);
    this.#ended = length === 0;
    return bytes.subarray(0, length);
  }

  wait(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

/** What a guest has not read yet. Above this the stream has to wait. */
const MOST_PENDING = 1 << 16;

class StreamInput implements InputSource {
  live = true;
  readonly #stream: NodeJS.ReadStream;
  readonly #terminal: ReadStream | null;
  #pending: Uint8Array[] = [];
  #length = 0;
  #awake: () => void = () => {};
  readonly #onData: (bytes: Uint8Array) => void;
  readonly #onEnd = (): void => {
    this.live = false;
    this.#awake();
  };

  constructor(stream: NodeJS.ReadStream, filter: (bytes: Uint8Array) => Uint8Array, terminal: ReadStream | null) {
    this.#stream = stream;
    this.#terminal = terminal;
    this.#onData = (bytes) => this.#add(filter(bytes));
    terminal?.setRawMode(true);
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    // A reader that meets an error has met the end: the guest could do nothing with it.
    stream.on('error', this.#onEnd);
  }

  take(max: number): Uint8Array {
    const first = this.#pending[0];
    if (first === undefined) return NO_BYTES;
    const bytes = first.subarray(0, max);
    if (bytes.length === first.length) this.#pending.shift();
    else this.#pending[0] = first.subarray(max);
    this.#length -= bytes.length;
    if (this.#length < MOST_PENDING && this.#stream.isPaused()) this.#stream.resume();
    return bytes;
  }

  wait(milliseconds: number): Promise<void> {
    if (this.#length > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#awake(), milliseconds);
      this.#awake = () => {
        clearTimeout(timer);
        this.#awake = () => {};
        resolve();
      };
    });
  }

  close(): void {
    this.#awake();
    this.#terminal?.setRawMode(false);
    this.#stream.off('data', this.#onData);
    this.#stream.off('end', this.#onEnd);
    this.#stream.pause();
    this.#stream.unref();
  }

  #add(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pending.push(bytes);
    this.#length += bytes.length;
    if (this.#length >= MOST_PENDING) this.#stream.pause();
    this.#awake();
  }
}
