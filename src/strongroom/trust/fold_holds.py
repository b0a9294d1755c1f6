"""Steps of the fold about versions whose stored copy was found altered: held back, and let go again."""

from dataclasses import replace
from datetime import datetime

from strongroom.errors import RejectedError
from strongroom.trust.events import Event
from strongroom.trust.fold_checks import Changes, fields, require_actor
from strongroom.trust.standing import Hold, Standing
from strongroom.values import ModelId, State

MAX_WHAT_CHARS = 1000


def hold(standing: Standing, event: Event, at: datetime) -> Changes:
    """A version is not released any more; it takes nothing from anybody that an altered copy would give."""
    require_actor(standing, event)
    detail = fields(event, model=str, object=str, what=str)
    version = standing.require_version(ModelId.parse(detail["model"]))
    if version.state is State.REVOKED or version.held is not None:
        raise RejectedError(f"{version.model} is held back or revoked already")
    if not 0 < len(detail["what"]) <= MAX_WHAT_CHARS:
        raise RejectedError(f"{version.model} is held back for nothing, or for too much")
    held = Hold(detail["object"], detail["what"], at, standing.size)
    return {"versions": {**standing.versions, version.model: replace(version, held=held)}}


def lift(standing: Standing, event: Event, _at: datetime) -> Changes:
    """The stored copy is as it was signed again."""
    require_actor(standing, event)
    version = standing.require_version(ModelId.parse(fields(event, model=str)["model"]))
    if version.held is None:
        raise RejectedError(f"{version.model} is not held back")
    return {"versions": {**standing.versions, version.model: replace(version, held=None)}}
