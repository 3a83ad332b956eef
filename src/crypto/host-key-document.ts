import { ATTRIBUTE, type Certificate, type Crl, KEY_USAGE, type Signed, type X509Name } from './x509.ts';

/**
 * Whether a signature is right, given the SubjectPublicKeyInfo of who should have made it. It says `weak` for algorithms
 * and keys below 112 bits of security, and `unknown` for algorithms that it does not have.
 */
export type SignatureCheck = (signed: Signed, publicKey: Uint8Array) => 'good' | 'bad' | 'weak' | 'unknown';

/** What a host key document is checked against (s390-pv.md 6.10). */
export interface HostKeyTrust {
  /** The IBM Z signing key, and what is between it and a root. */
  readonly certificates: readonly Certificate[];
  readonly crls: readonly Crl[];
  /** Who is trusted without a reason. */
  readonly roots: readonly Certificate[];
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly check: SignatureCheck;
}

/** The most certificates between the signing key and a root. */
const MOST_BETWEEN = 2;
const IBM = 'International Business Machines Corporation';

/** What the subject of the signing key has (6.10): exactly these attributes. */
const SIGNING_SUBJECT: Readonly<Record<string, (value: string) => boolean>> = {
  [ATTRIBUTE.countryName]: (value) => value === 'US',
  [ATTRIBUTE.stateOrProvinceName]: (value) => value === 'New York',
  [ATTRIBUTE.localityName]: (value) => value === 'Poughkeepsie' || value === 'Armonk',
  [ATTRIBUTE.organizationName]: (value) => value === IBM,
  [ATTRIBUTE.commonName]: (value) => value === IBM,
  [ATTRIBUTE.organizationalUnitName]: (value) => value.endsWith('Key Signing Service'),
};

/** Why the chain of the signing key cannot be trusted, or that key. A host key document may be checked against it then. */
export function signingKeyOf(trust: HostKeyTrust): Certificate | string {
  const found = trust.certificates.filter(({ subject }) => isSigningSubject(subject));
  const [signingKey] = found;
  if (signingKey === undefined) return 'no certificate of an IBM Z signing key is among the certificates';
  if (found.length > 1) return 'more than one certificate of an IBM Z signing key is among the certificates';
  return chainFault(signingKey, trust) ?? signingKey;
}

/** Why a host key document cannot be trusted; null if it can. */
export function hostKeyFault(document: Certificate, trust: HostKeyTrust): string | null {
  const signingKey = signingKeyOf(trust);
  if (typeof signingKey === 'string') return signingKey;
  if (!sameName(document.issuer, signingKey.subject)) return 'it was not issued by the IBM Z signing key';
  return (
    validityFault(document, trust.now) ??
    signatureFault(document, signingKey, trust.check) ??
    revocationFault(document, signingKey, trust)
  );
}

function isSigningSubject({ attributes }: X509Name): boolean {
  const expected = Object.entries(SIGNING_SUBJECT);
  return (
    attributes.length === expected.length &&
    expected.every(([type, fits]) => attributes.some((attribute) => attribute.type === type && fits(attribute.value)))
  );
}

/** Goes up to a root, and checks each certificate on the way. */
function chainFault(signingKey: Certificate, trust: HostKeyTrust): string | null {
  let current = signingKey;
  for (let between = 0; ; between++) {
    const subject = between === 0 ? 'the IBM Z signing key' : `its issuer "${commonNameOf(current.subject)}"`;
    const wrong = validityFault(current, trust.now);
    if (wrong !== null) return `${subject}: ${wrong}`;
    const root = trust.roots.find(
      (candidate) => candidate.subject.der === current.issuer.der && names(current, candidate),
    );
    const issuer =
      root ??
      trust.certificates.find(
        (candidate) =>
          candidate !== current && candidate.subject.der === current.issuer.der && names(current, candidate),
      );
    if (issuer === undefined)
      return `${subject}: its issuer "${commonNameOf(current.issuer)}" is not among the certificates`;
    const fault =
      issuerFault(issuer, between) ??
      signatureFault(current, issuer, trust.check) ??
      revocationFault(current, issuer, trust);
    if (fault !== null) return `${subject}: ${fault}`;
    if (root !== undefined) return rootFault(root, trust);
    if (between === MOST_BETWEEN)
      return `more than ${MOST_BETWEEN} certificates are between the signing key and a root`;
    current = issuer;
  }
}

function rootFault(root: Certificate, trust: HostKeyTrust): string | null {
  const fault = validityFault(root, trust.now) ?? signatureFault(root, root, trust.check);
  return fault === null ? null : `the root "${commonNameOf(root.subject)}": ${fault}`;
}

/** Whether the identifiers of the two keys allow that one issued the other. */
function names({ authorityKeyIdentifier }: Pick<Certificate, 'authorityKeyIdentifier'>, issuer: Certificate): boolean {
  const { subjectKeyIdentifier } = issuer;
  return (
    authorityKeyIdentifier === null || subjectKeyIdentifier === null || authorityKeyIdentifier === subjectKeyIdentifier
  );
}

function validityFault({ notBefore, notAfter, unknownCritical }: Certificate, now: number): string | null {
  if (now < notBefore) return `it is not valid before ${day(notBefore)}`;
  if (now >= notAfter) return `it was valid until ${day(notAfter)}`;
  return unknownCritical === null ? null : `a critical extension is unknown: ${unknownCritical}`;
}

function issuerFault({ authority, pathLength, keyUsage, subject }: Certificate, between: number): string | null {
  const name = commonNameOf(subject);
  if (!authority) return `"${name}" is no certificate authority`;
  if (keyUsage !== null && (keyUsage & KEY_USAGE.KEY_CERT_SIGN) === 0) return `"${name}" may not sign certificates`;
  if (pathLength !== null && between > pathLength) return `"${name}" allows ${pathLength} certificates below it`;
  return null;
}

function signatureFault(signed: Certificate, issuer: Certificate, check: SignatureCheck): string | null {
  if (!names(signed, issuer)) return 'its authority key identifier is not that of its issuer';
  return SIGNATURE_FAULT[check(signed, issuer.publicKey)];
}

const SIGNATURE_FAULT = {
  good: null,
  bad: 'its signature does not verify',
  weak: 'its signature is of an algorithm or a key below 112 bits of security',
  unknown: 'its signature is of an unknown algorithm',
} as const;

/** A list of revoked certificates counts if it is current, and signed by the issuer. There must be one. */
function revocationFault({ serial }: Certificate, issuer: Certificate, trust: HostKeyTrust): string | null {
  const mayList = issuer.keyUsage === null || (issuer.keyUsage & KEY_USAGE.CRL_SIGN) !== 0;
  const lists = trust.crls.filter(
    (crl) =>
      mayList &&
      sameName(crl.issuer, issuer.subject) &&
      crl.nextUpdate !== null &&
      crl.thisUpdate <= trust.now &&
      trust.now < crl.nextUpdate &&
      crl.unknownCritical === null &&
      names(crl, issuer) &&
      trust.check(crl, issuer.publicKey) === 'good',
  );
  if (lists.length === 0) return `no valid CRL of "${commonNameOf(issuer.subject)}" was given`;
  return lists.some(({ revoked }) => revoked.has(serial)) ? 'it was revoked' : null;
}

/**
 * Names as IBM's documents have them: the order of attributes differs between issuer and subject, and the locality of
 * some is Armonk where that of others is Poughkeepsie.
 */
function sameName(a: X509Name, b: X509Name): boolean {
  return canonical(a) === canonical(b);
}

function canonical({ attributes }: X509Name): string {
  const texts = attributes.map(({ type, value }) => {
    const armonk = type === ATTRIBUTE.localityName && value === 'Armonk';
    return `${type}=${armonk ? 'Poughkeepsie' : value}`;
  });
  return texts.sort().join('\n');
}

function commonNameOf({ attributes }: X509Name): string {
  const unit = attributes.find(({ type }) => type === ATTRIBUTE.commonName) ?? attributes[0];
  return unit?.value ?? '';
}

function day(time: number): string {
  return Number.isNaN(time) ? 'no date' : new Date(time).toISOString().slice(0, 10);
}
