"""Review: what a second person looks at before they stand for a version, and what changed since the last."""

from dataclasses import dataclass

from strongroom.artifact.formats import detect_format
from strongroom.artifact.profile import Profile, build_profile
from strongroom.errors import InvalidError
from strongroom.flows import layout
from strongroom.flows.inventory import Shown, show_version
from strongroom.flows.unsealing import readable, unwrap_data_key
from strongroom.flows.vault import Vault, build_event, moment, read_authority, record, require_permission
from strongroom.scan.dependencies import flatten_dependencies
from strongroom.trust.authority import Authority
from strongroom.trust.statement import SealStatement
from strongroom.values import Action, ModelId, State

_KNOWN_GOOD = frozenset({State.APPROVED, State.RETIRED})
MAX_CHANGES = 1000
"""Lines a kind of change; the number of all is always said."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: what it was and what it is; None where there was or is nothing."""

    kind: str
    """``file``, ``schema``, ``dependency``, ``operator``, ``tensor``, ``metadata`` or ``owner``."""
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Review:
    """What to look at: the version, and what it differs in from ``against``."""

    shown: Shown
    against: ModelId | None
    changes: tuple[Change, ...]
    unshown: int
    """Changes beyond MAX_CHANGES a kind."""


def review(vault: Vault, actor: str, model: ModelId, against: ModelId | None = None) -> Review:
    """Return the review of ``model`` against ``against``, or the newest earlier version that was approved.

    Structure is read from the sealed bytes; no weight is.

    Raises:
        DeniedError: the actor may not read it.
        InvalidError: there is no such version.
        RejectedError: the store does not hold what was published.
    """
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.READ, str(model))
    shown = show_version(vault, actor, model)
    other = against or _earlier(authority, model)
    if other is None:
        return Review(shown, None, (), 0)
    if other.family != model.family:
        require_permission(vault, authority, actor, Action.READ, str(other))
    if other == model:
        raise InvalidError(f"{model}: cannot be compared with itself")
    before = show_version(vault, actor, other)
    # The record comes before the keys.
    now = moment(vault, authority)
    record(
        vault,
        build_event(
            vault,
            now,
            actor,
            Action.READ,
            str(model),
            rule=decision.rule,
            reason="review",
            against=str(other),
        ),
    )
    changes = [
        *_changes("owner", {"owner": before.record.owner}, {"owner": shown.record.owner}),
        *_changes("file", _files(before.statement), _files(shown.statement)),
        *_changes("schema", _schema(before.statement), _schema(shown.statement)),
        *_changes(
            "dependency",
            flatten_dependencies(before.statement.dependencies),
            flatten_dependencies(shown.statement.dependencies),
        ),
    ]
    old, new = _profile(vault, other, before.statement), _profile(vault, model, shown.statement)
    changes += _changes("operator", old.operators, new.operators)
    changes += _changes("tensor", old.tensors, new.tensors)
    changes += _changes("metadata", old.metadata, new.metadata)
    kept, unshown = _bounded(changes)
    return Review(shown, other, kept, unshown)


def _earlier(authority: Authority, model: ModelId) -> ModelId | None:
    earlier = [
        other
        for other, known in authority.versions.items()
        if other.family == model.family and other.version < model.version and known.state in _KNOWN_GOOD
    ]
    return max(earlier, default=None)


def _profile(vault: Vault, model: ModelId, statement: SealStatement) -> Profile:
    name = layout.wrapped_key_beside(statement.entries[0].object)
    data_key = unwrap_data_key(vault, model, statement.manifest_digest, name)
    with readable(vault, model, statement.entries, data_key) as entries:
        mains = tuple(
            path
            for path, (read_at, size_bytes) in sorted(entries.items())
            if detect_format(read_at, size_bytes, path) == statement.format
        )
        return build_profile(statement.format, entries, mains)


def _files(statement: SealStatement) -> dict[str, str]:
    return {entry.path: f"{entry.size_bytes} bytes, {entry.sha256}" for entry in statement.entries}


def _schema(statement: SealStatement) -> dict[str, str]:
    return {
        f"{kind[:-1]} {tensor['name']}": f"{tensor['dtype']}{tensor['shape']}"
        for kind in ("inputs", "outputs")
        for tensor in (statement.schema or {}).get(kind, [])
    }


def _changes(kind: str, before: dict[str, str], after: dict[str, str]) -> list[Change]:
    return [
        Change(kind, name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _bounded(changes: list[Change]) -> tuple[tuple[Change, ...], int]:
    counts: dict[str, int] = {}
    kept = []
    for change in changes:
        counts[change.kind] = counts.get(change.kind, 0) + 1
        if counts[change.kind] <= MAX_CHANGES:
            kept.append(change)
    return tuple(kept), len(changes) - len(kept)
