import type { RealAddress } from '../../machine/types.ts';
import type { UvContext } from './context.ts';

/** Bytes before the first argument of an RTAS argument block: token, nargs and nret, big-endian words (6.7). */
export const RTAS_HEADER_BYTES = 12;
export const RTAS_WORD_BYTES = 4;

/** An RTAS call by its words. */
export interface RtasCall {
  readonly token: number;
  readonly args: readonly number[];
  /** Words that the answer has. */
  readonly nret: number;
}

/** Writes an argument block; the words of the answer are zero. */
export function writeRtasCall(uv: UvContext, block: RealAddress, { token, args, nret }: RtasCall): void {
  uv.view.write(block, wordsToBytes([token, args.length, nret, ...args, ...new Array<number>(nret).fill(0)]));
}

/** The words of the answer in an argument block that had `nargs` arguments. */
export function readRtasAnswer(uv: UvContext, block: RealAddress, nargs: number, nret: number): number[] {
  const at = block + RTAS_HEADER_BYTES + nargs * RTAS_WORD_BYTES;
  return bytesToWords(uv.view.read(at as RealAddress, nret * RTAS_WORD_BYTES));
}

/** Big-endian words of memory as unsigned numbers. */
export function bytesToWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / RTAS_WORD_BYTES }, (_, i) => view.getUint32(i * RTAS_WORD_BYTES));
}

/** The inverse of `bytesToWords`; negative numbers become their two's complement. */
export function wordsToBytes(words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * RTAS_WORD_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setUint32(i * RTAS_WORD_BYTES, word);
  return bytes;
}
