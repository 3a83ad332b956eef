import { BLOCK_BYTES, requireLength } from './lengths.ts';
import type { CryptoProvider, Sealed } from './provider.ts';

const WORDS = BLOCK_BYTES / 4;

/**
 * Encrypts and authenticates `page` with AES-128 in IAPM mode, profile IAPM-64K (power-pef.md 8.4): for blocks P_1…P_m,
 * C_i = E_K1(P_i ⊕ S_i) ⊕ S_i and T = E_K1(P_1 ⊕ … ⊕ P_m ⊕ S_{m+1}) ⊕ S_0, with masks S_i made from `r` under K2.
 *
 * `page` is one or more 16-byte blocks (a 64 KiB page has 4096), the ciphertext has its length; `r`, `k1`, `k2` and
 * the tag have 16 bytes. K1 and K2 must be independent, and an `r` used twice with the same keys breaks secrecy and
 * integrity both. Throws `RangeError` for other lengths.
 */
export function iapmEncrypt(
  provider: CryptoProvider,
  page: Uint8Array,
  r: Uint8Array,
  k1: Uint8Array,
  k2: Uint8Array,
): Sealed {
  const m = blockCount(page);
  requireLength('IAPM key K1', k1, BLOCK_BYTES);
  const w = wordsOf(iapmMaskSeeds(provider, r, k2, m));

  // The checksum travels as block m+1, so that one pass of the cipher covers page and tag.
  const input = new Uint8Array(page.length + BLOCK_BYTES);
  input.set(page);
  const inputWords = wordsOf(input);
  inputWords.set(blockSum(inputWords, m), m * WORDS);
  addMasks(inputWords, w);

  const output = aligned(provider.aesEcbEncrypt(k1, input));
  const outputWords = wordsOf(output);
  addMasks(outputWords, w);
  replaceTagMask(outputWords, m, w);
  return { ciphertext: output.slice(0, page.length), tag: output.slice(page.length) };
}

/**
 * The inverse of `iapmEncrypt`: the plaintext, or null, and nothing of the plaintext, unless the tag verifies.
 * Throws `RangeError` for lengths that `iapmEncrypt` does not make.
 */
export function iapmDecrypt(
  provider: CryptoProvider,
  ciphertext: Uint8Array,
  tag: Uint8Array,
  r: Uint8Array,
  k1: Uint8Array,
  k2: Uint8Array,
): Uint8Array | null {
  const m = blockCount(ciphertext);
  requireLength('IAPM key K1', k1, BLOCK_BYTES);
  requireLength('IAPM tag', tag, BLOCK_BYTES);
  const w = wordsOf(iapmMaskSeeds(provider, r, k2, m));

  const input = new Uint8Array(ciphertext.length + BLOCK_BYTES);
  input.set(ciphertext);
  input.set(tag, ciphertext.length);
  const inputWords = wordsOf(input);
  replaceTagMask(inputWords, m, w);
  addMasks(inputWords, w);

  const output = aligned(provider.aesEcbDecrypt(k1, input));
  const outputWords = wordsOf(output);
  addMasks(outputWords, w);
  const sum = new Uint8Array(blockSum(outputWords, m).buffer);
  return provider.equal(sum, output.subarray(ciphertext.length)) ? output.slice(0, ciphertext.length) : null;
}

/**
 * The blocks W_0 … W_n, one after the other, whose sums are the masks S_0 … S_{m+1} of a message of `m` blocks:
 * W_0 = E_K2(r), W_k = E_K2(W_0 + k mod 2^128, big-endian), n = 1 + floor(log2(m + 1)) (power-pef.md 8.4).
 * Throws `RangeError` unless `r` and `k2` have 16 bytes.
 */
export function iapmMaskSeeds(provider: CryptoProvider, r: Uint8Array, k2: Uint8Array, m: number): Uint8Array {
  requireLength('IAPM nonce', r, BLOCK_BYTES);
  requireLength('IAPM key K2', k2, BLOCK_BYTES);
  const n = 32 - Math.clz32(m + 1);
  const w0 = provider.aesEcbEncrypt(k2, r);
  const counters = new Uint8Array(n * BLOCK_BYTES);
  for (let k = 1; k <= n; k++) addBigEndian(counters.subarray((k - 1) * BLOCK_BYTES, k * BLOCK_BYTES), w0, k);
  const seeds = new Uint8Array((n + 1) * BLOCK_BYTES);
  seeds.set(w0);
  seeds.set(provider.aesEcbEncrypt(k2, counters), BLOCK_BYTES);
  return seeds;
}

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

// XOR does not care about byte order, so all sums are taken over words in the machine's own order.
function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** `bytes` at an address that `wordsOf` can take: a provider promises no alignment. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}

/** The XOR of the first `m` blocks: 4 words. */
function blockSum(words: Uint32Array, m: number): Uint32Array {
  const sum = new Uint32Array(WORDS);
  for (let at = 0; at < m * WORDS; at += WORDS) {
    sum[0] ^= words[at];
    sum[1] ^= words[at + 1];
    sum[2] ^= words[at + 2];
    sum[3] ^= words[at + 3];
  }
  return sum;
}

/** XORs S_i into block i of `words`, i = 1, 2, …, where S_0 = W_0 and S_i = S_{i-1} ⊕ W_{1+ntz(i)}. */
function addMasks(words: Uint32Array, w: Uint32Array): void {
  let s0 = w[0];
  let s1 = w[1];
  let s2 = w[2];
  let s3 = w[3];
  for (let at = 0, i = 1; at < words.length; at += WORDS, i++) {
    const ntz = 31 - Math.clz32(i & -i);
    const k = (1 + ntz) * WORDS;
    s0 ^= w[k];
    s1 ^= w[k + 1];
    s2 ^= w[k + 2];
    s3 ^= w[k + 3];
    words[at] ^= s0;
    words[at + 1] ^= s1;
    words[at + 2] ^= s2;
    words[at + 3] ^= s3;
  }
}

/**
 * XORs S_0 ⊕ S_{m+1} into block m+1. The tag is masked with S_{m+1} inside the cipher but S_0 outside, whereas
 * `addMasks` puts S_{m+1} on both sides. S_{m+1} itself is the sum of those W that the Gray code of m+1 selects.
 */
function replaceTagMask(words: Uint32Array, m: number, w: Uint32Array): void {
  const i = m + 1;
  for (let gray = i ^ (i >>> 1); gray !== 0; gray &= gray - 1) {
    const k = (1 + 31 - Math.clz32(gray & -gray)) * WORDS;
    for (let word = 0; word < WORDS; word++) words[m * WORDS + word] ^= w[k + word];
  }
}
