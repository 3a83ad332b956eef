import { hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hkdf, hkdfSha256, hkdfSha512 } from '../../src/crypto/hkdf.ts';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { xtsOver } from '../../src/crypto/xts.ts';
import { bytes, counting, hex, utf8 } from './hex.ts';
import { hashes } from './vectors.ts';

/** NIST CAVP, "ECC CDH Primitive" (SP 800-56A 5.7.1.2), P-521, COUNT = 0. */
const CDH = {
  theirs:
    '00685a48e86c79f0f0875f7bc18d25eb5fc8c0b07e5da4f4370f3a9490340854334b1e1b87fa395464c60626124a4e70d0f785601d37c09870ebf176666877a2046d' +
    '01ba52c56fc8776d9e8f5db4f0cc27636d0b741bbe05400697942e80b739884a83bde99e0f6716939e632bc8986fa18dccd443a348b6c3e522497955a4f3c302f676',
  privateKey:
    '017eecc07ab4b329068fba65e56a1f8890aa935e57134ae0ffcce802735151f4eac6564f6ee9974c5e6887a1fefee5743ae2241bfeb95d5ce31ddcb6f9edb4d6fc47',
  publicKey:
    '00602f9d0cf9e526b29e22381c203c48a886c2b0673033366314f1ffbcba240ba42f4ef38a76174635f91e6b4ed34275eb01c8467d05ca80315bf1a7bbd945f550a5' +
    '01b7c85f26f5d4b2d7355cf6b02117659943762b6d1db5ab4f1dbc44ce7b2946eb6c7de342962893fd387d1b73d7a8672d1f236961170b7eb3579953ee5cdc88cd2d',
  shared:
    '005fc70477c3e63bc3954bd0df3ea0d1f41ee21746ed95fc5e1fdf90930d5e136672d72cc770742d1711c3c3a4c334a0ad9759436a4d3c5bf6e74b9578fac148c831',
};
/** The field of P-521 has 2^521 - 1 elements. */
const PRIME = `01${'ff'.repeat(65)}`;
/** FIPS 186-4 D.1.2.5. */
const ORDER =
  '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409';

/** IEEE 1619 annex B: vectors 2, 3 (AES-128, 32 bytes) and 10 (AES-256, the first and last 32 of 512 bytes). */
const XTS = [
  {
    name: '2',
    key: '11'.repeat(16) + '22'.repeat(16),
    tweak: '33'.repeat(5) + '00'.repeat(11),
    plaintext: '44'.repeat(32),
    begins: 'c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0',
    ends: '',
  },
  {
    name: '3',
    key: `fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0${'22'.repeat(16)}`,
    tweak: '33'.repeat(5) + '00'.repeat(11),
    plaintext: '44'.repeat(32),
    begins: 'af85336b597afc1a900b2eb21ec949d292df4c047e0b21532186a5971a227a89',
    ends: '',
  },
  {
    name: '10',
    key:
      '2718281828459045235360287471352662497757247093699959574966967627' +
      '3141592653589793238462643383279502884197169399375105820974944592',
    tweak: `ff${'00'.repeat(15)}`,
    plaintext: hex(counting(0, 512)),
    begins: '1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b',
    ends: '773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151',
  },
];

/** RFC 4231, section 4. */
const HMACS = [
  {
    name: '1',
    key: '0b'.repeat(20),
    data: utf8('Hi There'),
    mac: '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854',
  },
  {
    name: '2',
    key: hex(utf8('Jefe')),
    data: utf8('what do ya want for nothing?'),
    mac: '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
  },
];

/** RFC 5869, appendix A. */
const HKDFS = [
  {
    name: 'A.1',
    secret: '0b'.repeat(22),
    salt: '000102030405060708090a0b0c',
    info: 'f0f1f2f3f4f5f6f7f8f9',
    out: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  },
  {
    name: 'A.2, longer',
    secret: hex(counting(0, 80)),
    salt: hex(counting(0x60, 80)),
    info: hex(counting(0xb0, 80)),
    out:
      'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71' +
      'cc30c58179ec3e87c14c01d5c1f3434f1d87',
  },
  {
    name: 'A.3, no salt and no info',
    secret: '0b'.repeat(22),
    salt: '',
    info: '',
    out: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  },
];

describe.each([nodeProvider, nobleProvider])('$name provider', (provider) => {
  it('makes the public key and the shared secret of NIST CAVP', () => {
    expect(hex(provider.p521PublicKey(bytes(CDH.privateKey)))).toBe(CDH.publicKey);
    const shared = provider.ecdhP521(bytes(CDH.privateKey), bytes(CDH.theirs));
    expect(shared === null ? null : hex(shared)).toBe(CDH.shared);
  });

  it.each([
    ['the point at zero', '00'.repeat(132)],
    ['a point beside the curve', `${CDH.theirs.slice(0, -2)}77`],
    ['X and Y exchanged', CDH.theirs.slice(132) + CDH.theirs.slice(0, 132)],
    ['X as large as the field', PRIME + CDH.theirs.slice(132)],
    ['Y beyond the field', `${CDH.theirs.slice(0, 132)}ff${CDH.theirs.slice(134)}`],
  ])('takes no point that is none: %s', (_, point) => {
    expect(provider.ecdhP521(bytes(CDH.privateKey), bytes(point))).toBeNull();
  });

  it.each([
    ['zero', '00'.repeat(66)],
    ['the order', ORDER],
    ['more than the order', PRIME],
    ['65 bytes', '01'.repeat(65)],
  ])('takes no private key that is none: %s', (_, key) => {
    expect(() => provider.p521PublicKey(bytes(key))).toThrow(RangeError);
    expect(() => provider.ecdhP521(bytes(key), bytes(CDH.theirs))).toThrow(RangeError);
    expect(() => provider.ecdhP521(bytes(CDH.privateKey), bytes(CDH.theirs).subarray(1))).toThrow(RangeError);
  });

  it('takes the largest private key: its point is the base point with the other Y', () => {
    const one = provider.p521PublicKey(bytes('01'.padStart(132, '0')));
    const largest = provider.p521PublicKey(bytes(`${ORDER.slice(0, -2)}08`));
    expect(hex(largest.subarray(0, 66))).toBe(hex(one.subarray(0, 66)));
    expect(hex(largest.subarray(66))).not.toBe(hex(one.subarray(66)));
  });

  it.each(XTS)('enciphers and deciphers XTS of IEEE 1619 vector $name', ({ key, tweak, plaintext, begins, ends }) => {
    const own = bytes(key);
    const cipher = provider.aesXts(own);
    own.fill(0);
    const ciphertext = cipher.encrypt(bytes(tweak), bytes(plaintext));
    expect(hex(ciphertext.subarray(0, 32))).toBe(begins);
    expect(hex(ciphertext).endsWith(ends)).toBe(true);
    expect(hex(cipher.decrypt(bytes(tweak), ciphertext))).toBe(plaintext);
  });

  it('refuses what XTS cannot do, and decrypts with equal halves all the same', () => {
    const cipher = provider.aesXts(counting(0, 64));
    const tweak = new Uint8Array(16);
    expect(() => cipher.encrypt(tweak, new Uint8Array(0))).toThrow(RangeError);
    expect(() => cipher.decrypt(tweak, new Uint8Array(17))).toThrow(RangeError);
    expect(() => cipher.encrypt(new Uint8Array(12), new Uint8Array(16))).toThrow(RangeError);
    expect(() => provider.aesXts(new Uint8Array(48))).toThrow(RangeError);
    const equal = provider.aesXts(new Uint8Array(32));
    expect(() => equal.encrypt(tweak, new Uint8Array(32))).toThrow(RangeError);
    // IEEE 1619 vector 1, whose halves are both zero.
    const sector = bytes('917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e');
    expect(equal.decrypt(tweak, sector)).toEqual(new Uint8Array(32));
  });

  it.each(HMACS)('computes HMAC-SHA-512 of RFC 4231 case $name', ({ key, data, mac }) => {
    expect(hex(provider.hmacSha512(bytes(key), data))).toBe(mac);
  });

  it.each(hashes)('hashes in parts: $name', ({ data, sha512 }) => {
    for (const part of [1 + (data.length >> 1), 127, 4096]) {
      const hasher = provider.sha512Hasher();
      for (let at = 0; at < data.length; at += part) hasher.update(data.subarray(at, at + part));
      expect(hex(hasher.digest())).toBe(sha512);
    }
  });

  it.each(HKDFS)('derives what RFC 5869 $name derives', ({ secret, salt, info, out }) => {
    const length = out.length / 2;
    expect(hex(hkdf(hkdfSha256(provider), bytes(secret), bytes(salt), bytes(info), length))).toBe(out);
  });

  it('derives with SHA-512 what OpenSSL does, up to 255 digests', () => {
    for (const length of [0, 1, 32, 64, 65, 1000, 255 * 64]) {
      expect(hkdf(hkdfSha512(provider), counting(0, 32), counting(9, 16), utf8('info'), length)).toEqual(
        new Uint8Array(hkdfSync('sha512', counting(0, 32), counting(9, 16), utf8('info'), length)),
      );
    }
    expect(() => hkdf(hkdfSha512(provider), new Uint8Array(1), new Uint8Array(0), new Uint8Array(0), 16321)).toThrow(
      RangeError,
    );
  });

  it('returns plain memory of its own', () => {
    const cipher = provider.aesXts(counting(0, 64));
    const data = new Uint8Array(32);
    const results = [
      provider.hmacSha512(data, data),
      provider.sha512Hasher().digest(),
      cipher.encrypt(new Uint8Array(16), data),
      cipher.decrypt(new Uint8Array(16), data),
      provider.p521PublicKey(bytes(CDH.privateKey)),
      provider.ecdhP521(bytes(CDH.privateKey), bytes(CDH.theirs)) ?? new Uint8Array(0),
    ];
    for (const result of results) {
      expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
      result.fill(0xff);
    }
    expect(data).toEqual(new Uint8Array(32));
  });
});

it('XTS over AES is that of OpenSSL: pages at random tweaks', () => {
  const key = counting(7, 64);
  const [ours, theirs] = [xtsOver(nodeProvider, key), nodeProvider.aesXts(key)];
  for (let n = 0; n < 20; n++) {
    const page = Uint8Array.from({ length: 4096 }, (_, i) => (i * 31 + n * 7) & 0xff);
    const tweak = nodeProvider.sha256(Uint8Array.of(n)).subarray(0, 16);
    const sealed = ours.encrypt(tweak, page);
    expect(hex(sealed)).toBe(hex(theirs.encrypt(tweak, page)));
    expect(theirs.decrypt(tweak, sealed)).toEqual(page);
    expect(ours.decrypt(tweak, sealed)).toEqual(page);
  }
});
