import { randomBytes } from 'node:crypto';
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

const SEED_BYTES = 16;
const SEED = /^(\d+|0x[0-9a-f]+)$/i;
const MOST_SEED_DIGITS = 100;

/** Reads a seed: a number, decimal or hexadecimal, or `random`. @returns it in decimal, as the report has it. @throws UsageError */
export function parseSeed(option: string, text: string): string {
  if (text === 'random') return BigInt(`0x${randomBytes(SEED_BYTES).toString('hex')}`).toString();
  if (!SEED.test(text) || text.length > MOST_SEED_DIGITS) {
    throw new UsageError(`${option}: "${text}" is neither a number of up to ${MOST_SEED_DIGITS} digits nor "random"`);
  }
  return BigInt(text).toString();
}
