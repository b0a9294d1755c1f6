"""When keys are due for rotation, which are overdue, and what a rotation has left to do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from strongroom.trust.standing import SIGNING, Standing, VersionRecord
from strongroom.values import KeyUri, ModelId, State


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


def key_ages(standing: Standing, policy: RotationPolicy, now: datetime) -> list[KeyAge]:
    """Return every key that protects or signs models, the signing key first, families by name."""
    return [*_signing(standing, policy, now), *_families(standing, policy, now)]


def _signing(standing: Standing, policy: RotationPolicy, now: datetime) -> Iterator[KeyAge]:
    for key in standing.key_history.keys[-1:]:
        due = _after(key.not_before, policy.of(SIGNING))
        yield KeyAge(SIGNING, standing.signing_key, 1, key.not_before, due, now >= due)


def _families(standing: Standing, policy: RotationPolicy, now: datetime) -> Iterator[KeyAge]:
    for family in standing.families():
        since = standing.key_since(family)
        if since is None:
            continue
        bound = standing.family_keys.get(family)
        due = _after(since, policy.of(family))
        yield KeyAge(
            family,
            standing.family_key(family),
            bound.version if bound is not None else 1,
            since,
            due,
            now >= due,
            bound is None or bound.settled,
            len(unfinished(standing, family)),
        )


def _after(since: datetime, lasting: timedelta) -> datetime:
    try:
        return since + lasting
    except OverflowError:
        return datetime.max.replace(tzinfo=since.tzinfo)


def is_news(standing: Standing, policy: RotationPolicy, age: KeyAge, now: datetime) -> bool:
    """Whether an overdue rotation was not recorded within the last period."""
    told = standing.overdue.get(age.name)
    return told is None or told < age.due or now >= _after(told, policy.of(age.name))


def unfinished(standing: Standing, family: str) -> list[ModelId]:
    """Return the versions of a family that are to be encrypted anew, or are half-way."""
    return [
        model
        for model, known in standing.versions.items()
        if model.family == family and _is_due(standing, known)
    ]


def is_pending(standing: Standing, family: str) -> bool:
    """Whether the family's newest rotation has settled and asked for a re-encryption that did not end."""
    bound = standing.family_keys.get(family)
    return bound is not None and bound.settled and bound.reencrypt and bool(unfinished(standing, family))


def _is_due(standing: Standing, known: VersionRecord) -> bool:
    if known.state is State.REVOKED:
        return known.beside is not None and known.beside < known.generation
    bound = standing.family_keys.get(known.model.family)
    if known.beside is not None or bound is None or not bound.reencrypt:
        return known.beside is not None
    return max(known.log_index, known.sealed_index) < bound.log_index
