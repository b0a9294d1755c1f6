"""Steps of the fold about versions that are encrypted anew, and about rotations that nobody made in time."""

from dataclasses import replace
from datetime import datetime

from strongroom.errors import RejectedError, shorten
from strongroom.trust.events import Event
from strongroom.trust.fold_checks import Changes, fields, require_actor, require_key_admin
from strongroom.trust.standing import SIGNING, Standing, VersionRecord
from strongroom.values import Digest, ModelId, State

MAX_GENERATION = 10**6


def reseal(standing: Standing, event: Event, at: datetime) -> Changes:
    """``begin``: the next generation is being made; ``done``: it is in force; ``settled``: the last is gone.

    What was published and approved stays as it was: a new generation names the same manifest and statement.
    """
    require_key_admin(standing, event, at)
    detail = fields(event, model=str, step=str, generation=int, manifest=str, statement=str, seal=str)
    version = standing.require_version(ModelId.parse(detail["model"]))
    claimed = (Digest.parse(detail["manifest"]), Digest.parse(detail["statement"]))
    if claimed != (version.manifest, version.statement):
        raise RejectedError(f"{version.model} was published with other bytes than were encrypted anew")
    after = _step(version, detail["step"], detail["generation"], detail["seal"])
    if after.generation > version.generation:
        after = replace(after, sealed_at=at, sealed_index=standing.size)
    return {"versions": {**standing.versions, version.model: after}}


def _step(version: VersionRecord, step: str, generation: int, seal: str) -> VersionRecord:
    next_one = version.generation + 1
    if (step == "done") != bool(seal):
        raise RejectedError("the digest of a seal belongs to the record that puts it in force")
    if step != "settled" and version.state is State.REVOKED:
        raise RejectedError(f"{version.model} is revoked")
    match step:
        case "begin" if generation == next_one <= MAX_GENERATION and version.beside in (None, next_one):
            return replace(version, beside=next_one)
        case "done" if generation == next_one == version.beside:
            return replace(version, generation=next_one, seal=Digest.parse(seal), beside=version.generation)
        case "settled" if generation == version.generation == (version.beside or 0) + 1:
            return replace(version, beside=None)
        case _:
            raise RejectedError(
                f"{version.model} is not at the step {shorten(step)} of generation {generation}"
            )


def note_overdue(standing: Standing, event: Event, at: datetime) -> Changes:
    """An observation; whoever is known here may record it, and it gives nobody a right."""
    require_actor(standing, event)
    detail = fields(event, key=str, since=str, every_s=int)
    if detail["key"] != SIGNING and standing.key_since(detail["key"]) is None:
        raise RejectedError(f"{shorten(detail['key'])} has no key")
    return {"overdue": {**standing.overdue, detail["key"]: at}}
