import { createCipheriv, createDecipheriv, createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { BLOCK_BYTES, requireEcb, requireGcm, requireLength } from './lengths.ts';
import type { CryptoProvider } from './provider.ts';

/** The provider over node:crypto (OpenSSL). The only file that needs Node's crypto module. */
export const nodeProvider: CryptoProvider = {
  name: 'node',

  sha256: (data) => plain(createHash('sha256').update(data).digest()),

  sha512: (data) => plain(createHash('sha512').update(data).digest()),

  hmacSha256: (key, data) => plain(createHmac('sha256', key).update(data).digest()),

  aesEcbEncrypt(key, blocks) {
    requireEcb(key, blocks);
    return plain(
      createCipheriv(`aes-${key.length * 8}-ecb`, key, null)
        .setAutoPadding(false)
        .update(blocks),
    );
  },

  aesEcbDecrypt(key, blocks) {
    requireEcb(key, blocks);
    return plain(
      createDecipheriv(`aes-${key.length * 8}-ecb`, key, null)
        .setAutoPadding(false)
        .update(blocks),
    );
  },

  aesCipher(key) {
    requireLength('AES key', key, 16, 32);
    const name = `aes-${key.length * 8}-ecb`;
    const cipher = createCipheriv(name, key, null).setAutoPadding(false);
    const decipher = createDecipheriv(name, key, null).setAutoPadding(false);
    // Whole blocks in, so nothing is held back from one call to the next.
    const run = (direction: typeof cipher | typeof decipher) => (blocks: Uint8Array) => {
      requireEcb(key, blocks);
      return plain(direction.update(blocks));
    };
    return { encrypt: run(cipher), decrypt: run(decipher) };
  },

  aesGcmEncrypt(key, iv, aad, plaintext) {
    requireGcm(key, iv);
    const cipher = createCipheriv(gcmName(key), key, iv, { authTagLength: BLOCK_BYTES }).setAAD(aad);
    const ciphertext = plain(cipher.update(plaintext));
    cipher.final();
    return { ciphertext, tag: plain(cipher.getAuthTag()) };
  },

  aesGcmDecrypt(key, iv, aad, ciphertext, tag) {
    requireGcm(key, iv);
    requireLength('AES-GCM tag', tag, BLOCK_BYTES);
    const cipher = createDecipheriv(gcmName(key), key, iv, { authTagLength: BLOCK_BYTES }).setAAD(aad).setAuthTag(tag);
    const plaintext = plain(cipher.update(ciphertext));
    try {
      cipher.final();
    } catch {
      // The lengths were checked above, so all that `final` can object to is the tag.
      return null;
    }
    return plaintext;
  },

  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
};

function gcmName(key: Uint8Array): 'aes-128-gcm' | 'aes-256-gcm' {
  return key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm';
}

// A Buffer must not leave this file: its `slice` shares memory where that of every other Uint8Array copies, so the
// two providers would behave differently.
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
