import type { ConsoleBackend } from '../../devices/console.ts';
import { toAscii, toEbcdic } from './ebcdic.ts';
import { EVENT, EVENT_ACCEPTED, EVENT_BUFFER, eventBit, SCLP_RC, viewOf } from './sclp-format.ts';

/** One of SCLP's consoles: what handles events of certain types. */
export interface EventSource {
  /** Types that the guest may write, and those that it may read. */
  readonly receives: bigint;
  readonly sends: bigint;
  /** Something is there to be read. */
  readonly pending: boolean;
  /** Takes what was typed, if there is room. */
  poll(): void;
  /** An event buffer of the guest's. @returns the response code */
  write(event: Uint8Array): number;
  /** The next event buffer, of up to `room` bytes; null if none is there or fits. */
  read(room: number): Uint8Array | null;
  reset(): void;
}

/** What the ASCII console keeps until it is read: what fits into a block. */
const ASCII_ROOM = 4080;

/** The ASCII console, which Linux calls VT220: bytes both ways. */
export class AsciiConsole implements EventSource {
  readonly receives = eventBit(EVENT.ASCII);
  readonly sends = eventBit(EVENT.ASCII);
  readonly #console: ConsoleBackend;
  #typed: Uint8Array = new Uint8Array(0);

  constructor(console: ConsoleBackend) {
    this.#console = console;
  }

  get pending(): boolean {
    return this.#typed.length > 0;
  }

  poll(): void {
    const room = ASCII_ROOM - this.#typed.length;
    if (room > 0) this.#typed = concat(this.#typed, this.#console.input(room));
  }

  write(event: Uint8Array): number {
    this.#console.output(event.subarray(EVENT_BUFFER.DATA));
    event[EVENT_BUFFER.FLAGS] = (event[EVENT_BUFFER.FLAGS] ?? 0) | EVENT_ACCEPTED;
    return SCLP_RC.COMPLETION;
  }

  read(room: number): Uint8Array | null {
    // A zero says that text follows.
    const bytes = Math.min(this.#typed.length, room - EVENT_BUFFER.DATA - 1);
    if (bytes <= 0) return null;
    const event = eventBuffer(EVENT.ASCII, concat(Uint8Array.of(0), this.#typed.subarray(0, bytes)));
    event[EVENT_BUFFER.FLAGS] = EVENT_ACCEPTED;
    this.#typed = this.#typed.slice(bytes);
    return event;
  }

  reset(): void {
    this.#typed = new Uint8Array(0);
  }
}

/** A message data block: a header, then objects, each with its length and type. */
const MDB = { AT: EVENT_BUFFER.DATA, HEADER: 12, TEXT_OBJECT: 4, TEXT: 10 } as const;
/** GDS vectors and sub-vectors around the text of an operator's command, from the outside. */
const VECTORS = [0x1310, 0x1212, 0x1320] as const;
const SELF_DEFINING_TEXT = 0x31;
const TEXT_MESSAGE = 0x30;
const VECTOR_HEADER = 4;
const SUBVECTOR_HEADER = 2;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** A sub-vector says its length in a byte. */
const LONGEST_COMMAND = 255 - 2 * SUBVECTOR_HEADER;

/** The operator's console, in line mode: messages in EBCDIC, each on a line of its own, and commands that end with a line. What is typed is shown. */
export class LineModeConsole implements EventSource {
  readonly receives = eventBit(EVENT.MESSAGE) | eventBit(EVENT.PRIORITY_MESSAGE);
  readonly sends = eventBit(EVENT.OPERATOR_COMMAND) | eventBit(EVENT.PRIORITY_MESSAGE);
  readonly #console: ConsoleBackend;
  readonly #line: number[] = [];
  #complete = false;

  constructor(console: ConsoleBackend) {
    this.#console = console;
  }

  get pending(): boolean {
    return this.#complete;
  }

  poll(): void {
    while (!this.#complete) {
      const [character] = this.#console.input(1);
      if (character === undefined) return;
      if (character === NEWLINE || character === CARRIAGE_RETURN) this.#complete = true;
      else if (this.#line.length < LONGEST_COMMAND) {
        this.#line.push(character);
        this.#console.output(Uint8Array.of(character));
      }
    }
  }

  write(event: Uint8Array): number {
    const texts = textsOf(event);
    if (texts === null) return SCLP_RC.INCONSISTENT_LENGTHS;
    for (const text of texts) {
      this.#console.output(Uint8Array.of(NEWLINE));
      this.#console.output(toAscii(text));
    }
    event[EVENT_BUFFER.FLAGS] = EVENT_ACCEPTED;
    return SCLP_RC.COMPLETION;
  }

  read(room: number): Uint8Array | null {
    if (!this.#complete) return null;
    const text = toEbcdic(Uint8Array.from(this.#line));
    let inside = subvector(SELF_DEFINING_TEXT, subvector(TEXT_MESSAGE, text));
    for (const id of VECTORS.toReversed()) inside = vector(id, inside);
    const event = eventBuffer(EVENT.OPERATOR_COMMAND, inside);
    if (event.length > room) return null;
    this.reset();
    return event;
  }

  reset(): void {
    this.#line.length = 0;
    this.#complete = false;
  }
}

/** The texts of a message; null where lengths contradict each other. All is looked at before anything is shown. */
function textsOf(event: Uint8Array): readonly Uint8Array[] | null {
  const texts: Uint8Array[] = [];
  if (event.length < MDB.AT + MDB.HEADER) return null;
  const view = viewOf(event);
  const length = view.getUint16(MDB.AT);
  const end = MDB.AT + length;
  if (length < MDB.HEADER || end > event.length) return null;
  for (let at = MDB.AT + MDB.HEADER; at < end; ) {
    if (at + VECTOR_HEADER > end) return null;
    const bytes = view.getUint16(at);
    if (bytes < VECTOR_HEADER || at + bytes > end) return null;
    if (view.getUint16(at + 2) === MDB.TEXT_OBJECT)
      texts.push(event.subarray(Math.min(at + MDB.TEXT, at + bytes), at + bytes));
    at += bytes;
  }
  return texts;
}

function eventBuffer(type: number, data: Uint8Array): Uint8Array {
  const event = new Uint8Array(EVENT_BUFFER.DATA + data.length);
  viewOf(event).setUint16(EVENT_BUFFER.LENGTH, event.length);
  event[EVENT_BUFFER.TYPE] = type;
  event.set(data, EVENT_BUFFER.DATA);
  return event;
}

function vector(id: number, inside: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(VECTOR_HEADER + inside.length);
  const view = viewOf(bytes);
  view.setUint16(0, bytes.length);
  view.setUint16(2, id);
  bytes.set(inside, VECTOR_HEADER);
  return bytes;
}

function subvector(key: number, inside: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(SUBVECTOR_HEADER + inside.length, key), inside);
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
