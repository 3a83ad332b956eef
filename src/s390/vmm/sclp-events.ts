import type { EventSource } from './sclp-consoles.ts';
import {
  EVENT_ACCEPTED,
  EVENT_BUFFER,
  eventBit,
  SCCB,
  SCCB_BYTES,
  SCLP_RC,
  VARIABLE_LENGTH,
  viewOf,
} from './sclp-format.ts';

/** Function codes of the header. */
const NORMAL_WRITE = 0x00;
const UNCONDITIONAL_READ = 0x00;
const SELECTIVE_READ = 0x01;

/** Offsets in the block of WRITE EVENT MASK: the masks are of equal length, one behind the other. */
const MASK_LENGTH = 10;
const MASKS = 12;
const LONGEST_MASK = 1021;
const LENGTH_AT_START = 4;

/**
 * SCLP's event facility: who wants which events, and what there is. Blocks are changed in place; the answer is the response code. Checks and their order are
 * those of QEMU 7.2 (hw/s390x/event-facility.c).
 */
export class EventFacility {
  readonly #sources: readonly EventSource[];
  /** Events that the guest takes. */
  #wanted = 0n;
  #maskLength = LENGTH_AT_START;

  constructor(sources: readonly EventSource[]) {
    this.#sources = sources;
  }

  /** Whether the guest would be told of something. */
  get pending(): boolean {
    return this.#sources.some(({ pending, sends }) => pending && (sends & this.#wanted) !== 0n);
  }

  /** Whether the guest waits for what may be typed. */
  get listening(): boolean {
    return this.#listener !== undefined && !this.pending;
  }

  /** Takes what was typed: it is for the first console whose events the guest wants. */
  poll(): void {
    this.#listener?.poll();
  }

  reset(): void {
    this.#wanted = 0n;
    this.#maskLength = LENGTH_AT_START;
    for (const source of this.#sources) source.reset();
  }

  writeMask(block: Uint8Array): number {
    const view = viewOf(block);
    const length = block.length < MASKS ? 0 : view.getUint16(MASK_LENGTH);
    if (length === 0 || length > LONGEST_MASK) return SCLP_RC.INVALID_MASK_LENGTH;
    if (block.length < MASKS + 4 * length) return SCLP_RC.INSUFFICIENT_LENGTH;
    const at = (index: number): Uint8Array => block.subarray(MASKS + index * length, MASKS + (index + 1) * length);
    this.#wanted = maskOf(at(0));
    storeMask(
      at(2),
      this.#sources.reduce((mask, { receives }) => mask | receives, 0n),
    );
    storeMask(
      at(3),
      this.#sources.reduce((mask, { sends }) => mask | sends, 0n),
    );
    this.#maskLength = length;
    return SCLP_RC.COMPLETION;
  }

  writeData(block: Uint8Array): number {
    if (block[SCCB.FUNCTION] !== NORMAL_WRITE) return SCLP_RC.INVALID_FUNCTION;
    const events: Uint8Array[] = [];
    const view = viewOf(block);
    for (let at: number = SCCB.DATA; at < block.length; ) {
      const length = at + EVENT_BUFFER.DATA <= block.length ? view.getUint16(at) : 0;
      if (length < EVENT_BUFFER.DATA || at + length > block.length) return SCLP_RC.EVENT_BUFFER_SYNTAX;
      events.push(block.subarray(at, at + length));
      at += length;
    }
    let response: number = SCLP_RC.COMPLETION;
    for (const event of events) {
      if (response === SCLP_RC.COMPLETION) response = this.#write(event);
      else event[EVENT_BUFFER.FLAGS] = (event[EVENT_BUFFER.FLAGS] ?? 0) & ~EVENT_ACCEPTED;
    }
    return response;
  }

  readData(block: Uint8Array): number {
    if (block.length !== SCCB_BYTES) return SCLP_RC.INSUFFICIENT_LENGTH;
    const selection = this.#selection(block);
    if (typeof selection === 'number') return selection;
    let at: number = SCCB.DATA;
    for (const source of this.#sources) {
      if ((source.sends & selection) === 0n) continue;
      const event = source.read(block.length - at);
      if (event === null) continue;
      block.set(event, at);
      at += event.length;
    }
    const control = SCCB.CONTROL + 2;
    if (((block[control] ?? 0) & VARIABLE_LENGTH) !== 0) {
      block[control] = (block[control] ?? 0) & ~VARIABLE_LENGTH;
      viewOf(block).setUint16(SCCB.LENGTH, at);
    }
    return at === SCCB.DATA ? SCLP_RC.NO_EVENT_BUFFERS : SCLP_RC.COMPLETION;
  }

  get #listener(): EventSource | undefined {
    return this.#sources.find(({ sends }) => (sends & this.#wanted) !== 0n);
  }

  /** Which events are asked for, or a response code. */
  #selection(block: Uint8Array): bigint | number {
    switch (block[SCCB.FUNCTION]) {
      case UNCONDITIONAL_READ:
        return this.#wanted;
      case SELECTIVE_READ: {
        const mask = maskOf(block.subarray(SCCB.DATA, SCCB.DATA + this.#maskLength));
        const allowed = this.#wanted !== 0n && (mask & ~this.#wanted) === 0n;
        return allowed ? mask : SCLP_RC.INVALID_SELECTION_MASK;
      }
      default:
        return SCLP_RC.INVALID_FUNCTION;
    }
  }

  #write(event: Uint8Array): number {
    const type = event[EVENT_BUFFER.TYPE] ?? 0;
    const source = this.#sources.find(({ receives }) => type > 0 && type <= 64 && (receives & eventBit(type)) !== 0n);
    return source === undefined ? SCLP_RC.INVALID_FUNCTION : source.write(event);
  }
}

/** A mask's first eight bytes; those that it has not are zeros. */
function maskOf(bytes: Uint8Array): bigint {
  const whole = new Uint8Array(8);
  whole.set(bytes.subarray(0, 8));
  return viewOf(whole).getBigUint64(0);
}

function storeMask(target: Uint8Array, mask: bigint): void {
  const whole = new Uint8Array(8);
  viewOf(whole).setBigUint64(0, mask);
  target.fill(0);
  target.set(whole.subarray(0, Math.min(target.length, 8)));
}
