import { readFileSync } from 'node:fs';
import type { ImageFile } from '../index.ts';
import { UsageError } from './exit-status.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };
const SIZE = /^(\d+)([KMG]?)$/i;
const GRANULE = 65536;

/** Reads a size such as `64M`. @throws UsageError */
export function parseSize(option: string, text: string): number {
  const match = SIZE.exec(text);
  const size = match === null ? Number.NaN : Number(match[1]) * (UNITS[(match[2] ?? '').toUpperCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(size) || size <= 0) {
    throw new UsageError(`${option}: "${text}" is no size (a number, optionally with K, M or G)`);
  }
  if (size % GRANULE !== 0) throw new UsageError(`${option}: ${text} is not a multiple of 64K`);
  return size;
}

/** Reads a count from 1 up. @throws UsageError */
export function parseCount(option: string, text: string, most: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count) || count < 1 || count > most) {
    throw new UsageError(`${option}: "${text}" is no number from 1 to ${most}`);
  }
  return count;
}

/** One of a few words. @throws UsageError */
export function parseChoice<const T extends string>(option: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((c) => c === text);
  if (choice === undefined) throw new UsageError(`${option}: "${text}" is none of ${choices.join(', ')}`);
  return choice;
}

/** Reads a file. @throws UsageError naming the file and the reason */
export function readImage(file: string): ImageFile {
  try {
    return { file, bytes: new Uint8Array(readFileSync(file)) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const reason = code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'it is a directory' : String(code ?? error);
    throw new UsageError(`${file}: ${reason}`);
  }
}
