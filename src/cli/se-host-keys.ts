import { rootCertificates } from 'node:tls';
import { defaultProvider } from '../crypto/default.ts';
import { type HostKeyTrust, hostKeyFault } from '../crypto/host-key-document.ts';
import { p521PointOf, readP521PrivateKey, readP521PublicKey } from '../crypto/p521-key.ts';
import { PemError, readPemBlocks } from '../crypto/pem.ts';
import { type Certificate, type Crl, readCertificate, readCrl } from '../crypto/x509.ts';
import { DEVELOPMENT_HOST_KEY } from '../s390/ultravisor/development-host-key.ts';
import { UsageError } from './exit-status.ts';
import { readImage } from './files.ts';
import { readKeyFile } from './key-files.ts';
import { checkSignature } from './x509-signature.ts';

/** The options about host keys as they were typed: those of `pvimg`. */
export interface HostKeyOptions {
  readonly hostKeyDocument: readonly string[];
  readonly cert: readonly string[];
  readonly crl: readonly string[];
  readonly rootCa?: string;
  /** False with `--no-verify`. */
  readonly verify: boolean;
}

/** First byte of a SEQUENCE: a file in DER. */
const DER = 0x30;

/**
 * Reads host key documents and checks them.
 * @returns their public keys: X and Y, 66 bytes each
 * @throws UsageError that names the file and the reason
 */
export function hostKeysOf(options: HostKeyOptions): Uint8Array[] {
  if (options.hostKeyDocument.length === 0) {
    throw new UsageError('--host-key-document: at least one machine is needed');
  }
  if (!options.verify) return options.hostKeyDocument.map(unverifiedKey);
  const documents = options.hostKeyDocument.map((file) => ({ file, certificate: soleCertificate(file) }));
  const trust = trustOf(options);
  return documents.map(({ file, certificate }) => {
    const fault = hostKeyFault(certificate, trust);
    if (fault !== null) throw new UsageError(`${file}: it cannot be trusted: ${fault}`);
    return inFile(file, () => p521PointOf(certificate.publicKey));
  });
}

function unverifiedKey(file: string): Uint8Array {
  if (file === 'development') {
    return defaultProvider().p521PublicKey(readP521PrivateKey(DEVELOPMENT_HOST_KEY));
  }
  return inFile(file, () => {
    const { bytes } = readImage(file);
    if (bytes[0] === DER) return p521PointOf(readCertificate(bytes).publicKey);
    const text = textOf(bytes);
    const [first] = readPemBlocks(text);
    return isCertificate(first.label) ? p521PointOf(readCertificate(first.bytes).publicKey) : readP521PublicKey(text);
  });
}

function soleCertificate(file: string): Certificate {
  if (file === 'development') {
    throw new UsageError('--host-key-document development: nobody signed that key: --no-verify takes it');
  }
  const { certificates } = readTrustFile(file, 'a host key document');
  if (certificates.length !== 1) throw new UsageError(`${file}: ${certificates.length} certificates instead of one`);
  return certificates[0];
}

function trustOf({ cert, crl, rootCa }: HostKeyOptions): HostKeyTrust {
  if (cert.length === 0)
    throw new UsageError('--cert: the certificate of the IBM Z signing key is needed, or --no-verify');
  const certs = cert.map((file) => readTrustFile(file, 'a certificate'));
  const lists = crl.map((file) => readTrustFile(file, 'a CRL'));
  const root = rootCa === undefined ? systemRoots() : readTrustFile(rootCa, 'a certificate');
  return {
    certificates: certs.flatMap(({ certificates }) => certificates),
    crls: [...certs, ...lists, root].flatMap(({ crls }) => crls),
    roots: root.certificates,
    now: Date.now(),
    check: checkSignature,
  };
}

interface TrustFile {
  readonly certificates: readonly Certificate[];
  readonly crls: readonly Crl[];
}

/** A root that Node brings and that is not understood here cannot be anybody's issuer. */
function systemRoots(): TrustFile {
  const certificates = rootCertificates.flatMap((pem) => {
    try {
      return [readCertificate(readPemBlocks(pem)[0].bytes)];
    } catch (error) {
      if (error instanceof PemError) return [];
      throw error;
    }
  });
  return { certificates, crls: [] };
}

/** All certificates and CRLs of a file, PEM or DER. @throws UsageError also if there are none */
function readTrustFile(file: string, what: string): TrustFile {
  return inFile(file, () => {
    const { bytes } = readImage(file);
    if (bytes[0] === DER) return readDer(bytes);
    const blocks = readPemBlocks(textOf(bytes));
    const found = {
      certificates: blocks.filter(({ label }) => isCertificate(label)).map((block) => readCertificate(block.bytes)),
      crls: blocks.filter(({ label }) => label === 'X509 CRL').map((block) => readCrl(block.bytes)),
    };
    if (found.certificates.length + found.crls.length === 0) throw new PemError(`a ${blocks[0].label} is not ${what}`);
    return found;
  });
}

/** A CRL has a time or another sequence where a certificate has its serial number: only one of the two can be read. */
function readDer(bytes: Uint8Array): TrustFile {
  try {
    return { certificates: [readCertificate(bytes)], crls: [] };
  } catch (certificateError) {
    if (!(certificateError instanceof PemError)) throw certificateError;
    try {
      return { certificates: [], crls: [readCrl(bytes)] };
    } catch (error) {
      throw error instanceof PemError ? certificateError : error;
    }
  }
}

function isCertificate(label: string): boolean {
  return label === 'CERTIFICATE' || label === 'X509 CERTIFICATE';
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder('latin1').decode(bytes);
}

function inFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof PemError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

/** A machine's private host key: a file, or the word `development`. @throws UsageError */
export function readHostPrivateKey(file: string): Uint8Array {
  if (file === 'development') return readP521PrivateKey(DEVELOPMENT_HOST_KEY);
  return readKeyFile(file, readP521PrivateKey).key;
}
