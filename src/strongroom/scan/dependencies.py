"""A package that a model was built with or runs on, as a lockfile names it; the signed form of the list."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from strongroom.errors import InvalidError, shorten

MAX_DEPENDENCIES = 5000
MAX_HASHES = 12_000
"""Over all packages of one list: it is part of the signed statement; the catalog holds 1 MiB of it."""
MAX_NAME_CHARS = 128
MAX_VERSION_CHARS = 128
MAX_WANTED_CHARS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Ecosystem(StrEnum):
    """Who names and numbers a package."""

    PYPI = "pypi"
    CONDA = "conda"


@dataclass(frozen=True, slots=True, order=True)
class Dependency:
    """One package. ``version`` is None where the file leaves it open."""

    name: str
    """As PEP 503 spells it."""
    version: str | None = None
    """As PEP 440 spells it, if it can be read so."""
    ecosystem: Ecosystem = Ecosystem.PYPI
    pinned: bool = False
    """Whether the file lets nothing but this one version, or these bytes, be installed."""
    wanted: str = ""
    """What the file asks for where that is not a version: a range, or where it is fetched from."""
    sha256: tuple[str, ...] = ()
    """Digests of the files that may be installed, hexadecimal, in order."""
    line: int = 0
    """Where it stands in the file; 0 where the file has no lines to speak of."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


def build_dependency(
    name: str,
    version: str | None = None,
    *,
    ecosystem: Ecosystem = Ecosystem.PYPI,
    pinned: bool | None = None,
    wanted: str = "",
    hashes: Iterable[str] = (),
    line: int = 0,
) -> Dependency:
    """Return the package in its one spelling; ``pinned``: by default if it has a version.

    Raises:
        InvalidError: it is not named as a package may be, or the version is no version.
    """
    where = f"line {line}: " if line else ""
    if version is not None and not _is_version_text(version):
        raise InvalidError(f"lockfile: {where}{shorten(version)} is not a version")
    digests = tuple(sorted({found for text in hashes if (found := find_sha256(text))}))
    return Dependency(
        normalise_name(name, ecosystem, where),
        normalise_version(version) if version is not None else None,
        ecosystem,
        version is not None if pinned is None else pinned,
        _plain(wanted),
        digests,
        line,
    )


def normalise_name(name: str, ecosystem: Ecosystem = Ecosystem.PYPI, where: str = "") -> str:
    """Return the name as PEP 503 spells it; conda's keep their dots. Raises InvalidError."""
    try:
        if len(name) > MAX_NAME_CHARS:
            raise InvalidName
        if ecosystem is Ecosystem.CONDA and re.fullmatch(r"_?[A-Za-z0-9][A-Za-z0-9._-]*", name, re.ASCII):
            return name.lower()
        return canonicalize_name(name, validate=True)
    except InvalidName:
        raise InvalidError(f"lockfile: {where}{shorten(name)} is not a package name") from None


def normalise_version(text: str) -> str:
    """Return the version as PEP 440 spells it, or as it is where that cannot read it."""
    found = find_version(text)
    return str(found) if found is not None else text


def find_version(text: str) -> Version | None:
    """Return what PEP 440 reads ``text`` as; None for what has no place in its order."""
    if len(text) > MAX_VERSION_CHARS:
        return None
    try:
        return Version(text)
    except (InvalidVersion, ValueError):
        return None


def find_sha256(text: str) -> str | None:
    """Return the digest of ``sha256:…``, ``sha256=…`` or a bare one; None for other algorithms."""
    algorithm, colon, digest = text.replace("=", ":", 1).rpartition(":")
    if colon and algorithm.lower() not in ("sha256", "sha-256"):
        return None
    digest = digest.lower()
    return digest if _SHA256.fullmatch(digest) else None


def describe_place(url: str) -> str:
    """Return where something is fetched from without what opens it: no user, password or query (I9)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    if not parts.scheme or len(parts.scheme) == 1:
        return url.partition("?")[0].partition("#")[0]
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))


def merge(found: Sequence[Dependency]) -> tuple[Dependency, ...]:
    """Return the list by name, each version once; the hashes of repeated lines together.

    Raises:
        InvalidError: there are more than MAX_DEPENDENCIES, or MAX_HASHES of their hashes.
    """
    if len(found) > MAX_DEPENDENCIES:
        raise InvalidError(f"lockfile: names more than {MAX_DEPENDENCIES} packages")
    merged: dict[tuple[str, str, str], Dependency] = {}
    for one in found:
        key = (one.name, one.version or "", one.ecosystem.value)
        known = merged.get(key)
        merged[key] = one if known is None else _joined(known, one)
    if sum(len(one.sha256) for one in merged.values()) > MAX_HASHES:
        raise InvalidError(
            f"lockfile: names more than {MAX_HASHES} hashes",
            hint="leave out the wheels of platforms that nothing runs on",
        )
    return tuple(merged[key] for key in sorted(merged))


def dependencies_to_json(dependencies: Sequence[Dependency]) -> dict[str, Any]:
    """Return the part of the signed statement that names them: canonical JSON, defaults left out."""
    return {"packages": [_to_json(one) for one in dependencies]}


def find_dependencies(declared: Mapping[str, Any]) -> tuple[Dependency, ...]:
    """Return the packages that a statement's ``dependencies`` name; what has another form names none.

    Statements of earlier releases hold what their publisher wrote: an object of names and versions is read
    as that, anything else is left alone.
    """
    packages = declared.get("packages")
    if isinstance(packages, list):
        return tuple(_from_json(one) for one in packages if isinstance(one, dict))
    found = []
    for name, version in declared.items():
        if isinstance(version, str) and _is_version_text(version) and _is_name(name):
            found.append(build_dependency(name, version))
    return tuple(sorted(found))


def flatten_dependencies(declared: Mapping[str, Any]) -> dict[str, str]:
    """Return what a statement's ``dependencies`` name as lines for people: package, and version or range.

    A package in several versions stands on one line; what has no form known here stands as it is.
    """
    lines: dict[str, list[str]] = {}
    for one in find_dependencies(declared):
        lines.setdefault(one.name, []).append(one.version or one.wanted or "any version")
    runtime = declared.get("runtime")
    for each in runtime if isinstance(runtime, list) else []:
        match each:
            case {"name": str(name), "version": str(version)}:
                lines.setdefault(f"{name} (runtime)", []).append(version)
    if "packages" not in declared and "runtime" not in declared:
        rest = {name: str(value) for name, value in declared.items() if name not in lines}
        return rest | {name: ", ".join(versions) for name, versions in lines.items()}
    return {name: ", ".join(versions) for name, versions in lines.items()}


def _joined(one: Dependency, other: Dependency) -> Dependency:
    return Dependency(
        one.name,
        one.version,
        one.ecosystem,
        one.pinned and other.pinned,
        one.wanted or other.wanted,
        tuple(sorted({*one.sha256, *other.sha256})),
        one.line,
    )


def _to_json(one: Dependency) -> dict[str, Any]:
    value: dict[str, Any] = {"name": one.name, "pinned": one.pinned}
    if one.version is not None:
        value["version"] = one.version
    if one.ecosystem is not Ecosystem.PYPI:
        value["ecosystem"] = one.ecosystem.value
    if one.wanted:
        value["wanted"] = one.wanted
    if one.sha256:
        value["sha256"] = list(one.sha256)
    return value


def _from_json(value: Mapping[str, Any]) -> Dependency:
    match value:
        case {"name": str(name), "pinned": bool(pinned)}:
            version, hashes = value.get("version"), value.get("sha256", [])
            return Dependency(
                name,
                version if isinstance(version, str) else None,
                Ecosystem.CONDA if value.get("ecosystem") == Ecosystem.CONDA else Ecosystem.PYPI,
                pinned,
                str(value.get("wanted", "")),
                tuple(str(one) for one in hashes) if isinstance(hashes, list) else (),
            )
        case _:
            raise InvalidError("dependencies: a package has no name")


def _is_name(name: str) -> bool:
    try:
        normalise_name(name)
    except InvalidError:
        return False
    return True


def _is_version_text(text: str) -> bool:
    return 1 <= len(text) <= MAX_VERSION_CHARS and text.isascii() and text.isprintable() and " " not in text


def _plain(text: str) -> str:
    text = text.strip()
    if text.isascii() and text.isprintable() and len(text) <= MAX_WANTED_CHARS:
        return text
    return shorten(text, MAX_WANTED_CHARS)
