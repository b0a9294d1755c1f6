"""What a reviewer signs: that they stand for exactly these bytes of this model."""

from datetime import datetime

from strongroom import canonical
from strongroom.errors import InvalidError
from strongroom.values import Digest, ModelId, format_time, parse_principal, parse_time

APPROVAL_TYPE = "application/vnd.strongroom.approval.v1+json"
"""DSSE payload type of an approval."""

_FIELDS = frozenset({"model", "manifest", "statement", "approver", "time"})
_MAX_APPROVAL_BYTES = 4096


def build_approval(model: ModelId, manifest: Digest, statement: Digest, approver: str, at: datetime) -> bytes:
    """Return the canonical bytes to be signed."""
    return canonical.encode(
        {
            "model": str(model),
            "manifest": str(manifest),
            "statement": str(statement),
            "approver": parse_principal(approver),
            "time": format_time(at),
        }
    )


def parse_approval(payload: bytes) -> tuple[ModelId, Digest, Digest, str, datetime]:
    """Return model, manifest, statement, approver and time. Raises InvalidError for any other spelling."""
    value = canonical.decode(payload) if len(payload) <= _MAX_APPROVAL_BYTES else None
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise InvalidError("approval: fields missing or unknown")
    if not all(isinstance(text, str) for text in value.values()):
        raise InvalidError("approval: a field is not a string")
    return (
        ModelId.parse(value["model"]),
        Digest.parse(value["manifest"]),
        Digest.parse(value["statement"]),
        parse_principal(value["approver"]),
        parse_time(value["time"]),
    )
