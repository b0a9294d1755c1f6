"""conda's files: ``environment.yml`` and the explicit list of addresses.

Of YAML only what ``conda env export`` writes is read: no anchors, no tags, no flow style, no block text.
What else stands there is refused, so that no two readers see two lists.
"""

import re
from collections.abc import Iterator

from strongroom.errors import InvalidError, shorten
from strongroom.scan.dependencies import Dependency, Ecosystem, build_dependency, find_sha256
from strongroom.scan.requirements import parse_requirement

MAX_LINES = 20_000
MAX_LINE_CHARS = 1000
EXPLICIT = "@EXPLICIT"
_KEYS = frozenset({"name", "channels", "dependencies", "prefix", "variables", "platforms", "category"})
_SPEC = re.compile(r"(?:[A-Za-z0-9_./-]+::)?(?P<name>[A-Za-z0-9_.-]+?)\s*(?P<rest>(?:[=<>!~].*)?)", re.ASCII)
_EXACT = re.compile(
    r"(?P<mark>={1,2})\s*(?P<version>[A-Za-z0-9._!+-]+)(?:=(?P<build>[A-Za-z0-9_.*-]+))?", re.ASCII
)
_ARCHIVE = re.compile(
    r"(?P<name>[A-Za-z0-9_.-]+)-(?P<version>[^-/]+)-(?P<build>[^-/]+)\.(?:conda|tar\.bz2)", re.ASCII
)


def parse_environment(text: str) -> list[Dependency]:
    """Return what ``environment.yml`` names. Raises InvalidError: it holds more YAML than conda writes."""
    section, pip_indent = "", -1
    found: list[Dependency] = []
    for number, line in _lines(text):
        indent = len(line) - len(line.lstrip(" "))
        item = line.strip()
        if indent == 0 and not item.startswith("- "):
            section, pip_indent = _section(item, number), -1
            continue
        if section != "dependencies":
            continue
        if not item.startswith("- "):
            raise _not_conda(number, item)
        entry = _scalar(item[2:].strip(), number)
        if entry == "pip:":
            pip_indent = indent
        elif 0 <= pip_indent < indent:
            required = parse_requirement(entry, number)
            found += [required] if required else []
        else:
            pip_indent = -1
            found.append(_match_spec(entry, number))
    return found


def parse_explicit(text: str) -> list[Dependency]:
    """Return what ``conda list --explicit`` wrote: an address a line, with or without its hash."""
    found = []
    for number, line in _lines(text):
        if line == EXPLICIT:
            continue
        address, _, fragment = line.partition("#")
        match = _ARCHIVE.fullmatch(address.rpartition("/")[2])
        if match is None:
            raise _not_conda(number, line)
        digest = find_sha256(fragment)
        found.append(
            build_dependency(
                match["name"],
                match["version"],
                ecosystem=Ecosystem.CONDA,
                hashes=[digest] if digest else [],
                line=number,
            )
        )
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if number > MAX_LINES:
            raise InvalidError(f"lockfile: has more than {MAX_LINES} lines")
        if len(line) > MAX_LINE_CHARS:
            raise InvalidError(f"lockfile: line {number} is longer than {MAX_LINE_CHARS} characters")
        if "\t" in line:
            raise InvalidError(f"lockfile: line {number} holds a tab")
        bare = line.rstrip()
        if bare.lstrip().startswith("#") or bare.strip() in ("", "---"):
            continue
        yield number, bare.partition(" #")[0].rstrip()


def _section(item: str, number: int) -> str:
    key, colon, value = item.partition(":")
    if not colon or key not in _KEYS or value.strip()[:1] in ("&", "*", "!", "{", "[", "|", ">"):
        raise _not_conda(number, item)
    if key == "dependencies" and value.strip():
        raise _not_conda(number, item)
    return key


def _scalar(text: str, number: int) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
        if text.count("'") + text.count('"') + text.count("\\"):
            raise _not_conda(number, text)
    elif text[:1] in ("&", "*", "!", "{", "[", "|", ">", "'", '"', "%", "@", "`"):
        raise _not_conda(number, text)
    return text


def _match_spec(entry: str, number: int) -> Dependency:
    """``name=1.2`` lets in 1.2.7, ``name==1.2`` and ``name=1.2=build`` do not (conda's MatchSpec)."""
    match = _SPEC.fullmatch(entry)
    if match is None:
        raise _not_conda(number, entry)
    exact = _EXACT.fullmatch(match["rest"].strip())
    if exact is None or "*" in (exact["build"] or ""):
        return build_dependency(
            match["name"],
            ecosystem=Ecosystem.CONDA,
            wanted=match["rest"].strip() or "any version",
            line=number,
        )
    pinned = exact["mark"] == "==" or exact["build"] is not None
    return build_dependency(
        match["name"],
        exact["version"],
        ecosystem=Ecosystem.CONDA,
        pinned=pinned,
        wanted="" if pinned else f"={exact['version']}",
        line=number,
    )


def _not_conda(number: int, text: str) -> InvalidError:
    return InvalidError(
        f"lockfile: line {number} is not what conda writes: {shorten(text)}",
        hint="write it with: conda env export, or conda list --explicit --sha256",
    )
