import { DER_TAG, DerError, DerReader, derElement, derUnsigned } from './der.ts';
import { PemError, readPem, writePem } from './pem.ts';
import { isConsistent, type RsaPrivateKey, type RsaPublicKey } from './rsa.ts';

/** Bits that a modulus may have. */
export const RSA_BITS = { least: 2048, most: 8192 };

/** AlgorithmIdentifier of rsaEncryption: OID 1.2.840.113549.1.1.1 and NULL (RFC 8017 A.1). */
const RSA_ENCRYPTION_OID = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);
const RSA_ENCRYPTION = derElement(
  DER_TAG.SEQUENCE,
  derElement(DER_TAG.OID, RSA_ENCRYPTION_OID),
  derElement(DER_TAG.NULL),
);

/** Bits of the modulus. */
export function rsaBits({ n }: RsaPublicKey): number {
  return n.length === 0 ? 0 : 8 * n.length - Math.clz32(n[0] << 24);
}

/**
 * Reads an RSA public key: SubjectPublicKeyInfo (`PUBLIC KEY`, as `openssl rsa -pubout` writes it) or PKCS #1 (`RSA PUBLIC KEY`).
 * @throws PemError saying what is wrong with it
 */
export function readRsaPublicKey(pem: string): RsaPublicKey {
  const { label, bytes } = readPem(pem);
  if (label.endsWith('PRIVATE KEY')) throw new PemError('it is a private key where a public key is needed');
  return checked(label, () => {
    if (label === 'RSA PUBLIC KEY') return readPkcs1Public(new DerReader(bytes));
    if (label !== 'PUBLIC KEY') throw new PemError(`a ${label} is no public key`);
    const outer = new DerReader(bytes);
    const info = outer.read(DER_TAG.SEQUENCE);
    outer.end();
    requireRsa(info.read(DER_TAG.SEQUENCE));
    const key = readPkcs1Public(info.bitString());
    info.end();
    return key;
  });
}

/**
 * Reads an RSA private key: PKCS #8 (`PRIVATE KEY`) or PKCS #1 (`RSA PRIVATE KEY`), not encrypted.
 * @throws PemError saying what is wrong with it
 */
export function readRsaPrivateKey(pem: string): RsaPrivateKey {
  const { label, bytes } = readPem(pem);
  if (label === 'ENCRYPTED PRIVATE KEY') {
    throw new PemError('the private key is encrypted with a pass phrase: decrypt it first');
  }
  if (label.endsWith('PUBLIC KEY')) throw new PemError('it is a public key where a private key is needed');
  return checked(label, () => {
    if (label === 'RSA PRIVATE KEY') return readPkcs1Private(new DerReader(bytes));
    if (label !== 'PRIVATE KEY') throw new PemError(`a ${label} is no RSA private key`);
    const outer = new DerReader(bytes);
    const info = outer.read(DER_TAG.SEQUENCE);
    outer.end();
    info.unsigned();
    requireRsa(info.read(DER_TAG.SEQUENCE));
    return readPkcs1Private(info.read(DER_TAG.OCTET_STRING));
  });
}

/** The public half of a key. */
export function rsaPublicKeyOf({ n, e }: RsaPublicKey): RsaPublicKey {
  return { n, e };
}

/** The key as `openssl rsa -pubout` writes it, byte for byte. */
export function writeRsaPublicKey({ n, e }: RsaPublicKey): string {
  const pkcs1 = derElement(DER_TAG.SEQUENCE, derUnsigned(n), derUnsigned(e));
  const bits = derElement(DER_TAG.BIT_STRING, Uint8Array.of(0), pkcs1);
  return writePem({ label: 'PUBLIC KEY', bytes: derElement(DER_TAG.SEQUENCE, RSA_ENCRYPTION, bits) });
}

function readPkcs1Public(reader: DerReader): RsaPublicKey {
  const key = reader.read(DER_TAG.SEQUENCE);
  reader.end();
  const result = { n: key.unsigned(), e: key.unsigned() };
  key.end();
  return result;
}

function readPkcs1Private(reader: DerReader): RsaPrivateKey {
  const key = reader.read(DER_TAG.SEQUENCE);
  reader.end();
  if (key.unsigned().length !== 0) throw new PemError('an RSA key of more than two primes');
  const [n, e, d, p, q, dp, dq, qi] = Array.from({ length: 8 }, () => key.unsigned());
  key.end();
  const result = { n, e, d, p, q, dp, dq, qi };
  if (!isConsistent(result)) throw new PemError('the numbers of the private key do not belong together');
  return result;
}

function requireRsa(algorithm: DerReader): void {
  const { bytes } = algorithm.read(DER_TAG.OID);
  if (bytes.length !== RSA_ENCRYPTION_OID.length || bytes.some((byte, i) => byte !== RSA_ENCRYPTION_OID[i])) {
    throw new PemError('it is no RSA key');
  }
}

function checked<T extends RsaPublicKey>(label: string, read: () => T): T {
  try {
    const key = read();
    const bits = rsaBits(key);
    if (bits < RSA_BITS.least || bits > RSA_BITS.most) {
      throw new PemError(`RSA with ${bits} bits: it must have ${RSA_BITS.least} to ${RSA_BITS.most}`);
    }
    if (bits % 8 !== 0 || (key.n[key.n.length - 1] & 1) === 0) throw new PemError('its modulus is none of RSA');
    if (key.e.length === 0 || (key.e[key.e.length - 1] & 1) === 0 || key.e.length > 8) {
      throw new PemError('its public exponent is none of RSA');
    }
    return key;
  } catch (error) {
    if (error instanceof DerError) throw new PemError(`the ${label} is broken: ${error.message}`);
    throw error;
  }
}
