"""Certificate revocation lists of the built-in CA (RFC 5280 5), for TLS stacks that know nothing of us."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import RevokedSerial, Signer
from strongroom.trust.signatures import PublicKey, require_own_signature

MAX_REVOKED = 100_000
MAX_CRL_BYTES = 16 * 2**20
_THROW_AWAY = ec.derive_private_key(1, ec.SECP256R1())
"""Signs what the builder insists on signing; that signature is replaced, so the key need not be secret."""


@asn1.sequence
class _CertificateList:
    """CertificateList of RFC 5280 5.1, its body untouched."""

    body: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


def build_crl(
    ca: x509.Certificate,
    signer: Signer,
    revoked: Sequence[RevokedSerial],
    number: int,
    issued_at: datetime,
    next_update: datetime,
) -> bytes:
    """Return the PEM of CRL ``number``, good from ``issued_at`` until ``next_update``, signed by ``signer``.

    Raises:
        InvalidError: too many certificates, or its times are the wrong way round.
    """
    if len(revoked) > MAX_REVOKED or next_update - issued_at < timedelta(seconds=1) or number < 1:
        raise InvalidError("crl: too many certificates, or its number or times are out of bounds")
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(issued_at.replace(microsecond=0))
        .next_update(next_update.replace(microsecond=0))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    for one in sorted(revoked, key=lambda one: one.serial):
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial)
        builder = builder.add_revoked_certificate(
            entry.revocation_date(one.at.replace(microsecond=0))
            .add_extension(x509.CRLReason(x509.ReasonFlags.privilege_withdrawn), critical=False)
            .build()
        )
    draft = asn1.decode_der(
        _CertificateList, builder.sign(_THROW_AWAY, hashes.SHA256()).public_bytes(Encoding.DER)
    )
    body = asn1.encode_der(draft.body)
    signature = asn1.BitString(require_own_signature(signer, body), 0)
    final = x509.load_der_x509_crl(
        asn1.encode_der(_CertificateList(body=draft.body, algorithm=draft.algorithm, signature=signature))
    )
    if final.tbs_certlist_bytes != body or not final.is_signature_valid(
        PublicKey.from_pem(signer.public_pem).key
    ):
        raise RejectedError("ca: put a revocation list together wrongly")
    return final.public_bytes(Encoding.PEM)
