/** Bytes that are not the DER that was expected: where, and why. */
export class DerError extends Error {
  override readonly name = 'DerError';
  /** Byte offset in what was read. */
  readonly offset: number;

  constructor(reason: string, offset: number) {
    super(`DER at byte ${offset}: ${reason}`);
    this.offset = offset;
  }
}

/** Tags that key files need (X.690 8). */
export const DER_TAG = { INTEGER: 0x02, BIT_STRING: 0x03, OCTET_STRING: 0x04, NULL: 0x05, OID: 0x06, SEQUENCE: 0x30 };

const TAG_NAMES = new Map(Object.entries(DER_TAG).map(([name, tag]) => [tag, name]));

/** Reads the elements of one DER value in their order. Nothing in it is trusted. */
export class DerReader {
  readonly #bytes: Uint8Array;
  /** Of the first byte in the whole that the user gave. */
  readonly #base: number;
  #at = 0;

  constructor(bytes: Uint8Array, base = 0) {
    this.#bytes = bytes;
    this.#base = base;
  }

  /** Whether all elements were read. */
  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The tag of the next element; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The contents of the next element, whatever it is. @throws DerError */
  any(): DerReader {
    const tag = this.peek();
    if (tag === undefined) throw this.#errorAt('no element but the end', this.#at);
    return this.read(tag);
  }

  /** The whole next element, with its tag and length, whatever it is. @throws DerError */
  raw(): Uint8Array {
    const start = this.#at;
    this.any();
    return this.#bytes.subarray(start, this.#at);
  }

  /** The contents of the next element, which must have this tag. @throws DerError */
  read(tag: number): DerReader {
    const start = this.#at;
    const found = this.#bytes[start];
    if (found === undefined) throw this.#errorAt(`no ${nameOf(tag)} but the end`, start);
    if (found !== tag) throw this.#errorAt(`${nameOf(found)} instead of ${nameOf(tag)}`, start);
    const { length, at } = this.#length(start + 1);
    if (length > this.#bytes.length - at) throw this.#errorAt(`${length} bytes pass the end`, start);
    this.#at = at + length;
    return new DerReader(this.#bytes.subarray(at, at + length), this.#base + at);
  }

  /** The next element as an unsigned big-endian number without leading zero bytes. @throws DerError if it is negative */
  unsigned(): Uint8Array {
    const start = this.#at;
    const { bytes } = this.read(DER_TAG.INTEGER);
    if (bytes.length === 0 || bytes[0] >= 0x80) throw this.#errorAt('an INTEGER that is empty or negative', start);
    if (bytes.length > 1 && bytes[0] === 0 && bytes[1] < 0x80)
      throw this.#errorAt('an INTEGER that is too long', start);
    return bytes[0] === 0 ? bytes.slice(1) : bytes.slice();
  }

  /** The contents of the next element, a BIT STRING of whole bytes. @throws DerError */
  bitString(): DerReader {
    const start = this.#at;
    const { bytes } = this.read(DER_TAG.BIT_STRING);
    if (bytes[0] !== 0) throw this.#errorAt('a BIT STRING that is not of whole bytes', start);
    return new DerReader(bytes.subarray(1), this.#base + this.#at - bytes.length + 1);
  }

  /** All bytes. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** @throws DerError unless all elements were read */
  end(): void {
    if (!this.done) throw this.#errorAt('more elements than expected', this.#at);
  }

  /** Lengths in their shortest form only, as DER asks for (X.690 10.1). */
  #length(at: number): { readonly length: number; readonly at: number } {
    const first = this.#bytes[at];
    if (first === undefined) throw this.#errorAt('no length', at);
    if (first < 0x80) return { length: first, at: at + 1 };
    const count = first - 0x80;
    if (count < 1 || count > 3) throw this.#errorAt('a length that is indefinite or too long', at);
    let length = 0;
    for (let i = 1; i <= count; i++) {
      const byte = this.#bytes[at + i];
      if (byte === undefined) throw this.#errorAt('a length that passes the end', at);
      length = length * 256 + byte;
    }
    if (length < 0x80 || length < 256 ** (count - 1))
      throw this.#errorAt('a length that is not in its shortest form', at);
    return { length, at: at + 1 + count };
  }

  /** An error about these bytes, for who finds that they are not what they should be. */
  error(reason: string): DerError {
    return this.#errorAt(reason, 0);
  }

  #errorAt(reason: string, at: number): DerError {
    return new DerError(reason, this.#base + at);
  }
}

/** One element: tag, length, contents. */
export function derElement(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  const header = length < 0x80 ? [tag, length] : [tag, 0x80 + digits.length, ...digits];
  const out = new Uint8Array(header.length + length);
  out.set(header);
  let at = header.length;
  for (const part of contents) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** An INTEGER of an unsigned big-endian number without leading zero bytes. */
export function derUnsigned(value: Uint8Array): Uint8Array {
  const pad = value.length === 0 || value[0] >= 0x80 ? Uint8Array.of(0) : new Uint8Array(0);
  return derElement(DER_TAG.INTEGER, pad, value);
}

function nameOf(tag: number): string {
  return TAG_NAMES.get(tag) ?? `tag 0x${tag.toString(16)}`;
}
