"""Steps of the fold that take away for good: a family, keys that are destroyed, and the list of it all."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.trust.events import Event
from strongroom.trust.fold_checks import (
    Changes,
    fields,
    require_actor,
    require_identity,
    require_key_admin,
    require_solo,
)
from strongroom.trust.revocations import Issue
from strongroom.trust.shreds import Shred, Target
from strongroom.trust.standing import Standing, VersionRecord
from strongroom.values import Digest, ModelId, Role, State, parse_family, parse_key_uri

MAX_DOOMED_KEYS = 16
_MAY_ASK = (Role.OWNER, Role.ADMIN)


def revoke_model(standing: Standing, event: Event, at: datetime) -> Changes:
    """Every version of a family ends, and its name: nothing is published or approved under it again."""
    require_actor(standing, event)
    family = parse_family(fields(event, family=str)["family"])
    if family in standing.revoked_families or not standing.has_family(family):
        raise RejectedError(f"{family} is no family, or revoked already")
    if not standing.is_role(event.actor, Role.OWNER, family, at):
        raise RejectedError(f"{event.actor} was not owner of {family} then")
    return _ended(standing, Target(family), at)


def issue_list(standing: Standing, event: Event, at: datetime) -> Changes:
    """A list was issued; its number is the size of the log with this record, so that no two have the same."""
    require_actor(standing, event)
    return {"issue": Issue(standing.size + 1, at, fields(event, max_age_s=int)["max_age_s"])}


def request_shred(standing: Standing, event: Event, at: datetime) -> Changes:
    """Gives nobody anything: a second person has to confirm it."""
    require_actor(standing, event)
    target = Target.parse(fields(event, target=str)["target"])
    if not any(standing.is_role(event.actor, role, str(target), at) for role in _MAY_ASK):
        raise RejectedError(f"{event.actor} was neither owner nor admin of {target} then")
    known = standing.shreds.get(str(target))
    if known is not None and (known.confirmed or known.is_open(at)):
        raise RejectedError(f"{target} is to be shredded already")
    if target.model is not None:
        standing.require_version(target.model)
    elif not standing.has_family(target.family):
        raise RejectedError(f"{target} is no family")
    made = Shred(target, event.actor, at, event.reason, log_index=standing.size)
    return {"shreds": {**standing.shreds, str(target): made}}


def shred(standing: Standing, event: Event, at: datetime) -> Changes:
    """An admin who is not who asked confirms it. What it names is revoked at once, for it will never open."""
    require_key_admin(standing, event, at)
    detail = fields(event, target=str, doomed=list)
    asked = standing.shreds.get(detail["target"])
    if asked is None:
        raise RejectedError(f"nobody asked to shred {shorten(detail['target'])}")
    asked.require_open(at)
    require_identity(standing, asked.requested_by)
    if asked.requested_by == event.actor:
        require_solo(standing, event, "nobody shreds alone")
    doomed = _parse_doomed(standing, asked.target.family, detail["doomed"])
    confirmed = replace(
        asked, confirmed_by=event.actor, confirmed_at=at, doomed=doomed, log_index=standing.size
    )
    return {
        **_ended(standing, asked.target, at),
        "shreds": {**standing.shreds, str(asked.target): confirmed},
    }


def shredded(standing: Standing, event: Event, at: datetime) -> Changes:
    """Every key that could open it is gone, and that was tried: ``refused`` of ``attempts``, which is all."""
    require_key_admin(standing, event, at)
    detail = fields(event, target=str, attempts=int, refused=int, wrapped=str)
    known = standing.shreds.get(detail["target"])
    if known is None or not known.pending:
        raise RejectedError(f"{shorten(detail['target'])} is not being shredded")
    Digest.parse(detail["wrapped"])
    if not 0 <= detail["attempts"] == detail["refused"]:
        raise RejectedError(f"{known.target} still opens")
    done = replace(known, done_at=at, log_index=standing.size)
    return {"shreds": {**standing.shreds, str(known.target): done}}


def _ended(standing: Standing, target: Target, at: datetime) -> Changes:
    versions: Mapping[ModelId, VersionRecord] = {
        model: replace(known, state=State.REVOKED) if target.includes(model) else known
        for model, known in standing.versions.items()
    }
    if target.model is not None:
        return {"versions": versions}
    ended = {target.family: at, **standing.revoked_families}
    return {"versions": versions, "revoked_families": ended}


def _parse_doomed(standing: Standing, family: str, values: list[Any]) -> tuple[tuple[str, int], ...]:
    """Exactly the keys under which something of this family may stand wrapped, and of no other family."""
    if len(values) > MAX_DOOMED_KEYS:
        raise RejectedError("more keys than a family can have")
    doomed = []
    for value in values:
        match value:
            case {"uri": str(uri), "version": int(version), **rest} if (
                not rest and type(version) is int and version >= 1
            ):
                doomed.append((str(parse_key_uri(uri)), version))
            case _:
                raise RejectedError("a doomed key has a field missing or unknown")
    if sorted(uri for uri, _ in doomed) != sorted(standing.opening_keys(family)):
        raise RejectedError(f"other keys are doomed than those of {family}")
    shared = [
        other
        for other in standing.families()
        if other != family and set(standing.opening_keys(other)) & {uri for uri, _ in doomed}
    ]
    if shared:
        raise RejectedError(f"the key of {family} is also that of {shared[0]}")
    return tuple(doomed)
