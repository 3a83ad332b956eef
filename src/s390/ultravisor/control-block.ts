import { UVCB } from '../abi.ts';

/** A copy of a UV control block, read once, and what is to be written back into it. */
export class ControlBlock {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #written: { readonly offset: number; readonly bytes: Uint8Array }[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Bytes, as the header says. */
  get length(): number {
    return this.#bytes.length;
  }

  get command(): number {
    return this.u16(UVCB.COMMAND);
  }

  u8(offset: number): number {
    return this.#view.getUint8(offset);
  }

  u16(offset: number): number {
    return this.#view.getUint16(offset);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset);
  }

  u64(offset: number): bigint {
    return this.#view.getBigUint64(offset);
  }

  bytes(offset: number, length: number): Uint8Array {
    return this.#bytes.slice(offset, offset + length);
  }

  /** Bytes that the caller is to find; what lies behind the block's end is left out. */
  put(offset: number, bytes: Uint8Array): void {
    const room = Math.max(0, this.length - offset);
    if (room > 0) this.#written.push({ offset, bytes: bytes.slice(0, room) });
  }

  putU64(offset: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value);
    this.put(offset, bytes);
  }

  /** The whole of it with what was put, response and reason code. */
  answered(rc: number, rrc: number): Uint8Array {
    const bytes = this.#bytes.slice();
    for (const { offset, bytes: part } of this.#written) bytes.set(part, offset);
    const view = new DataView(bytes.buffer);
    view.setUint16(UVCB.RC, rc);
    view.setUint16(UVCB.RRC, rrc);
    return bytes;
  }
}
