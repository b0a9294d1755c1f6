"""requirements.txt and ``pip freeze``: pip's own format, read strictly; what points elsewhere is refused."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from strongroom.errors import InvalidError, shorten
from strongroom.scan.dependencies import Dependency, build_dependency, describe_place, find_version

MAX_LINES = 200_000
MAX_LINE_CHARS = 64 * 2**10
"""Of one requirement with all its hashes."""
MAX_REQUIREMENT_CHARS = 4096

_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"\s--hash(?:=|\s)\s*(\S+)")
_OPTION = re.compile(r"(--[a-z-]+|-[a-z])[=\s]*(.*)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_FRAGMENT_HASH = re.compile(r"[#&](sha256=[0-9A-Fa-f]{64})")
_ELSEWHERE = ("-r", "--requirement", "-c", "--constraint")
_EDITABLE = ("-e", "--editable")
_HARMLESS = (
    "-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--no-binary",
    "--only-binary", "--prefer-binary", "--require-hashes", "--pre", "--trusted-host", "--use-feature",
)  # fmt: skip


def parse_requirements(text: str) -> list[Dependency]:
    """Return what the lines require, in their order.

    Raises:
        InvalidError: a line is not a requirement, names another file, or has an option that is not known.
    """
    return [
        found
        for number, line in _logical_lines(text)
        if line and (found := parse_requirement(line, number)) is not None
    ]


def parse_requirement(line: str, number: int = 0) -> Dependency | None:
    """Return what one line requires; None for an option that requires nothing."""
    if len(line) > MAX_LINE_CHARS:
        raise InvalidError(f"lockfile: line {number} is longer than {MAX_LINE_CHARS} characters")
    hashes = _HASH.findall(line)
    wanted = _HASH.sub("", line).strip()
    if len(wanted) > MAX_REQUIREMENT_CHARS:
        raise InvalidError(f"lockfile: line {number} is longer than {MAX_REQUIREMENT_CHARS} characters")
    if wanted.startswith("-"):
        return _option(wanted, number)
    if _is_place(wanted):
        return _from_place(wanted, number, hashes)
    try:
        requirement = Requirement(wanted)
    except (InvalidRequirement, RecursionError):
        raise InvalidError(f"lockfile: line {number} is not a requirement: {shorten(wanted)}") from None
    if requirement.url:
        return _from_place(requirement.url, number, hashes, requirement.name)
    version = exact_version(requirement.specifier)
    return build_dependency(
        requirement.name,
        version,
        wanted="" if version else str(requirement.specifier) or "any version",
        hashes=hashes,
        line=number,
    )


def exact_version(specifier: SpecifierSet) -> str | None:
    """Return the one version that ``specifier`` lets in; None if it lets in more than one."""
    for one in specifier:
        if one.operator in ("==", "===") and not one.version.endswith(".*") and find_version(one.version):
            return one.version
    return None


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, continued ones joined and comments left out, as pip does."""
    pending: list[str] = []
    start = size = 0
    for number, line in enumerate(text.splitlines(), 1):
        if number > MAX_LINES:
            raise InvalidError(f"lockfile: has more than {MAX_LINES} lines")
        start = start if pending else number
        size = size + len(line) if pending else len(line)
        if size > MAX_LINE_CHARS:
            raise InvalidError(f"lockfile: line {start} is longer than {MAX_LINE_CHARS} characters")
        stripped = _COMMENT.sub("", line)
        if stripped.endswith("\\") and stripped == line:
            pending.append(stripped[:-1])
            continue
        yield start, " ".join([*pending, stripped]).strip()
        pending = []
    if pending:
        yield start, " ".join(pending).strip()


def _option(line: str, number: int) -> Dependency | None:
    match = _OPTION.match(line)
    name, value = (match[1], match[2]) if match else (line, "")
    if name in _EDITABLE:
        return _from_place(value.strip(), number, [])
    if name in _ELSEWHERE:
        raise InvalidError(
            f"lockfile: line {number} refers to another file",
            hint="give one file that names everything: pip freeze, or pip-compile --generate-hashes",
        )
    if name in _HARMLESS:
        return None  # where packages come from; it may hold a password, and is not kept
    raise InvalidError(f"lockfile: line {number} has an option that is not known: {shorten(name)}")


def _is_place(text: str) -> bool:
    head = text.partition("@")[0] if " @ " in text else text
    return "://" in head or head.startswith((".", "/")) or head.partition(";")[0].strip().endswith(".whl")


def _from_place(url: str, number: int, hashes: list[str], name: str = "") -> Dependency:
    """A file or a repository: it can hold anything, unless a hash says what."""
    egg, hashed = _EGG.search(url), _FRAGMENT_HASH.search(url)
    hashes = [*hashes, *([hashed[1]] if hashed else [])]
    path = url.partition("#")[0].partition(";")[0].strip()
    file_name = unquote(path.partition("?")[0].rstrip("/").replace("\\", "/").rpartition("/")[2])
    wheel = _wheel(file_name)
    name = name or (egg[1] if egg else wheel[0] if wheel else _repository_name(file_name))
    found = build_dependency(
        name, wheel[1] if wheel else None, pinned=False, wanted=_shown(path), hashes=hashes, line=number
    )
    return Dependency(
        found.name, found.version, found.ecosystem, bool(found.sha256), found.wanted, found.sha256, number
    )


def _wheel(file_name: str) -> tuple[str, str] | None:
    try:
        name, version, _, _ = parse_wheel_filename(file_name)
    except (InvalidWheelFilename, ValueError):
        return None
    return name, str(version)


def _repository_name(file_name: str) -> str:
    return file_name.partition("@")[0].removesuffix(".git")


def _shown(path: str) -> str:
    """The file system of whoever wrote the list is nobody's business."""
    match = _SCHEME.match(path)
    if match is None or match[1].lower() == "file":
        return "a file of the machine it was written on"
    return describe_place(path)
