"""One advisory of an OSV database, and whether it is about a version (ossf.github.io/osv-schema, 1.6).

Only what concerns PyPI packages is kept. A record is read strictly where a wrong reading would hide
something, and otherwise passed over.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packaging.version import Version

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.scan.cvss import find_base_score, find_rating
from strongroom.scan.dependencies import find_version, normalise_name
from strongroom.values import Severity

MAX_RECORD_BYTES = 8 * 2**20
MAX_AFFECTED = 10_000
MAX_VERSIONS = 20_000
MAX_EVENTS = 2_000
MAX_ALIASES = 100
MAX_SUMMARY_CHARS = 160
ECOSYSTEM = "PyPI"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z", re.ASCII)
_RANGES = frozenset({"ECOSYSTEM", "SEMVER"})
_RANK = {"fixed": 0, "introduced": 1, "last_affected": 2, "limit": 3}
"""Of events at one version: what is fixed and broken anew there is broken; what ends with it still is."""
_MALICIOUS = "MAL-"
_RATINGS = {
    "CRITICAL": Severity.CRITICAL,
    "HIGH": Severity.HIGH,
    "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM,
    "LOW": Severity.LOW,
}

Event = tuple[str, str]
"""``introduced``, ``fixed``, ``last_affected`` or ``limit``, and a version."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """What one record says of one package."""

    id: str
    aliases: tuple[str, ...]
    """Other names of the same vulnerability, such as its CVE."""
    summary: str
    """Shortened and printable; somebody else's words."""
    rating: Severity | None
    vector: str
    modified: datetime
    versions: tuple[str, ...]
    """Affected, one by one."""
    ranges: tuple[tuple[Event, ...], ...]

    @property
    def is_malicious(self) -> bool:
        """Whether it is about a package that was made to do harm, not about a mistake in it."""
        return self.id.startswith(_MALICIOUS) or any(one.startswith(_MALICIOUS) for one in self.aliases)

    @property
    def names(self) -> frozenset[str]:
        return frozenset((self.id, *self.aliases))

    @property
    def is_about_every_version(self) -> bool:
        """Whether no version is free of it, so that the version need not be known."""
        return any(
            any(kind == "introduced" and version == "0" for kind, version in events)
            and all(kind == "introduced" for kind, _ in events)
            for events in self.ranges
        )

    def affects(self, text: str) -> bool:
        """Whether this version is affected; one that cannot be put in order is, unless all are listed."""
        version = find_version(text)
        if version is None:
            return text in self.versions or (bool(self.ranges) and not self.versions)
        public = Version(version.public)  # 2.0.1+cu118 is built from 2.0.1, whatever PEP 440 orders it after
        if any(_is_same(public, listed) for listed in self.versions):
            return True
        return any(_is_in(public, events, listed=bool(self.versions)) for events in self.ranges)

    def find_fix(self, text: str) -> str | None:
        """Return the first version above ``text`` that is said to be fixed."""
        version = find_version(text)
        if version is None:
            return None
        later = [
            found
            for events in self.ranges
            for kind, bound in events
            if kind == "fixed" and (found := find_version(bound)) is not None and found > version
        ]
        free = [one for one in sorted(later) if not self.affects(str(one))]
        return str(free[0]) if free else None

    def find_end(self, text: str) -> str | None:
        """Return the last affected version, not below ``text``, of those after which none is said to be."""
        version = find_version(text)
        if version is None:
            return None
        ends = [
            found
            for events in self.ranges
            for kind, bound in events
            if kind == "last_affected" and (found := find_version(bound)) is not None and found >= version
        ]
        return str(max(ends)) if ends else None

    def to_json(self) -> dict[str, Any]:
        """The compact form of the local database."""
        return {
            "id": self.id,
            "aliases": list(self.aliases),
            "summary": self.summary,
            "rating": self.rating,
            "vector": self.vector,
            "modified": f"{self.modified:%Y-%m-%dT%H:%M:%SZ}",
            "versions": list(self.versions),
            "ranges": [[list(event) for event in events] for events in self.ranges],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Advisory":
        return cls(
            value["id"],
            tuple(value["aliases"]),
            value["summary"],
            Severity(value["rating"]) if value["rating"] else None,
            value["vector"],
            parse_moment(value["modified"]),
            tuple(value["versions"]),
            tuple(tuple((kind, bound) for kind, bound in events) for events in value["ranges"]),
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One OSV record: what it says of each package. Withdrawn ones say nothing."""

    id: str
    modified: datetime
    withdrawn: bool
    affected: tuple[tuple[str, Advisory], ...]
    """Package names as PEP 503 spells them."""


def parse_record(data: bytes) -> Record:
    """Return an OSV record. Other ecosystems' packages are left out.

    Raises:
        RejectedError: it is not an OSV record, or says something of a PyPI package that cannot be understood.
    """
    value = _load(data)
    match value:
        case {"id": str(name), "modified": str(modified)} if _ID.fullmatch(name):
            moment = parse_moment(modified)
        case _:
            raise RejectedError("osv: a record has no id, or no time of its last change")
    if "withdrawn" in value and value["withdrawn"] is not None:
        return Record(name, moment, True, ())
    affected = _list(value, "affected", MAX_AFFECTED, name)
    found = []
    for one in affected:
        match one:
            case {"package": {"ecosystem": str(ecosystem), "name": str(package)}}:
                key = _find_package(package) if ecosystem.partition(":")[0] == ECOSYSTEM else None
                if key is not None:
                    found.append((key, _build(value, name, moment, one)))
            case dict():
                continue  # only commits of a repository
            case _:
                raise RejectedError(f"osv: {name} affects something that is not an object")
    return Record(name, moment, False, tuple(found))


def parse_moment(text: str) -> datetime:
    """Return an RFC 3339 time in UTC, to the second. Raises RejectedError."""
    match = _TIME.fullmatch(text)
    try:
        if match is not None:
            return datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise RejectedError(f"osv: {shorten(text)} is not a time in UTC")


def _load(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_RECORD_BYTES:
        raise RejectedError(f"osv: a record is larger than {MAX_RECORD_BYTES} bytes")
    try:
        value = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise RejectedError("osv: a record is not JSON") from None
    if not isinstance(value, dict):
        raise RejectedError("osv: a record is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands there twice")
    return value


def _build(value: dict[str, Any], name: str, modified: datetime, affected: dict[str, Any]) -> Advisory:
    versions = [str(one) for one in _list(affected, "versions", MAX_VERSIONS, name)]
    ranges = [
        _events(one, name)
        for one in _list(affected, "ranges", MAX_AFFECTED, name)
        if isinstance(one, dict) and one.get("type") in _RANGES
    ]
    rating, vector = _find_rating(value, affected)
    aliases = [str(one) for one in _list(value, "aliases", MAX_ALIASES, name) if _ID.fullmatch(str(one))]
    text = value.get("summary") or value.get("details") or ""
    return Advisory(
        name,
        tuple(sorted(aliases)),
        _summary(str(text)),
        rating,
        vector,
        modified,
        tuple(versions),
        tuple(ranges),
    )


def _events(value: dict[str, Any], name: str) -> tuple[Event, ...]:
    events = []
    for one in _list(value, "events", MAX_EVENTS, name):
        if not isinstance(one, dict) or not one or not one.keys() <= _RANK.keys():
            raise RejectedError(f"osv: {name} has an event of a kind that is not known")
        events += [(kind, str(bound)) for kind, bound in one.items()]
    if not any(kind == "introduced" for kind, _ in events):
        raise RejectedError(f"osv: {name} has a range without a beginning")
    return tuple(events)


def _find_rating(value: dict[str, Any], affected: dict[str, Any]) -> tuple[Severity | None, str]:
    """The worst of the v3 vectors, else the word of the database."""
    vectors = [
        str(one.get("score"))
        for one in [*(value.get("severity") or []), *(affected.get("severity") or [])]
        if isinstance(one, dict)
    ]
    scored = [(score, text) for text in vectors if (score := find_base_score(text)) is not None]
    if scored:
        score, vector = max(scored)
        return find_rating(score), vector
    words = [value.get("database_specific"), affected.get("database_specific")]
    for word in words:
        if isinstance(word, dict) and str(word.get("severity")).upper() in _RATINGS:
            return _RATINGS[str(word["severity"]).upper()], ""
    return None, ""


def _summary(text: str) -> str:
    """The first sentence or line, printable and short; an advisory's details can be a whole page."""
    words = " ".join(text[: 4 * MAX_SUMMARY_CHARS].split())
    line = "".join(char if char.isprintable() else "?" for char in words)
    return line if len(line) <= MAX_SUMMARY_CHARS else line[: MAX_SUMMARY_CHARS - 1].rstrip() + "…"


def _find_package(package: str) -> str | None:
    """None: no package can have that name, so no lockfile that is read here can ask for it."""
    try:
        return normalise_name(package)
    except InvalidError:
        return None


def _list(value: dict[str, Any], key: str, limit: int, name: str) -> Sequence[Any]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > limit:
        raise RejectedError(f"osv: {name}: {key} is not a list of at most {limit}")
    return found


def _is_same(version: Version, listed: str) -> bool:
    other = find_version(listed)
    return other is not None and Version(other.public) == version


def _is_in(version: Version, events: Sequence[Event], *, listed: bool) -> bool:
    """The evaluation of the OSV schema. A bound without an order counts unless versions are listed."""
    ordered: list[tuple[Version, int, str]] = []
    limits: list[Version] = []
    for kind, bound in events:
        if kind == "limit" and bound == "*":
            return _is_in(version, [one for one in events if one[0] != "limit"], listed=listed)
        place = _LOWEST if bound == "0" else find_version(bound)
        if place is None:
            return not listed
        if kind == "limit":
            limits.append(place)
        else:
            ordered.append((place, _RANK[kind], kind))
    if limits and not any(version < limit for limit in limits):
        return False
    affected = False
    for place, _, kind in sorted(ordered):
        if kind == "introduced" and version >= place:
            affected = True
        elif (kind == "fixed" and version >= place) or (kind == "last_affected" and version > place):
            affected = False
    return affected


_LOWEST = Version("0.dev0")
"""``"0"`` stands for a version below every other one (OSV schema, affected[].ranges[].events)."""
