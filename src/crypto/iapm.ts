import { IapmMasks } from './iapm-masks.ts';
import { BLOCK_BYTES, requireLength } from './lengths.ts';
import type { BlockCipher, CryptoProvider, Sealed } from './provider.ts';

/** Scratch for one message at a time, made when first needed. */
let masks: IapmMasks | null = null;

/**
 * AES-128 in IAPM mode, profile IAPM-64K (power-pef.md 8.4): for blocks P_1…P_m, C_i = E_K1(P_i ⊕ S_i) ⊕ S_i and
 * T = E_K1(P_1 ⊕ … ⊕ P_m ⊕ S_{m+1}) ⊕ S_0, with masks S_i made from a nonce `r` under K2.
 *
 * A message is one or more 16-byte blocks (a 64 KiB page has 4096), its ciphertext has its length; `r`, the keys and
 * the tag have 16 bytes. K1 and K2 must be independent, and an `r` used twice with the same keys breaks secrecy and
 * integrity both. Other lengths throw `RangeError`. The object holds the keys as long as it lives.
 */
export class Iapm {
  readonly #provider: CryptoProvider;
  readonly #data: BlockCipher;
  readonly #maskCipher: BlockCipher;

  constructor(provider: CryptoProvider, k1: Uint8Array, k2: Uint8Array) {
    requireLength('IAPM key K1', k1, BLOCK_BYTES);
    requireLength('IAPM key K2', k2, BLOCK_BYTES);
    this.#provider = provider;
    this.#data = provider.aesCipher(k1);
    this.#maskCipher = provider.aesCipher(k2);
  }

  /** Encrypts and authenticates a message. */
  encrypt(message: Uint8Array, r: Uint8Array): Sealed {
    const m = blockCount(message);
    masks ??= new IapmMasks();
    // The checksum travels as block m+1, so that one pass of the cipher covers message and tag.
    const work = masks.load(message, this.seeds(r, m), ZERO_BLOCK);
    masks.mask(m, 'before');
    const output = this.#data.encrypt(work);
    work.set(output);
    masks.maskWithTag(m);
    // The cipher's output is memory of its own, and so the result is put there.
    output.set(work);
    masks.clear(work);
    return { ciphertext: output.subarray(0, message.length), tag: output.slice(message.length) };
  }

  /** The inverse of `encrypt`: the plaintext, or null, and nothing of the plaintext, unless the tag verifies. */
  decrypt(ciphertext: Uint8Array, tag: Uint8Array, r: Uint8Array): Uint8Array | null {
    const m = blockCount(ciphertext);
    requireLength('IAPM tag', tag, BLOCK_BYTES);
    masks ??= new IapmMasks();
    const work = masks.load(ciphertext, this.seeds(r, m), tag);
    masks.maskWithTag(m);
    const output = this.#data.decrypt(work);
    work.set(output);
    masks.mask(m, 'after');
    // The last block is the checksum that the tag holds, the one of the plaintext and S_{m+1}, all in one sum.
    const valid = this.#provider.equal(work.subarray(ciphertext.length), ZERO_BLOCK);
    output.set(work);
    masks.clear(work);
    return valid ? output.subarray(0, ciphertext.length) : null;
  }

  /**
   * The blocks W_0 … W_n, one after the other, whose sums are the masks S_0 … S_{m+1} of a message of `m` blocks:
   * W_0 = E_K2(r), W_k = E_K2(W_0 + k mod 2^128, big-endian), n = 1 + floor(log2(m + 1)) (power-pef.md 8.4).
   */
  seeds(r: Uint8Array, m: number): Uint8Array {
    requireLength('IAPM nonce', r, BLOCK_BYTES);
    const n = 32 - Math.clz32(m + 1);
    const w0 = this.#maskCipher.encrypt(r);
    const counters = new Uint8Array(n * BLOCK_BYTES);
    for (let k = 1; k <= n; k++) addBigEndian(counters.subarray((k - 1) * BLOCK_BYTES, k * BLOCK_BYTES), w0, k);
    const seeds = new Uint8Array((n + 1) * BLOCK_BYTES);
    seeds.set(w0);
    seeds.set(this.#maskCipher.encrypt(counters), BLOCK_BYTES);
    return seeds;
  }
}

const ZERO_BLOCK = new Uint8Array(BLOCK_BYTES);

function blockCount(message: Uint8Array): number {
  if (message.length === 0 || message.length % BLOCK_BYTES !== 0) {
    throw new RangeError(`an IAPM message of ${message.length} bytes is not one or more blocks of ${BLOCK_BYTES}`);
  }
  return message.length / BLOCK_BYTES;
}

/** out = block + k mod 2^128, both big-endian. */
function addBigEndian(out: Uint8Array, block: Uint8Array, k: number): void {
  let carry = k;
  for (let at = BLOCK_BYTES - 1; at >= 0; at--) {
    carry += block[at];
    out[at] = carry & 0xff;
    carry >>>= 8;
  }
}
