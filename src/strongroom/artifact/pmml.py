"""Read PMML: its own elements and functions only, functions that end, and what is beside the standard.

Format: dmg.org/pmml/v4-4-1. A model is data; what makes one a program is a function that somebody else
supplies, an extension that carries code, or a table that is fetched.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from strongroom.artifact.pmml_words import ELEMENTS, FUNCTIONS, VERSIONS
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.xml_reader import Element, read_xml
from strongroom.errors import RejectedError, shorten

MAX_ODDITIES = 100
"""Of each kind; a model has none, or few."""
MAX_FUNCTIONS = 65_536
MAX_CALLS = 1_000_000
MAX_TEXTS_CHARS = 64 * 2**20

_NAMESPACE = re.compile(r"(?:http://www\.dmg\.org/PMML-[34](?:_[0-9]){1,2})?", re.ASCII)
_NUMBERS = re.compile(r"[-+0-9.eE\s]*", re.ASCII)
_SHORTEST_TEXT = 4
_MODELS = ("Model", "Network", "Scorecard")
_REPR = "repr"
"""Name of the extension in which JPMML keeps how Python prints the pipeline; nobody reads it."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something beside the standard."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class PmmlModel:
    """What one model says of itself."""

    version: str
    models: tuple[str, ...]
    """Elements of its models: ``TreeModel``, ``MiningModel`` and so on."""
    fields: int
    functions: frozenset[str]
    """Used; built-in or defined in the model."""
    unknown_elements: tuple[Oddity, ...]
    unknown_functions: tuple[Oddity, ...]
    recursive_functions: tuple[str, ...]
    extensions: tuple[Oddity, ...]
    """Everything that extensions say, but for how Python prints a pipeline."""
    texts: tuple[tuple[int, str], ...]
    """Line and text, for all that is no number."""


@dataclass(slots=True)
class _Definition:
    name: str
    depth: int
    calls: set[str] = field(default_factory=set)


def read_pmml(read_at: ReadAt, size_bytes: int) -> PmmlModel:
    """Return what a model says of itself, and what of it is beside the standard.

    Raises:
        DeclarationError: see `read_xml`.
        RejectedError: malformed, of an unknown version, or beyond a bound.
    """
    reader = _Reader()
    read_xml(read_at, size_bytes, reader.start, reader.end)
    return reader.model()


class _Reader:
    def __init__(self) -> None:
        self._version = ""
        self._models: list[str] = []
        self._fields = 0
        self._calls: dict[str, int] = {}
        self._definitions: dict[str, set[str]] = {}
        self._open_definition: _Definition | None = None
        self._elements: list[Oddity] = []
        self._extensions: list[Oddity] = []
        self._texts: list[tuple[int, str]] = []
        self._chars_left = MAX_TEXTS_CHARS
        self._free = 0
        """Depth within a row of a table or an extension, where names are free."""
        self._extension = False
        self._is_build_task = False
        self._specials: dict[str, Callable[[Element], None]] = {
            "Apply": self._apply,
            "DataField": self._field,
            "DefineFunction": self._define,
            "Extension": self._begin_free,
            "MiningBuildTask": self._build_task,
            "row": self._begin_free,
        }

    def model(self) -> PmmlModel:
        known = FUNCTIONS | self._definitions.keys()
        unknown = [Oddity(line, name) for name, line in self._calls.items() if name not in known]
        return PmmlModel(
            self._version,
            tuple(self._models),
            self._fields,
            frozenset(self._calls),
            tuple(self._elements[:MAX_ODDITIES]),
            tuple(unknown[:MAX_ODDITIES]),
            tuple(_find_recursion(self._definitions)[:MAX_ODDITIES]),
            tuple(self._extensions[:MAX_ODDITIES]),
            tuple(self._texts),
        )

    def start(self, element: Element) -> None:
        if not element.depth:
            self._root(element)
        for value in element.attributes.values():
            self._keep(element.line, value)
        if self._free:
            self._free += 1
            if self._extension:
                self._extend(element.line, " ".join([element.name, *element.attributes.values()]))
            return
        name = element.name
        if name not in ELEMENTS or _NAMESPACE.fullmatch(element.namespace) is None:
            self._elements.append(Oddity(element.line, name))
            if len(self._elements) > MAX_ODDITIES:
                raise RejectedError(
                    f"more than {MAX_ODDITIES} elements that are not PMML, {shorten(name)} last"
                )
        elif name in self._specials:
            self._specials[name](element)
        elif element.depth == 1 and name.endswith(_MODELS):
            self._models.append(name)

    def end(self, element: Element, text: str) -> None:
        if text:
            self._keep(element.line, text)
        if self._free:
            if text and self._extension:
                self._extend(element.line, text)
            self._free -= 1
            self._extension = self._extension and self._free > 0
        elif element.name == "MiningBuildTask":
            self._is_build_task = False
        elif self._open_definition is not None and element.depth == self._open_definition.depth:
            self._definitions[self._open_definition.name] = self._open_definition.calls
            self._open_definition = None

    def _root(self, element: Element) -> None:
        self._version = element.attributes.get("version", "")
        if element.name != "PMML" or self._version not in VERSIONS:
            raise RejectedError(
                f"not PMML of version 3.0 to 4.4 but {shorten(self._version)}",
                hint="export the model to PMML 4.4",
            )

    def _field(self, _: Element) -> None:
        self._fields += 1

    def _build_task(self, _: Element) -> None:
        self._is_build_task = True

    def _begin_free(self, element: Element) -> None:
        self._free = 1
        words = element.attributes
        self._extension = element.name == "Extension" and not (
            self._is_build_task and words.get("name") == _REPR
        )
        if self._extension:
            self._extend(element.line, " ".join(words.values()))

    def _extend(self, line: int, text: str) -> None:
        if text and len(self._extensions) <= MAX_ODDITIES * MAX_ODDITIES:
            self._extensions.append(Oddity(line, text))

    def _apply(self, element: Element) -> None:
        name = element.attributes.get("function", "")
        self._calls.setdefault(name, element.line)
        if len(self._calls) > MAX_FUNCTIONS:
            raise RejectedError(f"more than {MAX_FUNCTIONS} functions")
        if self._open_definition is not None:
            self._open_definition.calls.add(name)

    def _define(self, element: Element) -> None:
        name = element.attributes.get("name", "")
        if (
            not name
            or name in self._definitions
            or name in FUNCTIONS
            or len(self._definitions) >= MAX_FUNCTIONS
        ):
            raise RejectedError(f"function {shorten(name)} is defined twice, or anew")
        self._open_definition = _Definition(name, element.depth)

    def _keep(self, line: int, text: str) -> None:
        if len(text) < _SHORTEST_TEXT or _NUMBERS.fullmatch(text):
            return
        self._chars_left -= len(text)
        if self._chars_left < 0:
            raise RejectedError(f"more than {MAX_TEXTS_CHARS} characters of text")
        self._texts.append((line, text))


def _find_recursion(definitions: dict[str, set[str]]) -> list[str]:
    """Return functions that call themselves, through others or not."""
    open_calls = {name: calls & definitions.keys() for name, calls in definitions.items()}
    while leaves := [name for name, calls in open_calls.items() if not calls]:
        for leaf in leaves:
            del open_calls[leaf]
        for calls in open_calls.values():
            calls.difference_update(leaves)
    return sorted(open_calls)
