import { FdtError } from './fdt-tree.ts';

const utf8 = new TextEncoder();

/** A property's value of one big-endian 32-bit number. */
export function u32Value(value: number): Uint8Array {
  return cellsValue(value);
}

/** A property's value of one big-endian 64-bit number: two cells, the high one first. */
export function u64Value(value: bigint): Uint8Array {
  if (BigInt.asUintN(64, value) !== value) throw new FdtError(`${value} is no 64-bit number`);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** A property's value of big-endian 32-bit cells (`<1 2 3>`). */
export function cellsValue(...cells: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * cells.length);
  const view = new DataView(bytes.buffer);
  for (const [i, cell] of cells.entries()) {
    if (cell >>> 0 !== cell) throw new FdtError(`${cell} is no 32-bit number`);
    view.setUint32(4 * i, cell);
  }
  return bytes;
}

/** A property's value of one string: UTF-8 with a final NUL. */
export function stringValue(text: string): Uint8Array {
  return stringListValue(text);
}

/** A property's value of several strings, each with its NUL (`"a", "b"`). */
export function stringListValue(...texts: readonly string[]): Uint8Array {
  for (const text of texts) {
    if (text.includes('\0')) throw new FdtError(`${JSON.stringify(text)} has a NUL within`);
  }
  return utf8.encode(texts.map((text) => `${text}\0`).join(''));
}

/** The number that `u32Value` made. Throws `FdtError` unless the value has 4 bytes. */
export function asU32(value: Uint8Array): number {
  if (value.length !== 4) throw new FdtError(`a value of ${value.length} bytes is no 32-bit number`);
  return viewOf(value).getUint32(0);
}

/** The number that `u64Value` made. Throws `FdtError` unless the value has 8 bytes. */
export function asU64(value: Uint8Array): bigint {
  if (value.length !== 8) throw new FdtError(`a value of ${value.length} bytes is no 64-bit number`);
  return viewOf(value).getBigUint64(0);
}

/** The numbers that `cellsValue` made. Throws `FdtError` unless the value is a whole number of cells. */
export function asCells(value: Uint8Array): number[] {
  if (value.length % 4 !== 0) throw new FdtError(`a value of ${value.length} bytes is no list of cells`);
  const view = viewOf(value);
  return Array.from({ length: value.length / 4 }, (_, i) => view.getUint32(4 * i));
}

/**
 * The string that `stringValue` made.
 * Throws `FdtError` unless the value is UTF-8 with its only NUL at the end.
 */
export function asString(value: Uint8Array): string {
  const texts = asStringList(value);
  if (texts.length !== 1) throw new FdtError(`${texts.length} strings instead of one`);
  return texts[0];
}

/** The strings that `stringListValue` made. Throws `FdtError` unless the value is UTF-8 and empty or ends in NUL. */
export function asStringList(value: Uint8Array): string[] {
  if (value.length === 0) return [];
  if (value.at(-1) !== 0) throw new FdtError('a string without its final NUL');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value.subarray(0, -1)).split('\0');
  } catch {
    throw new FdtError('a string that is not UTF-8');
  }
}

function viewOf(value: Uint8Array): DataView {
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}
