import { describe, expect, it } from 'vitest';
import { Iapm } from '../../src/crypto/iapm.ts';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { counting, hex, page251 } from './hex.ts';

const k1 = counting(0x00, 16);
const k2 = counting(0x10, 16);
const r = counting(0x20, 16);

// S_i by its definition in power-pef.md 8.4, one step at a time.
function mask(seeds: Uint8Array, i: number): Uint8Array {
  const s = seeds.slice(0, 16);
  for (let step = 1; step <= i; step++) {
    let ntz = 0;
    while (((step >> ntz) & 1) === 0) ntz++;
    for (let j = 0; j < 16; j++) s[j] ^= seeds[16 * (1 + ntz) + j];
  }
  return s;
}

describe.each([nodeProvider, nobleProvider])('IAPM-64K vectors of power-pef.md 8.4 over $name', (provider) => {
  it('makes the masks', () => {
    const seeds = new Iapm(provider, k1, k2).seeds(r, 4096);
    const w = (k: number) => hex(seeds.subarray(16 * k, 16 * (k + 1)));
    expect(seeds).toHaveLength(16 * 14);
    expect(w(0)).toBe('d31dd57e62812cddabd1ccaa3c47979b');
    expect(w(1)).toBe('1b94a8a7fafcab2d1afb95be8e28d17c');
    expect(w(12)).toBe('a448bc56a046ae788d4facba93496d4a');
    expect(w(13)).toBe('dfa1ab7e68426e63480af30457822583');
    expect(hex(mask(seeds, 1))).toBe('c8897dd9987d87f0b12a5914b26f46e7');
    expect(hex(mask(seeds, 2))).toBe('773ab7747b4da59f4b6d3ab4e32727ea');
    expect(hex(mask(seeds, 4097))).toBe('b3606af1507947eb746f06aa76a40e2e');
  });

  it('encrypts one block', () => {
    const { ciphertext, tag } = new Iapm(provider, k1, k2).encrypt(new Uint8Array(16), r);
    expect(hex(ciphertext)).toBe('fd68f3f0d2e647d8f4fb2beff2a0acc5');
    expect(hex(tag)).toBe('d1ca8591f062f0bc9598e1f3c12099b4');
    expect(new Iapm(provider, k1, k2).decrypt(ciphertext, tag, r)).toEqual(new Uint8Array(16));
  });

  it('encrypts a page', () => {
    const { ciphertext, tag } = new Iapm(provider, k1, k2).encrypt(page251(), r);
    expect(hex(ciphertext.subarray(0, 16))).toBe('8b1f670f82ec55cdc509feb5a864c0fd');
    expect(hex(ciphertext.subarray(-16))).toBe('45c13d6a1adda9a33fa455e660e7cec2');
    expect(hex(tag)).toBe('fe50107df0a91c8d12a0db44c62b409e');
    expect(hex(provider.sha256(ciphertext))).toBe('05925964ab895461c9e8694e4b61db0c58ff68e122e2647a5ec69b71aaf385b9');
    expect(new Iapm(provider, k1, k2).decrypt(ciphertext, tag, r)).toEqual(page251());
  });
});

describe('IAPM', () => {
  const provider = nodeProvider;
  const page = page251();
  const sealed = new Iapm(provider, k1, k2).encrypt(page, r);
  const open = (ciphertext: Uint8Array, tag: Uint8Array, nonce: Uint8Array) =>
    new Iapm(provider, k1, k2).decrypt(ciphertext, tag, nonce);
  const flip = (data: Uint8Array, bit: number) => data.with(bit >> 3, data[bit >> 3] ^ (1 << (bit & 7)));

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 255, 256])('works block by block as its formulas say for %i blocks', (m) => {
    const message = page.slice(100, 100 + 16 * m);
    const { ciphertext, tag } = new Iapm(provider, k1, k2).encrypt(message, r);
    const seeds = new Iapm(provider, k1, k2).seeds(r, m);
    const xor = (a: Uint8Array, b: Uint8Array) => a.map((byte, j) => byte ^ b[j]);
    const encipher = (block: Uint8Array) => provider.aesEcbEncrypt(k1, block);
    let sum: Uint8Array = new Uint8Array(16);
    for (let i = 1; i <= m; i++) {
      const block = message.subarray(16 * (i - 1), 16 * i);
      const s = mask(seeds, i);
      expect(hex(ciphertext.subarray(16 * (i - 1), 16 * i))).toBe(hex(xor(encipher(xor(block, s)), s)));
      sum = xor(sum, block);
    }
    expect(hex(tag)).toBe(hex(xor(encipher(xor(sum, mask(seeds, m + 1))), mask(seeds, 0))));
    expect(open(ciphertext, tag, r)).toEqual(message);
  });

  it('takes data at any address', () => {
    const shifted = new Uint8Array(page.length + 1).subarray(1);
    shifted.set(page);
    expect(new Iapm(provider, k1, k2).encrypt(shifted, r)).toEqual(sealed);
  });

  it('refuses every flipped bit of a short ciphertext', () => {
    const { ciphertext, tag } = new Iapm(provider, k1, k2).encrypt(page.subarray(0, 64), r);
    for (let bit = 0; bit < 512; bit++) expect(open(flip(ciphertext, bit), tag, r)).toBeNull();
  });

  it('refuses flipped bits all over a page', () => {
    for (let bit = 0; bit < 65536 * 8; bit += 4099)
      expect(open(flip(sealed.ciphertext, bit), sealed.tag, r)).toBeNull();
  });

  it('refuses every flipped bit of nonce and tag', () => {
    for (let bit = 0; bit < 128; bit++) {
      expect(open(sealed.ciphertext, flip(sealed.tag, bit), r)).toBeNull();
      expect(open(sealed.ciphertext, sealed.tag, flip(r, bit))).toBeNull();
    }
  });

  it('refuses blocks that changed places', () => {
    for (const [a, b] of [
      [0, 1],
      [0, 4095],
      [1, 2],
      [2047, 2048],
    ]) {
      const swapped = sealed.ciphertext.slice();
      swapped.copyWithin(16 * a, 16 * b, 16 * (b + 1));
      swapped.set(sealed.ciphertext.subarray(16 * a, 16 * (a + 1)), 16 * b);
      expect(open(swapped, sealed.tag, r)).toBeNull();
    }
  });

  it('refuses a page that lost or gained blocks', () => {
    expect(open(sealed.ciphertext.subarray(16), sealed.tag, r)).toBeNull();
    expect(open(sealed.ciphertext.subarray(0, 65520), sealed.tag, r)).toBeNull();
    expect(open(new Uint8Array(65552), sealed.tag, r)).toBeNull();
  });

  // A page's nonce and tag are kept by gfn and replaced at each page-out, so an older page and the page of another gfn
  // both arrive as a good ciphertext under the nonce and tag of a different page-out.
  it('refuses the ciphertext of another page-out, with the nonce, the tag or both of this one', () => {
    const later = r.with(15, r[15] + 1);
    const newer = new Iapm(provider, k1, k2).encrypt(page.with(0, 99), later);
    expect(open(newer.ciphertext, newer.tag, later)).toEqual(page.with(0, 99));
    expect(open(sealed.ciphertext, newer.tag, later)).toBeNull();
    expect(open(sealed.ciphertext, sealed.tag, later)).toBeNull();
    expect(open(sealed.ciphertext, newer.tag, r)).toBeNull();
  });

  it('refuses other keys', () => {
    expect(new Iapm(provider, flip(k1, 0), k2).decrypt(sealed.ciphertext, sealed.tag, r)).toBeNull();
    expect(new Iapm(provider, k1, flip(k2, 0)).decrypt(sealed.ciphertext, sealed.tag, r)).toBeNull();
  });

  it('encrypts identical contents differently everywhere under the next nonce', () => {
    const blank = new Uint8Array(65536);
    const first = new Iapm(provider, k1, k2).encrypt(blank, r);
    const second = new Iapm(provider, k1, k2).encrypt(blank, r.with(15, r[15] + 1));
    const blocks = new Set<string>([hex(first.tag), hex(second.tag)]);
    for (let at = 0; at < blank.length; at += 16) {
      blocks.add(hex(first.ciphertext.subarray(at, at + 16)));
      blocks.add(hex(second.ciphertext.subarray(at, at + 16)));
    }
    expect(blocks.size).toBe(2 * 4097);
  });

  it('carries in the mask counter as 128-bit addition does', () => {
    // The nonce whose W_0 ends in ff…ff is found by deciphering that W_0.
    const w0 = new Uint8Array(16).fill(0xff);
    const nonce = provider.aesEcbDecrypt(k2, w0);
    const seeds = new Iapm(provider, k1, k2).seeds(nonce, 1);
    const [zero, one] = [new Uint8Array(16), new Uint8Array(16).with(15, 1)];
    expect(seeds.slice(0, 16)).toEqual(w0);
    expect(seeds.slice(16, 32)).toEqual(provider.aesEcbEncrypt(k2, zero));
    expect(seeds.slice(32, 48)).toEqual(provider.aesEcbEncrypt(k2, one));
  });

  it('throws for lengths that it does not take', () => {
    const [short, long] = [new Uint8Array(15), new Uint8Array(32)];
    expect(() => new Iapm(provider, k1, k2).encrypt(new Uint8Array(0), r)).toThrow(RangeError);
    expect(() => new Iapm(provider, k1, k2).encrypt(short, r)).toThrow(RangeError);
    expect(() => new Iapm(provider, k1, k2).encrypt(page, short)).toThrow(RangeError);
    expect(() => new Iapm(provider, long, k2).encrypt(page, r)).toThrow(RangeError);
    expect(() => new Iapm(provider, k1, long).encrypt(page, r)).toThrow(RangeError);
    expect(() => new Iapm(provider, k1, k2).decrypt(page, short, r)).toThrow(RangeError);
  });
});
