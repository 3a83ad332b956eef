import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { SignatureCheck } from '../crypto/host-key-document.ts';

/** Algorithms of at least 112 bits of security, by object identifier: the key that they need, and their digest (RFC 8017, RFC 5758). */
const ALGORITHMS: Readonly<Record<string, readonly [key: 'rsa' | 'ec', digest: string]>> = {
  '2a864886f70d01010b': ['rsa', 'sha256'],
  '2a864886f70d01010c': ['rsa', 'sha384'],
  '2a864886f70d01010d': ['rsa', 'sha512'],
  '2a8648ce3d040302': ['ec', 'sha256'],
  '2a8648ce3d040303': ['ec', 'sha384'],
  '2a8648ce3d040304': ['ec', 'sha512'],
};
/** RSA and ECDSA with MD5 and SHA-1. */
const WEAK = ['2a864886f70d010104', '2a864886f70d010105', '2a8648ce3d0401'];
/** Bits of an RSA modulus for 112 bits of security (SP 800-57 part 1, table 2). */
const LEAST_RSA_BITS = 2048;

/** Verifies signatures of certificates with OpenSSL. */
export const checkSignature: SignatureCheck = ({ signedBytes, algorithm, signature }, publicKeyInfo) => {
  if (WEAK.includes(algorithm)) return 'weak';
  const known = ALGORITHMS[algorithm];
  if (known === undefined) return 'unknown';
  const [type, digest] = known;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(publicKeyInfo), format: 'der', type: 'spki' });
  } catch {
    // It is a key of no kind that OpenSSL has.
    return 'bad';
  }
  if (key.asymmetricKeyType !== type) return 'bad';
  if (type === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < LEAST_RSA_BITS) return 'weak';
  return verify(digest, signedBytes, key, signature) ? 'good' : 'bad';
};
