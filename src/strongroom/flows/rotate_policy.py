"""When keys are due for rotation, which are overdue, and what a rotation has left to do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from strongroom.flows.reencrypt import unfinished
from strongroom.flows.vault import Vault, build_event, moment, read_authority, record
from strongroom.trust.authority import Authority
from strongroom.trust.standing import SIGNING
from strongroom.values import KeyUri, format_time


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How long keys may be in force."""

    every: timedelta
    signing: timedelta
    families: Mapping[str, timedelta] = field(default_factory=dict)
    """Where a family differs from ``every``."""

    def of(self, name: str) -> timedelta:
        return self.signing if name == SIGNING else self.families.get(name, self.every)


@dataclass(frozen=True, slots=True)
class KeyAge:
    """How a key stands to the policy."""

    name: str
    """A family, or SIGNING."""
    key: KeyUri
    version: int
    since: datetime
    due: datetime
    overdue: bool
    settled: bool = True
    """Whether the rotation that put it in force has ended."""
    to_reencrypt: int = 0
    """Versions that are still to be encrypted anew."""


def key_ages(authority: Authority, policy: RotationPolicy, now: datetime) -> list[KeyAge]:
    """Return every key that protects or signs models, the signing key first, families by name."""
    return [*_signing(authority, policy, now), *_families(authority, policy, now)]


def _signing(authority: Authority, policy: RotationPolicy, now: datetime) -> Iterator[KeyAge]:
    for key in authority.key_history.keys[-1:]:
        due = _after(key.not_before, policy.of(SIGNING))
        yield KeyAge(SIGNING, authority.signing_key, 1, key.not_before, due, now >= due)


def _families(authority: Authority, policy: RotationPolicy, now: datetime) -> Iterator[KeyAge]:
    for family in authority.families():
        since = authority.key_since(family)
        if since is None:
            continue
        bound = authority.family_keys.get(family)
        due = _after(since, policy.of(family))
        yield KeyAge(
            family,
            authority.family_key(family),
            bound.version if bound is not None else 1,
            since,
            due,
            now >= due,
            bound is None or bound.settled,
            len(unfinished(authority, family)),
        )


def _after(since: datetime, lasting: timedelta) -> datetime:
    try:
        return since + lasting
    except OverflowError:
        return datetime.max.replace(tzinfo=since.tzinfo)


def record_overdue(vault: Vault, actor: str, policy: RotationPolicy) -> list[KeyAge]:
    """Record each rotation that is overdue, once per period; returns those recorded now.

    Raises:
        OutageError: the log could not be written.
    """
    authority = read_authority(vault)
    now = moment(vault, authority)
    fresh = [
        age
        for age in key_ages(authority, policy, now)
        if age.overdue and _is_news(authority, policy, age, now)
    ]
    for age in fresh:
        detail: dict[str, Any] = {
            "key": age.name,
            "since": format_time(age.since),
            "every_s": int(policy.of(age.name).total_seconds()),
        }
        reason = f"rotation was due {age.due:%Y-%m-%d}"
        record(vault, build_event(vault, now, actor, "rotation-overdue", age.key, reason=reason, **detail))
    return fresh


def _is_news(authority: Authority, policy: RotationPolicy, age: KeyAge, now: datetime) -> bool:
    told = authority.overdue.get(age.name)
    return told is None or told < age.due or now >= _after(told, policy.of(age.name))
