"""Read XML as a stream of elements, without what makes it a hazard: entities, DTDs, things from elsewhere.

The expat of the standard library does the parsing; sizes, counts and depth are bounded here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_BYTES = 2**30
MAX_DEPTH = 1024
"""Decision trees in PMML are as deep as they grew."""
MAX_ELEMENTS = 20_000_000
MAX_ATTRIBUTES = 256
"""Of one element."""
MAX_TEXT_CHARS = 64 * 2**20
"""Of one element, or one value of an attribute."""
MAX_NAME_CHARS = 1024

_CHUNK_BYTES = 2**20
_SEPARATOR = "\n"
_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_INCLUSION = "http://www.w3.org/2001/XInclude"
_SPACE = re.compile(r"\s*")


class DeclarationError(RejectedError):
    """A document type, an entity, an inclusion or an instruction: makes a reader fetch or run something."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element as it begins."""

    namespace: str
    name: str
    attributes: dict[str, str]
    """By local name; those of another namespace as ``{namespace}name``."""
    depth: int
    """0 for the root."""
    line: int


OnStart = Callable[[Element], None]
OnEnd = Callable[[Element, str], None]
"""Hears of an element that ends, with the text that stands in it directly."""


def read_xml(read_at: ReadAt, size_bytes: int, on_start: OnStart, on_end: OnEnd) -> None:
    """Parse a document.

    Raises:
        DeclarationError: it declares a document type or entities, includes others, or instructs a processor.
        RejectedError: malformed, not UTF-8, or beyond a bound.
    """
    if size_bytes > MAX_BYTES:
        raise RejectedError(f"larger than {MAX_BYTES} bytes")
    reader = _Reader(on_start, on_end)
    for start in range(0, size_bytes, _CHUNK_BYTES):
        data = read_at(start, min(_CHUNK_BYTES, size_bytes - start))
        if len(data) != min(_CHUNK_BYTES, size_bytes - start):
            raise RejectedError("the file is cut")
        reader.feed(data, is_last=start + len(data) == size_bytes)


class _Reader:
    def __init__(self, on_start: OnStart, on_end: OnEnd) -> None:
        # The encoding given here overrides what the document says of itself.
        self._parser: Any = expat.ParserCreate("utf-8", _SEPARATOR)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.XmlDeclHandler = _require_utf8
        self._parser.StartDoctypeDeclHandler = _refuse("declares a document type")
        self._parser.EntityDeclHandler = _refuse("declares an entity")
        self._parser.UnparsedEntityDeclHandler = _refuse("declares an entity")
        self._parser.NotationDeclHandler = _refuse("declares a notation")
        self._parser.ExternalEntityRefHandler = _refuse("refers to another file")
        self._parser.SkippedEntityHandler = _refuse("refers to an entity")
        self._parser.ProcessingInstructionHandler = self._instruction
        self._on_start = on_start
        self._on_end = on_end
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._chars = 0
        self._elements = 0

    def feed(self, data: bytes, *, is_last: bool) -> None:
        if b"\0" in data:
            raise RejectedError("XML that is not UTF-8")
        try:
            self._parser.Parse(data, is_last)
        except expat.ExpatError as error:
            raise RejectedError(f"not XML: {shorten(error)}") from None
        except UnicodeDecodeError:
            raise RejectedError("XML that is not UTF-8") from None

    def _start(self, full_name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise RejectedError(f"more than {MAX_ELEMENTS} elements, or nested deeper than {MAX_DEPTH}")
        if len(attributes) > MAX_ATTRIBUTES:
            raise RejectedError(f"an element with more than {MAX_ATTRIBUTES} attributes")
        namespace, _, name = full_name.rpartition(_SEPARATOR)
        if namespace == _INCLUSION:
            raise DeclarationError("XML that includes another file")
        element = Element(
            namespace,
            _bounded(name, MAX_NAME_CHARS),
            {_local(each): _bounded(value, MAX_TEXT_CHARS) for each, value in attributes.items()},
            len(self._open),
            self._parser.CurrentLineNumber,
        )
        self._open.append(element)
        self._texts.append([])
        self._chars = 0
        self._on_start(element)

    def _end(self, _: str) -> None:
        self._on_end(self._open.pop(), "".join(self._texts.pop()))
        self._chars = 0

    def _characters(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise RejectedError(f"an element with more than {MAX_TEXT_CHARS} characters")
        blank = _SPACE.fullmatch(text)
        if blank is None or self._texts[-1]:
            self._texts[-1].append(text)

    def _instruction(self, target: str, _: str) -> None:
        raise DeclarationError(f"XML with the instruction {shorten(target)} to its processor")


def _refuse(what: str) -> Callable[..., Any]:
    def refuse(*_: object) -> None:
        raise DeclarationError(f"XML that {what}")

    return refuse


def _require_utf8(version: str, encoding: str | None, _: int) -> None:
    if encoding is not None and encoding.lower() not in _ENCODINGS:
        raise RejectedError(
            f"XML in the encoding {shorten(encoding)}", hint="save the file with the encoding UTF-8"
        )
    if version != "1.0":
        raise RejectedError(f"XML version {shorten(version)}")


def _bounded(text: str, limit: int) -> str:
    if len(text) > limit:
        raise RejectedError(f"an XML name or value of more than {limit} characters")
    return text


def _local(full_name: str) -> str:
    namespace, _, name = full_name.rpartition(_SEPARATOR)
    return f"{{{namespace}}}{name}" if namespace else _bounded(name, MAX_NAME_CHARS)
