"""The Python environment in which this runs, as its packages' own metadata describe it."""

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

MAX_PACKAGES = 20_000
_ENGINE = "onnxruntime.capi.onnxruntime_pybind11_state"
_NOT_IN_USE = frozenset({"bench", "demo", "dev", "docs", "test", "tests"})
"""Extras that are for those who work on a package."""


class PythonHost:
    """`InstalledPackages` of this process."""

    def versions(self) -> Mapping[str, str]:
        return {name: one.version for name, one in self._distributions().items()}

    def closure(self, name: str) -> frozenset[str]:
        installed = self._distributions()
        waiting: list[tuple[str, frozenset[str]]] = [(name, _own_extras(installed.get(name)))]
        reached: dict[str, frozenset[str]] = {}
        while waiting:
            package, extras = waiting.pop()
            known = reached.get(package)
            if package not in installed or (known is not None and extras <= known):
                continue
            reached[package] = extras | (known or frozenset())
            waiting += [
                (canonicalize_name(one.name), frozenset(one.extras))
                for one in _requirements(installed[package], reached[package])
            ]
        return frozenset(reached)

    def opsets(self) -> Mapping[str, int]:
        """Asked of the engine itself; loading it takes a while."""
        try:
            schemas = import_module(_ENGINE).get_all_operator_schema()
        except (ImportError, AttributeError):
            return {}
        newest: dict[str, int] = {}
        for schema in schemas:
            domain = schema.domain or "ai.onnx"
            newest[domain] = max(newest.get(domain, 0), int(schema.since_version))
        return newest

    def _distributions(self) -> dict[str, metadata.Distribution]:
        """The first of a name counts, as in an import."""
        found: dict[str, metadata.Distribution] = {}
        for one in metadata.distributions():
            name = one.metadata["Name"] if one.metadata else None
            if name and len(found) < MAX_PACKAGES:
                found.setdefault(canonicalize_name(name), one)
        return found


def _own_extras(package: metadata.Distribution | None) -> frozenset[str]:
    named = package.metadata.get_all("Provides-Extra") if package is not None else None
    return frozenset(named or ()) - _NOT_IN_USE


def _requirements(package: metadata.Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in package.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *sorted(extras))):
            yield requirement
