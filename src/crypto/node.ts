import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  privateDecrypt,
  publicEncrypt,
  timingSafeEqual,
} from 'node:crypto';
import {
  BLOCK_BYTES,
  P521_BYTES,
  requireEcb,
  requireGcm,
  requireLength,
  requireP521Private,
  requireRsaBlock,
  requireXtsHalves,
  requireXtsUnit,
} from './lengths.ts';
import type { CryptoProvider } from './provider.ts';
import type { RsaPrivateKey, RsaPublicKey } from './rsa.ts';

/** The provider over node:crypto (OpenSSL). The only file that needs Node's crypto module. */
export const nodeProvider: CryptoProvider = {
  name: 'node',

  sha256: (data) => plain(createHash('sha256').update(data).digest()),

  sha512: (data) => plain(createHash('sha512').update(data).digest()),

  sha512Hasher() {
    const hash = createHash('sha512');
    return { update: (data) => void hash.update(data), digest: () => plain(hash.digest()) };
  },

  hmacSha256: (key, data) => plain(createHmac('sha256', key).update(data).digest()),

  hmacSha512: (key, data) => plain(createHmac('sha512', key).update(data).digest()),

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

  aesXts(key) {
    requireLength('AES-XTS key', key, 32, 64);
    const own = key.slice();
    const name = `aes-${key.length * 4}-xts`;
    return {
      encrypt(tweak, data) {
        requireXtsHalves(own);
        requireXtsUnit(tweak, data);
        return plain(createCipheriv(name, own, tweak).update(data));
      },
      decrypt(tweak, data) {
        requireXtsUnit(tweak, data);
        return plain(createDecipheriv(name, own, tweak).update(data));
      },
    };
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

  rsaPublic(key, block) {
    requireRsaBlock(key.n, block);
    const jwk = { kty: 'RSA', ...base64url(key, ['n', 'e']) };
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    return plain(publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block));
  },

  rsaPrivate(key, block) {
    requireRsaBlock(key.n, block);
    const jwk = { kty: 'RSA', ...base64url(key, ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi']) };
    const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
    return plain(privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block));
  },

  p521PublicKey(privateKey) {
    requireP521Private(privateKey);
    const ecdh = createECDH(P521);
    ecdh.setPrivateKey(privateKey);
    return plain(ecdh.getPublicKey().subarray(1));
  },

  ecdhP521(privateKey, publicKey) {
    requireP521Private(privateKey);
    requireLength('P-521 public key', publicKey, 2 * P521_BYTES);
    const ecdh = createECDH(P521);
    ecdh.setPrivateKey(privateKey);
    try {
      return plain(ecdh.computeSecret(uncompressed(publicKey)));
    } catch {
      // The private key was checked above, so all that can be wrong is the point.
      return null;
    }
  },

  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
};

/** OpenSSL's name of P-521. */
const P521 = 'secp521r1';

/** A point as SEC 1 2.3.3 has it. */
function uncompressed(point: Uint8Array): Uint8Array {
  return Uint8Array.of(4, ...point);
}

/** Numbers of a key as JSON Web Key has them (RFC 7518 6.3). */
function base64url<K extends RsaPublicKey | RsaPrivateKey>(
  key: K,
  names: readonly (keyof K & string)[],
): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, Buffer.from(key[name] as Uint8Array).toString('base64url')]));
}

function gcmName(key: Uint8Array): 'aes-128-gcm' | 'aes-256-gcm' {
  return key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm';
}

// A Buffer must not leave this file: its `slice` shares memory where that of every other Uint8Array copies, so the
// two providers would behave differently.
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
