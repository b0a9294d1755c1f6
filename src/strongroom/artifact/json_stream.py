"""Read a large JSON document piece by piece: the items of named arrays one at a time, the rest as values.

A forest of 500 MB takes the memory of its largest tree. Names given twice, depth and size are refused.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_DOCUMENT_BYTES = 2**31
MAX_PIECE_CHARS = 64 * 2**20
"""Of one item, or of one value beside them."""
MAX_NAME_CHARS = 4096

_CHUNK_BYTES = 2**20
_CHARS_PER_BRACKET = 16
"""At least, over a whole chunk: a text of brackets takes 20 times its size in memory."""
_BLANKS = re.compile(r"[ \t\r\n]*")
_NUMBER_CHARS = frozenset("0123456789+-.eE")

Path = tuple[str, ...]
OnItem = Callable[[Path, Any], None]


def read_json_stream(read_at: ReadAt, size_bytes: int, paths: frozenset[Path], on_item: OnItem) -> Any:
    """Return the document; each array at one of ``paths`` is its number of items, which went to ``on_item``.

    Raises:
        RejectedError: not JSON, a name given twice, a piece beyond its bound.
    """
    if size_bytes > MAX_DOCUMENT_BYTES:
        raise RejectedError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    stream = _Stream(read_at, size_bytes, paths, on_item)
    value = stream.value(())
    if stream.peek():
        raise RejectedError("something follows the JSON document")
    return value


class _Stream:
    def __init__(self, read_at: ReadAt, size_bytes: int, paths: frozenset[Path], on_item: OnItem) -> None:
        self._read_at = read_at
        self._size = size_bytes
        self._offset = 0
        self._text = ""
        self._at = 0
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._paths = paths
        self._outer = {path[:count] for path in paths for count in range(len(path))}
        self._on_item = on_item
        self._json = json.JSONDecoder(object_pairs_hook=unique_names)

    def value(self, path: Path) -> Any:
        opened = self.peek()
        if opened == "{" and path in self._outer:
            return self._object(path)
        if opened == "[" and path in self._paths:
            return self._items(path)
        return self._piece()

    def peek(self) -> str:
        """Return the next character that is not blank; empty at the end."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _object(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in self._separated("}"):
            name = self._piece()
            if not isinstance(name, str) or len(name) > MAX_NAME_CHARS or name in found:
                raise RejectedError(f"name {shorten(name)} is given twice, or is no name")
            self._expect(":")
            found[name] = self.value((*path, name))
        return found

    def _items(self, path: Path) -> int:
        count = 0
        for _ in self._separated("]"):
            self._on_item(path, self._piece())
            count += 1
        return count

    def _separated(self, closing: str) -> Iterator[None]:
        """Step through what stands between the bracket here and ``closing``."""
        self._at += 1
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == closing:
                self._at += 1
                return
            self._expect(",")

    def _expect(self, character: str) -> None:
        if self.peek() != character:
            raise RejectedError(f"JSON with {shorten(self.peek())} where {character!r} belongs")
        self._at += 1

    def _piece(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except RecursionError:
                raise RejectedError("JSON nested too deep") from None
            except ValueError as error:
                if len(self._text) - self._at > MAX_PIECE_CHARS:
                    raise RejectedError(
                        f"a piece of JSON of more than {MAX_PIECE_CHARS} characters"
                    ) from None
                if not self._fill():
                    raise RejectedError(f"not JSON: {shorten(error)}") from None
                continue
            # A number at the end of what was read may go on.
            if end == len(self._text) and self._text[end - 1] in _NUMBER_CHARS and self._fill():
                continue
            self._at = end
            return value

    def _fill(self) -> bool:
        """Have more text, as much again as there is; False at the end of the file."""
        if self._offset >= self._size:
            return False
        kept = self._text[self._at :]
        wanted = min(max(_CHUNK_BYTES, len(kept)), self._size - self._offset)
        data = self._read_at(self._offset, wanted)
        if len(data) != wanted:
            raise RejectedError("the file is cut")
        self._offset += wanted
        try:
            self._text = kept + self._decode(data, self._offset >= self._size)
        except UnicodeDecodeError:
            raise RejectedError("JSON that is not UTF-8") from None
        self._at = 0
        brackets = self._text.count("[") + self._text.count("{")
        if brackets > _CHUNK_BYTES // _CHARS_PER_BRACKET + len(self._text) // _CHARS_PER_BRACKET:
            raise RejectedError("JSON of brackets without content")
        return True


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object. Raises RejectedError if a name stands in it twice: readers differ on which counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RejectedError(f"name {shorten(twice)} is given twice")
    return found
