import { HmacDrbg } from '../crypto/drbg.ts';
import type { CryptoProvider } from '../crypto/provider.ts';

/** Bytes on demand. */
export type RandomBytes = (length: number) => Uint8Array;

/** Bytes drawn from a generator at a time: a request costs several hashes, whatever its length. */
const STOCK = 1024;

/**
 * The machine's one source of random numbers: deterministic streams from a seed, one for each purpose, so that drawing more from one does not
 * change another. An emulator's keys are therefore predictable to whoever knows the seed.
 */
export class RandomSource {
  readonly #provider: CryptoProvider;
  readonly #seeds: ReadonlyMap<string, string>;
  readonly #seed: string;

  /**
   * @param seed any text; equal seeds give equal streams
   * @param overrides seeds of single streams, for experiments that vary one secret only
   */
  constructor(provider: CryptoProvider, seed: string, overrides: ReadonlyMap<string, string> = new Map()) {
    this.#provider = provider;
    this.#seed = seed;
    this.#seeds = overrides;
  }

  /** A new generator for a purpose; asking again starts the same stream from its beginning. */
  stream(purpose: string): RandomBytes {
    const text = new TextEncoder();
    const entropy = this.#provider.sha256(text.encode(`cloister seed ${this.#seeds.get(purpose) ?? this.#seed}`));
    const drbg = new HmacDrbg(this.#provider, entropy, this.#provider.sha256(text.encode(purpose)));
    let stock: Uint8Array = new Uint8Array(0);
    return (length) => {
      if (length > STOCK) return drbg.generate(length);
      if (length > stock.length) stock = drbg.generate(STOCK);
      const drawn = stock.slice(0, length);
      stock = stock.subarray(length);
      return drawn;
    };
  }
}
