"""The conversion record: which original a converted model was made from, and how far it is from it.

An in-toto Statement v1 (docs/formats/conversion.md), in a DSSE envelope where a home has signed it. Parsing
rebuilds the statement and compares it with the bytes, so there is one spelling and no unknown field.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.dsse import Envelope, sign_envelope, verify
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.signatures import MessageSigner
from strongroom.trust.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from strongroom.values import Digest, ModelId, format_time, parse_principal, parse_time

PREDICATE_TYPE = "urn:strongroom:conversion:v1"
MAX_RECORD_BYTES = 2**18
MAX_TEXT_CHARS = 400
MAX_ITEMS = 256
MAX_COUNT = 2**40
_DECIMAL = re.compile(r"-?[0-9]\.[0-9]{3}e[+-][0-9]{2,3}|inf|nan", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._ -]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file before or after the conversion."""

    name: str
    sha256: Digest
    size_bytes: int

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": str(self.sha256), "size": self.size_bytes}

    @classmethod
    def parse(cls, value: object) -> Self:
        match value:
            case {"name": str(name), "sha256": str(digest), "size": int(size)} if (
                _is_text(name) and _is_count(size) and size > 0
            ):
                return cls(name, Digest.parse(digest), size)
        raise InvalidError("conversion: a file is described in another way")


@dataclass(frozen=True, slots=True)
class ConversionRecord:
    """What a conversion did. ``facts`` are the sandbox's own word, checked for form only."""

    original: Artifact
    converted: Artifact
    facts: dict[str, Any]
    sandbox: dict[str, str]
    """Layers of the process that read the original: ``on``, or why not."""
    rules: str
    """Version of the scan's rules that let the original pass."""
    created_at: datetime
    model: str | None = None
    """The version that it was made for."""
    by: str | None = None
    """Who had it made, in the home that signed it."""

    def __post_init__(self) -> None:
        require_facts(self.facts)
        if len(self.sandbox) > MAX_ITEMS or not all(map(_is_text, (*self.sandbox, *self.sandbox.values()))):
            raise InvalidError("conversion: sandbox layers are out of bounds")
        if not _is_text(self.rules):
            raise InvalidError("conversion: rules have no version")
        if self.model is not None:
            ModelId.parse(self.model)
        if self.by is not None:
            parse_principal(self.by)

    def to_dict(self) -> dict[str, Any]:
        """Return the predicate."""
        return {
            "by": self.by,
            "converted": self.converted.to_dict(),
            "created_at": format_time(self.created_at),
            "facts": self.facts,
            "model": self.model,
            "original": self.original.to_dict(),
            "rules": self.rules,
            "sandbox": self.sandbox,
        }

    def to_payload(self) -> bytes:
        """Return the canonical bytes: what an unsigned record's file holds, and what is signed."""
        payload = canonical.encode(
            {
                "_type": STATEMENT_TYPE,
                "predicate": self.to_dict(),
                "predicateType": PREDICATE_TYPE,
                "subject": [{"digest": {"sha256": self.converted.sha256.hex}, "name": self.converted.name}],
            }
        )
        if len(payload) > MAX_RECORD_BYTES:
            raise InvalidError(f"conversion: its record is larger than {MAX_RECORD_BYTES} bytes")
        return payload

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Return the record whose canonical bytes are ``payload``.

        Raises:
            RejectedError: any other spelling, an unknown, missing or contradicting field.
        """
        if len(payload) > MAX_RECORD_BYTES:
            raise RejectedError(f"conversion: its record is larger than {MAX_RECORD_BYTES} bytes")
        try:
            record = cls._build(canonical.decode(payload))
            same = record.to_payload() == payload
        except InvalidError as error:
            raise RejectedError(f"conversion: {error.message}") from None
        if not same:
            raise RejectedError("conversion: a field is unknown or contradicts another")
        return record

    @classmethod
    def _build(cls, value: object) -> Self:
        match value:
            case {
                "predicate": {
                    "by": None | str() as by,
                    "converted": converted,
                    "created_at": str(created_at),
                    "facts": dict(facts),
                    "model": None | str() as model,
                    "original": original,
                    "rules": str(rules),
                    "sandbox": dict(sandbox),
                }
            }:
                return cls(
                    Artifact.parse(original),
                    Artifact.parse(converted),
                    facts,
                    sandbox,
                    rules,
                    parse_time(created_at),
                    model,
                    by,
                )
        raise InvalidError("a field is missing or of another kind")


def sign_record(record: ConversionRecord, signer: MessageSigner) -> bytes:
    """Return the envelope's bytes, as they are written beside the converted model."""
    return sign_envelope(PAYLOAD_TYPE, record.to_payload(), signer).to_bytes()


def require_record(data: bytes, keys: KeyHistory, at: datetime) -> tuple[ConversionRecord, bool]:
    """Return a record and whether it is signed by a key of ours that is valid ``at`` that time.

    Raises:
        RejectedError: it is malformed, or its signature is forged or by a key that is not ours.
    """
    if not _is_envelope(data):
        return ConversionRecord.parse(data), False
    envelope = Envelope.parse(data)
    signers = [keys.require_valid(signature.key_id, at) for signature in envelope.signatures]
    return ConversionRecord.parse(verify(envelope, signers, PAYLOAD_TYPE)), True


def _is_envelope(data: bytes) -> bool:
    """Canonical JSON is sorted: an envelope begins with its payload, a statement with its type."""
    return data.startswith(b'{"payload":')


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_TEXT_CHARS


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, str) and _DECIMAL.fullmatch(value) is not None)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_ITEMS and all(map(_is_text, value))


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and len(value) <= MAX_ITEMS and all(map(_is_count, value.values()))


def _is_named(value: object, check: Any) -> bool:
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        return False
    return all(_WORD.fullmatch(name) is not None and check(item) for name, item in value.items())


def _has_keys(value: object, keys: set[str]) -> bool:
    return isinstance(value, dict) and value.keys() == keys and _is_counts(value)


_FACTS: dict[str, Any] = {
    "format": _is_text,
    "estimator": _is_text,
    "task": _is_text,
    "features": _is_count,
    "number": lambda value: value in ("FP32", "FP64"),
    "outputs": _is_texts,
    "left_out": _is_texts,
    "rows": _is_count,
    "seed": lambda value: value is None or _is_count(value),
    "inputs": lambda value: isinstance(value, str) and _HASH.fullmatch(value) is not None,
    "label": lambda value: value is None or _has_keys(value, {"rows", "agreed", "ties"}),
    "absolute": _is_number,
    "relative": _is_number,
    "bound": _is_number,
    "probes": lambda value: _is_named(value, lambda item: _has_keys(item, {"rows", "differing"})),
    "versions": lambda value: _is_named(value, _is_text),
    "opsets": lambda value: _is_named(value, _is_count),
    "globals": _is_texts,
    "globals_count": _is_count,
    "notes": _is_texts,
    "module": lambda value: value is None or (isinstance(value, str) and _HASH.fullmatch(value) is not None),
}


def require_facts(facts: dict[str, Any]) -> None:
    """Raises InvalidError: a fact is missing, unknown or of another kind; they come out of a sandbox."""
    if facts.keys() != _FACTS.keys():
        raise InvalidError("conversion: its facts are others than those that are told")
    for name, check in _FACTS.items():
        if not check(facts[name]):
            raise InvalidError(f"conversion: fact {shorten(name)} is out of bounds")
