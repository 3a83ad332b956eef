import { requireLength } from './lengths.ts';
import type { CryptoProvider } from './provider.ts';

const OUTPUT_BYTES = 32;
/** SP 800-90A table 2: at most 2^19 bits per request, at most 2^48 requests on one seed. */
const MAX_REQUEST_BYTES = 65536;
const MAX_REQUESTS = 2 ** 48;

/** The working state of an `HmacDrbg` (SP 800-90A 10.1.2.1), as plain data. */
export interface HmacDrbgState {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 32 bytes. */
  readonly v: Uint8Array;
  /** One more than the number of requests served since the seed. */
  readonly reseedCounter: number;
}

/**
 * HMAC_DRBG with SHA-256, NIST SP 800-90A Rev. 1, 10.1.2: the machine's source of random bytes, a pure function of its
 * seed. Never reseeded, and so without prediction resistance: a run has to be repeatable.
 */
export class HmacDrbg {
  #provider: CryptoProvider;
  #key: Uint8Array = new Uint8Array(OUTPUT_BYTES);
  #v: Uint8Array = new Uint8Array(OUTPUT_BYTES).fill(1);
  #reseedCounter = 1;

  /** Instantiates from entropy input, nonce and personalization string (10.1.2.3), each of any length. */
  constructor(
    provider: CryptoProvider,
    entropy: Uint8Array,
    nonce: Uint8Array = new Uint8Array(0),
    personalization: Uint8Array = new Uint8Array(0),
  ) {
    this.#provider = provider;
    this.#update(concat(entropy, nonce, personalization));
  }

  /**
   * The next `n` bytes, 0 to 65536, without additional input (10.1.2.5).
   * Two requests do not give the bytes of one request of the same total length.
   * Throws `RangeError` for another `n` and when the seed has served 2^48 requests.
   */
  generate(n: number): Uint8Array {
    if (!Number.isInteger(n) || n < 0 || n > MAX_REQUEST_BYTES) {
      throw new RangeError(`a DRBG request is for 0 to ${MAX_REQUEST_BYTES} bytes, not ${n}`);
    }
    if (this.#reseedCounter > MAX_REQUESTS)
      throw new RangeError('the DRBG has served all requests that one seed allows');
    const out = new Uint8Array(n);
    for (let at = 0; at < n; at += OUTPUT_BYTES) {
      this.#v = this.#provider.hmacSha256(this.#key, this.#v);
      out.set(this.#v.subarray(0, n - at), at);
    }
    this.#update(new Uint8Array(0));
    this.#reseedCounter += 1;
    return out;
  }

  /** A copy of the state. It predicts all later output: secret wherever the output is. */
  save(): HmacDrbgState {
    return { key: this.#key.slice(), v: this.#v.slice(), reseedCounter: this.#reseedCounter };
  }

  /** Goes on from a saved state. Throws `RangeError` if it is none. */
  load(state: HmacDrbgState): void {
    requireLength('DRBG key', state.key, OUTPUT_BYTES);
    requireLength('DRBG V', state.v, OUTPUT_BYTES);
    if (!Number.isSafeInteger(state.reseedCounter) || state.reseedCounter < 1) {
      throw new RangeError(`DRBG reseed counter ${state.reseedCounter} is no positive integer`);
    }
    this.#key = state.key.slice();
    this.#v = state.v.slice();
    this.#reseedCounter = state.reseedCounter;
  }

  /** HMAC_DRBG_Update (10.1.2.2). */
  #update(providedData: Uint8Array): void {
    const rounds = providedData.length === 0 ? 1 : 2;
    for (let round = 0; round < rounds; round++) {
      this.#key = this.#provider.hmacSha256(this.#key, concat(this.#v, Uint8Array.of(round), providedData));
      this.#v = this.#provider.hmacSha256(this.#key, this.#v);
    }
  }
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
