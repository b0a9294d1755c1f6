"""Certificates as identities: which principal a peer is, and whether a chain leads to our CA; no I/O.

Only a SPIFFE URI in the subject alternative name counts (SPIFFE X509-SVID sections 2 to 4). The common
name is for people to read and is never consulted.
"""

import re
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.signatures import PublicKey
from strongroom.values import parse_principal

MAX_CERTIFICATE_BYTES = 16 * 2**10
MAX_CHAIN = 4
_TRUST_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,126}[a-z0-9])?", re.ASCII)
_PARSE_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_SPIFFE_ID = re.compile(r"spiffe://([^/]*)/id/([^/]*)", re.ASCII)


class PeerIdentity(NamedTuple):
    """Whose certificate it is."""

    principal: str
    serial: str
    """Lower-case hexadecimal, no leading zero; see `serial_text`."""
    not_after: datetime


def parse_trust_domain(text: str) -> str:
    """Return ``text`` if it can stand as trust domain: a lower-case host-like name. Raises InvalidError."""
    if _TRUST_DOMAIN.fullmatch(text) is None:
        raise InvalidError(
            f"trust domain: {shorten(text)} is not a lower-case host-like name",
            hint="1 to 128 of a-z, 0-9, '.' and '-', for instance strongroom.example",
        )
    return text


def spiffe_id(trust_domain: str, principal: str) -> str:
    """Return the URI that stands for ``principal`` in certificates."""
    return f"spiffe://{parse_trust_domain(trust_domain)}/id/{parse_principal(principal)}"


def serial_text(serial: int) -> str:
    """Return the one spelling of a serial number in the log and in revocation lists."""
    return f"{serial:x}"


def principal_of(certificate: bytes, trust_domain: str) -> PeerIdentity:
    """Return whom a client leaf (DER or PEM) names; the TLS stack or `require_client` has checked its chain.

    Raises:
        RejectedError: no or several URI names, another trust domain, a CA certificate, or an extended key
            usage without clientAuth. A common name alone is no identity.
    """
    leaf = _parse(certificate)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        basic = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound as error:
        raise RejectedError(f"certificate: has no {error.oid._name}") from None  # noqa: SLF001 (its only name)
    if basic.ca:
        raise RejectedError("certificate: is a CA's, not a leaf")
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise RejectedError("certificate: may not be used by clients (extended key usage)")
    return PeerIdentity(
        _principal(names, trust_domain), serial_text(leaf.serial_number), leaf.not_valid_after_utc
    )


def require_client(chain: tuple[bytes, ...], ca_pem: bytes, trust_domain: str, at: datetime) -> PeerIdentity:
    """Return whom a presented chain (leaf first, DER or PEM each) names, if it leads to our CA at ``at``.

    For callers that did not get the chain from a TLS handshake. Revocation is the caller's: see the serial.

    Raises:
        RejectedError: another CA, not yet or no longer valid, not for clients, or no identity of ours.
    """
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise RejectedError(f"certificate: a chain has 1 to {MAX_CHAIN} certificates")
    leaf, *others = [_parse(certificate) for certificate in chain]
    verifier = PolicyBuilder().store(Store([require_ca(ca_pem)])).time(at).max_chain_depth(1)
    try:
        verifier.build_client_verifier().verify(leaf, others)
    except VerificationError:
        raise RejectedError(
            "certificate: does not lead to this CA, is out of its time, or is not for clients"
        ) from None
    return principal_of(chain[0], trust_domain)


def require_code_signer(chain: tuple[bytes, ...], roots_pem: bytes, at: datetime) -> PublicKey:
    """Return the key of a leaf (first of ``chain``) that may sign code and leads to one of ``roots_pem``.

    Raises:
        RejectedError: another root, out of time at ``at``, a CA's own certificate, or one for other uses.
        InvalidError: the roots are no PEM certificates.
    """
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise RejectedError(f"certificate: a chain has 1 to {MAX_CHAIN} certificates")
    leaf, *others = [_parse(certificate) for certificate in chain]
    policy = ExtensionPolicy.permit_all().require_present(x509.KeyUsage, Criticality.AGNOSTIC, None)
    try:
        store = Store(x509.load_pem_x509_certificates(roots_pem))
        builder = PolicyBuilder().store(store).time(at).max_chain_depth(MAX_CHAIN)
        builder.extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=policy
        ).build_client_verifier().verify(leaf, others)
    except VerificationError:
        raise RejectedError("certificate: does not lead to a trusted root, or is out of its time") from None
    except ValueError:
        raise InvalidError("certificate: the trusted roots cannot be parsed") from None
    if not _may_sign_code(leaf.extensions):
        raise RejectedError("certificate: may not sign code (key usage)")
    return public_key_of(chain[0])


def public_key_of(certificate: bytes) -> PublicKey:
    """Return the key that a certificate (DER or PEM) certifies. Raises RejectedError or InvalidError."""
    der = _parse(certificate).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey.from_der(der)


def require_ca(ca_pem: bytes) -> x509.Certificate:
    """Return the one certificate in ``ca_pem`` if it is a self-signed CA's that holds together.

    Raises:
        InvalidError: several, none, or not a CA's.
    """
    if ca_pem.count(b"-----BEGIN") != 1:
        raise InvalidError("ca: not exactly one PEM certificate")
    try:
        certificate = _parse(ca_pem)
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        certificate.verify_directly_issued_by(certificate)
    except (RejectedError, x509.ExtensionNotFound, InvalidSignature, *_PARSE_ERRORS):
        raise InvalidError("ca: is not a self-signed CA certificate that holds together") from None
    if not basic.value.ca or not basic.critical:
        raise InvalidError("ca: is not marked as a CA's (critical basic constraints)")
    return certificate


def _principal(names: x509.SubjectAlternativeName, trust_domain: str) -> str:
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise RejectedError(f"certificate: names {len(uris)} URIs, an identity has exactly one")
    match = _SPIFFE_ID.fullmatch(uris[0])
    if match is None:
        raise RejectedError(f"certificate: {shorten(uris[0])} is not an identity")
    if match[1] != trust_domain:
        raise RejectedError(f"certificate: {shorten(match[1])} is a foreign trust domain")
    try:
        return parse_principal(match[2])
    except InvalidError as error:
        raise RejectedError(f"certificate: {error.message}") from None


def _may_sign_code(extensions: x509.Extensions) -> bool:
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        return False
    return extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature


def _parse(certificate: bytes) -> x509.Certificate:
    """Return the certificate, all of it read once: the library parses late and raises where it is asked."""
    if len(certificate) > MAX_CERTIFICATE_BYTES:
        raise RejectedError(f"certificate: larger than {MAX_CERTIFICATE_BYTES} bytes")
    try:
        if certificate.startswith(b"-----BEGIN"):
            if certificate.count(b"-----BEGIN") != 1:
                raise RejectedError("certificate: not exactly one PEM block")
            parsed = x509.load_pem_x509_certificate(certificate)
        else:
            parsed = x509.load_der_x509_certificate(certificate)
        whole = (parsed.version, parsed.extensions, parsed.public_key(), parsed.subject, parsed.issuer)
        if whole[0] is not x509.Version.v3 or parsed.serial_number <= 0:
            raise RejectedError("certificate: is not of version 3, or its serial is not positive")
        _ = parsed.not_valid_before_utc, parsed.not_valid_after_utc, parsed.signature_hash_algorithm
    except _PARSE_ERRORS:
        raise RejectedError("certificate: cannot be parsed") from None
    return parsed
