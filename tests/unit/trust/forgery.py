"""Certificates that a careless or hostile CA would issue, for the tests of those who read certificates."""

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

T0 = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DOMAIN = "strongroom.example"
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CODE = ExtendedKeyUsageOID.CODE_SIGNING

URI = x509.UniformResourceIdentifier


@cache
def private_key(name: str) -> ec.EllipticCurvePrivateKey:
    """One key for each name, for the length of the run."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(name: str) -> bytes:
    return private_key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, issues, issues, False, False)


def authority(name: str = "ca", path_length: int | None = 0) -> x509.Certificate:
    """A self-signed CA, good from T0 for 100 days."""
    public = private_key(name).public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .serial_number(1)
        .public_key(public)
        .not_valid_before(T0)
        .not_valid_after(T0 + 100 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage(signs=False, issues=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private_key(name), hashes.SHA256())
    )


def leaf(
    *names: x509.GeneralName,
    usage: x509.ObjectIdentifier | None = CLIENT,
    ca: bool = False,
    issuer: str = "ca",
    common_name: str = "ann",
    key: str = "leaf",
    days: int = 10,
    signs: bool = True,
) -> x509.Certificate:
    """A leaf with any names and usage, good from T0."""
    public = private_key(key).public_key()
    issuer_public = private_key(issuer).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(issuer))
        .serial_number(0xABC123)
        .public_key(public)
        .not_valid_before(T0)
        .not_valid_after(T0 + days * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(key_usage(signs=signs, issues=ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(private_key(issuer), hashes.SHA256())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def spiffe(principal: str, domain: str = DOMAIN) -> x509.UniformResourceIdentifier:
    return URI(f"spiffe://{domain}/id/{principal}")
