"""What a pickle builds, as far as it matters: constants, names, containers and the results of calls."""

import codecs
from collections.abc import Iterable

from strongroom.scan.pickle_globals import Allowed

MAX_LITERAL_BYTES = 1024
"""Longer strings are not kept: where they lie is."""
MAX_WORDS = 65_536
"""Of a list; the storages of a checkpoint are fewer."""
MAX_ENTRIES = 1024
"""Of a dictionary, looked up by name; no state that is checked has as many."""


class Value:
    """Something that refers to other things or was imported; plain constants stand for themselves."""

    __slots__ = ()
    height = 0
    """How deep it nests at least."""


class Long:
    """A string too long to keep: its place and length in the file, and how it is written there."""

    __slots__ = ("is_text", "offset", "size_bytes", "target", "written")

    def __init__(self, offset: int, size_bytes: int, written: str = "", target: str = "") -> None:
        self.offset, self.size_bytes = offset, size_bytes
        self.written = written
        """The encoding of text; nothing for bytes as they are."""
        self.target = target
        """The encoding that the text was given again, which made it bytes."""
        self.is_text = bool(written) and not target

    def decode(self, data: bytes) -> bytes:
        """Return what it stands for, from what is written; text as UTF-8. Raises ValueError."""
        if not self.written:
            return data
        if self.written == "escape":
            text = codecs.escape_decode(data)[0].decode("latin-1")
        else:
            text = data.decode(self.written, "surrogatepass" if self.written == "utf-8" else "strict")
        return text.encode(self.target or "utf-8", "strict" if self.target else "surrogatepass")


class Global(Value):
    """A name that the pickle imports, and what it is allowed to be used for, if anything."""

    __slots__ = ("allowed", "module", "name")

    def __init__(self, module: str, name: str, allowed: Allowed | None) -> None:
        self.module, self.name, self.allowed = module, name, allowed

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


_NO_KIDS: list[Value] = []  # shared by all that hold nothing, and never changed
_NO_WORDS: list[str] = []


class Node(Value):
    """Something that may hold others; ``kids`` are those of them that are not constants."""

    __slots__ = ("depth", "height", "kids", "weight")
    is_container = True
    """Whether looking at it (repr, ==, hash) looks into it, again for every reference."""

    def __init__(self) -> None:
        self.kids = _NO_KIDS
        self.height = 1
        """How deep it nests at least, by what it held first; this ends deep ones while they are made."""
        self.depth = 0
        """How deep it nests: 0 until `pickle_graph` has counted, -1 while it does."""
        self.weight = 1
        """Containers in it over all paths."""

    def hold(self, values: Iterable[object]) -> list[Value]:
        """Remember what it refers to, and return that."""
        kids = [value for value in values if isinstance(value, Value)]
        if not kids:
            return kids
        if self.kids is _NO_KIDS:
            self.kids = kids.copy()
            self.height = 1 + max(kid.height for kid in kids)
        else:
            self.kids += kids
        return kids


class Tuple(Node):
    __slots__ = ("items",)

    def __init__(self, items: list[object]) -> None:
        super().__init__()
        self.items = items


class List(Node):
    """``words`` are its items that are short text, the first MAX_WORDS."""

    __slots__ = ("size", "words")

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.words = _NO_WORDS

    def extend(self, items: list[object]) -> None:
        self.size += len(items)
        if len(self.words) < MAX_WORDS:
            words = [item for item in items if isinstance(item, str)]
            if self.words is _NO_WORDS:
                self.words = words
            else:
                self.words += words


class Set(Node):
    __slots__ = ()


class Dict(Node):
    """``entries`` are those under literal names, the first MAX_ENTRIES of them, the last of each name.

    ``is_partial`` says that there may be others: beyond the bound, or under a name that a call made.
    """

    __slots__ = ("entries", "is_partial")

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, object] = {}
        self.is_partial = False

    def set(self, key: object, value: object) -> None:
        if not isinstance(key, str):
            self.is_partial = self.is_partial or isinstance(key, Value)
            return
        if len(self.entries) < MAX_ENTRIES or key in self.entries:
            self.entries[key] = value
        else:
            self.is_partial = True


class Made(Node):
    """The result of a call: an instance, most often. ``fact`` is what a check learned about it."""

    __slots__ = ("fact", "maker", "state")

    def __init__(self, maker: Global | None, fact: object = None) -> None:
        super().__init__()
        self.maker = maker
        """The class or function; none if the call was refused, after which nothing matters."""
        self.fact = fact
        self.state: object = None

    @property
    def is_container(self) -> bool:  # type: ignore[override]
        return self.maker is not None and self.maker.allowed is not None and self.maker.allowed.is_container


class Mark:
    """Stands for what is not there; no pickle makes it."""


def is_text(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, Long) and value.is_text)


def is_data(value: object) -> bool:
    return isinstance(value, bytes) or (isinstance(value, Long) and not value.is_text)


def size_of(value: object) -> int:
    """Return the length of a string of bytes, -1 if it is not known."""
    if isinstance(value, bytes):
        return len(value)
    return value.size_bytes if isinstance(value, Long) and not value.written else -1


def is_global(value: object, *names: str) -> bool:
    """Say whether this is one of the names, each written ``module.name``, and allowed at all."""
    return isinstance(value, Global) and value.allowed is not None and str(value) in names
