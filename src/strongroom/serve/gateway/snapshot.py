"""What the gateway knows of identities, grants and models: one pushed value, useless once it is old (D4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from strongroom.errors import InvalidError, shorten
from strongroom.guard.schema import Schema
from strongroom.trust.grants import Grant
from strongroom.trust.policy import Decision, Request, decide
from strongroom.values import Action, Digest, ModelId, parse_principal, parse_time

MAX_CACHED_DECISIONS = 16_384
_KEYS = frozenset(
    {"kind", "number", "time", "max_age_s", "policy_version", "solo", "identities", "grants", "models"}
)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model version as callers see it."""

    key: str
    """Family and version, ``fraud@1.2.0``; this and the others as text, for they are written all the time."""
    name: str
    version: str
    digest: str
    schema: Schema


class _Cached(NamedTuple):
    decision: Decision
    until: datetime


class Snapshot:
    """One consistent view. Decisions are cached until the next moment that could change them."""

    def __init__(self, message: Mapping[str, Any], received_at_s: float) -> None:
        """Raises InvalidError for a message that is not exactly a snapshot."""
        if message.keys() != _KEYS:
            raise InvalidError("snapshot: names missing or unknown")
        self.number: int = message["number"]
        self.time = parse_time(message["time"])
        self.policy_version: str = message["policy_version"]
        self.max_age_s: float = message["max_age_s"]
        if type(self.number) is not int or type(self.max_age_s) not in (int, float):
            raise InvalidError("snapshot: number or age is not a number")
        if not isinstance(self.policy_version, str):
            raise InvalidError("snapshot: policy version is not text")
        self.received_at_s = received_at_s
        self._content = _content(message)
        self._owners = _parse_identities(message["identities"])
        self._grants: dict[str, list[Grant]] = {}
        for value in message["grants"]:
            grant = Grant.from_json(value)
            self._grants.setdefault(grant.principal, []).append(grant)
        self.models: dict[str, ServedModel] = {}
        """By version (``fraud@1.2.0``), and the default one under its aliases, which are its family."""
        for value in message["models"]:
            self._add_model(value)
        self._cache: dict[tuple[str, Action, str], _Cached] = {}

    def renewed(self, message: Mapping[str, Any], received_at_s: float) -> Self | None:
        """Return this snapshot made young again, decisions kept, if ``message`` says nothing new."""
        if message.keys() != _KEYS or _content(message) != self._content:
            return None
        if type(message["number"]) is not int:
            raise InvalidError("snapshot: number is not a number")
        self.number = message["number"]
        self.time = parse_time(message["time"])
        self.received_at_s = received_at_s
        return self

    def is_fresh(self, at_s: float) -> bool:
        return 0 <= at_s - self.received_at_s <= self.max_age_s

    def owner(self, serial: str) -> str | None:
        """Return whose valid certificate has that serial number; None for a revoked or unknown one."""
        return self._owners.get(serial)

    def find_model(self, name: str, version: str) -> ServedModel | None:
        return self.models.get(f"{name}@{version}" if version else name)

    def decide(self, principal: str, action: Action, resource: str, now: datetime, *, asked: str) -> Decision:
        """Answer as `trust.policy.decide` does; the answer holds for grants to the microsecond.

        ``asked`` is how the caller spelled ``resource``. What was decided for one spelling is not remembered
        for another: a second name that is answered faster than the first would tell that both are one model.
        """
        key = (principal, action, asked)
        cached = self._cache.get(key)
        if cached is not None and now < cached.until:
            return cached.decision
        grants = self._grants.get(principal, ())
        decision = decide(Request(principal, action, resource, now, grants))
        if len(self._cache) >= MAX_CACHED_DECISIONS:
            self._cache.clear()
        self._cache[key] = _Cached(decision, _next_change(grants, now))
        return decision

    def _add_model(self, value: Mapping[str, Any]) -> None:
        identifier = ModelId.parse(value["model"])
        key = str(identifier)
        self.models[key] = model = ServedModel(
            key,
            identifier.family,
            str(identifier.version),
            str(Digest.parse(value["digest"])),
            Schema.parse(value["schema"]),
        )
        for alias in value["aliases"] if value["default"] else ():
            self.models[alias] = model


def _content(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key not in ("number", "time")}


def _next_change(grants: Sequence[Grant], now: datetime) -> datetime:
    """Return the first start or end after ``now``: until then a decision over these grants stands."""
    changes = [moment for grant in grants for moment in (grant.start, grant.end) if moment > now]
    return min(changes, default=datetime.max.replace(tzinfo=now.tzinfo))


def _parse_identities(values: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    owners: dict[str, str] = {}
    for value in values:
        name = parse_principal(value["name"])
        if value["revoked"]:
            continue
        for serial in value["serials"]:
            if serial in owners:
                raise InvalidError(f"snapshot: serial {shorten(serial)} belongs to two identities")
            owners[serial] = name
    return owners
