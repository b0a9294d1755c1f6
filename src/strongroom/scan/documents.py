"""Read JSON, JSON lines, TOML and INI files strictly: bounded, no two truths, duplicates told."""

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from strongroom.errors import RejectedError, shorten

MAX_BYTES = 48 * 2**20
"""As much text as the recognition of formats looks at."""
MAX_MARKS = 6_000_000
"""Commas and brackets, so that the parsed form stays within some hundred megabytes."""
MAX_DEPTH = 200
MAX_LINES = 500_000
MAX_TOML_BYTES = 4 * 2**20
VOCABULARY_SIZE = 256
"""From so many numbers on, an object of nothing but numbers is a vocabulary."""
LONG_WORD = 20
"""Words of a vocabulary that are as long as a credential are kept; the others are forgotten at once."""

_NAMED = frozenset({"trust_remote_code", "allow_remote"})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A mapping of words to numbers, of which only the long words are kept."""

    size: int
    long_words: tuple[str, ...]


@dataclass(slots=True)
class Document:
    """A parsed file. `shadowed` holds values that a second one of the same key hides from most readers."""

    value: Any = None
    shadowed: list[tuple[str, Any]] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    """Keys that occur twice with the same value."""
    constants: list[str] = field(default_factory=list)
    """NaN and Infinity, which JSON does not have."""

    def build_mapping(self, pairs: list[tuple[str, Any]]) -> Any:
        """Return a mapping of the pairs, noting keys that occur twice."""
        built = dict(pairs)
        if len(built) != len(pairs):
            self._note_duplicates(pairs, built)
        if len(built) < VOCABULARY_SIZE or _NAMED & built.keys():
            return built
        if any(type(number) is not int for number in built.values()):
            return built
        return Vocabulary(len(built), tuple(word for word in built if len(word) >= LONG_WORD))

    def _note_duplicates(self, pairs: list[tuple[str, Any]], built: dict[str, Any]) -> None:
        seen: set[str] = set()
        for key, value in pairs:
            if key in seen or value is not built[key]:
                if _same(value, built[key]):
                    self.repeated.append(key)
                else:
                    self.shadowed.append((key, value))
            seen.add(key)

    def note_constant(self, name: str) -> float:
        self.constants.append(name)
        return float(name.replace("Infinity", "inf"))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def parse_json(text: str) -> Document:
    """Return what JSON says. Raises RejectedError: it is not JSON, too deep, or of too many parts."""
    if text.count(",") + text.count("[") + text.count("{") > MAX_MARKS:
        raise RejectedError(f"has more than {MAX_MARKS} parts")
    found = Document()
    try:
        found.value = json.loads(
            text, object_pairs_hook=found.build_mapping, parse_constant=found.note_constant
        )
    except RecursionError:
        raise RejectedError("is nested too deeply") from None
    except ValueError as error:
        raise RejectedError(f"is not JSON: {shorten(error)}") from None
    return found


def parse_json_lines(text: str) -> Document:
    """Return the list of what each line says."""
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise RejectedError(f"has more than {MAX_LINES} lines")
    found = Document(value=[])
    for line in lines:
        if line.strip():
            one = parse_json(line)
            found.value.append(one.value)
            found.shadowed += one.shadowed
            found.repeated += one.repeated
            found.constants += one.constants
    return found


def parse_toml(text: str) -> Document:
    if len(text) > MAX_TOML_BYTES:
        raise RejectedError(f"has more than {MAX_TOML_BYTES} characters")
    try:
        return Document(tomllib.loads(text))
    except RecursionError:
        raise RejectedError("is nested too deeply") from None
    except ValueError as error:
        raise RejectedError(f"is not TOML: {shorten(error)}") from None


_SECTION = re.compile(r"\[([^\]\n]{1,500})\]\s*(?:[#;].*)?")
_SETTING = re.compile(r"[=:]")


def parse_ini(text: str) -> Document:
    """Return sections and settings of an INI file. Each spelling of a repeated section counts."""
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise RejectedError(f"has more than {MAX_LINES} lines")
    found: dict[str, list[dict[str, str]]] = {}
    current: dict[str, str] = {}
    found[""] = [current]
    last = ""
    for line in lines:
        plain = line.strip()
        if not plain or plain[0] in "#;":
            continue
        if line[0] in " \t" and last:
            current[last] += "\n" + plain
        elif section := _SECTION.fullmatch(plain):
            current, last = {}, ""
            found.setdefault(section[1], []).append(current)
        elif found_sign := _SETTING.search(plain):
            last, value = plain[: found_sign.start()].rstrip(), plain[found_sign.end() :].lstrip()
            current[last] = f"{current[last]}\n{value}" if last in current else value
    return Document({name: parts[0] if len(parts) == 1 else parts for name, parts in found.items()})
