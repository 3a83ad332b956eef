import { DER_TAG, DerError, DerReader } from './der.ts';
import { hexOf } from './hex.ts';
import { PemError } from './pem.ts';

/** Tags that only certificates have (X.690 8, RFC 5280 4.1). */
const TAG = {
  BOOLEAN: 0x01,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SET: 0x31,
  CONTEXT_0: 0xa0,
  CONTEXT_1: 0x81,
  CONTEXT_2: 0x82,
  CONTEXT_3: 0xa3,
  KEY_IDENTIFIER: 0x80,
} as const;

/** Object identifiers, as the hexadecimal digits of their DER contents. */
const EXTENSION = {
  SUBJECT_KEY_IDENTIFIER: '551d0e',
  KEY_USAGE: '551d0f',
  BASIC_CONSTRAINTS: '551d13',
  CRL_NUMBER: '551d14',
  ISSUING_DISTRIBUTION_POINT: '551d1c',
  CERTIFICATE_POLICIES: '551d20',
  AUTHORITY_KEY_IDENTIFIER: '551d23',
  EXTENDED_KEY_USAGE: '551d25',
} as const;

/** Extensions that are understood, so that they may be critical. */
const KNOWN: readonly string[] = Object.values(EXTENSION).filter((oid) => oid !== EXTENSION.ISSUING_DISTRIBUTION_POINT);

/** A distinguished name: its attributes in their order. */
export interface X509Name {
  /** The bytes of the name, as hexadecimal digits. */
  readonly der: string;
  readonly attributes: readonly { readonly type: string; readonly value: string }[];
}

/** Types of attributes, as the hexadecimal digits of their object identifiers (X.520). */
export const ATTRIBUTE = {
  commonName: '550403',
  countryName: '550406',
  localityName: '550407',
  stateOrProvinceName: '550408',
  organizationName: '55040a',
  organizationalUnitName: '55040b',
} as const;

/** What somebody signed, and with what. */
export interface Signed {
  /** The bytes that the signature is of. */
  readonly signedBytes: Uint8Array;
  /** The object identifier of the algorithm, as hexadecimal digits, and its parameters. */
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

/** A certificate as far as the check of a chain needs it (RFC 5280 4). Times are milliseconds since 1970. */
export interface Certificate extends Signed {
  readonly serial: string;
  readonly issuer: X509Name;
  readonly subject: X509Name;
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, in DER. */
  readonly publicKey: Uint8Array;
  readonly subjectKeyIdentifier: string | null;
  readonly authorityKeyIdentifier: string | null;
  /** From basic constraints: whether it may issue certificates, and how many may come between. */
  readonly authority: boolean;
  readonly pathLength: number | null;
  /** Bits of KeyUsage, the first as 0x80; null if it is not restricted. */
  readonly keyUsage: number | null;
  /** A critical extension that is not understood, as hexadecimal digits of its name. */
  readonly unknownCritical: string | null;
}

/** A list of revoked certificates (RFC 5280 5). */
export interface Crl extends Signed {
  readonly issuer: X509Name;
  readonly thisUpdate: number;
  readonly nextUpdate: number | null;
  readonly authorityKeyIdentifier: string | null;
  readonly revoked: ReadonlySet<string>;
  readonly unknownCritical: string | null;
}

/** KeyUsage bits (RFC 5280 4.2.1.3). */
export const KEY_USAGE = { KEY_CERT_SIGN: 0x04, CRL_SIGN: 0x02 } as const;

/** Reads a certificate in DER. @throws PemError saying what is wrong with it */
export function readCertificate(der: Uint8Array): Certificate {
  return reading('certificate', () => {
    const { signed, contents } = readSigned(der);
    if (contents.peek() === TAG.CONTEXT_0) contents.read(TAG.CONTEXT_0);
    const serial = hexOf(contents.read(DER_TAG.INTEGER).bytes);
    contents.read(DER_TAG.SEQUENCE);
    const issuer = readName(contents);
    const validity = contents.read(DER_TAG.SEQUENCE);
    const [notBefore, notAfter] = [readTime(validity), readTime(validity)];
    const subject = readName(contents);
    const publicKey = contents.raw().slice();
    for (const tag of [TAG.CONTEXT_1, TAG.CONTEXT_2]) if (contents.peek() === tag) contents.read(tag);
    const extensions = contents.peek() === TAG.CONTEXT_3 ? readExtensions(contents.read(TAG.CONTEXT_3)) : [];
    contents.end();
    const constraints = readBasicConstraints(extensionValue(extensions, EXTENSION.BASIC_CONSTRAINTS));
    return {
      ...signed,
      ...{ serial, issuer, subject, notBefore, notAfter, publicKey },
      subjectKeyIdentifier: readKeyIdentifier(extensionValue(extensions, EXTENSION.SUBJECT_KEY_IDENTIFIER)),
      authorityKeyIdentifier: readAuthorityKeyIdentifier(
        extensionValue(extensions, EXTENSION.AUTHORITY_KEY_IDENTIFIER),
      ),
      ...constraints,
      keyUsage: readKeyUsage(extensionValue(extensions, EXTENSION.KEY_USAGE)),
      unknownCritical: unknownCritical(extensions),
    };
  });
}

/** Reads a CRL in DER. @throws PemError saying what is wrong with it */
export function readCrl(der: Uint8Array): Crl {
  return reading('CRL', () => {
    const { signed, contents } = readSigned(der);
    if (contents.peek() === DER_TAG.INTEGER) contents.read(DER_TAG.INTEGER);
    contents.read(DER_TAG.SEQUENCE);
    const issuer = readName(contents);
    const thisUpdate = readTime(contents);
    const timeNext = contents.peek() === TAG.UTC_TIME || contents.peek() === TAG.GENERALIZED_TIME;
    const nextUpdate = timeNext ? readTime(contents) : null;
    const revoked = new Set<string>();
    if (contents.peek() === DER_TAG.SEQUENCE) {
      const entries = contents.read(DER_TAG.SEQUENCE);
      while (!entries.done) revoked.add(hexOf(entries.read(DER_TAG.SEQUENCE).read(DER_TAG.INTEGER).bytes));
    }
    const extensions = contents.peek() === TAG.CONTEXT_0 ? readExtensions(contents.read(TAG.CONTEXT_0)) : [];
    contents.end();
    return {
      ...signed,
      ...{ issuer, thisUpdate, nextUpdate, revoked },
      authorityKeyIdentifier: readAuthorityKeyIdentifier(
        extensionValue(extensions, EXTENSION.AUTHORITY_KEY_IDENTIFIER),
      ),
      unknownCritical: unknownCritical(extensions),
    };
  });
}

function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DerError) throw new PemError(`the ${what} is broken: ${error.message}`);
    throw error;
  }
}

function readSigned(der: Uint8Array): { readonly signed: Signed; readonly contents: DerReader } {
  const outer = new DerReader(der);
  const whole = outer.read(DER_TAG.SEQUENCE);
  outer.end();
  const signedBytes = whole.raw();
  const algorithm = hexOf(whole.read(DER_TAG.SEQUENCE).read(DER_TAG.OID).bytes);
  const signature = whole.bitString().bytes.slice();
  whole.end();
  return {
    signed: { signedBytes: signedBytes.slice(), algorithm, signature },
    contents: new DerReader(signedBytes).read(DER_TAG.SEQUENCE),
  };
}

function readName(from: DerReader): X509Name {
  const der = from.raw();
  const sets = new DerReader(der).read(DER_TAG.SEQUENCE);
  const attributes: { type: string; value: string }[] = [];
  while (!sets.done) {
    const set = sets.read(TAG.SET);
    while (!set.done) {
      const pair = set.read(DER_TAG.SEQUENCE);
      const type = hexOf(pair.read(DER_TAG.OID).bytes);
      const text = pair.any();
      attributes.push({ type, value: new TextDecoder().decode(text.bytes) });
    }
  }
  return { der: hexOf(der), attributes };
}

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/** UTCTime has two digits of the year, of 1950 to 2049 (RFC 5280 4.1.2.5.1). */
function readTime(from: DerReader): number {
  const utc = from.peek() === TAG.UTC_TIME;
  const reader = from.read(utc ? TAG.UTC_TIME : TAG.GENERALIZED_TIME);
  const match = (utc ? UTC_TIME : GENERALIZED_TIME).exec(new TextDecoder().decode(reader.bytes));
  if (match === null) throw reader.error('a time in no form of RFC 5280');
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(utc ? (year < 50 ? 2000 : 1900) + year : year, month - 1, day, hour, minute, second);
}

interface Extension {
  readonly name: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

function readExtensions(from: DerReader): Extension[] {
  const list = from.read(DER_TAG.SEQUENCE);
  from.end();
  const extensions: Extension[] = [];
  while (!list.done) {
    const one = list.read(DER_TAG.SEQUENCE);
    const name = hexOf(one.read(DER_TAG.OID).bytes);
    const critical = one.peek() === TAG.BOOLEAN && one.read(TAG.BOOLEAN).bytes[0] !== 0;
    extensions.push({ name, critical, value: one.read(DER_TAG.OCTET_STRING).bytes });
  }
  return extensions;
}

function extensionValue(extensions: readonly Extension[], name: string): DerReader | null {
  const found = extensions.find((extension) => extension.name === name);
  return found === undefined ? null : new DerReader(found.value);
}

function unknownCritical(extensions: readonly Extension[]): string | null {
  return extensions.find(({ name, critical }) => critical && !KNOWN.includes(name))?.name ?? null;
}

function readKeyIdentifier(value: DerReader | null): string | null {
  return value === null ? null : hexOf(value.read(DER_TAG.OCTET_STRING).bytes);
}

function readAuthorityKeyIdentifier(value: DerReader | null): string | null {
  const contents = value?.read(DER_TAG.SEQUENCE);
  return contents?.peek() === TAG.KEY_IDENTIFIER ? hexOf(contents.read(TAG.KEY_IDENTIFIER).bytes) : null;
}

function readBasicConstraints(value: DerReader | null): Pick<Certificate, 'authority' | 'pathLength'> {
  const contents = value?.read(DER_TAG.SEQUENCE);
  const authority = contents?.peek() === TAG.BOOLEAN && contents.read(TAG.BOOLEAN).bytes[0] !== 0;
  const length = contents?.peek() === DER_TAG.INTEGER ? contents.unsigned() : null;
  return { authority, pathLength: length === null ? null : length.reduce((sum, byte) => sum * 256 + byte, 0) };
}

function readKeyUsage(value: DerReader | null): number | null {
  const bits = value?.read(DER_TAG.BIT_STRING).bytes;
  return bits === undefined ? null : (bits[1] ?? 0);
}
