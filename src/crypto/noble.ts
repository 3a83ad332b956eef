import { ecb, gcm } from '@noble/ciphers/aes.js';
import { equalBytes } from '@noble/ciphers/utils.js';
import { p521 } from '@noble/curves/nist.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import {
  BLOCK_BYTES,
  P521_BYTES,
  requireEcb,
  requireGcm,
  requireLength,
  requireP521Private,
  requireRsaBlock,
} from './lengths.ts';
import type { CryptoProvider } from './provider.ts';
import { rsaDecryptionPrimitive, rsaEncryptionPrimitive } from './rsa.ts';
import { xtsOver } from './xts.ts';

/** The provider in plain JavaScript (@noble), for browsers. */
export const nobleProvider: CryptoProvider = {
  name: 'noble',

  sha256: (data) => sha256(data),

  sha512: (data) => sha512(data),

  sha512Hasher() {
    const hash = sha512.create();
    return { update: (data) => void hash.update(data), digest: () => hash.digest() };
  },

  hmacSha256: (key, data) => hmac(sha256, key, data),

  hmacSha512: (key, data) => hmac(sha512, key, data),

  aesEcbEncrypt(key, blocks) {
    requireEcb(key, blocks);
    return ecb(key, { disablePadding: true }).encrypt(blocks);
  },

  aesEcbDecrypt(key, blocks) {
    requireEcb(key, blocks);
    return ecb(key, { disablePadding: true }).decrypt(blocks);
  },

  aesCipher(key) {
    requireLength('AES key', key, 16, 32);
    const own = key.slice();
    return {
      encrypt: (blocks) => nobleProvider.aesEcbEncrypt(own, blocks),
      decrypt: (blocks) => nobleProvider.aesEcbDecrypt(own, blocks),
    };
  },

  // @noble/ciphers has no XTS.
  aesXts: (key) => xtsOver(nobleProvider, key),

  aesGcmEncrypt(key, iv, aad, plaintext) {
    requireGcm(key, iv);
    const sealed = gcm(key, iv, aad).encrypt(plaintext);
    return { ciphertext: sealed.slice(0, plaintext.length), tag: sealed.slice(plaintext.length) };
  },

  aesGcmDecrypt(key, iv, aad, ciphertext, tag) {
    requireGcm(key, iv);
    requireLength('AES-GCM tag', tag, BLOCK_BYTES);
    const sealed = new Uint8Array(ciphertext.length + BLOCK_BYTES);
    sealed.set(ciphertext);
    sealed.set(tag, ciphertext.length);
    const cipher = gcm(key, iv, aad);
    try {
      return cipher.decrypt(sealed);
    } catch {
      // The lengths were checked above, so all that `decrypt` can object to is the tag.
      return null;
    }
  },

  // @noble has no RSA.
  rsaPublic(key, block) {
    requireRsaBlock(key.n, block);
    return rsaEncryptionPrimitive(key, block);
  },

  rsaPrivate(key, block) {
    requireRsaBlock(key.n, block);
    return rsaDecryptionPrimitive(key, block);
  },

  p521PublicKey(privateKey) {
    requireP521Private(privateKey);
    return p521.getPublicKey(privateKey, false).slice(1);
  },

  ecdhP521(privateKey, publicKey) {
    requireP521Private(privateKey);
    requireLength('P-521 public key', publicKey, 2 * P521_BYTES);
    try {
      return p521.getSharedSecret(privateKey, Uint8Array.of(4, ...publicKey), false).slice(1, 1 + P521_BYTES);
    } catch {
      // The private key was checked above, so all that can be wrong is the point.
      return null;
    }
  },

  equal: (a, b) => equalBytes(a, b),
};
