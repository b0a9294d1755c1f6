"""Steps of the fold about who answers for a model, and about models that are elsewhere."""

from dataclasses import replace
from datetime import datetime

from strongroom.errors import RejectedError
from strongroom.trust.events import Event
from strongroom.trust.fold_checks import Changes, fields, require_actor, require_identity
from strongroom.trust.standing import Standing, UnmanagedRecord
from strongroom.trust.unmanaged import MAX_ENTRIES, Unmanaged
from strongroom.values import Digest, ModelId, Role, parse_family

_MAY_OWN = (Role.OWNER, Role.ADMIN)
_MAY_REGISTER = (Role.DEPLOYER, Role.OWNER)


def own(standing: Standing, event: Event, at: datetime) -> Changes:
    """Every version of a family gets another owner, who is somebody here."""
    require_actor(standing, event)
    detail = fields(event, family=str, owner=str)
    family, owner = parse_family(detail["family"]), require_identity(standing, detail["owner"]).name
    _require_one_of(standing, event, _MAY_OWN, family, at)
    standing.require_owner(family, owner, at)
    owned = {
        model: replace(known, owner=owner)
        for model, known in standing.versions.items()
        if model.family == family
    }
    if not owned:
        raise RejectedError(f"{family} has no version")
    return {"versions": {**standing.versions, **owned}}


def register(standing: Standing, event: Event, at: datetime) -> Changes:
    """What is elsewhere is listed; it gives nobody a right, and takes no name of a version."""
    require_actor(standing, event)
    detail = fields(event, sheet=str, entries=list)
    Digest.parse(detail["sheet"])
    if not 1 <= len(detail["entries"]) <= MAX_ENTRIES:
        raise RejectedError("too many entries, or none")
    added: dict[ModelId, UnmanagedRecord] = {}
    for value in detail["entries"]:
        entry = Unmanaged.from_json(value)
        known = standing.unmanaged.get(entry.model)
        if entry.model in standing.versions or entry.model in added:
            raise RejectedError(f"{entry.model} is published, or listed twice")
        if known is not None and known.entry.digest and known.entry.digest != entry.digest:
            raise RejectedError(f"{entry.model} is listed with other bytes")
        added[entry.model] = UnmanagedRecord(entry, event.actor, at, standing.size)
    for family in {model.family for model in added}:
        _require_one_of(standing, event, _MAY_REGISTER, family, at)
    return {"unmanaged": {**standing.unmanaged, **added}}


def unregister(standing: Standing, event: Event, at: datetime) -> Changes:
    """A registered version is no longer listed."""
    require_actor(standing, event)
    model = ModelId.parse(fields(event, model=str)["model"])
    if model not in standing.unmanaged:
        raise RejectedError(f"{model} is not listed as unmanaged")
    _require_one_of(standing, event, _MAY_REGISTER, model.family, at)
    return {"unmanaged": {other: known for other, known in standing.unmanaged.items() if other != model}}


def _require_one_of(
    standing: Standing, event: Event, roles: tuple[Role, ...], family: str, at: datetime
) -> None:
    if not any(standing.is_role(event.actor, role, family, at) for role in roles):
        raise RejectedError(f"{event.actor} was not {' or '.join(roles)} of {family} then")
