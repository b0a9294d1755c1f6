"""Transit of Vault or OpenBao: tokens that change, keys that others made, the order in which versions end."""

from collections.abc import Iterator
from typing import Any

import pytest

from strongroom.adapters.keys.vault import VaultKeys
from strongroom.adapters.keys.wire import Wire
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.values import KeyUri
from tests.contract import services
from tests.contract.standins.server import Fault, StandIn
from tests.contract.standins.transit import Transit

FRAUD, SIGN = KeyUri("vault:kek-fraud"), KeyUri("vault:sign-1")
DATA_KEY, CONTEXT = b"d" * 32, b"context"


@pytest.fixture
def opened() -> Iterator[tuple[VaultKeys, StandIn, Transit]]:
    with services.transit() as one:
        yield one


def _make(service: Transit, server: StandIn, **options: Any) -> None:
    """Somebody makes a key of their own, with the server's own tools."""
    token = max(service.tokens)
    wire = Wire("vault", server.address, deadline_s=5.0)
    wire.call("POST", "/v1/transit/keys/kek-fraud", options, headers={"X-Vault-Token": token})


def test_a_token_that_an_agent_renewed_is_read_again(opened: Any) -> None:
    _, server, service = opened
    given = ["old", "old", max(service.tokens)]
    keys = VaultKeys(Wire("vault", server.address, deadline_s=5.0), lambda: given.pop(0), "transit")
    with pytest.raises(DeniedError):
        keys.describe(FRAUD)  # read twice, and the same twice
    with pytest.raises(InvalidError, match="no such key"):
        keys.describe(FRAUD)
    given[:] = ["old", max(service.tokens)]
    with pytest.raises(InvalidError, match="no such key"):
        keys.describe(FRAUD)
    assert not given


@pytest.mark.parametrize("token", ["", "a\nX-Vault-Namespace: other", "t\u00f6ken"])
def test_a_token_that_would_be_more_than_a_header(opened: Any, token: str) -> None:
    _, server, _ = opened
    keys = VaultKeys(Wire("vault", server.address, deadline_s=5.0), lambda: token, "transit")
    with pytest.raises(InvalidError) as caught:
        keys.describe(FRAUD)
    assert not token or token not in str(caught.value)
    assert not server.asked


def test_a_key_that_binds_no_context_is_not_used(opened: Any) -> None:
    keys, server, service = opened
    _make(service, server, type="aes256-gcm96", derived=False)
    for call in (
        lambda: keys.create(FRAUD),
        lambda: keys.describe(FRAUD),
        lambda: keys.wrap(FRAUD, DATA_KEY, CONTEXT),
    ):
        with pytest.raises(InvalidError, match="binds no context"):
            call()
    assert not any("/encrypt/" in asked.path for asked in server.asked)


def test_a_key_that_can_leave_is_told_of(opened: Any) -> None:
    keys, server, service = opened
    _make(service, server, type="aes256-gcm96", derived=True, exportable=True, allow_plaintext_backup=True)
    concerns = keys.describe(FRAUD).concerns
    assert any("exported" in one for one in concerns) and any("backed up" in one for one in concerns)
    keys.create(KeyUri("vault:kek-clean"))
    assert keys.describe(KeyUri("vault:kek-clean")).concerns == ()


def test_wrapping_makes_no_key_by_the_way(opened: Any) -> None:
    keys, server, service = opened
    with pytest.raises(InvalidError):
        keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    assert not service.keys and not any("/encrypt/" in asked.path for asked in server.asked)


def test_the_server_rewraps_and_no_data_key_travels(opened: Any) -> None:
    keys, server, _ = opened
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    keys.rotate(FRAUD)
    before = len(server.asked)
    fresh = keys.rewrap(FRAUD, wrapped, CONTEXT)
    used = [asked.path for asked in server.asked[before:]]
    assert any("/rewrap/" in path for path in used) and not any("crypt/" in path for path in used)
    assert keys.unwrap(FRAUD, fresh, CONTEXT) == DATA_KEY


def test_versions_are_disabled_from_the_oldest_on(opened: Any) -> None:
    keys, _, _ = opened
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    keys.rotate(FRAUD)
    keys.rotate(FRAUD)
    with pytest.raises(InvalidError, match="alone"):
        keys.set_enabled(FRAUD, 2, False)
    keys.set_enabled(FRAUD, 1, False)
    keys.set_enabled(FRAUD, 2, False)
    with pytest.raises(InvalidError, match="alone"):
        keys.set_enabled(FRAUD, 1, True)
    assert [one.enabled for one in keys.describe(FRAUD).versions] == [False, False, True]
    keys.set_enabled(FRAUD, 2, True)
    keys.set_enabled(FRAUD, 1, True)
    assert keys.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY


def test_disabling_the_newest_leaves_nothing_that_it_wrapped(opened: Any) -> None:
    keys, _, _ = opened
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    keys.set_enabled(FRAUD, 1, False)
    with pytest.raises(DeniedError, match="version 1 is disabled"):
        keys.unwrap(FRAUD, wrapped, CONTEXT)
    fresh = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    assert keys.version_of(FRAUD, fresh) == 2


def test_versions_are_destroyed_from_the_oldest_on_and_the_rest_goes_on(opened: Any) -> None:
    keys, _, service = opened
    keys.create(FRAUD)
    for _ in range(3):
        keys.rotate(FRAUD)
    with pytest.raises(InvalidError, match="older versions first"):
        keys.destroy(FRAUD, 2)
    keys.set_enabled(FRAUD, 1, False)
    keys.destroy(FRAUD, 1)
    keys.destroy(FRAUD, 2)
    assert sorted(service.keys["kek-fraud"].materials) == [3, 4]
    keys.rotate(FRAUD)
    keys.set_enabled(FRAUD, 3, False)
    keys.set_enabled(FRAUD, 4, False)
    assert [(one.version, one.enabled) for one in keys.describe(FRAUD).versions] == [
        (3, False),
        (4, False),
        (5, True),
    ]
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    assert keys.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY


def test_a_destroyed_key_made_again_under_its_name_opens_nothing_old(opened: Any) -> None:
    keys, _, _ = opened
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    keys.destroy(FRAUD, 1)
    keys.create(FRAUD)
    with pytest.raises(RejectedError):
        keys.unwrap(FRAUD, wrapped, CONTEXT)


def test_a_signing_key_that_was_rotated_behind_our_back_keeps_its_identity(opened: Any) -> None:
    keys, _, service = opened
    before = keys.create_signer(SIGN, "ecdsa-p256").key_id
    service.keys["sign-1"].rotate()
    signer = keys.signer(SIGN)
    assert signer.key_id == before
    with pytest.raises(DeniedError, match="version 1"):
        signer.sign(b"message")  # Transit signs with the newest only, unless it is told otherwise
    service.keys["sign-1"].min_encryption = 1
    signer.sign(b"message")


def test_a_retired_signing_key_signs_no_more(opened: Any) -> None:
    keys, _, _ = opened
    signer = keys.create_signer(SIGN, "ed25519")
    keys.set_enabled(SIGN, 1, False)
    with pytest.raises(DeniedError):
        keys.signer(SIGN)
    with pytest.raises(DeniedError):
        signer.sign(b"message")


def test_another_namespace_or_mount_holds_other_keys() -> None:
    token = "t" * 24
    service = Transit(token, namespace="team")
    with StandIn(service).running() as server:
        wire = Wire("vault", server.address, deadline_s=5.0)
        VaultKeys(wire, lambda: token, "transit", "team").create(FRAUD)
        for mount, namespace in (("transit", "other"), ("transit", None), ("other", "team")):
            with pytest.raises(InvalidError):
                VaultKeys(wire, lambda: token, mount, namespace).describe(FRAUD)
        for mount in ("", "../sys", "a/../b", "a b", "a?b", "/transit"):
            with pytest.raises(InvalidError, match="no path"):
                VaultKeys(wire, lambda: token, mount)


def test_two_who_make_one_signing_key_at_once(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, _, _ = opened
    keys.create_signer(SIGN, "ecdsa-p256")
    monkeypatch.setattr(keys, "_find", lambda name: None)  # as seen a moment earlier
    with pytest.raises(InvalidError, match="exists already"):
        keys.create_signer(SIGN, "ecdsa-p256")


def test_a_wrapped_key_of_another_size_is_not_believed(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, server, _ = opened
    keys.create(FRAUD)
    told = keys._find("kek-fraud")
    monkeypatch.setattr(keys, "_find", lambda name: told)
    for text in ("vault:v1:AAAA", "vault:v0:" + "A" * 80, "other:v1:" + "A" * 80, ""):
        server.faults = [Fault(200, raw=f'{{"data":{{"ciphertext":"{text}"}}}}'.encode())]
        with pytest.raises(OutageError, match="something else"):
            keys.wrap(FRAUD, DATA_KEY, CONTEXT)
