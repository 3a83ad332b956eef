import { BLOCK_BYTES, requireLength, requireXtsHalves, requireXtsUnit } from './lengths.ts';
import type { CryptoProvider, XtsCipher } from './provider.ts';

/** x^128 modulo the polynomial of the field (IEEE 1619 5.2). */
const FEEDBACK = 0x87;

/** AES-XTS over a provider's AES, for one that has no XTS of its own. The key has 32 or 64 bytes. */
export function xtsOver(provider: Pick<CryptoProvider, 'aesCipher'>, key: Uint8Array): XtsCipher {
  requireLength('AES-XTS key', key, 32, 64);
  const own = key.slice();
  const data = provider.aesCipher(own.subarray(0, own.length / 2));
  const tweaks = provider.aesCipher(own.subarray(own.length / 2));
  const run = (direction: (blocks: Uint8Array) => Uint8Array, tweak: Uint8Array, unit: Uint8Array): Uint8Array => {
    requireXtsUnit(tweak, unit);
    const mask = masksOf(tweaks.encrypt(tweak), unit.length);
    return xor(direction(xor(unit.slice(), mask)), mask);
  };
  return {
    encrypt(tweak, unit) {
      requireXtsHalves(own);
      return run(data.encrypt, tweak, unit);
    },
    decrypt: (tweak, unit) => run(data.decrypt, tweak, unit),
  };
}

/** The mask of each block: the first times x, x^2, and so on, little-endian in GF(2^128). */
function masksOf(first: Uint8Array, length: number): Uint8Array {
  const masks = new Uint8Array(length);
  masks.set(first);
  for (let at = BLOCK_BYTES; at < length; at += BLOCK_BYTES) {
    let carry = 0;
    for (let i = 0; i < BLOCK_BYTES; i++) {
      const byte = masks[at - BLOCK_BYTES + i];
      masks[at + i] = (byte << 1) | carry;
      carry = byte >>> 7;
    }
    if (carry !== 0) masks[at] ^= FEEDBACK;
  }
  return masks;
}

function xor(data: Uint8Array, mask: Uint8Array): Uint8Array {
  for (let i = 0; i < data.length; i++) data[i] ^= mask[i];
  return data;
}
