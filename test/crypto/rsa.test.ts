import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { oaepCapacity, oaepDecrypt, oaepEncrypt } from '../../src/crypto/oaep.ts';
import { PemError, readPem } from '../../src/crypto/pem.ts';
import { readRsaPrivateKey, readRsaPublicKey, rsaBits, writeRsaPublicKey } from '../../src/crypto/rsa-key.ts';
import { bytes, counting, hex, utf8 } from './hex.ts';
import { oaepPrivateKey, oaepVectors } from './oaep-vectors.ts';

const key = readRsaPrivateKey(oaepPrivateKey);
const pair = generateKeyPairSync('rsa', { modulusLength: 3072 });
const publicPem = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string;

describe.each([nodeProvider, nobleProvider])('RSAES-OAEP over $name', (provider) => {
  it.each(oaepVectors)('decrypts Wycheproof $id: $comment', ({ ct, msg }) => {
    const message = oaepDecrypt(provider, key, bytes(ct));
    expect(message === null ? null : hex(message)).toBe(msg);
  });

  it('makes what node:crypto opens, and opens what that makes', () => {
    const own = readRsaPrivateKey(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
    const options = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
    for (const length of [0, 1, 32, oaepCapacity(own)]) {
      const message = counting(1, length);
      const sealed = oaepEncrypt(provider, readRsaPublicKey(publicPem), message, counting(length, 32));
      expect(new Uint8Array(privateDecrypt({ key: pair.privateKey, ...options }, sealed))).toEqual(message);
      const theirs = new Uint8Array(publicEncrypt({ key: pair.publicKey, ...options }, message));
      expect(oaepDecrypt(provider, own, theirs)).toEqual(message);
    }
  });

  it('gives the same for the same seed, and refuses what does not fit', () => {
    const [a, b] = [1, 2].map((seed) => oaepEncrypt(provider, key, utf8('key'), counting(seed, 32)));
    expect(oaepEncrypt(nodeProvider, key, utf8('key'), counting(1, 32))).toEqual(a);
    expect(b).not.toEqual(a);
    expect(() => oaepEncrypt(provider, key, new Uint8Array(191), counting(1, 32))).toThrow(RangeError);
    expect(() => oaepEncrypt(provider, key, utf8('key'), counting(1, 31))).toThrow(RangeError);
  });

  it('refuses blocks of another length, or not below the modulus', () => {
    expect(() => provider.rsaPublic(key, new Uint8Array(255))).toThrow(RangeError);
    expect(() => provider.rsaPublic(key, key.n)).toThrow(RangeError);
    expect(() => provider.rsaPrivate(key, new Uint8Array(256).fill(255))).toThrow(RangeError);
  });
});

describe('RSA keys as PEM files', () => {
  it('reads all four forms that OpenSSL writes, and writes its public form byte for byte', () => {
    for (const type of ['pkcs1', 'pkcs8'] as const) {
      const own = readRsaPrivateKey(pair.privateKey.export({ type, format: 'pem' }) as string);
      const jwk = pair.privateKey.export({ format: 'jwk' });
      for (const name of ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
        expect(Buffer.from(own[name]).toString('base64url'), name).toBe(jwk[name]);
      }
      expect(writeRsaPublicKey(own)).toBe(publicPem);
    }
    const pkcs1 = pair.publicKey.export({ type: 'pkcs1', format: 'pem' }) as string;
    expect(readRsaPublicKey(pkcs1)).toEqual(readRsaPublicKey(publicPem));
    expect(rsaBits(readRsaPublicKey(pkcs1))).toBe(3072);
  });

  it('reads one with text around it and with CR LF', () => {
    expect(readRsaPublicKey(`a key\r\n${publicPem.replaceAll('\n', '\r\n')}end`)).toEqual(readRsaPublicKey(publicPem));
  });

  const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encrypted = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
  const old = { ...encrypted, type: 'pkcs1' } as const;
  const readPrivate = (pem: string | Buffer) => readRsaPrivateKey(pem.toString());
  const readPublic = (pem: string | Buffer) => readRsaPublicKey(pem.toString());
  it.each([
    ['no PEM at all', () => readPublic('key'), /no PEM file/],
    ['an end of another kind', () => readPublic(publicPem.replace('END PUBLIC', 'END PRIVATE')), /ends as PRIVATE KEY/],
    ['bad base64', () => readPublic(publicPem.replace(/\nM/, '\n*')), /not base64/],
    ['a private key for a public one', () => readPublic(oaepPrivateKey), /private key where a public key is needed/],
    ['a public key for a private one', () => readPrivate(publicPem), /public key where a private key is needed/],
    [
      'a certificate',
      () => readPublic(publicPem.replaceAll('PUBLIC KEY', 'CERTIFICATE')),
      /CERTIFICATE is no public key/,
    ],
    ['an encrypted key, PKCS #8', () => readPrivate(pair.privateKey.export(encrypted)), /encrypted with a pass phrase/],
    ['an encrypted key, PKCS #1', () => readPrivate(pair.privateKey.export(old)), /encrypted with a pass phrase/],
    [
      'a short key',
      () => readPublic(small.publicKey.export({ type: 'spki', format: 'pem' })),
      /RSA with 1024 bits: it must have 2048 to 8192/,
    ],
    ['an EC key', () => readPublic(curve.publicKey.export({ type: 'spki', format: 'pem' })), /no RSA key/],
    ['an EC key', () => readPrivate(curve.privateKey.export({ type: 'pkcs8', format: 'pem' })), /no RSA key/],
  ])('says what is wrong with %s', (_, read, message) => {
    expect(read).toThrow(PemError);
    expect(read).toThrow(message);
  });

  it('never throws anything but PemError for a changed file', () => {
    const { label, bytes: der } = readPem(oaepPrivateKey);
    for (let i = 0; i < 2000; i++) {
      const changed = der.slice(0, i % 7 === 0 ? (i * 13) % der.length : der.length);
      if (changed.length > 0)
        changed[(i * i) % (i % 2 === 0 ? Math.min(40, changed.length) : changed.length)] ^= 1 << (i % 8);
      const pem = `-----BEGIN ${label}-----\n${Buffer.from(changed).toString('base64')}\n-----END ${label}-----\n`;
      try {
        readRsaPrivateKey(pem);
      } catch (error) {
        expect(error).toBeInstanceOf(PemError);
      }
    }
  });
});
