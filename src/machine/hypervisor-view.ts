import type { CryptoProvider } from '../crypto/provider.ts';
import type { RealMemory, Region } from './memory.ts';
import type { RealAddress } from './types.ts';

/** What of memory a hypervisor can reach, where that is finer than regions, and changes. */
export interface Visibility {
  /** Bytes of a page, a power of two up to 64 KiB. */
  readonly pageBytes: number;
  /** Whether the hypervisor can reach the page at an address. */
  visible(page: number): boolean;
}

const PAGE = 65536;
const EVERYTHING: Visibility = { pageBytes: PAGE, visible: () => true };

/** What the hypervisor could see at one moment when it got control. */
export interface Observation {
  /** Machine clock. */
  readonly clock: number;
  readonly cpu: number;
  readonly cause: 'trap' | 'return' | 'boot';
  readonly nia: bigint;
  /** Every register that software at hypervisor privilege can read, by its name. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** Digest of each page (of 64 KiB, or as `Visibility` says) of RAM that the hypervisor can reach, by real address; only if asked for. */
  readonly pages: ReadonlyMap<RealAddress, string>;
}

/** A secret that was found where the hypervisor can see it. */
export interface Sighting {
  /** Position in the list of observations. */
  readonly observation: number;
  readonly clock: number;
  /** Register name, or real address in hex. */
  readonly where: string;
  /** Which of the secrets, by position. */
  readonly secret: number;
}

/** What to do at each observation. */
export interface HypervisorViewOptions {
  /** Byte strings to look for in memory and, their 8-byte pieces in either byte order, in registers. Lengths are multiples of 8. */
  readonly secrets: readonly Uint8Array[];
  /** Keep a digest of each page, for comparing two runs. */
  readonly digests: boolean;
}

/** What a page held when it was last looked at. */
interface Shadow {
  readonly region: Region;
  readonly bytes: Uint8Array;
}

/**
 * Everything a hypervisor can learn: the architected registers whenever it gets control, the RAM it can reach, and when that happens. It stands
 * outside of the machine and does not disturb it; it knows the secret beforehand, as an experimenter does.
 */
export class HypervisorView {
  readonly observations: Observation[] = [];
  readonly sightings: Sighting[] = [];
  readonly #memory: RealMemory;
  readonly #crypto: CryptoProvider;
  readonly #options: HypervisorViewOptions;
  readonly #pieces: readonly { readonly secret: number; readonly value: bigint }[];
  readonly #shadows: readonly Shadow[];
  readonly #visibility: Visibility;
  /** What a page looks like that the hypervisor cannot reach. */
  readonly #nothing: Uint8Array;
  #pages: ReadonlyMap<RealAddress, string> = new Map();

  constructor(
    memory: RealMemory,
    crypto: CryptoProvider,
    options: HypervisorViewOptions,
    visibility: Visibility = EVERYTHING,
  ) {
    this.#memory = memory;
    this.#visibility = visibility;
    this.#nothing = new Uint8Array(visibility.pageBytes);
    this.#crypto = crypto;
    this.#options = options;
    this.#pieces = options.secrets.flatMap((bytes, secret) => piecesOf(bytes).map((value) => ({ secret, value })));
    this.#shadows = memory.regions
      .filter((r) => !r.secure)
      .map((region) => ({ region, bytes: new Uint8Array(region.size) }));
  }

  /** To be called whenever the hypervisor gets control. */
  observe(moment: Omit<Observation, 'pages'>): void {
    const index = this.observations.length;
    const first = index === 0;
    for (const shadow of this.#shadows) {
      for (let at = 0; at < shadow.region.size; at += this.#visibility.pageBytes) {
        if (this.#update(shadow, at) || first) this.#look(shadow, at, index, moment.clock);
      }
    }
    this.#searchRegisters(moment, index);
    this.observations.push({ ...moment, pages: this.#pages });
  }

  /** Brings a page's shadow up to date. @returns whether it had changed */
  #update({ region, bytes }: Shadow, at: number): boolean {
    const { store } = this.#memory;
    const { pageBytes, visible } = this.#visibility;
    const start = region.host + at;
    const now = visible(region.base + at) ? store.bytes.subarray(start, start + pageBytes) : this.#nothing;
    if (sameBytes(now, bytes.subarray(at, at + pageBytes))) return false;
    bytes.set(now, at);
    return true;
  }

  #look({ region, bytes }: Shadow, at: number, observation: number, clock: number): void {
    // A secret can begin on the page before.
    const from = Math.max(0, at - this.#longest());
    const end = at + this.#visibility.pageBytes;
    const window = bytes.subarray(from, end);
    this.#options.secrets.forEach((needle, secret) => {
      const found = find(window, needle);
      const where = `0x${(region.base + from + found).toString(16)}`;
      if (found >= 0) this.sightings.push({ observation, clock, where, secret });
    });
    if (!this.#options.digests) return;
    const digest = this.#crypto.sha256(bytes.subarray(at, end)).subarray(0, 16).join();
    this.#pages = new Map([...this.#pages, [(region.base + at) as RealAddress, digest]]);
  }

  #longest(): number {
    return Math.max(0, ...this.#options.secrets.map((s) => s.length - 1));
  }

  #searchRegisters(moment: Omit<Observation, 'pages'>, observation: number): void {
    for (const [where, value] of Object.entries(moment.registers)) {
      for (const piece of this.#pieces) {
        if (piece.value === value)
          this.sightings.push({ observation, clock: moment.clock, where, secret: piece.secret });
      }
    }
  }
}

/** A difference between what a hypervisor saw in two runs. */
export interface ViewDifference {
  /** Position in the lists of observations. */
  readonly observation: number;
  /** Register name, `clock`, `nia`, `count` or a page's real address in hex. */
  readonly what: string;
}

/**
 * Compares two runs, observation by observation: times, causes, all registers, all reachable memory.
 * @param ciphertext pages that hold what the Ultravisor encrypted: they differ by design and are left out
 */
export function compareViews(
  a: readonly Observation[],
  b: readonly Observation[],
  ciphertext: ReadonlySet<RealAddress>,
): ViewDifference[] {
  const differences: ViewDifference[] = [];
  if (a.length !== b.length) differences.push({ observation: Math.min(a.length, b.length), what: 'count' });
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const x = a[i] as Observation;
    const y = b[i] as Observation;
    for (const what of ['clock', 'cpu', 'cause', 'nia'] as const) {
      if (x[what] !== y[what]) differences.push({ observation: i, what });
    }
    for (const name of new Set([...Object.keys(x.registers), ...Object.keys(y.registers)])) {
      if (x.registers[name] !== y.registers[name]) differences.push({ observation: i, what: name });
    }
    for (const [address, digest] of x.pages) {
      if (!ciphertext.has(address) && y.pages.get(address) !== digest) {
        differences.push({ observation: i, what: `0x${address.toString(16)}` });
      }
    }
  }
  return differences;
}

/** Node compares with memcmp; elsewhere it takes a loop. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (typeof Buffer !== 'undefined') return Buffer.compare(a, b) === 0;
  return a.every((value, i) => value === b[i]);
}

/** Position of the first occurrence, or −1. The search runs on a byte other than 0, because most of memory is 0. */
function find(haystack: Uint8Array, needle: Uint8Array): number {
  const probe = Math.max(
    0,
    needle.findIndex((b) => b !== 0),
  );
  const value = needle[probe];
  if (value === undefined) return -1;
  for (let at = haystack.indexOf(value, probe); at >= 0; at = haystack.indexOf(value, at + 1)) {
    const start = at - probe;
    if (needle.every((b, i) => haystack[start + i] === b)) return start;
  }
  return -1;
}

function piecesOf(bytes: Uint8Array): bigint[] {
  if (bytes.length % 8 !== 0) throw new RangeError(`a secret of ${bytes.length} bytes is not whole registers`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces: bigint[] = [];
  for (let at = 0; at < bytes.length; at += 8) pieces.push(view.getBigUint64(at), view.getBigUint64(at, true));
  return pieces;
}
