"""KeyProvider and SignerProvider: every custody keeps the same promises (tests/contract/custodies.py)."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.trust.signatures import PublicKey
from strongroom.values import KeyUri
from tests.contract.custodies import CUSTODIES, Kept

DATA_KEY = b"d" * 32
CONTEXT = b"fraud@1.0.0 sha256:00"


@pytest.fixture(params=sorted(CUSTODIES))
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    with CUSTODIES[request.param](tmp_path) as kept:
        yield kept


@pytest.fixture
def fraud(kept: Kept) -> KeyUri:
    uri = kept.kek("fraud")
    kept.provider.create(uri)
    return uri


@pytest.fixture
def wrapped(kept: Kept, fraud: KeyUri) -> bytes:
    return kept.provider.wrap(fraud, DATA_KEY, CONTEXT)


def test_wrapped_key_opens_again(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    assert kept.provider.unwrap(fraud, wrapped, CONTEXT) == DATA_KEY
    assert DATA_KEY not in wrapped
    assert kept.provider.version_of(fraud, wrapped) == 1


def test_describe_tells_no_secret(kept: Kept) -> None:
    info = kept.provider.create(kept.kek("fraud"))
    assert (info.uri, info.custody) == (kept.kek("fraud"), kept.where)
    assert [(one.version, one.enabled) for one in info.versions] == [(1, True)]
    assert info.newest.created_at.tzinfo is UTC
    assert info.newest.created_at <= datetime.now(UTC)
    assert kept.provider.describe(kept.kek("fraud")) == info


def test_creating_twice_keeps_the_first(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    kept.provider.create(fraud)
    assert kept.provider.unwrap(fraud, wrapped, CONTEXT) == DATA_KEY
    assert kept.provider.describe(fraud).newest.version == 1


@pytest.mark.parametrize("context", [b"", b"fraud@1.0.1 sha256:00", CONTEXT + b"\x00", CONTEXT[:-1]])
def test_wrapped_key_moved_to_another_context(
    kept: Kept, fraud: KeyUri, wrapped: bytes, context: bytes
) -> None:
    with pytest.raises(RejectedError):
        kept.provider.unwrap(fraud, wrapped, context)


def test_wrapped_key_moved_to_another_family(kept: Kept, wrapped: bytes) -> None:
    kept.provider.create(kept.kek("credit"))
    with pytest.raises(RejectedError):
        kept.provider.unwrap(kept.kek("credit"), wrapped, CONTEXT)


def test_every_flipped_bit_of_a_wrapped_key(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    for bit in range(0, 8 * len(wrapped), kept.stride):
        forged = bytearray(wrapped)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RejectedError):
            kept.provider.unwrap(fraud, bytes(forged), CONTEXT)


def test_wrapped_key_cut_or_extended(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    for other in (b"", wrapped[:-1], wrapped + b"\x00", wrapped[:-8], wrapped * 2, bytes(len(wrapped))):
        with pytest.raises(RejectedError):
            kept.provider.unwrap(fraud, other, CONTEXT)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_only_32_byte_data_keys(kept: Kept, fraud: KeyUri, size: int) -> None:
    with pytest.raises(InvalidError):
        kept.provider.wrap(fraud, b"d" * size, CONTEXT)


def test_context_is_bounded(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    long = b"c" * 4096
    assert kept.provider.unwrap(fraud, kept.provider.wrap(fraud, DATA_KEY, long), long) == DATA_KEY
    with pytest.raises(InvalidError):
        kept.provider.wrap(fraud, DATA_KEY, long + b"c")
    with pytest.raises(InvalidError):
        kept.provider.unwrap(fraud, wrapped, long + b"c")


def test_unknown_key(kept: Kept, wrapped: bytes) -> None:
    other, provider = kept.kek("other"), kept.provider
    calls: list[Callable[[], object]] = [
        lambda: provider.describe(other),
        lambda: provider.wrap(other, DATA_KEY, CONTEXT),
        lambda: provider.unwrap(other, wrapped, CONTEXT),
        lambda: provider.rewrap(other, wrapped, CONTEXT),
        lambda: provider.rotate(other),
        lambda: provider.set_enabled(other, 1, False),
        lambda: provider.signer(kept.sign(9)),
    ]
    for call in calls:
        with pytest.raises(InvalidError, match="no such key"):
            call()


def test_a_key_of_another_scheme(kept: Kept) -> None:
    for text in ("nowhere:kek/fraud", f"{kept.kek('fraud').partition(':')[0]}:", "kek/fraud", ""):
        with pytest.raises(InvalidError):
            kept.provider.create(KeyUri(text))
        with pytest.raises(InvalidError):
            kept.provider.create_signer(KeyUri(text), "ecdsa-p256")


def test_a_wrapping_key_never_signs_and_a_signing_key_never_wraps(kept: Kept, fraud: KeyUri) -> None:
    kept.provider.create_signer(kept.sign(1), "ecdsa-p256")
    with pytest.raises(InvalidError):
        kept.provider.signer(fraud)
    with pytest.raises(InvalidError):
        kept.provider.create_signer(fraud, "ecdsa-p256")
    with pytest.raises(InvalidError):
        kept.provider.wrap(kept.sign(1), DATA_KEY, CONTEXT)
    with pytest.raises(InvalidError):
        kept.provider.create(kept.sign(1))


def test_rotation_wraps_under_the_new_version_and_still_opens_the_old(
    kept: Kept, fraud: KeyUri, wrapped: bytes
) -> None:
    assert kept.provider.rotate(fraud).newest.version == 2
    fresh = kept.provider.wrap(fraud, DATA_KEY, CONTEXT)
    assert [kept.provider.version_of(fraud, one) for one in (wrapped, fresh)] == [1, 2]
    for one in (wrapped, fresh):
        assert kept.provider.unwrap(fraud, one, CONTEXT) == DATA_KEY


def test_rewrapping_moves_a_data_key_to_the_newest_version(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    assert kept.provider.rewrap(fraud, wrapped, CONTEXT) == wrapped
    kept.provider.rotate(fraud)
    with pytest.raises(RejectedError):
        kept.provider.rewrap(fraud, wrapped, CONTEXT + b"x")
    fresh = kept.provider.rewrap(fraud, wrapped, CONTEXT)
    assert kept.provider.version_of(fraud, fresh) == 2
    assert kept.provider.unwrap(fraud, fresh, CONTEXT) == DATA_KEY
    with pytest.raises(RejectedError):
        kept.provider.version_of(fraud, b"")


def test_a_destroyed_version_never_unwraps_again(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    kept.provider.rotate(fraud)
    fresh = kept.provider.rewrap(fraud, wrapped, CONTEXT)
    with pytest.raises(InvalidError, match="wraps now"):
        kept.provider.destroy(fraud, 2)
    kept.provider.destroy(fraud, 1)
    kept.provider.destroy(fraud, 1)
    with pytest.raises((RejectedError, DeniedError)):
        kept.provider.unwrap(fraud, wrapped, CONTEXT)
    assert kept.provider.unwrap(fraud, fresh, CONTEXT) == DATA_KEY
    assert kept.provider.rotate(fraud).newest.version == 3
    assert [one.version for one in kept.provider.describe(fraud).versions] == [2, 3]


def test_a_key_whose_last_version_was_destroyed_never_unwraps_again(
    kept: Kept, fraud: KeyUri, wrapped: bytes
) -> None:
    kept.provider.destroy(fraud, 1)
    with pytest.raises((InvalidError, RejectedError, DeniedError)):
        kept.provider.unwrap(fraud, wrapped, CONTEXT)


def test_a_disabled_version_is_unusable_and_the_others_are_not(
    kept: Kept, fraud: KeyUri, wrapped: bytes
) -> None:
    kept.provider.rotate(fraud)
    fresh = kept.provider.wrap(fraud, DATA_KEY, CONTEXT)
    kept.provider.set_enabled(fraud, 1, False)
    assert [one.enabled for one in kept.provider.describe(fraud).versions] == [False, True]
    with pytest.raises(DeniedError, match="version 1 is disabled"):
        kept.provider.unwrap(fraud, wrapped, CONTEXT)
    with pytest.raises(DeniedError, match="version 1 is disabled"):
        kept.provider.rewrap(fraud, wrapped, CONTEXT)
    assert kept.provider.unwrap(fraud, fresh, CONTEXT) == DATA_KEY
    kept.provider.set_enabled(fraud, 1, True)
    assert kept.provider.unwrap(fraud, wrapped, CONTEXT) == DATA_KEY


def test_a_disabled_key_does_nothing(kept: Kept, fraud: KeyUri, wrapped: bytes) -> None:
    kept.provider.set_enabled(fraud, 1, False)
    newest = kept.provider.describe(fraud).newest
    assert (newest.version, newest.enabled) == ((1, False) if kept.newest_can_rest else (2, True))
    if kept.newest_can_rest:
        with pytest.raises(DeniedError):
            kept.provider.wrap(fraud, DATA_KEY, CONTEXT)
    with pytest.raises(DeniedError):
        kept.provider.unwrap(fraud, wrapped, CONTEXT)
    with pytest.raises(InvalidError, match="no version 9"):
        kept.provider.set_enabled(fraud, 9, True)


def test_signer_signs(kept: Kept) -> None:
    for number, algorithm in enumerate(kept.algorithms, start=1):
        created = kept.provider.create_signer(kept.sign(number), algorithm)
        again = kept.provider.signer(kept.sign(number))
        key = PublicKey.from_pem(created.public_pem)
        assert key.algorithm == algorithm
        assert created.key_id == again.key_id == key.key_id
        for message in (b"", b"message", b"m" * 9000):
            key.verify(again.sign(message), message)


def test_signer_of_a_taken_name_or_unknown_algorithm(kept: Kept) -> None:
    before = kept.provider.create_signer(kept.sign(1), "ecdsa-p256").key_id
    with pytest.raises(InvalidError, match="exists already"):
        kept.provider.create_signer(kept.sign(1), "ecdsa-p256")
    assert kept.provider.signer(kept.sign(1)).key_id == before
    for algorithm in ("rsa", "", "aes-256", "ECDSA-P256", "ecdsa-p384"):
        with pytest.raises(InvalidError, match="unknown"):
            kept.provider.create_signer(kept.sign(2), algorithm)


def test_threads_that_create_the_same_key_agree(kept: Kept) -> None:
    uri, wrapped = kept.kek("fraud"), list[bytes]()

    def create_and_wrap() -> None:
        kept.provider.create(uri)
        wrapped.append(kept.provider.wrap(uri, DATA_KEY, CONTEXT))

    threads = [Thread(target=create_and_wrap) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [kept.provider.unwrap(uri, one, CONTEXT) for one in wrapped] == [DATA_KEY] * 6
    assert len(kept.provider.describe(uri).versions) == 1


def test_no_secret_in_any_repr(kept: Kept, fraud: KeyUri) -> None:
    signer = kept.provider.create_signer(kept.sign(1), "ecdsa-p256")
    shown = repr(kept.provider) + repr(signer)
    for secret in (*kept.secrets, "material", "passphrase"):
        assert secret not in shown
