import { describe, expect, it } from 'vitest';
import { HmacDrbg } from '../../src/crypto/drbg.ts';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { bytes, counting, hex } from './hex.ts';
import { drbgs } from './vectors.ts';

describe.each([nodeProvider, nobleProvider])('HMAC_DRBG over $name', (provider) => {
  it.each(drbgs)('returns the bits of CAVP $name', ({ entropy, nonce, personalization, returned }) => {
    const drbg = new HmacDrbg(provider, bytes(entropy), bytes(nonce), bytes(personalization));
    drbg.generate(128);
    expect(hex(drbg.generate(128))).toBe(returned);
  });
});

describe('HmacDrbg', () => {
  const seeded = () => new HmacDrbg(nodeProvider, counting(0, 32));

  it('goes on from a saved state, which later requests do not change', () => {
    const drbg = seeded();
    drbg.generate(5);
    const saved = drbg.save();
    expect(saved.reseedCounter).toBe(2);
    const expected = drbg.generate(100);
    const other = new HmacDrbg(nodeProvider, counting(7, 32));
    other.load(saved);
    expect(other.generate(100)).toEqual(expected);
    other.load(saved);
    expect(other.generate(100)).toEqual(expected);
  });

  it('gives a shorter request the first bytes of a longer one', () => {
    expect(seeded().generate(33)).toEqual(seeded().generate(64).subarray(0, 33));
  });

  it('advances on a request for nothing', () => {
    const drbg = seeded();
    expect(drbg.generate(0)).toEqual(new Uint8Array(0));
    expect(drbg.generate(16)).not.toEqual(seeded().generate(16));
  });

  it('refuses what SP 800-90A does not allow', () => {
    const drbg = seeded();
    expect(drbg.generate(65536)).toHaveLength(65536);
    for (const n of [65537, -1, 1.5, Number.NaN]) expect(() => drbg.generate(n)).toThrow(RangeError);
    drbg.load({ ...drbg.save(), reseedCounter: 2 ** 48 });
    drbg.generate(1);
    expect(() => drbg.generate(1)).toThrow(RangeError);
  });

  it('refuses a state that is none', () => {
    const state = seeded().save();
    expect(() => seeded().load({ ...state, key: new Uint8Array(31) })).toThrow(RangeError);
    expect(() => seeded().load({ ...state, v: new Uint8Array(33) })).toThrow(RangeError);
    expect(() => seeded().load({ ...state, reseedCounter: 0 })).toThrow(RangeError);
  });
});
