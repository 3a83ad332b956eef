import { describe, expect, it } from 'vitest';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { bytes, hex } from './hex.ts';
import { ecbs, esmGcm, gcms, hashes, hmacs, pageGcm } from './vectors.ts';

describe.each([nodeProvider, nobleProvider])('$name provider', (provider) => {
  it.each(hashes)('hashes FIPS 180-4 example: $name', ({ data, sha256, sha512 }) => {
    expect(hex(provider.sha256(data))).toBe(sha256);
    expect(hex(provider.sha512(data))).toBe(sha512);
  });

  it.each(hmacs)('computes HMAC-SHA-256 of RFC 4231 case $name', ({ key, data, mac }) => {
    expect(hex(provider.hmacSha256(key, data)).slice(0, mac.length)).toBe(mac);
  });

  it.each(ecbs)('enciphers and deciphers $name', ({ key, plaintext, ciphertext }) => {
    expect(hex(provider.aesEcbEncrypt(bytes(key), bytes(plaintext)))).toBe(ciphertext);
    expect(hex(provider.aesEcbDecrypt(bytes(key), bytes(ciphertext)))).toBe(plaintext);
  });

  it.each(ecbs)('does the same with a cipher that is kept, call after call, both ways at once: $name', (vector) => {
    const key = bytes(vector.key);
    const cipher = provider.aesCipher(key);
    key.fill(0);
    for (let n = 0; n < 3; n++) {
      expect(hex(cipher.encrypt(bytes(vector.plaintext)))).toBe(vector.ciphertext);
      expect(hex(cipher.decrypt(bytes(vector.ciphertext)))).toBe(vector.plaintext);
    }
    expect(cipher.encrypt(new Uint8Array(0))).toEqual(new Uint8Array(0));
    expect(() => cipher.decrypt(new Uint8Array(15))).toThrow(RangeError);
    expect(() => provider.aesCipher(new Uint8Array(17))).toThrow(RangeError);
  });

  it('enciphers no block at all', () => {
    expect(provider.aesEcbEncrypt(new Uint8Array(16), new Uint8Array(0))).toEqual(new Uint8Array(0));
    expect(provider.aesEcbDecrypt(new Uint8Array(16), new Uint8Array(0))).toEqual(new Uint8Array(0));
  });

  it.each(gcms)('seals and opens GCM $name', ({ key, iv, aad, plaintext, ciphertext, tag }) => {
    const sealed = provider.aesGcmEncrypt(bytes(key), bytes(iv), bytes(aad), bytes(plaintext));
    expect(hex(sealed.ciphertext)).toBe(ciphertext);
    expect(hex(sealed.tag)).toBe(tag);
    expect(provider.aesGcmDecrypt(bytes(key), bytes(iv), bytes(aad), bytes(ciphertext), bytes(tag))).toEqual(
      bytes(plaintext),
    );
  });

  it('knows the answer of power-pef.md 7.3, a 16-byte IV', () => {
    const { key, iv, plaintext } = esmGcm;
    const sealed = provider.aesGcmEncrypt(key, iv, new Uint8Array(0), plaintext);
    expect(hex(sealed.ciphertext)).toBe(esmGcm.ciphertext);
    expect(hex(sealed.tag)).toBe(esmGcm.tag);
  });

  it('knows the answer of power-pef.md 8.2, a 64 KiB page', () => {
    const { key, iv, plaintext } = pageGcm;
    const sealed = provider.aesGcmEncrypt(key, iv, new Uint8Array(0), plaintext);
    expect(hex(sealed.ciphertext.subarray(0, 16))).toBe(pageGcm.firstBlock);
    expect(hex(sealed.tag)).toBe(pageGcm.tag);
    expect(hex(provider.sha256(sealed.ciphertext))).toBe(pageGcm.ciphertextSha256);
  });

  it('opens nothing when any part of a sealed message changed', () => {
    const { key, iv, plaintext } = esmGcm;
    const aad = bytes('a1a2');
    const { ciphertext, tag } = provider.aesGcmEncrypt(key, iv, aad, plaintext);
    const flipped = (data: Uint8Array) => data.with(0, data[0] ^ 1);
    expect(provider.aesGcmDecrypt(key, iv, aad, ciphertext, tag)).toEqual(plaintext);
    expect(provider.aesGcmDecrypt(flipped(key), iv, aad, ciphertext, tag)).toBeNull();
    expect(provider.aesGcmDecrypt(key, flipped(iv), aad, ciphertext, tag)).toBeNull();
    expect(provider.aesGcmDecrypt(key, iv, flipped(aad), ciphertext, tag)).toBeNull();
    expect(provider.aesGcmDecrypt(key, iv, aad, flipped(ciphertext), tag)).toBeNull();
    expect(provider.aesGcmDecrypt(key, iv, aad, ciphertext.subarray(1), tag)).toBeNull();
    expect(provider.aesGcmDecrypt(key, iv, aad, ciphertext, flipped(tag))).toBeNull();
  });

  it('throws for lengths that it does not take', () => {
    const key = new Uint8Array(16);
    const iv = new Uint8Array(12);
    const none = new Uint8Array(0);
    expect(() => provider.aesEcbEncrypt(new Uint8Array(24), new Uint8Array(16))).toThrow(RangeError);
    expect(() => provider.aesEcbDecrypt(new Uint8Array(0), new Uint8Array(16))).toThrow(RangeError);
    expect(() => provider.aesEcbEncrypt(key, new Uint8Array(15))).toThrow(RangeError);
    expect(() => provider.aesEcbDecrypt(key, new Uint8Array(17))).toThrow(RangeError);
    expect(() => provider.aesGcmEncrypt(new Uint8Array(24), iv, none, none)).toThrow(RangeError);
    expect(() => provider.aesGcmEncrypt(key, new Uint8Array(7), none, none)).toThrow(RangeError);
    expect(() => provider.aesGcmEncrypt(key, new Uint8Array(129), none, none)).toThrow(RangeError);
    expect(() => provider.aesGcmDecrypt(key, iv, none, none, new Uint8Array(12))).toThrow(RangeError);
    expect(() => provider.aesGcmDecrypt(key, iv, none, none, none)).toThrow(RangeError);
  });

  it('compares bytes and lengths', () => {
    expect(provider.equal(bytes('0102'), bytes('0102'))).toBe(true);
    expect(provider.equal(bytes('0102'), bytes('0103'))).toBe(false);
    expect(provider.equal(bytes('0102'), bytes('010200'))).toBe(false);
    expect(provider.equal(bytes(''), bytes(''))).toBe(true);
  });

  it('leaves its arguments alone and returns plain memory of its own', () => {
    const key = new Uint8Array(16);
    const data = new Uint8Array(32);
    const { ciphertext, tag } = provider.aesGcmEncrypt(key, new Uint8Array(12), data, data);
    const results = [
      provider.sha256(data),
      provider.sha512(data),
      provider.hmacSha256(key, data),
      provider.aesEcbEncrypt(key, data),
      provider.aesEcbDecrypt(key, data),
      ciphertext,
      tag,
    ];
    for (const result of results) {
      expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
      result.fill(0xff);
    }
    expect(key).toEqual(new Uint8Array(16));
    expect(data).toEqual(new Uint8Array(32));
  });
});
