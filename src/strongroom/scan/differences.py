"""What a model was declared to need, against what a host has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from strongroom.scan.bill import OWN_PACKAGE, Bill
from strongroom.scan.dependencies import Dependency, Ecosystem, find_version

_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv", OWN_PACKAGE})
"""On any host, and needed by no model."""


class Kind(StrEnum):
    MISSING = "missing"
    VERSION = "version"
    EXTRA = "extra"
    ENGINE = "engine"
    OPSET = "opset"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which a host is not what was declared."""

    kind: Kind
    name: str
    declared: str
    found: str
    message: str


@dataclass(frozen=True, slots=True)
class Host:
    """What a host has, or what its lockfile says that it has."""

    packages: Mapping[str, str | None]
    """Version by name, as PEP 503 spells it; None where the lockfile leaves it open."""
    expected: frozenset[str] = frozenset()
    """What is there because Strongroom itself needs it."""
    opsets: Mapping[str, int] | None = None
    """Newest version of each operator set that its engine knows; None: it was not asked."""


def compare(bill: Bill, host: Host) -> tuple[Difference, ...]:
    """Return every difference, by kind and name; none means that the host is as declared."""
    return (*_engine(bill, host), *_opsets(bill, host), *_packages(bill, host))


def _engine(bill: Bill, host: Host) -> list[Difference]:
    engine = bill.engine
    if engine is None:
        return []
    found = host.packages.get(engine.name)
    if found is not None and _is_same(engine.version, found):
        return []
    if engine.name not in host.packages:
        message = f"{engine.name} is not there; the model was tried on {engine.version}"
    else:
        message = f"{engine.name} is {found or 'of any version'}, the model was tried on {engine.version}"
    return [Difference(Kind.ENGINE, engine.name, engine.version, found or "", message)]


def _opsets(bill: Bill, host: Host) -> list[Difference]:
    if host.opsets is None or not host.opsets:
        return _opsets_by_version(bill, host)
    return [
        Difference(
            Kind.OPSET,
            domain,
            str(wanted),
            str(host.opsets.get(domain, "")),
            f"{domain} {wanted} is beyond what the engine here knows"
            + (f", which is {host.opsets[domain]}" if domain in host.opsets else ": nothing of it"),
        )
        for domain, wanted in sorted(bill.opsets.items())
        if host.opsets.get(domain, 0) < wanted
    ]


def _opsets_by_version(bill: Bill, host: Host) -> list[Difference]:
    """A newer onnxruntime reads whatever an older one does, down to opset 7; an older one may not."""
    engine = bill.engine
    found = host.packages.get(engine.name) if engine is not None else None
    if engine is None or found is None or not bill.opsets:
        return []
    here, there = find_version(found), find_version(engine.version)
    if here is not None and there is not None and here >= there:
        return []
    listed = ", ".join(f"{domain} {version}" for domain, version in sorted(bill.opsets.items()))
    message = f"{engine.name} {found} is older than {engine.version} and may not know {listed}"
    return [Difference(Kind.OPSET, engine.name, listed, found, message)]


def _packages(bill: Bill, host: Host) -> list[Difference]:
    declared: dict[str, list[Dependency]] = {}
    for one in bill.dependencies:
        declared.setdefault(one.name, []).append(one)
    engine = bill.engine.name if bill.engine is not None else ""
    found = [
        difference
        for name, wanted in sorted(declared.items())
        if name != engine and (difference := _package(name, wanted, host)) is not None
    ]
    if not declared:
        return found  # nothing was declared, so nothing is too much
    extra = host.packages.keys() - declared.keys() - host.expected - _TOOLS - {engine}
    return [
        *found,
        *(
            Difference(
                Kind.EXTRA,
                name,
                "",
                host.packages[name] or "",
                f"{name} {host.packages[name] or ''}".strip() + " is there and was not declared",
            )
            for name in sorted(extra)
        ),
    ]


def _package(name: str, wanted: Sequence[Dependency], host: Host) -> Difference | None:
    """Conda's packages are looked for under their own name: what is not Python's has no other."""
    versions = [one.version for one in wanted if one.version is not None]
    declared = " or ".join(versions)
    if name not in host.packages:
        if all(one.ecosystem is Ecosystem.CONDA for one in wanted):
            return None
        message = f"{name} {declared}".strip() + " was declared and is not there"
        return Difference(Kind.MISSING, name, declared, "", message)
    found = host.packages[name]
    if not versions or (found is not None and any(_is_same(one, found) for one in versions)):
        return None
    message = f"{name} is {found or 'of any version'}, declared was {declared}"
    return Difference(Kind.VERSION, name, declared, found or "", message)


def _is_same(declared: str, found: str) -> bool:
    one, other = find_version(declared), find_version(found)
    return one == other if one is not None and other is not None else declared == found
