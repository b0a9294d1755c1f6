"""What a second person signs to let one finding pass, for exactly these bytes and until a day."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, shorten
from strongroom.values import Digest, ModelId, format_time, parse_principal, parse_time, require_reason

WAIVER_TYPE = "application/vnd.strongroom.waiver.v1+json"
"""DSSE payload type of a waiver."""
MAX_WAIVER = timedelta(days=365)

_FINDING = re.compile(r"[0-9a-f]{16}", re.ASCII)
_RULE = re.compile(r"[a-z][a-z0-9-]{0,127}", re.ASCII)
_FIELDS = frozenset({"model", "manifest", "finding", "rule", "by", "reason", "start", "end"})


@dataclass(frozen=True, slots=True)
class Waiver:
    """One finding accepted: ``by`` knows of it and answers for it from ``start`` until before ``end``."""

    model: ModelId
    manifest: Digest
    """Of the bytes in which it was found; no other bytes are covered."""
    finding: str
    """`scan.Match.fingerprint`: 16 hexadecimal digits."""
    rule: str
    by: str
    reason: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if _FINDING.fullmatch(self.finding) is None:
            raise InvalidError(f"waiver: {shorten(self.finding)} is not the id of a finding")
        if _RULE.fullmatch(self.rule) is None:
            raise InvalidError(f"waiver: {shorten(self.rule)} is not a rule")
        parse_principal(self.by)
        require_reason(self.reason)
        if not timedelta(0) < self.end - self.start <= MAX_WAIVER:
            raise InvalidError(f"waiver: must last up to {MAX_WAIVER.days} days")

    def is_active(self, at: datetime) -> bool:
        return self.start <= at < self.end

    def to_json(self) -> dict[str, Any]:
        return {
            "model": str(self.model),
            "manifest": str(self.manifest),
            "finding": self.finding,
            "rule": self.rule,
            "by": self.by,
            "reason": self.reason,
            "start": format_time(self.start),
            "end": format_time(self.end),
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes to be signed."""
        return canonical.encode(self.to_json())

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raises InvalidError for any other spelling."""
        if not isinstance(value, dict) or value.keys() != _FIELDS:
            raise InvalidError("waiver: fields missing or unknown")
        if not all(isinstance(text, str) for text in value.values()):
            raise InvalidError("waiver: a field is not a string")
        return cls(
            ModelId.parse(value["model"]),
            Digest.parse(value["manifest"]),
            value["finding"],
            value["rule"],
            value["by"],
            value["reason"],
            parse_time(value["start"]),
            parse_time(value["end"]),
        )
