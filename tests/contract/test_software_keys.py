"""Keys that this process can read: the keystore file and its twin in memory, beyond the contract."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from strongroom.adapters.keys.software import SoftwareKeyProvider
from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.ports import KeyVersion
from strongroom.trust.signatures import PublicKey
from strongroom.values import KeyUri
from tests.contract.custodies import CUSTODIES, NOW, PASSPHRASE

FRAUD = KeyUri("file:kek/fraud")
SIGN = KeyUri("file:sign/1")
DATA_KEY = b"d" * 32
CONTEXT = b"fraud@1.0.0 sha256:00"


@pytest.fixture(params=["memory", "file"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SoftwareKeyProvider]:
    with CUSTODIES[request.param](tmp_path) as kept:
        assert isinstance(kept.provider, SoftwareKeyProvider)
        yield kept.provider


def test_a_version_was_made_when_the_clock_said(provider: SoftwareKeyProvider) -> None:
    assert provider.create(FRAUD).versions == (KeyVersion(1, NOW, enabled=True),)


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
        "file:kek/" + "f" * 81,
        "file:kek/ü",
    ],
)
def test_names_of_another_spelling(provider: SoftwareKeyProvider, uri: str) -> None:
    with pytest.raises(InvalidError):
        provider.create(KeyUri(uri))
    with pytest.raises(InvalidError):
        provider.create_signer(KeyUri(uri), "ed25519")


def test_a_wrapping_name_is_no_signing_name(provider: SoftwareKeyProvider) -> None:
    with pytest.raises(InvalidError, match="does not sign"):
        provider.create_signer(FRAUD, "ed25519")
    with pytest.raises(InvalidError, match="not a key-encryption key"):
        provider.create(SIGN)


def test_a_key_that_is_gone_can_be_made_anew_and_is_another(provider: SoftwareKeyProvider) -> None:
    provider.create(FRAUD)
    wrapped = provider.wrap(FRAUD, DATA_KEY, CONTEXT)
    provider.destroy(FRAUD, 1)
    with pytest.raises(InvalidError, match="no such key"):
        provider.unwrap(FRAUD, wrapped, CONTEXT)
    provider.create(FRAUD)
    with pytest.raises(RejectedError):
        provider.unwrap(FRAUD, wrapped, CONTEXT)


def test_a_disabled_signing_key_does_not_sign(provider: SoftwareKeyProvider) -> None:
    provider.create_signer(SIGN, "ed25519")
    provider.set_enabled(SIGN, 1, False)
    with pytest.raises(DeniedError):
        provider.signer(SIGN)


def test_wrapped_key_relabelled_as_another_version(provider: SoftwareKeyProvider) -> None:
    provider.create(FRAUD)
    wrapped = provider.wrap(FRAUD, DATA_KEY, CONTEXT)
    provider.rotate(FRAUD)
    for version in (0, 2, 3, 2**32 - 1):
        with pytest.raises(RejectedError):
            provider.unwrap(FRAUD, version.to_bytes(4, "big") + wrapped[4:], CONTEXT)


@pytest.mark.parametrize("uri", ["file:id/ann", "file:tls", "file:tls/gateway-1"])
def test_keys_for_a_tls_stack_may_leave(provider: SoftwareKeyProvider, uri: str) -> None:
    signer = provider.create_signer(KeyUri(uri), "ecdsa-p256")
    private = load_pem_private_key(provider.private_pem(KeyUri(uri)), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    PublicKey.from_pem(signer.public_pem).verify(private.sign(b"m", ec.ECDSA(hashes.SHA256())), b"m")


@pytest.mark.parametrize(
    "uri", ["file:ca", "file:log", "file:sign/1", "file:kek/fraud", "file:tls-x", "file:idx"]
)
def test_keys_in_custody_never_leave(provider: SoftwareKeyProvider, uri: str) -> None:
    if uri.startswith("file:kek/"):
        provider.create(KeyUri(uri))
    else:
        provider.create_signer(KeyUri(uri), "ecdsa-p256")
    with pytest.raises(InvalidError, match="never leaves"):
        provider.private_pem(KeyUri(uri))


def test_only_a_key_that_is_there_leaves(provider: SoftwareKeyProvider) -> None:
    ann = KeyUri("file:id/ann")
    with pytest.raises(InvalidError, match="no such key"):
        provider.private_pem(ann)
    provider.create_signer(ann, "ecdsa-p256")
    provider.set_enabled(ann, 1, False)
    with pytest.raises(DeniedError, match="disabled"):
        provider.private_pem(ann)


def test_uris_are_sorted(provider: SoftwareKeyProvider) -> None:
    assert provider.uris() == ()
    provider.create_signer(SIGN, "ed25519")
    provider.create(FRAUD)
    assert provider.uris() == (FRAUD, SIGN)


def test_threads_that_create_at_once_all_keep_their_keys(provider: SoftwareKeyProvider) -> None:
    uris = [KeyUri(f"file:kek/family-{number}") for number in range(8)]
    threads = [Thread(target=provider.create, args=(uri,)) for uri in uris]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.uris() == tuple(sorted(uris))


def test_no_secret_in_any_repr(provider: SoftwareKeyProvider) -> None:
    provider.create(FRAUD)
    provider.create_signer(SIGN, "ed25519")
    shown = repr(provider) + repr(provider.signer(SIGN)) + repr(vars(provider)) + repr(provider._keys())
    for versions in provider._keys().values():
        assert repr(versions[0].material) not in shown and versions[0].material.hex() not in shown
    assert "material" not in shown and PASSPHRASE not in shown and "master" not in shown
