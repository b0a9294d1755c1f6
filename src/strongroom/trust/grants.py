"""Grants: a role for a principal on a resource, from a start to an end, for a reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, shorten
from strongroom.values import (
    ModelId,
    Role,
    format_time,
    parse_family,
    parse_principal,
    parse_time,
    require_reason,
)

MAX_DURATION = timedelta(days=366)
ID_ENTROPY_BYTES = 16
EVERYTHING = "*"
"""The resource that covers every family, and the only one that covers what belongs to no family."""

GRANT_TYPE = "application/vnd.strongroom.grant.v1+json"
"""DSSE payload type of a grant that its granting admin has signed."""

_MAX_GRANT_BYTES = 4096
_ID = re.compile(r"g-[0-9a-f]{32}", re.ASCII)
_FIELDS = frozenset({"id", "principal", "role", "resource", "start", "end", "reason", "granted_by"})


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission, always with an end; checked on construction, so that one in hand is a valid one."""

    id: str
    principal: str
    role: Role
    resource: str
    start: datetime
    end: datetime
    reason: str
    granted_by: str

    def __post_init__(self) -> None:
        parse_grant_id(self.id)
        parse_principal(self.principal)
        parse_principal(self.granted_by)
        parse_resource(self.resource)
        require_reason(self.reason)
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InvalidError(f"{self.id}: start or end has no time zone")
        if not self.start < self.end:
            raise InvalidError(f"{self.id}: ends before it starts")
        if self.end - self.start > MAX_DURATION:
            raise InvalidError(
                f"{self.id}: longer than {MAX_DURATION.days} days",
                hint="grant less and renew; a grant that nobody renews should end",
            )
        object.__setattr__(self, "role", Role(self.role))
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))

    def is_active(self, now: datetime) -> bool:
        """Whether ``start <= now < end``, to the microsecond."""
        return self.start <= now < self.end

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "principal": self.principal,
            "role": self.role.value,
            "resource": self.resource,
            "start": format_time(self.start),
            "end": format_time(self.end),
            "reason": self.reason,
            "granted_by": self.granted_by,
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that the granting admin signs."""
        return canonical.encode(self.to_json())

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the grant. Raises InvalidError for a missing, unknown or ill-typed field."""
        if not isinstance(value, dict) or value.keys() != _FIELDS:
            raise InvalidError("grant: fields missing or unknown")
        if not all(isinstance(text, str) for text in value.values()):
            raise InvalidError("grant: a field is not a string")
        return cls(
            value["id"],
            value["principal"],
            parse_role(value["role"]),
            value["resource"],
            parse_time(value["start"]),
            parse_time(value["end"]),
            value["reason"],
            value["granted_by"],
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the grant whose canonical bytes are exactly ``data``."""
        if len(data) > _MAX_GRANT_BYTES:
            raise InvalidError(f"grant: longer than {_MAX_GRANT_BYTES} bytes")
        return cls.from_json(canonical.decode(data))


def build_grant_id(random: bytes) -> str:
    """Return the name of a new grant from ID_ENTROPY_BYTES random bytes."""
    if len(random) != ID_ENTROPY_BYTES:
        raise InvalidError(f"grant: needs {ID_ENTROPY_BYTES} random bytes")
    return f"g-{random.hex()}"


def parse_grant_id(text: str) -> str:
    if _ID.fullmatch(text) is None:
        raise InvalidError(f"grant: {shorten(text)} is not a grant id")
    return text


def parse_role(text: str) -> Role:
    if text not in set(Role):
        raise InvalidError(f"role: {shorten(text)} is not one of {', '.join(Role)}")
    return Role(text)


def parse_resource(text: str) -> str:
    """Return ``text`` if it is ``*``, a family, or one version of a family."""
    if text == EVERYTHING:
        return text
    return str(ModelId.parse(text)) if "@" in text else parse_family(text)


def is_covered(resource: str, by: str) -> bool:
    """Whether a grant on ``by`` reaches ``resource``; both as `parse_resource` accepts them.

    ``*`` reaches everything, a family itself and each of its versions, a version only itself. Only ``*``
    reaches ``*``. Names are compared whole, so ``fraud`` never reaches ``fraud2``.
    """
    if by in (EVERYTHING, resource):
        return True
    family, at, _ = resource.partition("@")
    return bool(at) and by == family


def active_grants(grants: Iterable[Grant], principal: str, resource: str, now: datetime) -> tuple[Grant, ...]:
    """Return the grants of ``principal`` that hold at ``now`` and reach ``resource``."""
    return tuple(
        grant
        for grant in grants
        if grant.principal == principal and grant.is_active(now) and is_covered(resource, grant.resource)
    )
