"""A seal statement binds all that a load relies on; changing, adding or moving any of it is refused."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.trust import statement as module
from strongroom.trust.dsse import Envelope, EnvelopeSignature, pae, sign_envelope
from strongroom.trust.keyring import KeyHistory, SigningKey
from strongroom.trust.statement import PAYLOAD_TYPE, SealStatement, require_statement, sign_statement
from strongroom.values import Digest, ModelId, SealedEntry
from tests.unit.trust.signers import new_signer, public

T0 = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIGNER, OTHER = new_signer(), new_signer("ed25519")
HISTORY = KeyHistory((SigningKey(public(SIGNER), T0 - HOUR, T0 + 9 * HOUR),))


def _entry(index: int, path: str, size: int = 10) -> SealedEntry:
    return SealedEntry(
        path, size, Digest.of(path.encode()), f"fraud/1.2.0/{index}.sealed", bytes([index]) * 32, b"r" * 32
    )


STATEMENT = SealStatement(
    model="fraud@1.2.0",
    owner="risk-team",
    publisher="ann",
    format="onnx",
    main="model.onnx",
    schema={"inputs": [{"name": "x", "dtype": "FP32", "shape": [-1, 4]}]},
    entries=(_entry(0, "data/weights.bin", 0), _entry(1, "model.onnx"), _entry(2, "ö.txt", 2**40)),
    manifest_digest=Digest.of(b"manifest"),
    dek_context="fraud@1.2.0 sha256:00",
    oms_digest=Digest.of(b"bundle"),
    inspection={"opsets": {"ai.onnx": 17}, "findings": []},
    dependencies={"dataset": "sha256:11", "parents": []},
    created_at=T0,
)
ENVELOPE = sign_statement(STATEMENT, SIGNER)


def test_round_trip() -> None:
    assert SealStatement.parse(STATEMENT.to_payload()) == STATEMENT
    assert require_statement(ENVELOPE, HISTORY, T0, model=ModelId.parse("fraud@1.2.0")) == STATEMENT


def test_is_an_in_toto_statement_that_names_every_file() -> None:
    value = orjson.loads(STATEMENT.to_payload())
    assert value["_type"] == "https://in-toto.io/Statement/v1"
    assert value["subject"][1] == {"name": "model.onnx", "digest": {"sha256": Digest.of(b"model.onnx").hex}}


def test_model_without_schema_and_of_one_file() -> None:
    lone = replace(STATEMENT, schema=None, main="a", entries=(_entry(0, "a"),))
    assert SealStatement.parse(lone.to_payload()) == lone


def test_objects_keep_the_case_of_the_version() -> None:
    entry = replace(_entry(0, "a"), object="fraud/1.2.0-RC.1/0.sealed")
    lone = replace(STATEMENT, model="fraud@1.2.0-RC.1", main="a", entries=(entry,))
    assert SealStatement.parse(lone.to_payload()) == lone


def test_wrong_signer() -> None:
    with pytest.raises(RejectedError, match="not known"):
        require_statement(sign_statement(STATEMENT, OTHER), HISTORY, T0)


def test_statement_for_another_model() -> None:
    with pytest.raises(RejectedError, match="statement is for"):
        require_statement(ENVELOPE, HISTORY, T0, model=ModelId.parse("fraud@1.2.1"))


def test_revoked_key_is_refused_from_revocation_on_even_if_backdated() -> None:
    revoked = HISTORY.with_revoked(SIGNER.key_id, T0 + HOUR)
    assert require_statement(ENVELOPE, revoked, T0 + HOUR - timedelta(seconds=1)) == STATEMENT
    # The statement says T0, when the key was good; the log says when it really came.
    with pytest.raises(RejectedError, match="was revoked"):
        require_statement(ENVELOPE, revoked, T0 + HOUR)


def test_key_valid_only_later() -> None:
    later = KeyHistory((SigningKey(public(SIGNER), T0 + HOUR),))
    with pytest.raises(RejectedError, match="not valid before"):
        require_statement(ENVELOPE, later, T0)


def test_expired_key() -> None:
    with pytest.raises(RejectedError, match="was valid until"):
        require_statement(ENVELOPE, HISTORY, T0 + 9 * HOUR)


def test_statement_dated_after_its_record() -> None:
    assert require_statement(ENVELOPE, HISTORY, T0 - timedelta(minutes=5)) == STATEMENT
    with pytest.raises(RejectedError, match="dated after"):
        require_statement(ENVELOPE, HISTORY, T0 - timedelta(minutes=6))


def test_algorithm_confusion() -> None:
    history = HISTORY.with_key(SigningKey(public(OTHER), T0 - HOUR))
    payload = STATEMENT.to_payload()
    forged = EnvelopeSignature(SIGNER.key_id, OTHER.sign(pae(PAYLOAD_TYPE, payload)))
    with pytest.raises(RejectedError, match="does not verify"):
        require_statement(Envelope(PAYLOAD_TYPE, payload, (forged,)).to_bytes(), history, T0)


def test_payload_type_swap() -> None:
    other = sign_envelope("application/vnd.strongroom.approval+json", STATEMENT.to_payload(), SIGNER)
    with pytest.raises(RejectedError, match="payload type"):
        require_statement(other.to_bytes(), HISTORY, T0)


def test_signed_text_that_is_no_seal_statement() -> None:
    for payload in (b"{}", b'{"_type":"https://in-toto.io/Statement/v1"}', b"[]", b"\xff"):
        with pytest.raises(RejectedError):
            require_statement(sign_envelope(PAYLOAD_TYPE, payload, SIGNER).to_bytes(), HISTORY, T0)


def test_two_signatures_of_which_one_is_bad() -> None:
    history = HISTORY.with_key(SigningKey(public(OTHER), T0 - HOUR))
    good = Envelope.parse(ENVELOPE)
    second = EnvelopeSignature(OTHER.key_id, OTHER.sign(pae(PAYLOAD_TYPE, good.payload)))
    both = replace(good, signatures=(*good.signatures, second))
    assert require_statement(both.to_bytes(), history, T0) == STATEMENT
    bad = replace(second, value=OTHER.sign(b"something else"))
    with pytest.raises(RejectedError, match="does not verify"):
        require_statement(replace(both, signatures=(good.signatures[0], bad)).to_bytes(), history, T0)


def test_two_signatures_of_which_one_is_by_a_revoked_key() -> None:
    history = HISTORY.with_key(SigningKey(public(OTHER), T0 - HOUR)).with_revoked(OTHER.key_id, T0)
    good = Envelope.parse(ENVELOPE)
    second = EnvelopeSignature(OTHER.key_id, OTHER.sign(pae(PAYLOAD_TYPE, good.payload)))
    with pytest.raises(RejectedError, match="was revoked"):
        require_statement(replace(good, signatures=(*good.signatures, second)).to_bytes(), history, T0)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in the statement that this format defines, as a path of keys."""
    if place and place[-1] in ("schema", "inspection", "dependencies"):
        return
    match value:
        case dict():
            for key, item in value.items():
                yield (*place, key)
                yield from _places(item, (*place, key))
        case list():
            for index, item in enumerate(value):
                yield (*place, index)
                yield from _places(item, (*place, index))


_VALUE = orjson.loads(STATEMENT.to_payload())
_PLACES = list(_places(_VALUE))


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


@pytest.mark.parametrize("place", _PLACES, ids=lambda place: "/".join(map(str, place)))
def test_missing_or_of_another_kind(place: tuple[Any, ...]) -> None:
    others: list[Any] = [None, 7, -1, True, "", "x", [], {}, [{}]]
    for other in others:
        if place[-1] in ("schema", "inspection", "dependencies") and isinstance(other, dict | None):
            continue
        if place[-1] == "size" and other == 7:
            continue
        if place[-1] in ("format", "owner", "publisher", "dek_context") and other == "x":
            continue
        changed = copy.deepcopy(_VALUE)
        _at(changed, place[:-1])[place[-1]] = other
        with pytest.raises(RejectedError):
            SealStatement.parse(canonical.encode(changed))
    cut = copy.deepcopy(_VALUE)
    del _at(cut, place[:-1])[place[-1]]
    with pytest.raises(RejectedError):
        SealStatement.parse(canonical.encode(cut))


@pytest.mark.parametrize(
    "place",
    [(), ("predicate",), ("subject", 0), ("subject", 1, "digest"), ("predicate", "entries", 0)],
    ids=lambda place: "/".join(map(str, place)) or "top",
)
def test_extra_unknown_field(place: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(_VALUE)
    _at(changed, place)["more"] = "x"
    with pytest.raises(RejectedError, match="unknown or contradicts"):
        SealStatement.parse(canonical.encode(changed))


def test_duplicate_keys() -> None:
    payload = STATEMENT.to_payload()
    doubled = payload.replace(b'"owner":"risk-team"', b'"owner":"mallory","owner":"risk-team"')
    assert doubled != payload
    with pytest.raises(RejectedError, match="canonical"):
        SealStatement.parse(doubled)


def test_subject_and_entry_that_contradict() -> None:
    changed = copy.deepcopy(_VALUE)
    changed["subject"][1]["digest"]["sha256"] = "0" * 64
    with pytest.raises(RejectedError, match="contradicts"):
        SealStatement.parse(canonical.encode(changed))


_BAD_ENTRIES = {
    "no entries": (),
    "object of another version": (replace(_entry(0, "model.onnx"), object="fraud/1.1.0/0.sealed"),),
    "object of another family": (replace(_entry(0, "model.onnx"), object="credit/1.2.0/0.sealed"),),
    "object outside": (replace(_entry(0, "model.onnx"), object="../0.sealed"),),
    "objects exchanged": (
        replace(_entry(1, "a"), object="fraud/1.2.0/1.sealed"),
        replace(_entry(0, "model.onnx"), object="fraud/1.2.0/0.sealed"),
    ),
    "path twice": (_entry(0, "model.onnx"), _entry(1, "model.onnx")),
    "order": (_entry(0, "model.onnx"), _entry(1, "a")),
    "empty path": (_entry(0, ""), _entry(1, "model.onnx")),
    "long path": (_entry(0, "m" * 1025), _entry(1, "model.onnx")),
    "negative size": (_entry(0, "model.onnx", -1),),
    "huge size": (_entry(0, "model.onnx", 2**40 + 1),),
    "short commitment": (replace(_entry(0, "model.onnx"), commitment=b"x" * 31),),
    "short root": (replace(_entry(0, "model.onnx"), root=b""),),
}


@pytest.mark.parametrize("attack", list(_BAD_ENTRIES))
def test_bad_entries(attack: str) -> None:
    with pytest.raises(InvalidError):
        replace(STATEMENT, main="model.onnx", entries=_BAD_ENTRIES[attack])


def test_main_entry_must_be_sealed() -> None:
    with pytest.raises(InvalidError, match="main"):
        replace(STATEMENT, main="other.onnx")


@pytest.mark.parametrize("schema", [{"min": 0.5}, {"ü": 1}, {"n": 2**53}, {"x": {1}}])
def test_schema_without_one_canonical_form(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        replace(STATEMENT, schema=schema).to_payload()


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = STATEMENT.to_payload()
    monkeypatch.setattr(module, "MAX_PAYLOAD_BYTES", len(payload) - 1)
    with pytest.raises(RejectedError, match="larger"):
        SealStatement.parse(payload)
    with pytest.raises(InvalidError, match="larger"):
        STATEMENT.to_payload()
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    with pytest.raises(RejectedError):
        SealStatement.parse(payload)


def test_every_flipped_byte_of_the_envelope() -> None:
    for position in range(0, len(ENVELOPE), 3):
        forged = bytearray(ENVELOPE)
        forged[position] ^= 0x02
        with pytest.raises(RejectedError):
            require_statement(bytes(forged), HISTORY, T0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(_VALUE)), inner, max_size=4)
        ),
    )
)
def test_arbitrary_json_raises_nothing_else(value: Any) -> None:
    with pytest.raises(RejectedError):
        SealStatement.parse(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
