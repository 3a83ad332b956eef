import type { CpuContext } from './cpu.ts';
import type { AccessKind, Translation } from './cpu-model.ts';
import { PAGE_MASK, PAGE_SIZE } from './layout.ts';

/** Part of an access that lies on one page. */
interface Piece {
  readonly host: number;
  readonly length: number;
}

/**
 * Reads bytes at effective addresses as the CPU would, over any number of pages; for helpers that do an instruction's work in TypeScript.
 * @returns null where some page faults: nothing was read, and `model.deliverFault` will report the first fault
 */
export function readVirtual(
  context: CpuContext,
  high: number,
  low: number,
  length: number,
  space = 0,
  access: 'load' | 'fetch' = 'load',
): Uint8Array | null {
  const pieces = translateAll(context, high, low, length, access, space);
  if (pieces === null) return null;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const p of pieces) {
    bytes.set(context.store.bytes.subarray(p.host, p.host + p.length), at);
    at += p.length;
  }
  return bytes;
}

/**
 * Writes bytes at effective addresses as the CPU would. All pages are checked before the first byte is written.
 * @returns false where some page faults: nothing was written
 */
export function writeVirtual(context: CpuContext, high: number, low: number, bytes: Uint8Array, space = 0): boolean {
  const pieces = translateAll(context, high, low, bytes.length, 'store', space);
  if (pieces === null) return false;
  let at = 0;
  for (const p of pieces) {
    context.store.bytes.set(bytes.subarray(at, at + p.length), p.host);
    context.store.written(p.host, p.length);
    at += p.length;
  }
  return true;
}

function translateAll(
  context: CpuContext,
  high: number,
  low: number,
  length: number,
  access: AccessKind,
  space: number,
): Piece[] | null {
  const pieces: Piece[] = [];
  const result: Translation = { host: 0, writable: false, cacheable: false };
  const { addressBits = 64 } = context.mode;
  const wide = addressBits === 64;
  const mask = 2 ** addressBits - 1;
  let done = 0;
  while (done < length) {
    const sum = (low >>> 0) + done;
    const at = wide ? sum | 0 : sum & mask;
    const carried = wide && sum > 0xffffffff ? (high + 1) | 0 : high;
    const here = Math.min(length - done, PAGE_SIZE - (at & PAGE_MASK));
    if (!context.model.translate(carried, at, access, space, here, result)) return null;
    pieces.push({ host: result.host, length: here });
    done += here;
  }
  return pieces;
}
