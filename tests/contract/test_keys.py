"""KeyProvider, SignerProvider, TlsKeys: the keystore file and its twin in memory keep the same promises."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from strongroom.adapters.keys.file import FileKeyProvider
from strongroom.adapters.keys.keystore import Contents, Lock
from strongroom.adapters.keys.memory import MemoryKeyProvider
from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.ports import KeyVersion
from strongroom.trust.signatures import PublicKey
from strongroom.values import KeyUri

PASSPHRASE = "correct horse battery staple"
FRAUD, CREDIT = KeyUri("file:kek/fraud"), KeyUri("file:kek/credit")
SIGN = KeyUri("file:sign/1")
DATA_KEY = b"d" * 32
CONTEXT = b"fraud@1.0.0 sha256:00"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCK = Lock.fresh(PASSPHRASE)
"""Derived once, as that is slow by design; the file's own tests derive anew."""

Provider = FileKeyProvider | MemoryKeyProvider


@pytest.fixture(params=["memory", "file"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    if request.param == "memory":
        return MemoryKeyProvider(now=lambda: NOW)
    path = tmp_path / "keystore.json"
    path.touch(mode=0o600)
    path.write_bytes(LOCK.write(Contents()))
    return FileKeyProvider(path, LOCK, now=lambda: NOW)


@pytest.fixture
def wrapped(provider: Provider) -> bytes:
    provider.create(FRAUD)
    return provider.wrap(FRAUD, DATA_KEY, CONTEXT)


def test_wrapped_key_opens_again(provider: Provider, wrapped: bytes) -> None:
    assert provider.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY
    assert DATA_KEY not in wrapped


def test_describe_tells_no_secret(provider: Provider) -> None:
    info = provider.create(FRAUD)
    assert (info.uri, info.versions) == (FRAUD, (KeyVersion(1, NOW, enabled=True),))
    assert provider.describe(FRAUD) == info


def test_creating_twice_keeps_the_first(provider: Provider, wrapped: bytes) -> None:
    provider.create(FRAUD)
    assert provider.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY
    assert provider.describe(FRAUD).newest.version == 1


@pytest.mark.parametrize("context", [b"", b"fraud@1.0.1 sha256:00", CONTEXT + b"\x00", CONTEXT[:-1]])
def test_wrapped_key_moved_to_another_context(provider: Provider, wrapped: bytes, context: bytes) -> None:
    with pytest.raises(RejectedError):
        provider.unwrap(FRAUD, wrapped, context)


def test_wrapped_key_moved_to_another_family(provider: Provider, wrapped: bytes) -> None:
    provider.create(CREDIT)
    with pytest.raises(RejectedError):
        provider.unwrap(CREDIT, wrapped, CONTEXT)


def test_every_flipped_bit_of_a_wrapped_key(provider: Provider, wrapped: bytes) -> None:
    for bit in range(8 * len(wrapped)):
        forged = bytearray(wrapped)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RejectedError):
            provider.unwrap(FRAUD, bytes(forged), CONTEXT)


def test_wrapped_key_cut_or_extended(provider: Provider, wrapped: bytes) -> None:
    for other in (b"", wrapped[:-1], wrapped + b"\x00", wrapped[:-8], wrapped * 2, bytes(len(wrapped))):
        with pytest.raises(RejectedError):
            provider.unwrap(FRAUD, other, CONTEXT)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_only_32_byte_data_keys(provider: Provider, size: int) -> None:
    provider.create(FRAUD)
    with pytest.raises(InvalidError):
        provider.wrap(FRAUD, b"d" * size, CONTEXT)


def test_context_is_bounded(provider: Provider, wrapped: bytes) -> None:
    long = b"c" * 4096
    assert provider.unwrap(FRAUD, provider.wrap(FRAUD, DATA_KEY, long), long) == DATA_KEY
    for call in (provider.wrap, provider.unwrap):
        with pytest.raises(InvalidError):
            call(FRAUD, wrapped if call == provider.unwrap else DATA_KEY, long + b"c")


def test_unknown_key(provider: Provider) -> None:
    calls: list[Callable[[], object]] = [
        lambda: provider.describe(FRAUD),
        lambda: provider.wrap(FRAUD, DATA_KEY, CONTEXT),
        lambda: provider.unwrap(FRAUD, b"w" * 44, CONTEXT),
        lambda: provider.rotate(FRAUD),
        lambda: provider.set_enabled(FRAUD, 1, False),
        lambda: provider.signer(SIGN),
        lambda: provider.private_pem(KeyUri("file:id/ann")),
    ]
    for call in calls:
        with pytest.raises(InvalidError, match="no such key"):
            call()
    assert provider.uris() == ()


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "kek/fraud",
        "pkcs11:kek/fraud",
        "file:",
        "file:kek/",
        "file:kek/../ca",
        "file:KEK/fraud",
        "file:kek/fraud/x",
        "file:kek/fraud\n",
        "file:/etc/passwd",
        "file:kek/" + "f" * 65,
        "file:kek/ü",
    ],
)
def test_names_of_another_spelling(provider: Provider, uri: str) -> None:
    with pytest.raises(InvalidError):
        provider.create(KeyUri(uri))
    with pytest.raises(InvalidError):
        provider.create_signer(KeyUri(uri), "ed25519")


def test_a_wrapping_key_never_signs_and_a_signing_key_never_wraps(provider: Provider) -> None:
    provider.create(FRAUD)
    provider.create_signer(SIGN, "ecdsa-p256")
    with pytest.raises(InvalidError, match="does not sign"):
        provider.signer(FRAUD)
    with pytest.raises(InvalidError, match="does not sign"):
        provider.create_signer(CREDIT, "ed25519")
    with pytest.raises(InvalidError, match="not a key-encryption key"):
        provider.wrap(SIGN, DATA_KEY, CONTEXT)
    with pytest.raises(InvalidError, match="not a key-encryption key"):
        provider.create(SIGN)


def test_rotation_wraps_under_the_new_version_and_still_opens_the_old(
    provider: Provider, wrapped: bytes
) -> None:
    assert provider.rotate(FRAUD).newest.version == 2
    fresh = provider.wrap(FRAUD, DATA_KEY, CONTEXT)
    assert fresh != wrapped
    assert provider.unwrap(FRAUD, wrapped, CONTEXT) == provider.unwrap(FRAUD, fresh, CONTEXT) == DATA_KEY


def test_rewrapping_moves_a_data_key_to_the_newest_version(provider: Provider, wrapped: bytes) -> None:
    assert provider.rewrap(FRAUD, wrapped, CONTEXT) == wrapped
    provider.rotate(FRAUD)
    fresh = provider.rewrap(FRAUD, wrapped, CONTEXT)
    assert [provider.version_of(FRAUD, one) for one in (wrapped, fresh)] == [1, 2]
    assert provider.unwrap(FRAUD, fresh, CONTEXT) == DATA_KEY
    with pytest.raises(RejectedError):
        provider.rewrap(FRAUD, wrapped, CONTEXT + b"x")
    with pytest.raises(RejectedError):
        provider.version_of(FRAUD, wrapped + b"x")


def test_a_destroyed_version_never_unwraps_again(provider: Provider, wrapped: bytes) -> None:
    provider.rotate(FRAUD)
    fresh = provider.rewrap(FRAUD, wrapped, CONTEXT)
    with pytest.raises(InvalidError, match="wraps now"):
        provider.destroy(FRAUD, 2)
    provider.destroy(FRAUD, 1)
    provider.destroy(FRAUD, 1)
    with pytest.raises(RejectedError):
        provider.unwrap(FRAUD, wrapped, CONTEXT)
    assert provider.unwrap(FRAUD, fresh, CONTEXT) == DATA_KEY
    assert provider.rotate(FRAUD).newest.version == 3
    assert [one.version for one in provider.describe(FRAUD).versions] == [2, 3]


def test_a_key_whose_last_version_was_destroyed_is_gone(provider: Provider, wrapped: bytes) -> None:
    provider.destroy(FRAUD, 1)
    with pytest.raises(InvalidError, match="no such key"):
        provider.unwrap(FRAUD, wrapped, CONTEXT)
    provider.create(FRAUD)
    with pytest.raises(RejectedError):
        provider.unwrap(FRAUD, wrapped, CONTEXT)


def test_a_disabled_version_is_unusable_and_the_others_are_not(provider: Provider, wrapped: bytes) -> None:
    provider.rotate(FRAUD)
    fresh = provider.wrap(FRAUD, DATA_KEY, CONTEXT)
    provider.set_enabled(FRAUD, 1, False)
    with pytest.raises(DeniedError, match="version 1 is disabled"):
        provider.unwrap(FRAUD, wrapped, CONTEXT)
    assert provider.unwrap(FRAUD, fresh, CONTEXT) == DATA_KEY
    provider.set_enabled(FRAUD, 1, True)
    assert provider.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY


def test_a_disabled_key_does_nothing(provider: Provider, wrapped: bytes) -> None:
    provider.set_enabled(FRAUD, 1, False)
    assert not provider.describe(FRAUD).newest.enabled
    with pytest.raises(DeniedError):
        provider.wrap(FRAUD, DATA_KEY, CONTEXT)
    with pytest.raises(DeniedError):
        provider.unwrap(FRAUD, wrapped, CONTEXT)
    provider.create_signer(SIGN, "ed25519")
    provider.set_enabled(SIGN, 1, False)
    with pytest.raises(DeniedError):
        provider.signer(SIGN)
    with pytest.raises(InvalidError, match="no version 9"):
        provider.set_enabled(SIGN, 9, True)


def test_wrapped_key_relabelled_as_another_version(provider: Provider, wrapped: bytes) -> None:
    provider.rotate(FRAUD)
    for version in (0, 2, 3, 2**32 - 1):
        with pytest.raises(RejectedError):
            provider.unwrap(FRAUD, version.to_bytes(4, "big") + wrapped[4:], CONTEXT)


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_signer_signs(provider: Provider, algorithm: str) -> None:
    created = provider.create_signer(SIGN, algorithm)
    again = provider.signer(SIGN)
    key = PublicKey.from_pem(created.public_pem)
    assert key.algorithm == algorithm
    assert created.key_id == again.key_id == key.key_id
    key.verify(again.sign(b"message"), b"message")


def test_signer_of_a_taken_name_or_unknown_algorithm(provider: Provider) -> None:
    before = provider.create_signer(SIGN, "ecdsa-p256").key_id
    with pytest.raises(InvalidError, match="exists already"):
        provider.create_signer(SIGN, "ecdsa-p256")
    assert provider.signer(SIGN).key_id == before
    for algorithm in ("rsa", "", "aes-256", "ECDSA-P256", "ecdsa-p384"):
        with pytest.raises(InvalidError, match="unknown"):
            provider.create_signer(KeyUri("file:sign/2"), algorithm)


@pytest.mark.parametrize("uri", ["file:id/ann", "file:tls", "file:tls/gateway-1"])
def test_keys_for_a_tls_stack_may_leave(provider: Provider, uri: str) -> None:
    signer = provider.create_signer(KeyUri(uri), "ecdsa-p256")
    private = load_pem_private_key(provider.private_pem(KeyUri(uri)), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    PublicKey.from_pem(signer.public_pem).verify(private.sign(b"m", ec.ECDSA(hashes.SHA256())), b"m")


@pytest.mark.parametrize(
    "uri", ["file:ca", "file:log", "file:sign/1", "file:kek/fraud", "file:tls-x", "file:idx"]
)
def test_keys_in_custody_never_leave(provider: Provider, uri: str) -> None:
    if uri.startswith("file:kek/"):
        provider.create(KeyUri(uri))
    else:
        provider.create_signer(KeyUri(uri), "ecdsa-p256")
    with pytest.raises(InvalidError, match="never leaves"):
        provider.private_pem(KeyUri(uri))


def test_a_disabled_identity_key_does_not_leave(provider: Provider) -> None:
    ann = KeyUri("file:id/ann")
    provider.create_signer(ann, "ecdsa-p256")
    provider.set_enabled(ann, 1, False)
    with pytest.raises(DeniedError, match="disabled"):
        provider.private_pem(ann)


def test_uris_are_sorted(provider: Provider) -> None:
    provider.create_signer(SIGN, "ed25519")
    provider.create(FRAUD)
    assert provider.uris() == (FRAUD, SIGN)


def test_threads_that_create_at_once_all_keep_their_keys(provider: Provider) -> None:
    uris = [KeyUri(f"file:kek/family-{number}") for number in range(8)]
    threads = [Thread(target=provider.create, args=(uri,)) for uri in uris]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.uris() == tuple(sorted(uris))


def test_threads_that_create_the_same_key_agree(provider: Provider) -> None:
    wrapped: list[bytes] = []

    def create_and_wrap() -> None:
        provider.create(FRAUD)
        wrapped.append(provider.wrap(FRAUD, DATA_KEY, CONTEXT))

    threads = [Thread(target=create_and_wrap) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [provider.unwrap(FRAUD, one, CONTEXT) for one in wrapped] == [DATA_KEY] * 6


def test_no_secret_in_any_repr(provider: Provider) -> None:
    provider.create(FRAUD)
    provider.create_signer(SIGN, "ed25519")
    shown = repr(provider) + repr(provider.signer(SIGN)) + repr(vars(provider)) + repr(provider._keys())
    for versions in provider._keys().values():
        assert repr(versions[0].material) not in shown and versions[0].material.hex() not in shown
    assert "material" not in shown and PASSPHRASE not in shown and "master" not in shown
