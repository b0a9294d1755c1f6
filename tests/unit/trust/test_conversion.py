"""A conversion record has one spelling; one that was altered, forged or stretched is refused."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.conversion import (
    MAX_RECORD_BYTES,
    Artifact,
    ConversionRecord,
    require_record,
    sign_record,
)
from strongroom.trust.keyring import KeyHistory, SigningKey
from strongroom.values import Digest
from tests.unit.trust.signers import new_signer, public

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "format": "pickle",
    "estimator": "StandardScaler > SVC",
    "task": "classification",
    "features": 4,
    "number": "FP32",
    "outputs": ["label", "scores"],
    "left_out": [],
    "rows": 256,
    "seed": 7,
    "inputs": "ab" * 32,
    "label": {"rows": 250, "agreed": 250, "ties": 6},
    "absolute": "1.234e-07",
    "relative": "1.000e-06",
    "bound": "1.000e-04",
    "probes": {"at-thresholds": {"rows": 64, "differing": 0}},
    "versions": {"scikit-learn": "1.9.1"},
    "opsets": {"ai.onnx": 18, "ai.onnx.ml": 3},
    "globals": ["sklearn.svm._classes.SVC"],
    "globals_count": 1,
    "notes": [],
    "module": None,
}
RECORD = ConversionRecord(
    Artifact("model.pkl", Digest.of(b"original"), 8),
    Artifact("model.onnx", Digest.of(b"converted"), 9),
    FACTS,
    {"seccomp": "on", "landlock": "missing: ENOSYS"},
    "2026.11.1",
    NOW,
    "fraud@1.0.0",
    "dora",
)


def test_a_record_comes_back_as_it_was() -> None:
    assert ConversionRecord.parse(RECORD.to_payload()) == RECORD
    unsigned = replace(RECORD, model=None, by=None)
    assert ConversionRecord.parse(unsigned.to_payload()) == unsigned


WRONG_FACTS: dict[str, Any] = {
    "a float": {"rows": 2.5},
    "a negative count": {"rows": -1},
    "a truth for a count": {"features": True},
    "a huge count": {"features": 2**60},
    "a number that is none": {"absolute": "1e400"},
    "an unknown number type": {"number": "FP16"},
    "a long text": {"estimator": "x" * 500},
    "too many outputs": {"outputs": ["x"] * 300},
    "a digest that is none": {"inputs": "AB" * 32},
    "half a label": {"label": {"rows": 1}},
    "a probe that is a text": {"probes": {"at-thresholds": "0"}},
    "a version of a list": {"versions": {"numpy": []}},
    "a name with line ends": {"versions": {"a\nb": "1"}},
    "one too many": {"more": 1},
}


@pytest.mark.parametrize("wrong", WRONG_FACTS)
def test_what_a_sandbox_says_is_checked_before_it_is_believed(wrong: str) -> None:
    with pytest.raises(InvalidError):
        replace(RECORD, facts={**FACTS, **WRONG_FACTS[wrong]})


def test_a_missing_fact_is_refused() -> None:
    with pytest.raises(InvalidError):
        replace(RECORD, facts={name: value for name, value in FACTS.items() if name != "rows"})


def _altered(**changes: Any) -> bytes:
    value = json.loads(RECORD.to_payload())
    value["predicate"].update(changes)
    return canonical.encode(value)


ALTERED: dict[str, bytes] = {
    "spaces": json.dumps(json.loads(RECORD.to_payload())).encode(),
    "an unknown field": _altered(more=1),
    "another subject than is converted": _altered(converted=RECORD.original.to_dict()),
    "an empty file": _altered(converted={**RECORD.converted.to_dict(), "size": 0}),
    "no time": _altered(created_at="today"),
    "no model id": _altered(model="fraud"),
    "a layer that is a number": _altered(sandbox={"seccomp": 1}),
    "another type": RECORD.to_payload().replace(b"conversion:v1", b"conversion:v2"),
    "cut": RECORD.to_payload()[:-1],
    "too large": b" " * (MAX_RECORD_BYTES + 1),
}


@pytest.mark.parametrize("attack", ALTERED)
def test_an_altered_record_is_refused(attack: str) -> None:
    with pytest.raises(RejectedError):
        ConversionRecord.parse(ALTERED[attack])


def _keys(signer: Any) -> KeyHistory:
    key = SigningKey(public(signer), NOW - timedelta(days=1), None)
    return KeyHistory((key,))


def test_a_signed_record_is_believed_and_an_unsigned_one_is_said_to_be() -> None:
    signer = new_signer("ecdsa-p256")
    keys = _keys(signer)
    assert require_record(sign_record(RECORD, signer), keys, NOW) == (RECORD, True)
    assert require_record(RECORD.to_payload(), keys, NOW) == (RECORD, False)


def test_a_signature_of_a_stranger_or_over_another_record_is_refused() -> None:
    signer, stranger = new_signer("ecdsa-p256"), new_signer("ecdsa-p256")
    envelope = sign_record(RECORD, signer)
    with pytest.raises(RejectedError):
        require_record(envelope, _keys(stranger), NOW)
    other = sign_record(replace(RECORD, by="eve"), stranger)
    mixed = json.loads(other)
    mixed["signatures"] = json.loads(envelope)["signatures"]
    with pytest.raises(RejectedError):
        require_record(canonical.encode(mixed), _keys(signer), NOW)
    bare = json.loads(envelope)
    bare["signatures"] = []
    with pytest.raises(RejectedError):
        require_record(canonical.encode(bare), _keys(signer), NOW)
