"""Read YAML by its events: structure and tags are seen, and nothing is ever constructed.

A tag names what a loader makes of a value; in Python any function can be named so. Only the tags of YAML
itself are let through; aliases are counted at the size that they stand for.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events

from strongroom.errors import RejectedError, shorten
from strongroom.scan.documents import Document

MAX_CHARS = 8 * 2**20
MAX_NODES = 1_000_000
"""With aliases counted as what they stand for."""
MAX_DEPTH = 100

_STANDARD = "tag:yaml.org,2002:"
_CORE = frozenset(
    {
        *("str", "int", "float", "bool", "null", "seq", "map", "set", "omap", "pairs", "binary"),
        *("timestamp", "merge", "value"),
    }
)
_PYTHON_VALUES = frozenset(
    {
        *(
            "tuple",
            "str",
            "unicode",
            "int",
            "long",
            "float",
            "complex",
            "bool",
            "none",
            "list",
            "dict",
            "bytes",
        ),
    }
)
"""Values of Python that hold nothing but themselves."""
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")


@dataclass(slots=True)
class YamlDocument(Document):
    """A parsed YAML file; several documents become a list."""

    tags: list[tuple[str, str, int]] = field(default_factory=list)
    """Tags that are not YAML's own: tag, value if scalar, line."""


def parse_yaml(text: str) -> YamlDocument:
    """Return what YAML says.

    Raises:
        RejectedError: it is not YAML, too deep, has too many nodes, or a key that is itself a structure.
    """
    if len(text) > MAX_CHARS:
        raise RejectedError(f"has more than {MAX_CHARS} characters, which is more than is looked at")
    try:
        return _Reader().read(text)
    except RecursionError:
        raise RejectedError("is nested too deeply") from None
    except (yaml.YAMLError, ValueError, UnicodeError) as error:
        raise RejectedError(f"is not YAML: {shorten(str(error).replace(chr(10), ' '))}") from None


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Open:
    """A sequence or mapping whose end has not come."""

    anchor: str | None
    is_mapping: bool
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[str, Any]] = field(default_factory=list)
    key: str | None = None
    nodes: int = 1


class _Reader:
    def __init__(self) -> None:
        self.found = YamlDocument()
        self.documents: list[Any] = []
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.nodes = 0

    def read(self, text: str) -> YamlDocument:
        for event in yaml.parse(text, Loader=_LOADER):
            self._take(event)
        self.found.value = self.documents[0] if len(self.documents) == 1 else self.documents
        return self.found

    def _take(self, event: events.Event) -> None:
        match event:
            case events.ScalarEvent():
                self._tag(event, event.value)
                self._put(_scalar(event), 1, event.anchor, is_scalar=True)
            case events.AliasEvent():
                if event.anchor not in self.anchors:
                    raise RejectedError(
                        f"refers to {shorten(event.anchor)}, which is not there or not finished"
                    )
                value, nodes = self.anchors[event.anchor]
                self._put(value, nodes, None, is_scalar=not isinstance(value, dict | list))
            case events.CollectionStartEvent():
                self._tag(event, "")
                if len(self.open) >= MAX_DEPTH:
                    raise RejectedError(f"is nested deeper than {MAX_DEPTH}")
                self.open.append(_Open(event.anchor, isinstance(event, events.MappingStartEvent)))
            case events.CollectionEndEvent():
                done = self.open.pop()
                value = self.found.build_mapping(done.pairs) if done.is_mapping else done.items
                self._put(value, done.nodes, done.anchor, is_scalar=False)
            case events.DocumentStartEvent():
                self.anchors = {}

    def _tag(self, event: events.NodeEvent, value: str) -> None:
        tag = getattr(event, "tag", None)
        if tag is None or tag == "!":
            return
        name = tag.removeprefix(_STANDARD)
        if name in _CORE and name != tag:
            return
        if name.removeprefix("python/") in _PYTHON_VALUES and name.startswith("python/") and name != tag:
            return
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        self.found.tags.append((str(tag), value, line))

    def _put(self, value: Any, nodes: int, anchor: str | None, *, is_scalar: bool) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, nodes)
        if not self.open:
            self.nodes += nodes
            self.documents.append(value)
            return
        into = self.open[-1]
        into.nodes += nodes
        if self.nodes + into.nodes > MAX_NODES:
            raise RejectedError(f"stands for more than {MAX_NODES} values")
        if not into.is_mapping:
            into.items.append(value)
        elif into.key is None:
            if not is_scalar:
                raise RejectedError("has a key that is a structure")
            into.key = str(value)
        else:
            into.pairs.append((into.key, value))
            into.key = None


_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
    "null": None,
    "~": None,
}


def _scalar(event: events.ScalarEvent) -> Any:
    """Return the value of a plain scalar as loaders see it, so far as a rule asks; else its text."""
    text = str(event.value)
    if not event.implicit[0]:
        return text
    if _NUMBER.fullmatch(text):
        return int(text)
    lowered = text.lower()
    return _WORDS.get(lowered, text) if text else None
