import { DER_TAG, DerError, DerReader, derElement, derUnsigned } from './der.ts';
import { P521_BYTES } from './lengths.ts';
import { type PemBlock, PemError, readPemBlocks, writePem } from './pem.ts';
import type { CryptoProvider } from './provider.ts';

/** id-ecPublicKey (1.2.840.10045.2.1) and secp521r1 (1.3.132.0.35) (RFC 5480 2.1). */
const EC_PUBLIC_KEY_OID = Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);
const P521_OID = Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x23);
const P521_ALGORITHM = derElement(
  DER_TAG.SEQUENCE,
  derElement(DER_TAG.OID, EC_PUBLIC_KEY_OID),
  derElement(DER_TAG.OID, P521_OID),
);
/** Tag of the public key in an ECPrivateKey (RFC 5915 3). */
const PUBLIC_KEY = 0xa1;
const UNCOMPRESSED = 4;

/** The point (X and Y, 66 bytes each) of a SubjectPublicKeyInfo in DER. @throws PemError */
export function p521PointOf(publicKeyInfo: Uint8Array): Uint8Array {
  return inDer('public key', () => {
    const outer = new DerReader(publicKeyInfo);
    const info = outer.read(DER_TAG.SEQUENCE);
    outer.end();
    requireP521(info.read(DER_TAG.SEQUENCE));
    const { bytes } = info.bitString();
    if (bytes[0] !== UNCOMPRESSED || bytes.length !== 1 + 2 * P521_BYTES) {
      throw new PemError('its point is compressed, or of another length than P-521 has');
    }
    return bytes.slice(1);
  });
}

/** Reads a public key on P-521 as `openssl ec -pubout` writes it. @throws PemError saying what is wrong with it */
export function readP521PublicKey(pem: string): Uint8Array {
  const { label, bytes } = keyBlock(pem);
  if (label.endsWith('PRIVATE KEY')) throw new PemError('it is a private key where a public key is needed');
  if (label !== 'PUBLIC KEY') throw new PemError(`a ${label} is no public key`);
  return p521PointOf(bytes);
}

/**
 * Reads a private key on P-521: PKCS #8 (`PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`), not encrypted.
 * @returns 66 bytes, big-endian
 * @throws PemError saying what is wrong with it
 */
export function readP521PrivateKey(pem: string): Uint8Array {
  const { label, bytes } = keyBlock(pem);
  if (label === 'ENCRYPTED PRIVATE KEY') {
    throw new PemError('the private key is encrypted with a pass phrase: decrypt it first');
  }
  if (label.endsWith('PUBLIC KEY')) throw new PemError('it is a public key where a private key is needed');
  return inDer(label, () => {
    if (label === 'EC PRIVATE KEY') return readSec1(new DerReader(bytes), true);
    if (label !== 'PRIVATE KEY') throw new PemError(`a ${label} is no private key`);
    const outer = new DerReader(bytes);
    const info = outer.read(DER_TAG.SEQUENCE);
    outer.end();
    info.unsigned();
    requireP521(info.read(DER_TAG.SEQUENCE));
    return readSec1(info.read(DER_TAG.OCTET_STRING), false);
  });
}

/** Whether a PKCS #8 key in DER is one of an elliptic curve, whichever. */
export function isEcKey(pkcs8: Uint8Array): boolean {
  try {
    const info = new DerReader(pkcs8).read(DER_TAG.SEQUENCE);
    info.unsigned();
    return isSame(info.read(DER_TAG.SEQUENCE).read(DER_TAG.OID).bytes, EC_PUBLIC_KEY_OID);
  } catch (error) {
    if (error instanceof DerError) return false;
    throw error;
  }
}

/** The public key as `openssl ec -pubout` writes it, byte for byte. */
export function writeP521PublicKey(point: Uint8Array): string {
  const bits = derElement(DER_TAG.BIT_STRING, Uint8Array.of(0, UNCOMPRESSED), point);
  return writePem({ label: 'PUBLIC KEY', bytes: derElement(DER_TAG.SEQUENCE, P521_ALGORITHM, bits) });
}

/** The private key as `openssl pkcs8 -topk8 -nocrypt` writes it, byte for byte. */
export function writeP521PrivateKey(provider: CryptoProvider, privateKey: Uint8Array): string {
  const bits = derElement(DER_TAG.BIT_STRING, Uint8Array.of(0, UNCOMPRESSED), provider.p521PublicKey(privateKey));
  const sec1 = derElement(
    DER_TAG.SEQUENCE,
    derUnsigned(Uint8Array.of(1)),
    derElement(DER_TAG.OCTET_STRING, privateKey),
    derElement(PUBLIC_KEY, bits),
  );
  const info = derElement(
    DER_TAG.SEQUENCE,
    derUnsigned(new Uint8Array(0)),
    P521_ALGORITHM,
    derElement(DER_TAG.OCTET_STRING, sec1),
  );
  return writePem({ label: 'PRIVATE KEY', bytes: info });
}

/** `openssl ecparam -genkey` puts the curve before the key. */
function keyBlock(pem: string): PemBlock {
  const [first, ...rest] = readPemBlocks(pem);
  return first.label === 'EC PARAMETERS' ? (rest[0] ?? first) : first;
}

/** ECPrivateKey (RFC 5915 3). Alone it has to name its curve; within PKCS #8 the curve was named before. */
function readSec1(reader: DerReader, alone: boolean): Uint8Array {
  const contents = reader.read(DER_TAG.SEQUENCE);
  contents.unsigned();
  const { bytes } = contents.read(DER_TAG.OCTET_STRING);
  if (alone) {
    const curve = contents.peek() === 0xa0 ? contents.read(0xa0).read(DER_TAG.OID).bytes : new Uint8Array(0);
    if (!isSame(curve, P521_OID)) throw new PemError('it is no key on the curve P-521');
  }
  if (bytes.length > P521_BYTES) throw new PemError(`its number has ${bytes.length} bytes, more than P-521 has`);
  const key = new Uint8Array(P521_BYTES);
  key.set(bytes, P521_BYTES - bytes.length);
  return key;
}

function requireP521(algorithm: DerReader): void {
  const isEc = isSame(algorithm.read(DER_TAG.OID).bytes, EC_PUBLIC_KEY_OID);
  if (!isEc || algorithm.peek() !== DER_TAG.OID || !isSame(algorithm.read(DER_TAG.OID).bytes, P521_OID)) {
    throw new PemError('it is no key on the curve P-521');
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function inDer<T>(label: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DerError) throw new PemError(`the ${label} is broken: ${error.message}`);
    throw error;
  }
}
