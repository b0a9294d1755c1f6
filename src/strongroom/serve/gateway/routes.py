"""The routes, all of them in one table; what is not in it does not exist."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from strongroom.values import Action

FAMILY = "{model}"
VERSION = "{version}"


class Kind(StrEnum):
    """What a route does."""

    LIVE = "live"
    READY = "ready"
    SERVER = "server"
    MODEL = "model"
    MODEL_READY = "model-ready"
    INFER = "infer"


@dataclass(frozen=True, slots=True)
class Route:
    """``public`` answers without a certificate; any other route needs one, and ``action`` allowed."""

    method: str
    path: str
    kind: Kind
    action: Action | None = None
    public: bool = False


ROUTES = (
    Route("GET", "/livez", Kind.LIVE, public=True),
    Route("GET", "/readyz", Kind.READY, public=True),
    Route("GET", "/v2/health/live", Kind.LIVE, public=True),
    Route("GET", "/v2/health/ready", Kind.READY, public=True),
    Route("GET", "/v2", Kind.SERVER),
    Route("GET", "/v2/models/{model}", Kind.MODEL, Action.METADATA),
    Route("GET", "/v2/models/{model}/versions/{version}", Kind.MODEL, Action.METADATA),
    Route("GET", "/v2/models/{model}/ready", Kind.MODEL_READY, Action.METADATA),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", Kind.MODEL_READY, Action.METADATA),
    Route("POST", "/v2/models/{model}/infer", Kind.INFER, Action.PREDICT),
    Route("POST", "/v2/models/{model}/versions/{version}/infer", Kind.INFER, Action.PREDICT),
)


class Match(NamedTuple):
    """A route and what its placeholders stand for."""

    route: Route
    model: str = ""
    version: str = ""


_SEGMENT = {FAMILY: r"(?P<model>[^/]+)", VERSION: r"(?P<version>[^/]+)"}


def _pattern(path: str) -> str:
    return "/".join(_SEGMENT.get(segment, re.escape(segment)) for segment in path.split("/"))


_PATTERNS = [(route, re.compile(f"{route.method} {_pattern(route.path)}")) for route in ROUTES]


@lru_cache(maxsize=1024)
def find_route(method: str, target: str) -> Match | None:
    """Return the route for a request, or None: then nothing happens but a refusal."""
    wanted = f"{method} {target}"
    for route, pattern in _PATTERNS:
        match = pattern.fullmatch(wanted)
        if match is not None:
            return Match(route, **match.groupdict())
    return None
