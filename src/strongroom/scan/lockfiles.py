"""Lockfiles of every kind become one list of packages. What cannot be read wholly is refused."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from strongroom.errors import InvalidError, shorten
from strongroom.scan.conda import EXPLICIT, parse_environment, parse_explicit
from strongroom.scan.dependencies import (
    MAX_DEPENDENCIES,
    Dependency,
    Ecosystem,
    build_dependency,
    describe_place,
    merge,
)
from strongroom.scan.requirements import exact_version, parse_requirements

MAX_LOCKFILE_BYTES = 16 * 2**20
MAX_JSON_DEPTH = 64
_TOML = re.compile(r"^\s*(?:\[\[packages?\]\]|packages?\s*=\s*\[)", re.MULTILINE)
_PURL = re.compile(r"pkg:(pypi|conda)/([^@?#/\s]+)(?:@([^?#\s]+))?(?:[?#].*)?", re.ASCII)
_LOCAL_SOURCES = frozenset({"virtual", "editable", "directory"})
"""Of uv.lock: the project itself and its neighbours, which are no dependencies of anybody."""


@dataclass(frozen=True, slots=True)
class Lockfile:
    """What a file of dependencies says."""

    kind: str
    """``requirements.txt``, ``uv.lock`` and so on."""
    dependencies: tuple[Dependency, ...]


def parse_lockfile(data: bytes, name: str = "") -> Lockfile:
    """Return the packages that a lockfile names, by name; its kind is told by its content, then by ``name``.

    Raises:
        InvalidError: too large, not text, of no kind known here, ambiguous, or naming something in a way that
            cannot be judged.
    """
    if len(data) > MAX_LOCKFILE_BYTES:
        raise InvalidError(f"lockfile: larger than {MAX_LOCKFILE_BYTES} bytes")
    text = _decode(data)
    kind, parse = _find_parser(text, name)
    found = merge(list(parse(text)))
    if not found:
        raise InvalidError(
            f"lockfile: {shorten(name)} names no package" if name else "lockfile: names no package",
            hint="give a requirements.txt, uv.lock, poetry.lock, pylock.toml, Pipfile.lock, "
            "environment.yml, CycloneDX or JSON file",
        )
    return Lockfile(kind, found)


def _decode(data: bytes) -> str:
    """UTF-8; or UTF-16 with its mark, as ``pip freeze >`` writes it in PowerShell."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise InvalidError("lockfile: is not text") from None
    if "\x00" in text:
        raise InvalidError("lockfile: is not text")
    return text


def _find_parser(text: str, name: str) -> tuple[str, Callable[[str], Iterable[Dependency]]]:
    file_name = name.replace("\\", "/").rpartition("/")[2].lower()
    if text.lstrip()[:1] in ("{", "["):
        if not _TOML.search(text):
            return _find_json(_parse_json(text))
    elif text.lstrip().startswith(EXPLICIT) or f"\n{EXPLICIT}" in text:
        return "conda explicit", lambda whole: parse_explicit(whole)
    if file_name.endswith(".toml") or _TOML.search(text):
        return _find_toml(_parse_toml(text))
    if file_name.endswith((".yml", ".yaml")):
        return "environment.yml", lambda whole: parse_environment(whole)
    return "requirements.txt", lambda whole: parse_requirements(whole)


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"lockfile: is not TOML: {shorten(error)}") from None


def _parse_json(text: str) -> dict[str, Any]:
    _require_shallow(text)
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"lockfile: is not JSON: {shorten(error)}") from None
    if not isinstance(value, dict):
        raise InvalidError("lockfile: is not a JSON object")
    return value


def _require_shallow(text: str) -> None:
    """Brackets in strings count too, which only makes the bound stricter."""
    depth = 0
    for mark in re.findall(r"[\[{\]}]", text):
        depth += 1 if mark in "[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise InvalidError(f"lockfile: is nested deeper than {MAX_JSON_DEPTH}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands there twice")
    return value


def _find_toml(value: dict[str, Any]) -> tuple[str, Callable[[str], Iterable[Dependency]]]:
    match value:
        case {"lock-version": str(), "packages": list(packages)}:
            return "pylock.toml", lambda _: [_from_pylock(_table(one)) for one in _bounded(packages)]
        case {"metadata": {"lock-version": str()}, "package": list(packages)}:
            files = value["metadata"].get("files", {})
            return "poetry.lock", lambda _: [_from_poetry(_table(one), files) for one in _bounded(packages)]
        case {"version": int(), "package": list(packages)}:
            return "uv.lock", lambda _: [
                found for one in _bounded(packages) if (found := _from_uv(_table(one))) is not None
            ]
        case _:
            raise InvalidError("lockfile: is none of uv.lock, poetry.lock and pylock.toml")


def _find_json(value: dict[str, Any]) -> tuple[str, Callable[[str], Iterable[Dependency]]]:
    match value:
        case {"bomFormat": "CycloneDX", "components": list(components)}:
            return "CycloneDX", lambda _: list(_from_cyclonedx(components))
        case {"_meta": dict(), "default": dict()}:
            return "Pipfile.lock", lambda _: list(_from_pipfile(value))
        case _ if value and all(version is None or isinstance(version, str) for version in value.values()):
            return "JSON", lambda _: [_from_pair(name, version) for name, version in value.items()]
        case _:
            raise InvalidError(
                "lockfile: is JSON, but none of CycloneDX, Pipfile.lock and names with versions"
            )


def _from_uv(package: dict[str, Any]) -> Dependency | None:
    source = _table(package.get("source", {}))
    if source.keys() & _LOCAL_SOURCES:
        return None
    files = [package.get("sdist", {}), *_list(package.get("wheels", []))]
    hashes = [str(_table(file).get("hash", "")) for file in files]
    return _locked(package, hashes, source.get("git") or source.get("url") or source.get("path"))


def _from_poetry(package: dict[str, Any], old_files: Any) -> Dependency:
    files = package.get("files")
    if files is None and isinstance(old_files, dict):  # poetry before 1.3
        files = old_files.get(package.get("name"), [])
    source = _table(package.get("source", {}))
    place = source.get("url") if source.get("type") in ("git", "url", "file", "directory") else None
    return _locked(package, [str(_table(file).get("hash", "")) for file in _list(files or [])], place)


def _from_pylock(package: dict[str, Any]) -> Dependency:
    """PEP 751."""
    archive = _table(package.get("archive", {}))
    files = [package.get("sdist", {}), archive, *_list(package.get("wheels", []))]
    hashes = [f"sha256:{_table(_table(file).get('hashes', {})).get('sha256', '')}" for file in files]
    vcs, folder = _table(package.get("vcs", {})), _table(package.get("directory", {}))
    place = vcs.get("url") or vcs.get("path") or archive.get("url") or archive.get("path")
    return _locked(package, hashes, place or folder.get("path"))


def _locked(package: dict[str, Any], hashes: list[str], place: Any) -> Dependency:
    """A package of a TOML lock; one that comes from a place of its own is pinned by its hashes only."""
    name, version = package.get("name"), package.get("version")
    if not isinstance(name, str) or not (version is None or isinstance(version, str)):
        raise InvalidError("lockfile: a package has no name, or a version that is not text")
    wanted = describe_place(str(place)) if place else "" if version else "any version"
    found = build_dependency(name, version, pinned=version is not None, wanted=wanted, hashes=hashes)
    if not place or found.sha256:
        return found
    return build_dependency(name, version, pinned=False, wanted=wanted)


def _from_pipfile(value: dict[str, Any]) -> Iterable[Dependency]:
    for section, packages in value.items():
        if section == "_meta":
            continue
        for name, described in _bounded_items(_table(packages)):
            package = _table(described)
            place = package.get("git") or package.get("file") or package.get("path")
            version = _specified(name, package.get("version", "*"))
            hashes = [str(one) for one in _list(package.get("hashes", []))]
            if place:
                yield build_dependency(
                    name, version, pinned=False, wanted=describe_place(str(place)), hashes=hashes
                )
            else:
                wanted = "" if version else str(package.get("version", "any version"))
                yield build_dependency(name, version, wanted=wanted, hashes=hashes)


def _from_pair(name: str, version: str | None) -> Dependency:
    """``"numpy": "2.1.0"``, or a specifier as in a requirement; empty or null where it is open."""
    exact = _specified(name, version or "*")
    return build_dependency(name, exact, wanted="" if exact else (version or "any version"))


def _specified(name: str, text: Any) -> str | None:
    if not isinstance(text, str):
        raise InvalidError(f"lockfile: {shorten(name)} has a version that is not text")
    if text in ("", "*"):
        return None
    if text[0] not in "=<>!~":
        text = f"=={text}"
    try:
        return exact_version(SpecifierSet(text))
    except InvalidSpecifier:
        raise InvalidError(f"lockfile: {shorten(name)} has no version: {shorten(text)}") from None


def _from_cyclonedx(components: list[Any]) -> Iterable[Dependency]:
    """Components of other ecosystems, such as an image's system packages, are none of Python's."""
    for component in _nested(components):
        match = _PURL.fullmatch(str(component.get("purl", "")))
        if match is None:
            continue
        listed = map(_table, _list(component.get("hashes", [])))
        hashes = [f"{one.get('alg')}:{one.get('content')}" for one in listed]
        version = unquote(match[3]) if match[3] else None
        yield build_dependency(
            unquote(match[2]),
            version,
            ecosystem=Ecosystem(match[1]),
            wanted="" if version else "any version",
            hashes=hashes,
        )


def _nested(components: list[Any]) -> Iterable[dict[str, Any]]:
    waiting, seen = [_table(one) for one in components], 0
    while waiting:
        seen += 1
        if seen > MAX_DEPENDENCIES:
            raise InvalidError(f"lockfile: names more than {MAX_DEPENDENCIES} components")
        component = waiting.pop()
        yield component
        waiting += [_table(one) for one in _list(component.get("components", []))]


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidError("lockfile: has something else where a table belongs")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidError("lockfile: has something else where a list belongs")
    return value


def _bounded(packages: list[Any]) -> list[Any]:
    if len(packages) > MAX_DEPENDENCIES:
        raise InvalidError(f"lockfile: names more than {MAX_DEPENDENCIES} packages")
    return packages


def _bounded_items(packages: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return _bounded(list(packages.items()))
