"""
Certificates and CRLs as IBM's have them, and with one thing wrong each, by python3-cryptography (s390-pv.md 6.10).

  se_certificates.py DIRECTORY
"""
import datetime
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.utcnow().replace(microsecond=0)
DAY = datetime.timedelta(days=1)
IBM = "International Business Machines Corporation"
TYPES = {
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "CN": NameOID.COMMON_NAME,
}


def name(order="C ST L O OU CN", **values):
    return x509.Name([x509.NameAttribute(TYPES[key], values[key]) for key in order.split() if key in values])


def ibm(order="C ST L O OU CN", locality="Poughkeepsie", unit="IBM Z Host Key Signing Service"):
    return name(order, C="US", ST="New York", L=locality, O=IBM, OU=unit, CN=IBM)


def p521():
    return ec.generate_private_key(ec.SECP521R1())


def write(file, what):
    with open(os.path.join(sys.argv[1], file), "wb") as out:
        out.write(what)


def certificate(file, subject, key, issuer, issuer_key, ca=None, days=(-1, 365), akid=None, digest=hashes.SHA512(), usage=None, der=False):
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((akid or issuer_key).public_key()), False)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca[0], ca[1]), True)
        sign = ca[0] if usage is None else usage
        builder = builder.add_extension(x509.KeyUsage(not ca[0], False, False, False, False, sign, sign, False, False), True)
    made = builder.sign(issuer_key, digest)
    write(file, made.public_bytes(serialization.Encoding.DER if der else serialization.Encoding.PEM))
    return made


def crl(file, issuer, key, revoked=(), days=(-1, 30), akid=None, der=False):
    builder = x509.CertificateRevocationListBuilder(issuer, NOW + days[0] * DAY, NOW + days[1] * DAY)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((akid or key).public_key()), False)
    builder = builder.add_extension(x509.CRLNumber(1), False)
    for one in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder(one.serial_number, NOW - DAY).build()
        )
    write(file, builder.sign(key, hashes.SHA512()).public_bytes(serialization.Encoding.DER if der else serialization.Encoding.PEM))


def main():
    root_key, inter_key, sign_key, other_key = (rsa.generate_private_key(65537, bits) for bits in (2048, 2048, 4096, 2048))
    host_key = p521()
    root, inter = name(C="US", O="Roots", CN="Root"), name(C="US", O="Roots", CN="Between")
    write("host.key", host_key.private_bytes(*[serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()]))
    certificate("root.crt", root, root_key, root, root_key, (True, None))
    certificate("inter.crt", inter, inter_key, root, root_key, (True, 0))
    certificate("inter.der", inter, inter_key, root, root_key, (True, 0), der=True)
    certificate("inter-no-ca.crt", inter, inter_key, root, root_key, (False, None))
    certificate("inter-no-sign.crt", inter, inter_key, root, root_key, (True, None), usage=False)
    certificate("inter-expired.crt", inter, inter_key, root, root_key, (True, None), days=(-20, -10))
    sign = certificate("sign.crt", ibm(), sign_key, inter, inter_key)
    certificate("sign-armonk.crt", ibm(locality="Armonk"), sign_key, inter, inter_key)
    certificate("sign-no-ibm.crt", ibm(unit="Somebody"), sign_key, inter, inter_key)
    certificate("sign-forged.crt", ibm(), sign_key, inter, other_key, akid=inter_key)
    certificate("sign-expired.crt", ibm(), sign_key, inter, inter_key, days=(-20, -10))
    host = name(C="US", O=IBM, CN="host")
    # The issuer's attributes in another order than the subject of who issued.
    issuer = ibm("C O OU L ST CN")
    certificate("host.crt", host, host_key, issuer, sign_key)
    certificate("host.der", host, host_key, issuer, sign_key, der=True)
    certificate("host-armonk.crt", host, host_key, ibm(locality="Armonk"), sign_key)
    certificate("host-expired.crt", host, host_key, issuer, sign_key, days=(-20, -10))
    certificate("host-early.crt", host, host_key, issuer, sign_key, days=(10, 20))
    certificate("host-forged.crt", host, host_key, issuer, other_key, akid=sign_key)
    certificate("host-akid.crt", host, host_key, issuer, sign_key, akid=other_key)
    certificate("host-issuer.crt", host, host_key, inter, sign_key)
    certificate("host-p384.crt", host, ec.generate_private_key(ec.SECP384R1()), issuer, sign_key)
    revoked = certificate("host-revoked.crt", host, host_key, issuer, sign_key)
    crl("root.crl", root, root_key)
    crl("inter.crl", inter, inter_key)
    crl("inter.crl.der", inter, inter_key, der=True)
    crl("inter-revokes.crl", inter, inter_key, [sign])
    crl("sign.crl", ibm(), sign_key, [revoked])
    crl("sign-armonk.crl", ibm(locality="Armonk"), sign_key, [revoked])
    crl("sign-outdated.crl", ibm(), sign_key, days=(-20, -10))
    crl("sign-early.crl", ibm(), sign_key, days=(10, 20))
    crl("sign-forged.crl", ibm(), other_key, akid=sign_key)
    crl("sign-other.crl", inter, sign_key)


main()
