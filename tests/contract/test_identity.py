"""CertificateAuthority: the built-in CA issues exactly what it should, with its key out of its hands.

It needs no twin in memory: over signers in memory it keeps nothing.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from strongroom.adapters.identity.mtls import CA_LIFETIME, MAX_LIFETIME_S, BuiltInAuthority, build_ca
from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import CertificateAuthority, Signer
from strongroom.trust.certificates import principal_of, require_client
from strongroom.values import KeyUri

DOMAIN = "strongroom.example"
NOW = datetime.now(UTC)
HOUR_S = 3600


class Counter:
    """Entropy that never repeats and is the same on every run."""

    def __init__(self) -> None:
        self.drawn = 0

    def bytes(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")


@dataclass
class Home:
    keys: MemoryKeyProvider
    signer: Signer
    ca: CertificateAuthority

    def key(self, name: str, algorithm: str = "ecdsa-p256") -> bytes:
        return self.keys.create_signer(KeyUri(f"file:id/{name}"), algorithm).public_pem

    def private(self, name: str) -> bytes:
        return self.keys.private_pem(KeyUri(f"file:id/{name}"))


def new_home(now: datetime = NOW) -> Home:
    keys = MemoryKeyProvider()
    signer = keys.create_signer(KeyUri("file:ca"), "ecdsa-p256")
    entropy = Counter()
    return Home(
        keys, signer, BuiltInAuthority(build_ca(signer, DOMAIN, now, entropy), DOMAIN, signer, entropy)
    )


@pytest.fixture
def home() -> Home:
    return new_home()


def _parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_client_leaf_is_the_principal(home: Home) -> None:
    issued = home.ca.issue_client("ann", home.key("ann"), NOW, HOUR_S)
    who = require_client((issued.certificate_pem,), home.ca.ca_pem, DOMAIN, NOW)
    assert who == principal_of(issued.certificate_pem, DOMAIN)
    assert (who.principal, who.serial, who.not_after) == ("ann", f"{issued.serial:x}", issued.not_after)


def test_client_leaf_says_what_it_must_and_no_more(home: Home) -> None:
    public_pem = home.key("ann")
    certificate = _parsed(home.ca.issue_client("ann", public_pem, NOW, HOUR_S).certificate_pem)
    critical = {extension.value.__class__: extension.critical for extension in certificate.extensions}
    assert critical == {
        x509.BasicConstraints: True,
        x509.KeyUsage: True,
        x509.ExtendedKeyUsage: False,
        x509.SubjectAlternativeName: False,
        x509.SubjectKeyIdentifier: False,
        x509.AuthorityKeyIdentifier: False,
    }
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not (usage.key_cert_sign or usage.crl_sign or usage.key_encipherment or usage.key_agreement)
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://strongroom.example/id/ann")]
    ca = _parsed(home.ca.ca_pem)
    issuer_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own_id = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert issuer_id.key_identifier == own_id.digest
    assert certificate.issuer == ca.subject
    assert certificate.not_valid_before_utc == (NOW - timedelta(seconds=60)).replace(microsecond=0)


def test_ca_may_issue_leaves_only(home: Home) -> None:
    ca = _parsed(home.ca.ca_pem)
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and basic.value.ca and basic.value.path_length == 0
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.key_cert_sign and not usage.value.digital_signature
    assert ca.not_valid_after_utc - NOW < CA_LIFETIME + timedelta(seconds=1)


def test_server_leaf_serves_its_names(home: Home) -> None:
    issued = home.ca.issue_server(
        ["localhost", "models.example", "127.0.0.1", "::1"], home.key("gw"), NOW, HOUR_S
    )
    store = Store([_parsed(home.ca.ca_pem)])
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName("models.example"))
    assert verifier.verify(_parsed(issued.certificate_pem), [])
    with pytest.raises(RejectedError):
        require_client((issued.certificate_pem,), home.ca.ca_pem, DOMAIN, NOW)
    with pytest.raises(RejectedError):
        principal_of(issued.certificate_pem, DOMAIN)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "*.example",
        "a.example:443",
        "A.example",
        "a_b.example",
        "-a",
        "a..b",
        "a.",
        "http://a",
        "ü.de",
        "a" * 64,
        "a." * 127 + "a",
        "10.0.0",
        "999.1.1.1",
        "a.example\n",
        "a.example\x00.evil",
    ],
)
def test_server_names_of_another_spelling(home: Home, name: str) -> None:
    with pytest.raises(InvalidError):
        home.ca.issue_server(["good.example", name], home.key("gw"), NOW, HOUR_S)


def test_number_of_server_names_is_bounded(home: Home) -> None:
    public_pem = home.key("gw")
    for names in ([], [f"h{number}" for number in range(33)]):
        with pytest.raises(InvalidError, match="1 to 32"):
            home.ca.issue_server(names, public_pem, NOW, HOUR_S)


@pytest.mark.parametrize(
    "principal", ["", "Ann", "ann/admin", "../ann", "ann?x", "ann\n", "a" * 64, "*", "ü"]
)
def test_principals_of_another_spelling(home: Home, principal: str) -> None:
    with pytest.raises(InvalidError):
        home.ca.issue_client(principal, home.key("ann"), NOW, HOUR_S)


def test_serials_are_long_positive_and_drawn_anew(home: Home) -> None:
    public_pem = home.key("ann")
    serials = {home.ca.issue_client("ann", public_pem, NOW, HOUR_S).serial for _ in range(5)}
    assert len(serials) == 5
    assert all(64 <= serial.bit_length() <= 159 for serial in serials)


def test_lifetime_is_bounded(home: Home) -> None:
    public_pem = home.key("ann")
    for lifetime_s in (0, -1, 59, MAX_LIFETIME_S + 1):
        with pytest.raises(InvalidError, match="must live"):
            home.ca.issue_client("ann", public_pem, NOW, lifetime_s)


def test_a_leaf_never_outlives_its_ca(home: Home) -> None:
    late = NOW + CA_LIFETIME - timedelta(hours=1)
    issued = home.ca.issue_client("ann", home.key("ann"), late, MAX_LIFETIME_S)
    assert issued.not_after == _parsed(home.ca.ca_pem).not_valid_after_utc


def test_nothing_is_issued_outside_the_time_of_the_ca(home: Home) -> None:
    public_pem = home.key("ann")
    for at in (NOW - timedelta(days=1), NOW + CA_LIFETIME + timedelta(seconds=1)):
        with pytest.raises(InvalidError, match="not valid at this time"):
            home.ca.issue_client("ann", public_pem, at, HOUR_S)


def test_the_ca_key_is_no_identity(home: Home) -> None:
    with pytest.raises(InvalidError, match="not for the CA's own"):
        home.ca.issue_client("ann", home.signer.public_pem, NOW, HOUR_S)


def test_other_keys_are_not_certified(home: Home) -> None:
    for public_pem in (home.key("ed", "ed25519"), b"", home.ca.ca_pem):
        with pytest.raises(InvalidError):
            home.ca.issue_client("ann", public_pem, NOW, HOUR_S)


def test_ca_needs_a_p256_key() -> None:
    signer = MemoryKeyProvider().create_signer(KeyUri("file:ca"), "ed25519")
    with pytest.raises(InvalidError, match="ecdsa-p256"):
        build_ca(signer, DOMAIN, NOW, Counter())


def test_ca_certificate_of_another_key(home: Home) -> None:
    with pytest.raises(RejectedError, match="another key"):
        BuiltInAuthority(new_home().ca.ca_pem, DOMAIN, home.signer, Counter())


def test_a_custody_that_signs_with_another_key_issues_nothing(home: Home) -> None:
    class Lying:
        key_id, public_pem = home.signer.key_id, home.signer.public_pem

        def sign(self, message: bytes) -> bytes:
            return new_home().signer.sign(message)

    ca = BuiltInAuthority(home.ca.ca_pem, DOMAIN, Lying(), Counter())
    with pytest.raises(RejectedError):
        ca.issue_client("ann", home.key("ann"), NOW, HOUR_S)


# --- in a real handshake


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Shake hands in memory; return the server's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    )
    waiting = set(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.discard(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    return ends[0]


def _context(side: int, certificate: bytes, private: bytes, ca_pem: bytes, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=ca_pem.decode())
    both = folder / f"both-{side}.pem"
    both.write_bytes(certificate + private)
    context.load_cert_chain(both)
    return context


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_handshake_names_the_client(home: Home, tmp_path: Path, name: str) -> None:
    server = home.ca.issue_server(["localhost", "127.0.0.1"], home.key("gw"), NOW, HOUR_S)
    client = home.ca.issue_client("ann", home.key("ann"), NOW, HOUR_S)
    end = _handshake(
        _context(
            ssl.PROTOCOL_TLS_SERVER, server.certificate_pem, home.private("gw"), home.ca.ca_pem, tmp_path
        ),
        _context(
            ssl.PROTOCOL_TLS_CLIENT, client.certificate_pem, home.private("ann"), home.ca.ca_pem, tmp_path
        ),
        name,
    )
    presented = end.getpeercert(binary_form=True)
    assert presented is not None
    assert principal_of(presented, DOMAIN).principal == "ann"


@pytest.mark.parametrize("attack", ["foreign CA", "server certificate as client", "expired"])
def test_handshake_refuses(home: Home, tmp_path: Path, attack: str) -> None:
    server = home.ca.issue_server(["localhost"], home.key("gw"), NOW, HOUR_S)
    past = NOW - timedelta(days=2)
    issuer = {"foreign CA": new_home(), "expired": new_home(past)}.get(attack, home)
    public_pem = issuer.key("ann")
    match attack:
        case "server certificate as client":
            forged = issuer.ca.issue_server(["ann"], public_pem, NOW, HOUR_S)
        case "expired":
            forged = issuer.ca.issue_client("ann", public_pem, past, HOUR_S)
        case _:
            forged = issuer.ca.issue_client("ann", public_pem, NOW, HOUR_S)
    trusted = issuer.ca.ca_pem if attack == "expired" else home.ca.ca_pem
    with pytest.raises(ssl.SSLError):
        _handshake(
            _context(ssl.PROTOCOL_TLS_SERVER, server.certificate_pem, home.private("gw"), trusted, tmp_path),
            _context(
                ssl.PROTOCOL_TLS_CLIENT,
                forged.certificate_pem,
                issuer.private("ann"),
                home.ca.ca_pem,
                tmp_path,
            ),
            "localhost",
        )


def test_names_for_people_only(home: Home) -> None:
    certificate = _parsed(home.ca.issue_client("ann", home.key("ann"), NOW, HOUR_S).certificate_pem)
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["ann"]
