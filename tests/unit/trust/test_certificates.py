"""A certificate names one principal of this trust domain for client use, or it is no identity."""

import ipaddress
from base64 import encodebytes
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.certificates import (
    MAX_CERTIFICATE_BYTES,
    parse_trust_domain,
    principal_of,
    public_key_of,
    require_ca,
    require_client,
    require_code_signer,
    spiffe_id,
)
from tests.unit.trust import forgery
from tests.unit.trust.forgery import CODE, DAY, DOMAIN, SERVER, T0, URI, authority, der, leaf, pem, spiffe

CA = pem(authority())
ANN = leaf(spiffe("ann"))


def test_principal_serial_and_end() -> None:
    for form in (der(ANN), pem(ANN)):
        who = principal_of(form, DOMAIN)
        assert who == ("ann", "abc123", T0 + 10 * DAY)
        assert who.not_after.tzinfo is not None


def test_dns_names_beside_the_uri_are_no_identity() -> None:
    mixed = leaf(spiffe("ann"), x509.DNSName("ben"), x509.IPAddress(ipaddress.ip_address("10.0.0.1")))
    assert principal_of(der(mixed), DOMAIN).principal == "ann"


_NO_IDENTITY = {
    "common name only": leaf(),
    "common name and DNS name": leaf(x509.DNSName("ann.strongroom.example")),
    "mail address": leaf(x509.RFC822Name("ann@strongroom.example")),
    "two identities": leaf(spiffe("ann"), spiffe("ben")),
    "one identity twice": leaf(spiffe("ann"), spiffe("ann")),
    "identity and another URI": leaf(spiffe("ann"), URI("https://strongroom.example/id/ann")),
    "foreign trust domain": leaf(spiffe("ann", "evil.example")),
    "subdomain": leaf(spiffe("ann", "x.strongroom.example")),
    "suffix": leaf(spiffe("ann", "strongroom.example.evil.example")),
    "empty trust domain": leaf(spiffe("ann", "")),
    "trust domain of another case": leaf(spiffe("ann", "Strongroom.example")),
    "trust domain with port": leaf(spiffe("ann", "strongroom.example:443")),
    "trust domain with user": leaf(spiffe("ann", "x@strongroom.example")),
    "other scheme": leaf(URI("https://strongroom.example/id/ann")),
    "scheme of another case": leaf(URI("SPIFFE://strongroom.example/id/ann")),
    "no principal": leaf(spiffe("")),
    "CA's own name": leaf(URI("spiffe://strongroom.example")),
    "principal of another case": leaf(spiffe("Ann")),
    "longer path": leaf(spiffe("ann/admin")),
    "other path": leaf(URI("spiffe://strongroom.example/ns/ann")),
    "dots": leaf(spiffe("../id/ann")),
    "query": leaf(spiffe("ann?role=admin")),
    "fragment": leaf(spiffe("ann#x")),
    "escape": leaf(spiffe("%61nn")),
    "line break": leaf(spiffe("ann\n")),
    "null byte": leaf(spiffe("ann\x00.evil")),
    "server certificate": leaf(spiffe("ann"), usage=SERVER),
    "code signing certificate": leaf(spiffe("ann"), usage=CODE),
    "any usage": leaf(spiffe("ann"), usage=None),
    "CA certificate": leaf(spiffe("ann"), ca=True),
    "our CA itself": authority(),
}


@pytest.mark.parametrize("attack", list(_NO_IDENTITY))
def test_no_identity(attack: str) -> None:
    with pytest.raises(RejectedError):
        principal_of(der(_NO_IDENTITY[attack]), DOMAIN)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x80",
        b"-----BEGIN CERTIFICATE-----\n",
        pem(ANN) * 2,
        pem(ANN)[:-60],
        der(ANN)[:-1],
        der(ANN) + b"\x00",
        b"\x30" * (MAX_CERTIFICATE_BYTES + 1),
    ],
)
def test_no_certificate(data: bytes) -> None:
    with pytest.raises(RejectedError):
        principal_of(data, DOMAIN)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_changed_byte_never_escapes_as_another_error() -> None:
    """The library parses late: a bad version, key or name must not surface as its own exception."""
    ca = der(authority())
    checks: list[tuple[bytes, Callable[[bytes], object]]] = [
        (der(ANN), lambda data: require_client((data,), CA, DOMAIN, T0 + DAY)),
        (der(leaf(usage=CODE, key="coder")), lambda data: require_code_signer((data,), CA, T0 + DAY)),
        (ca, lambda data: require_ca(_armoured(data))),
    ]
    for good, check in checks:
        unused_bits = len(good) - len(x509.load_der_x509_certificate(good).signature) - 1
        for position in range(len(good)):
            for mask in (0x01, 0x10, 0x80):
                with suppress(RejectedError):
                    principal_of(_flipped(good, position, mask), DOMAIN)
                with suppress(RejectedError, InvalidError):
                    public_key_of(_flipped(good, position, mask))
                # The count of unused bits of the signature is itself not signed, and may pass.
                if position != unused_bits:
                    with pytest.raises((RejectedError, InvalidError)):
                        check(_flipped(good, position, mask))


def _flipped(data: bytes, position: int, mask: int) -> bytes:
    forged = bytearray(data)
    forged[position] ^= mask
    return bytes(forged)


def _armoured(data: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + encodebytes(data) + b"-----END CERTIFICATE-----\n"


def test_chain_to_our_ca() -> None:
    assert require_client((der(ANN),), CA, DOMAIN, T0 + DAY).principal == "ann"
    assert require_client((pem(ANN), CA), CA, DOMAIN, T0 + DAY).principal == "ann"


@pytest.mark.parametrize(
    "at", [T0 - timedelta(seconds=1), T0 + 10 * DAY + timedelta(seconds=1), T0 + 200 * DAY]
)
def test_out_of_its_time(at: datetime) -> None:
    with pytest.raises(RejectedError, match="does not lead"):
        require_client((der(ANN),), CA, DOMAIN, at)


def test_foreign_ca_even_of_the_same_name() -> None:
    for issuer in ("other", "ca"):
        key = "impostor" if issuer == "ca" else "other"
        forged = leaf(spiffe("ann"), issuer=key, key="leaf")
        with pytest.raises(RejectedError, match="does not lead"):
            require_client((der(forged), pem(authority(key))), CA, DOMAIN, T0 + DAY)


def test_a_leaf_cannot_issue() -> None:
    ben = leaf(spiffe("ben"), issuer="leaf", key="ben")
    with pytest.raises(RejectedError, match="does not lead"):
        require_client((der(ben), der(ANN)), CA, DOMAIN, T0 + DAY)


def test_an_intermediate_is_refused_since_our_ca_issues_leaves_only() -> None:
    middle = leaf(issuer="ca", key="middle", ca=True, usage=None, common_name="middle")
    ben = leaf(spiffe("ben"), issuer="middle", key="ben")
    with pytest.raises(RejectedError, match="does not lead"):
        require_client((der(ben), der(middle)), CA, DOMAIN, T0 + DAY)


def test_server_leaf_is_no_client() -> None:
    with pytest.raises(RejectedError):
        require_client((der(leaf(spiffe("ann"), usage=SERVER)),), CA, DOMAIN, T0 + DAY)


def test_chain_length_is_bounded() -> None:
    for chain in ((), (der(ANN),) * 5):
        with pytest.raises(RejectedError, match="1 to 4"):
            require_client(chain, CA, DOMAIN, T0 + DAY)


@pytest.mark.parametrize(
    "text", ["", "Example", "a/b", "a b", "-a", "a-", ".a", "a" * 129, "ü", "a:1", "a\n"]
)
def test_trust_domains_of_another_spelling(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_trust_domain(text)


def test_spiffe_id() -> None:
    assert spiffe_id(DOMAIN, "ann") == "spiffe://strongroom.example/id/ann"
    with pytest.raises(InvalidError):
        spiffe_id(DOMAIN, "ann/x")


def test_ca_must_be_one_self_signed_ca() -> None:
    assert require_ca(CA).subject == authority().subject
    ecdsa_by_another = leaf(issuer="other", key="ca", ca=True, common_name="ca")
    for other in (b"", CA * 2, pem(ANN), pem(ecdsa_by_another), CA[:-40], der(authority())):
        with pytest.raises(InvalidError, match="ca:"):
            require_ca(other)


def test_public_key_of() -> None:
    assert public_key_of(pem(ANN)) == public_key_of(der(ANN))
    assert public_key_of(pem(ANN)).algorithm == "ecdsa-p256"


def test_code_signer() -> None:
    signer = leaf(usage=CODE, key="coder")
    key = require_code_signer((der(signer), CA), CA, T0 + DAY)
    assert key == public_key_of(der(signer))
    assert require_code_signer((der(leaf(usage=None, key="coder")),), CA, T0 + DAY) == key


_NO_CODE_SIGNER = {
    "client certificate": leaf(spiffe("ann")),
    "server certificate": leaf(x509.DNSName("a.example"), usage=SERVER),
    "CA certificate": leaf(usage=CODE, ca=True),
    "our CA itself": authority(),
    "may not sign": leaf(usage=CODE, signs=False),
    "foreign CA": leaf(usage=CODE, issuer="other"),
    "expired": leaf(usage=CODE, days=0),
}


@pytest.mark.parametrize("attack", list(_NO_CODE_SIGNER))
def test_no_code_signer(attack: str) -> None:
    with pytest.raises(RejectedError):
        require_code_signer((der(_NO_CODE_SIGNER[attack]),), CA, T0 + DAY)


def test_code_signer_without_roots() -> None:
    with pytest.raises(InvalidError):
        require_code_signer((der(ANN),), b"", T0)
    with pytest.raises(RejectedError, match="1 to 4"):
        require_code_signer((), CA, T0)


def test_keys_are_kept_apart() -> None:
    assert forgery.private_key("a") is forgery.private_key("a") is not forgery.private_key("b")
