"""The built-in certificate authority (RFC 5280, SPIFFE X509-SVID): issues client and server leaves.

The CA's key is only reached through `ports.Signer`, so it can live in a keystore as well as in an HSM: the
body of a certificate is built here, signed there, put together, and checked before it is handed out.
"""

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from strongroom.adapters.identity.crl import build_crl
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.ports import Entropy, IssuedCertificate, RevokedSerial, Signer
from strongroom.trust.certificates import parse_trust_domain, require_ca, spiffe_id
from strongroom.trust.signatures import Algorithm, PublicKey, require_own_signature

BACKDATE = timedelta(seconds=60)
"""For peers whose clock is a little behind."""
MIN_LIFETIME_S = 60
MAX_LIFETIME_S = 398 * 24 * 3600
CA_LIFETIME = timedelta(days=3650)
MAX_NAMES = 32
_SERIAL_BYTES = 19
"""152 random bits: RFC 5280 4.1.2.2 allows 20 bytes, the CA/Browser Forum asks for 64 bits at least."""
_DNS_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*", re.ASCII
)
_THROW_AWAY = ec.derive_private_key(1, ec.SECP256R1())
"""Signs what the builder insists on signing; that signature is replaced, so the key need not be secret."""


@asn1.sequence
class _Certificate:
    """Certificate of RFC 5280 4.1, its body untouched."""

    body: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


class BuiltInAuthority:
    """`ports.CertificateAuthority` over one P-256 key in custody."""

    def __init__(self, ca_pem: bytes, trust_domain: str, signer: Signer, entropy: Entropy) -> None:
        """Raises InvalidError: no CA certificate. RejectedError: not of the key that ``signer`` holds."""
        self._ca = require_ca(ca_pem)
        self._ca_pem = self._ca.public_bytes(Encoding.PEM)
        self._trust_domain = parse_trust_domain(trust_domain)
        self._signer = signer
        self._entropy = entropy
        if self._ca.public_key() != PublicKey.from_pem(signer.public_pem).key:
            raise RejectedError("ca: its certificate is of another key than the keystore holds")

    @property
    def ca_pem(self) -> bytes:
        return self._ca_pem

    def issue_client(
        self, principal: str, public_pem: bytes, now: datetime, lifetime_s: int
    ) -> IssuedCertificate:
        identity = x509.UniformResourceIdentifier(spiffe_id(self._trust_domain, principal))
        return self._issue(
            principal, [identity], ExtendedKeyUsageOID.CLIENT_AUTH, public_pem, now, lifetime_s
        )

    def issue_server(
        self, names: Sequence[str], public_pem: bytes, now: datetime, lifetime_s: int
    ) -> IssuedCertificate:
        if not 1 <= len(names) <= MAX_NAMES:
            raise InvalidError(f"server certificate: must have 1 to {MAX_NAMES} names")
        subjects = [_server_name(name) for name in dict.fromkeys(names)]
        return self._issue(
            "strongroom gateway", subjects, ExtendedKeyUsageOID.SERVER_AUTH, public_pem, now, lifetime_s
        )

    def build_crl(
        self, revoked: Sequence[RevokedSerial], number: int, issued_at: datetime, next_update: datetime
    ) -> bytes:
        return build_crl(self._ca, self._signer, revoked, number, issued_at - BACKDATE, next_update)

    def _issue(
        self,
        common_name: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        public_pem: bytes,
        now: datetime,
        lifetime_s: int,
    ) -> IssuedCertificate:
        if not MIN_LIFETIME_S <= lifetime_s <= MAX_LIFETIME_S:
            raise InvalidError(f"certificate: must live {MIN_LIFETIME_S} to {MAX_LIFETIME_S} seconds")
        ca_end = self._ca.not_valid_after_utc
        if not self._ca.not_valid_before_utc <= now < ca_end:
            raise InvalidError("ca: is not valid at this time", hint="check the clock, or make a new home")
        subject_key = PublicKey.from_pem(public_pem)
        if subject_key.algorithm is not Algorithm.ECDSA_P256 or subject_key.key_id == self._signer.key_id:
            raise InvalidError("certificate: must be for an ecdsa-p256 key, and not for the CA's own")
        public = subject_key.key
        own_identifier = self._ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        end = min((now + timedelta(seconds=lifetime_s)).replace(microsecond=0), ca_end)
        builder = (
            _start(self._entropy, now, end)
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._ca.subject)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_identifier), critical=False
            )
        )
        certificate = _sign(builder, self._signer)
        try:
            certificate.verify_directly_issued_by(self._ca)
        except (InvalidSignature, ValueError, TypeError):
            raise RejectedError("ca: issued a certificate that does not verify") from None
        return IssuedCertificate(certificate.public_bytes(Encoding.PEM), certificate.serial_number, end)


def build_ca(signer: Signer, trust_domain: str, now: datetime, entropy: Entropy) -> bytes:
    """Return the self-signed PEM certificate of a new CA, valid for ten years; it may issue leaves only.

    Raises:
        InvalidError: the key is not ECDSA P-256.
    """
    key = PublicKey.from_pem(signer.public_pem)
    if key.algorithm is not Algorithm.ECDSA_P256:
        raise InvalidError("ca: its key must be ecdsa-p256")
    public = key.key
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Strongroom"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Strongroom CA {key.key_id[:16]}"),
        ]
    )
    identity = x509.UniformResourceIdentifier(f"spiffe://{parse_trust_domain(trust_domain)}")
    builder = (
        _start(entropy, now, (now + CA_LIFETIME).replace(microsecond=0))
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([identity]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    pem = _sign(builder, signer).public_bytes(Encoding.PEM)
    require_ca(pem)
    return pem


def _start(entropy: Entropy, now: datetime, end: datetime) -> x509.CertificateBuilder:
    # The top bit is clear, as serials are positive, and the one below it set, so that none is short.
    drawn = bytearray(entropy.bytes(_SERIAL_BYTES))
    drawn[0] = drawn[0] & 0x3F | 0x40
    start = (now - BACKDATE).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .serial_number(int.from_bytes(drawn, "big"))
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _sign(builder: x509.CertificateBuilder, signer: Signer) -> x509.Certificate:
    """Return what ``builder`` describes, signed by ``signer`` (P-256, SHA-256)."""
    draft = asn1.decode_der(
        _Certificate, builder.sign(_THROW_AWAY, hashes.SHA256()).public_bytes(Encoding.DER)
    )
    body = asn1.encode_der(draft.body)
    signature = require_own_signature(signer, body)
    final = _Certificate(body=draft.body, algorithm=draft.algorithm, signature=asn1.BitString(signature, 0))
    certificate = x509.load_der_x509_certificate(asn1.encode_der(final))
    if certificate.tbs_certificate_bytes != body:
        raise RejectedError("ca: put a certificate together wrongly")
    return certificate


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _server_name(name: str) -> x509.GeneralName:
    """Return a DNS or IP name. Raises InvalidError: neither, or a wildcard."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    # All digits and dots would read as an address elsewhere.
    if _DNS_NAME.fullmatch(name) is None or name.rpartition(".")[2].isdigit():
        raise InvalidError(
            f"server name: {shorten(name)} is no host name or address",
            hint="lower case, no wildcards, no port",
        )
    return x509.DNSName(name)
