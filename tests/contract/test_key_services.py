"""Custodies behind an API whose service fails, lies, denies or is configured badly."""

import base64
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from strongroom.adapters.keys.remote import RemoteKeys
from strongroom.adapters.keys.wire import MAX_ANSWER_BYTES, MAX_TRIES, Wire
from strongroom.errors import DeniedError, InvalidError, OutageError, StrongroomError
from strongroom.values import KeyUri
from tests.contract import services
from tests.contract.standins.server import Fault, StandIn

DATA_KEY = bytes(range(32))
CONTEXT = b"fraud@1.0.0 sha256:00"


@dataclass
class Served:
    keys: RemoteKeys
    server: StandIn
    service: Any
    fraud: KeyUri

    def wrap(self) -> bytes:
        return self.keys.wrap(self.fraud, DATA_KEY, CONTEXT)


OPENERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "vault": services.transit,
    "azurekv": services.key_vault,
    "gcpkms": services.cloud_kms,
}


@pytest.fixture(params=sorted(OPENERS))
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with OPENERS[request.param]() as (keys, server, service):
        one = Served(keys, server, service, KeyUri(f"{request.param}:kek-fraud"))
        keys.create(one.fraud)
        yield one


def _impatient(served: Served, deadline_s: float) -> None:
    """Give the custody less time."""
    keys: Any = served.keys
    wire = keys._wire if isinstance(keys._wire, Wire) else keys._wire._wire
    wire._deadline_s = deadline_s


def test_a_service_that_is_gone_is_named(served: Served) -> None:
    wrapped = served.wrap()
    served.server.stop()
    _impatient(served, 1.0)
    for call in (
        lambda: served.keys.describe(served.fraud),
        lambda: served.keys.unwrap(served.fraud, wrapped, CONTEXT),
        served.wrap,
        lambda: served.keys.rotate(served.fraud),
    ):
        with pytest.raises(OutageError, match=served.keys.service):
            call()


def test_throttling_and_hiccups_are_waited_out(served: Served) -> None:
    wrapped = served.wrap()
    served.server.faults = [Fault(429, {"Retry-After": "0"}), Fault(503), Fault(0)]
    assert served.keys.unwrap(served.fraud, wrapped, CONTEXT) == DATA_KEY
    assert not served.server.faults


def test_a_service_that_only_fails_is_asked_a_few_times(served: Served) -> None:
    wrapped = served.wrap()
    before = len(served.server.asked)
    served.server.faults = [Fault(500) for _ in range(50)]
    with pytest.raises(OutageError, match="500"):
        served.keys.unwrap(served.fraud, wrapped, CONTEXT)
    assert len(served.server.asked) - before <= MAX_TRIES


def test_a_service_that_says_nothing_is_not_waited_for(served: Served) -> None:
    wrapped = served.wrap()
    served.server.faults = [Fault(silent_s=30.0)]
    _impatient(served, 0.5)
    started = time.monotonic()
    with pytest.raises(OutageError, match=served.keys.service):
        served.keys.unwrap(served.fraud, wrapped, CONTEXT)
    assert time.monotonic() - started < 20.0


def test_a_redirect_is_not_followed_with_our_token(served: Served) -> None:
    wrapped = served.wrap()
    with StandIn(served.service).running() as elsewhere:
        served.server.faults = [Fault(307, {"Location": elsewhere.address + "/v1/x"})]
        with pytest.raises(OutageError, match="another address"):
            served.keys.unwrap(served.fraud, wrapped, CONTEXT)
        assert not elsewhere.asked


@pytest.mark.parametrize(
    "raw",
    [b"<html>", b"[]", b"null", b"{}", b'{"data":{}}', b'{"data":{"plaintext":7},"value":7,"plaintext":{}}'],
)
def test_an_answer_of_another_kind(served: Served, raw: bytes) -> None:
    wrapped = served.wrap()
    served.server.faults = [Fault(200, raw=raw)]
    with pytest.raises(OutageError):
        served.keys.unwrap(served.fraud, wrapped, CONTEXT)


def test_an_endless_answer(served: Served) -> None:
    served.server.faults = [Fault(200, raw=b" " * (MAX_ANSWER_BYTES + 1))]
    with pytest.raises(OutageError, match="more than"):
        served.keys.describe(served.fraud)


def test_a_token_without_the_right(served: Served) -> None:
    wrapped = served.wrap()
    (token,) = served.service.tokens
    served.server.faults = [Fault(403), Fault(403)]
    with pytest.raises(DeniedError) as caught:
        served.keys.describe(served.fraud)
    assert token not in str(caught.value) + str(caught.value.hint)
    served.server.faults = [Fault(403)]
    with pytest.raises(DeniedError):
        served.keys.unwrap(served.fraud, wrapped, CONTEXT)


def test_a_rotation_whose_answer_is_lost_is_not_done_twice(served: Served) -> None:
    wrapped = served.wrap()
    find = served.keys._find
    told = find("kek-fraud")
    assert told is not None
    before = len(served.server.asked)
    served.server.faults = [Fault(after=True)]
    with pytest.raises(OutageError):
        served.keys._add("kek-fraud", told)
    assert len(served.server.asked) == before + 1
    assert [one.version for one in served.keys.describe(served.fraud).versions] == [1, 2]
    assert served.keys.unwrap(served.fraud, wrapped, CONTEXT) == DATA_KEY


def test_no_data_key_and_no_token_in_logs_and_errors(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (token,) = served.service.tokens
    errors = []
    wrapped = served.wrap()
    served.keys.unwrap(served.fraud, wrapped, CONTEXT)
    for context in (b"other", CONTEXT):
        served.server.faults = [] if context == b"other" else [Fault(500) for _ in range(MAX_TRIES)]
        with pytest.raises(StrongroomError) as caught:
            served.keys.unwrap(served.fraud, wrapped, context)
        errors.append(
            repr(caught.value) + str(caught.value) + str(caught.value.hint) + repr(caught.value.__cause__)
        )
    shown = caplog.text + "".join(errors)
    for secret in (token, DATA_KEY.hex(), base64.b64encode(DATA_KEY).decode(), repr(DATA_KEY)):
        assert secret not in shown


@pytest.mark.parametrize(
    "address",
    [
        "http://vault.example:8200",
        "https://",
        "ftp://127.0.0.1",
        "https://user:word@host",
        "https://host/path",
        "https://host?x",
        "https://host#x",
        "host:8200",
        "https://h\u00f6st",
        "https://host:99999",
        "https://host\n",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Wire("vault", address, deadline_s=1.0)
    assert "word" not in str(caught.value)


def test_a_certificate_of_nobody(tmp_path: Any) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificate")
    with pytest.raises(InvalidError, match="no certificates"):
        Wire("vault", "https://host", deadline_s=1.0, ca_bundle=bundle)
