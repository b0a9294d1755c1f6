"""What is known against the packages of a model: vulnerable, malicious, or too loosely named to say."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from strongroom.scan.advisories import Advisory
from strongroom.scan.dependencies import Dependency, Ecosystem, find_version, normalise_name
from strongroom.scan.osv_database import Database, DatabaseInfo
from strongroom.scan.place import Place
from strongroom.scan.rule import DEPENDENCIES, Rule
from strongroom.scan.scan import Match
from strongroom.values import Severity

STALE_AFTER = timedelta(days=14)
MAX_NAMED = 4
"""Names of one vulnerability in a message."""

VULNERABLE = Rule(
    "dependency-vulnerable",
    Severity.MEDIUM,
    "Known vulnerability in a package",
    "The model was built with, or runs on, a package version in which a security hole is publicly known.",
    "Rebuild the model with the fixed version that is named, and publish it with the new lockfile.",
    atlas=("AML.T0010.001",),
    aisvs=(DEPENDENCIES,),
    waivable=True,
)
MALICIOUS = Rule(
    "dependency-malicious",
    Severity.CRITICAL,
    "Package made to do harm",
    "The package is publicly known as made or taken over to do harm; where it was installed, it ran.",
    "Remove the package, and treat the machine that it was installed on as taken over.",
    atlas=("AML.T0010.001",),
    aisvs=(DEPENDENCIES,),
)
UNPINNED = Rule(
    "dependency-unpinned",
    Severity.LOW,
    "Package without an exact version",
    "Nobody can say which version was used, nor whether a security hole is in it.",
    "Write a lockfile with exact versions: uv lock, pip freeze, or pip-compile --generate-hashes.",
    atlas=("AML.T0010.001",),
    aisvs=(DEPENDENCIES,),
    waivable=True,
)
STALE = Rule(
    "osv-database-stale",
    Severity.MEDIUM,
    "Vulnerability database is old",
    "Holes that became known since its last change are not in it, so that finding none says little.",
    "Import a current one: strongroom osv import FILE|URL.",
    aisvs=(DEPENDENCIES,),
    waivable=True,
)
MISSING = Rule(
    "osv-database-missing",
    Severity.MEDIUM,
    "No vulnerability database",
    "Packages were not checked against known holes, because there is no list of them here.",
    "Import one: strongroom osv import FILE|URL.",
    aisvs=(DEPENDENCIES,),
    waivable=True,
)
RULES = (VULNERABLE, MALICIOUS, UNPINNED, STALE, MISSING)

_PYPI_NAMES = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "tensorflow-base": "tensorflow",
    "py-xgboost": "xgboost",
    "py-opencv": "opencv-python",
    "python-graphviz": "graphviz",
    "matplotlib-base": "matplotlib",
    "numpy-base": "numpy",
}
"""What conda calls packages that PyPI has under another name. All other names are taken to be the same."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A hole, by all its names, in a package of a model."""

    dependency: Dependency
    advisories: tuple[Advisory, ...]
    """Of one hole: several databases describe the same one."""
    fixed: str | None
    """The first version without it, if there is one."""
    last_affected: str | None = None
    """Where no fixed version is named: the last one that has it, if later ones are said not to."""

    @property
    def id(self) -> str:
        return self.advisories[0].id

    @property
    def names(self) -> tuple[str, ...]:
        """All names, those of CVE first: everybody knows them by these."""
        names = {name for one in self.advisories for name in one.names}
        return tuple(sorted(names, key=lambda name: (not name.startswith("CVE-"), name)))

    @property
    def rating(self) -> Severity | None:
        ratings = [one.rating for one in self.advisories if one.rating is not None]
        return min(ratings, key=_ORDER.index, default=None)

    @property
    def summary(self) -> str:
        return next((one.summary for one in self.advisories if one.summary), "")

    @property
    def is_malicious(self) -> bool:
        return any(one.is_malicious for one in self.advisories)


_ORDER = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)


def check_dependencies(
    dependencies: Sequence[Dependency], database: Database | None, now: datetime, where: str
) -> tuple[Match, ...]:
    """Return what is to be said of these packages. ``where``: what names them, a lockfile or a model."""
    matches = [_unpinned(one, where) for one in dependencies if not one.pinned]
    if database is None:
        message = "there is no list of known holes here, so that no package was checked"
        return (*matches, Match(MISSING, Place(where), message))
    if is_stale(database.info, now):
        matches.append(_stale(database.info, now, where))
    matches += [_match(found, where) for found in find_vulnerabilities(dependencies, database.find)]
    return tuple(matches)


def is_stale(info: DatabaseInfo, now: datetime) -> bool:
    """Whether what is known for weeks is missing; also if the clock was set back to before it."""
    return now - info.as_of > STALE_AFTER or info.imported_at - now > STALE_AFTER


def find_vulnerabilities(
    dependencies: Iterable[Dependency], find: Callable[[str], Sequence[Advisory]]
) -> tuple[Vulnerability, ...]:
    """Return the known holes, worst first within each package. ``find`` knows the advisories of a name."""
    found: list[Vulnerability] = []
    for dependency in dependencies:
        affecting = [one for one in find(_pypi_name(dependency)) if _is_affected(dependency, one)]
        holes = [_hole(dependency, group) for group in _grouped(affecting)]
        found += sorted(holes, key=lambda hole: (_rank(hole), hole.id))
    return tuple(found)


def _is_affected(dependency: Dependency, advisory: Advisory) -> bool:
    if dependency.version is None:
        return advisory.is_about_every_version
    return advisory.affects(dependency.version)


def _pypi_name(dependency: Dependency) -> str:
    if dependency.ecosystem is Ecosystem.CONDA:
        name = _PYPI_NAMES.get(dependency.name, dependency.name)
        return normalise_name(name.strip("_.-") or name)
    return dependency.name


def _grouped(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """Put together what has a name in common."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for one in advisories:
        names, members = set(one.names), [one]
        rest = []
        for known, group in groups:
            if known & names:
                names |= known
                members = [*group, *members]
            else:
                rest.append((known, group))
        groups = [*rest, (names, members)]
    return [group for _, group in groups]


def _hole(dependency: Dependency, group: list[Advisory]) -> Vulnerability:
    """The fix is the highest that any of them names: below it, one of them is still affected."""
    fixes = [
        fix for one in group if dependency.version and (fix := one.find_fix(dependency.version)) is not None
    ]
    ordered = sorted((version, text) for text in fixes if (version := find_version(text)) is not None)
    advisories = tuple(sorted(set(group), key=lambda one: one.id))
    if ordered:
        return Vulnerability(dependency, advisories, ordered[-1][1])
    return Vulnerability(dependency, advisories, None, _last_affected(dependency, group))


def _last_affected(dependency: Dependency, group: list[Advisory]) -> str | None:
    """None as soon as one of them has no end."""
    here = find_version(dependency.version or "")
    ends = [one.find_end(dependency.version) for one in group if dependency.version]
    known = [
        (version, text) for text in ends if text is not None and (version := find_version(text)) is not None
    ]
    return max(known)[1] if here is not None and known and len(known) == len(ends) else None


def _rank(hole: Vulnerability) -> int:
    return _ORDER.index(hole.rating) if hole.rating is not None else len(_ORDER)


def _match(hole: Vulnerability, where: str) -> Match:
    names = hole.names
    listed = ", ".join(names[:MAX_NAMED]) + (" and others" if len(names) > MAX_NAMED else "")
    package = hole.dependency
    place = _place(package, where)
    if hole.is_malicious:
        return Match(MALICIOUS, place, f"{package} is known as malicious: {listed}")
    rating = f", rated {hole.rating}" if hole.rating is not None else ""
    summary = f": {hole.summary}" if hole.summary else ""
    fixed, fix = _way_out(hole)
    return Match(VULNERABLE, place, f"{package} has {listed}{rating}{summary} ({fixed})", fix)


def _way_out(hole: Vulnerability) -> tuple[str, str]:
    """What is known of versions without it, and what to do."""
    name = hole.dependency.name
    if hole.fixed:
        return f"fixed in {hole.fixed}", f"use {name} {hole.fixed} or newer"
    if hole.last_affected:
        return f"last affected is {hole.last_affected}", f"use {name} newer than {hole.last_affected}"
    return "no fixed version is known", f"see whether the model can do without {name}"


def _unpinned(one: Dependency, where: str) -> Match:
    asked = f", asked for as {one.wanted}" if one.wanted else ""
    return Match(UNPINNED, _place(one, where), f"{one.name} has no exact version{asked}")


def _stale(info: DatabaseInfo, now: datetime, where: str) -> Match:
    days = (now - info.as_of).days
    age = f"is {days} days old" if days >= 0 else "is dated after this machine's clock"
    message = f"the list of known holes {age}, last changed {info.as_of:%Y-%m-%d}"
    return Match(STALE, Place(where), f"{message}; more than {STALE_AFTER.days} days hide too much")


def _place(one: Dependency, where: str) -> Place:
    line = f"line {one.line}, {one}" if one.line else str(one)
    return Place(where).named(line)
