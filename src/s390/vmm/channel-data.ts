import type { DeviceMemory } from '../../devices/device-memory.ts';
import { CCW, CCW_FLAG, viewOf } from './css-format.ts';

/** A channel-command word, whatever its format. */
export interface ChannelCommand {
  readonly code: number;
  readonly flags: number;
  readonly count: number;
  /** Address of the data, or of the words that say where they are. */
  readonly data: number;
}

/** Options of the ORB that decide how data are found. */
export interface ProgramFormat {
  /** CCWs of format 1, with 31-bit addresses. */
  readonly format1: boolean;
  /** Indirect addresses are doublewords. */
  readonly format2Ida: boolean;
  /** With these: they stand for blocks of 2 KiB. */
  readonly blocksOf2k: boolean;
}

/** The channel program is wrong, or names what is not there: a program check. */
export class ChannelProgramCheck extends Error {
  override readonly name = 'ChannelProgramCheck';
}

/** An indirect address of a word has a zero there. */
const IDAW_INVALID = 0x80000000n;

/** The data of one CCW, as a stream. What has been moved counts against the CCW's count. */
export class ChannelData {
  readonly #memory: DeviceMemory;
  readonly #command: ChannelCommand;
  readonly #format: ProgramFormat;
  #moved = 0;

  constructor(memory: DeviceMemory, command: ChannelCommand, format: ProgramFormat) {
    this.#memory = memory;
    this.#command = command;
    this.#format = format;
  }

  /** What is left of the count. */
  get residual(): number {
    return this.#command.count - this.#moved;
  }

  /** The next bytes of the data. @throws ChannelProgramCheck, DmaFault */
  read(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    for (const { address, length: part } of this.#pieces(length)) {
      bytes.set(this.#memory.read(address, part), done);
      done += part;
    }
    return bytes;
  }

  /** Puts bytes behind what was moved already. @throws ChannelProgramCheck, DmaFault */
  write(bytes: Uint8Array): void {
    const skip = (this.#command.flags & CCW_FLAG.SKIP) !== 0 && reads(this.#command.code);
    let done = 0;
    for (const { address, length } of this.#pieces(bytes.length)) {
      if (!skip) this.#memory.write(address, bytes.subarray(done, done + length));
      done += length;
    }
  }

  /** Begins anew. */
  rewind(): void {
    this.#moved = 0;
  }

  /** Passes over bytes. */
  advance(length: number): void {
    this.#pieces(length);
  }

  #pieces(length: number): readonly { readonly address: bigint; readonly length: number }[] {
    if (length > this.residual) throw new ChannelProgramCheck('more data than the count says');
    const start = this.#moved;
    this.#moved += length;
    if ((this.#command.flags & CCW_FLAG.IDA) !== 0) return this.#indirect(start, length);
    const address = this.#command.data + start;
    this.#requireReach(address + length);
    return length === 0 ? [] : [{ address: BigInt(address), length }];
  }

  /** Each indirect address stands for a block, the first from somewhere inside on. */
  #indirect(start: number, length: number): readonly { readonly address: bigint; readonly length: number }[] {
    const block = this.#format.format2Ida && !this.#format.blocksOf2k ? 4096 : 2048;
    const pieces: { address: bigint; length: number }[] = [];
    let skipped = 0;
    for (let index = 0, left = length; left > 0; index++) {
      const address = this.#indirectAddress(index);
      const within = Number(address % BigInt(block));
      if (index > 0 && within !== 0) throw new ChannelProgramCheck('an indirect address inside of its block');
      const room = block - within;
      const from = Math.min(Math.max(start - skipped, 0), room);
      const part = Math.min(room - from, left);
      if (part > 0) pieces.push({ address: address + BigInt(from), length: part });
      skipped += room;
      left -= part;
    }
    return pieces;
  }

  #indirectAddress(index: number): bigint {
    const bytes = this.#format.format2Ida ? 8 : 4;
    const at = this.#command.data + index * bytes;
    if (at % bytes !== 0) throw new ChannelProgramCheck('indirect addresses off their boundary');
    this.#requireReach(at + bytes);
    const view = viewOf(this.#memory.read(BigInt(at), bytes));
    if (this.#format.format2Ida) return view.getBigUint64(0);
    const address = BigInt(view.getUint32(0));
    if ((address & IDAW_INVALID) !== 0n) throw new ChannelProgramCheck('an indirect address of 32 bits');
    return address;
  }

  #requireReach(end: number): void {
    if (end > 2 ** (this.#format.format1 ? 31 : 24)) throw new ChannelProgramCheck('data behind the last address');
  }
}

/** Commands that move data to storage: read, read backward, sense. */
function reads(code: number): boolean {
  return (code & 0x0f) === CCW.SENSE || (code & 3) === 2 || (code & 0x0f) === 0x0c;
}
