"""A key is believed for the time that the log gives it, and no longer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from strongroom.adapters.identity.mtls import build_ca
from strongroom.errors import InvalidError, RejectedError
from strongroom.trust import keyring
from strongroom.trust.keyring import KeyHistory, SigningKey, TrustRoot
from tests.unit.trust.signers import new_signer, public

T0 = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
KEY = public(new_signer())


class _Zeros:
    def bytes(self, size: int) -> bytes:
        return bytes(size)


CA_SIGNER = new_signer()
ROOT = TrustRoot(
    trust_domain="strongroom.example",
    ca_pem=build_ca(CA_SIGNER, "strongroom.example", T0, _Zeros()),
    log_origin="strongroom.example/log",
    log_public_key=public(new_signer("ed25519")),
    signing_keys=KeyHistory(
        (SigningKey(KEY, T0, T0 + DAY), SigningKey(public(new_signer("ed25519")), T0, None, T0 + DAY))
    ),
)


@pytest.mark.parametrize(
    ("at", "why"),
    [(T0 - TICK, "not valid before"), (T0 + 3 * DAY, "was valid until"), (T0 + 9 * DAY, "was valid until")],
)
def test_outside_its_time(at: datetime, why: str) -> None:
    history = KeyHistory((SigningKey(KEY, T0, T0 + 3 * DAY),))
    with pytest.raises(RejectedError, match=why):
        history.require_valid(KEY.key_id, at)


def test_inside_its_time_and_at_its_edges() -> None:
    history = KeyHistory((SigningKey(KEY, T0, T0 + DAY),))
    assert history.require_valid(KEY.key_id, T0) is KEY
    assert history.require_valid(KEY.key_id, T0 + DAY - TICK) is KEY


def test_revoked_key_is_refused_from_the_time_of_revocation_on() -> None:
    history = KeyHistory((SigningKey(KEY, T0),)).with_revoked(KEY.key_id, T0 + DAY)
    assert history.require_valid(KEY.key_id, T0 + DAY - TICK) is KEY
    for at in (T0 + DAY, T0 + 99 * DAY):
        with pytest.raises(RejectedError, match="was revoked"):
            history.require_valid(KEY.key_id, at)


def test_a_later_revocation_does_not_give_time_back() -> None:
    history = KeyHistory((SigningKey(KEY, T0),)).with_revoked(KEY.key_id, T0 + DAY)
    again = history.with_revoked(KEY.key_id, T0 + 5 * DAY)
    with pytest.raises(RejectedError, match="was revoked"):
        again.require_valid(KEY.key_id, T0 + 2 * DAY)


def test_keys_valid_at_a_time() -> None:
    other = public(new_signer())
    history = KeyHistory((SigningKey(KEY, T0, T0 + DAY), SigningKey(other, T0, None, T0 + 2 * DAY)))
    assert history.valid_keys(T0 - TICK) == ()
    assert history.valid_keys(T0) == (KEY, other)
    assert history.valid_keys(T0 + DAY) == (other,)
    assert history.valid_keys(T0 + 2 * DAY) == ()


def test_unknown_key() -> None:
    with pytest.raises(RejectedError, match="not known"):
        KeyHistory().require_valid(KEY.key_id, T0)
    with pytest.raises(InvalidError, match="not known"):
        KeyHistory().with_revoked(KEY.key_id, T0)


def test_a_revoked_key_cannot_come_back_as_new() -> None:
    revoked = KeyHistory((SigningKey(KEY, T0),)).with_revoked(KEY.key_id, T0)
    with pytest.raises(InvalidError, match="twice"):
        revoked.with_key(SigningKey(KEY, T0 + DAY))


def test_number_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "MAX_SIGNING_KEYS", 1)
    with pytest.raises(InvalidError, match="more than"):
        KeyHistory((SigningKey(KEY, T0),)).with_key(SigningKey(public(new_signer()), T0))


def test_trust_root_round_trip() -> None:
    assert TrustRoot.parse(ROOT.to_bytes()) == ROOT


def _changed(**changes: object) -> bytes:
    return orjson.dumps({**orjson.loads(ROOT.to_bytes()), **changes}, option=orjson.OPT_SORT_KEYS)


_FIRST = orjson.loads(ROOT.to_bytes())["signing_keys"][0]
_OTHER_PEM = public(new_signer()).pem.decode()
_REFUSED = {
    "unknown field": _changed(more=1),
    "other format": _changed(format="strongroom-trust/2"),
    "log key of another algorithm": _changed(log_public_pem=KEY.pem.decode()),
    "leaf or key as ca": _changed(ca_pem=KEY.pem.decode()),
    "two cas": _changed(ca_pem=ROOT.ca_pem.decode() * 2),
    "ca edited": _changed(ca_pem=ROOT.ca_pem.decode().replace("MII", "MIJ", 1)),
    "trust domain": _changed(trust_domain="Strongroom.example"),
    "empty origin": _changed(log_origin=""),
    "origin of two lines": _changed(log_origin="a\nb"),
    "key twice": _changed(signing_keys=[_FIRST, _FIRST]),
    "key under a foreign id": _changed(signing_keys=[{**_FIRST, "public_pem": _OTHER_PEM}]),
    "algorithm edited": _changed(signing_keys=[{**_FIRST, "algorithm": "ed25519"}]),
    "key with unknown field": _changed(signing_keys=[{**_FIRST, "more": 1}]),
    "key without end": _changed(signing_keys=[{k: v for k, v in _FIRST.items() if k != "not_after"}]),
    "time of another spelling": _changed(signing_keys=[{**_FIRST, "not_before": "2026-01-01T00:00:00Z"}]),
    "time as number": _changed(signing_keys=[{**_FIRST, "revoked_at": 0}]),
    "white space": ROOT.to_bytes() + b" ",
    "list": b"[]",
    "empty": b"",
}


@pytest.mark.parametrize("attack", list(_REFUSED))
def test_other_trust_roots(attack: str) -> None:
    with pytest.raises(InvalidError):
        TrustRoot.parse(_REFUSED[attack])


def test_oversize_trust_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "MAX_TRUST_ROOT_BYTES", 10)
    with pytest.raises(InvalidError):
        TrustRoot.parse(ROOT.to_bytes())


def test_trust_root_needs_an_ed25519_log_key() -> None:
    with pytest.raises(InvalidError, match="ed25519"):
        replace(ROOT, log_public_key=KEY)
