import { RTAS_STATUS, type RTAS_TOKEN } from '../abi.ts';

/** The longest buffer that an RTAS call may name (6.7). */
export const MOST_BUFFER_BYTES = 4096;

/** Lengths that stand in front of system parameters: two bytes, big-endian. */
const PREFIX_BYTES = 2;

/** How an RTAS call uses the buffer in guest memory that one of its arguments names (6.7). */
export interface BufferRule {
  /** Which argument is the address. */
  readonly address: number;
  /** How many arguments the call has at least. */
  readonly nargs: number;
  /** Bytes of the buffer: of all of it, or `prefix`: those of the length in its first two bytes, and these. */
  readonly length: number | { readonly argument: number } | 'prefix';
  /** The hypervisor gets the guest's bytes; else zeroes. */
  readonly in: boolean;
  /** How many bytes the guest gets back, by the words of the answer and the buffer as the hypervisor left it. */
  readonly out: (answer: readonly number[], buffer: Uint8Array) => number;
  /** Whether the other arguments are what the call allows. */
  readonly allows?: (args: readonly number[]) => boolean;
}

const none = (): number => 0;
const allOnSuccess = ([status]: readonly number[], buffer: Uint8Array): number =>
  status === RTAS_STATUS.SUCCESS ? buffer.length : 0;

/**
 * Calls with buffers. The shipped firmware leaves the two bytes of the length prefix out of what it copies for system parameters, and so loses
 * the last two bytes of each.
 */
export const BUFFER_RULES: ReadonlyMap<string, BufferRule> = new Map<keyof typeof RTAS_TOKEN, BufferRule>([
  ['check-exception', { address: 4, nargs: 6, length: { argument: 5 }, in: false, out: allOnSuccess }],
  ['event-scan', { address: 2, nargs: 4, length: { argument: 3 }, in: false, out: allOnSuccess }],
  [
    'ibm,get-system-parameter',
    {
      address: 1,
      nargs: 3,
      length: { argument: 2 },
      in: false,
      out: ([status], buffer) => {
        if (status !== RTAS_STATUS.SUCCESS || buffer.length < PREFIX_BYTES) return 0;
        return Math.min(buffer.length, PREFIX_BYTES + prefixOf(buffer));
      },
    },
  ],
  ['ibm,set-system-parameter', { address: 1, nargs: 2, length: 'prefix', in: true, out: none }],
  [
    'ibm,configure-connector',
    {
      address: 0,
      nargs: 2,
      length: MOST_BUFFER_BYTES,
      in: true,
      out: ([status], buffer) => ((status | 0) >= 0 || (status | 0) === RTAS_STATUS.BUSY ? buffer.length : 0),
      allows: (args) => args[1] === 0,
    },
  ],
  [
    'nvram-fetch',
    {
      address: 1,
      nargs: 3,
      length: { argument: 2 },
      in: false,
      out: ([status, count = 0], buffer) => (status === RTAS_STATUS.SUCCESS ? Math.min(count, buffer.length) : 0),
    },
  ],
  ['nvram-store', { address: 1, nargs: 3, length: { argument: 2 }, in: true, out: none }],
]);

/** Bytes that the first two of a buffer announce behind them. */
export function prefixOf(buffer: Uint8Array): number {
  return (buffer[0] << 8) | buffer[1];
}

/** What `prefix` buffers are read by first. */
export const PREFIX = PREFIX_BYTES;
