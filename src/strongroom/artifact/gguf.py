"""Check the structure of a GGUF file: metadata, tensor table, and that the tensors lie in the file apart.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import re
from dataclasses import dataclass, field
from math import prod
from struct import Struct

from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.tensors import MAX_ELEMENTS
from strongroom.errors import RejectedError, shorten

MAX_KEYS = 65_536
MAX_TENSORS = 1_000_000
MAX_TEXT_BYTES = 16 * 2**20
MAX_NAME_BYTES = 65_535
MAX_ARRAY_ITEMS = 16_000_000
MAX_ARRAY_DEPTH = 2
MAX_KEPT_BYTES = 64 * 2**20
"""Of all metadata texts together, without the vocabulary."""
MAX_DIMENSIONS = 4

_HEADER = Struct("<4sIQQ")
_LENGTH_BYTES = 8
_VERSIONS = (2, 3)
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY = 8, 9
_WINDOW_BYTES = 256 * 1024
_RUN = 512
_SHORT_TEXTS = re.compile(
    b"(?:" + b"|".join(re.escape(bytes([n]) + bytes(7)) + b".{%d}" % n for n in range(48)) + b"){%d}" % _RUN,
    re.DOTALL,
)
"""As many texts in a row, each shorter than 48 bytes: words, in the fewest steps that Python offers."""
_VOCABULARY = "tokenizer.ggml."
"""Keys of arrays that hold words and merges by the hundred thousand."""

# ggml.h, enum ggml_type: elements and bytes of a block.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufModel:
    """What the structure of one GGUF file says."""

    version: int
    architecture: str
    tensors: int
    templates: tuple[str, ...]
    """Keys of chat templates: text that loaders run as a program (Jinja)."""
    texts: dict[str, str] = field(default_factory=dict, compare=False)
    """Every metadata text by its key, lists joined line by line; words of the vocabulary left out."""
    forms: dict[str, str] = field(default_factory=dict, compare=False)
    """Type number and shape of each tensor."""


class LayoutError(RejectedError):
    """Tensors that overlap, leave a gap, or do not end where the file does."""


def read_gguf(read_at: ReadAt, size_bytes: int, path: str) -> GgufModel:
    """Return what the file says of itself.

    Raises:
        RejectedError: cut, an unknown version or type, a count or size beyond its bound, a key or tensor
            named twice, tensors that overlap or reach beyond the end, or bytes after the last one.
    """
    return _Reader(read_at, size_bytes, f"entry {shorten(path)}").read()


class _Reader:
    def __init__(self, read_at: ReadAt, size_bytes: int, what: str) -> None:
        self._read_at = read_at
        self._size = size_bytes
        self._what = what
        self._at = 0
        self._data = b""
        self._start = 0
        self._items_left = MAX_ARRAY_ITEMS
        self._kept = MAX_KEPT_BYTES
        self._texts: dict[str, str] = {}
        self._forms: dict[str, str] = {}

    def read(self) -> GgufModel:
        magic, version, tensors, keys = _HEADER.unpack(self._take(_HEADER.size))
        if magic != b"GGUF" or version not in _VERSIONS:
            raise self._reject(f"GGUF version {version} is not known")
        if tensors > MAX_TENSORS or keys > MAX_KEYS:
            raise self._reject("more tensors or metadata than any model has")
        metadata = self._metadata(keys)
        alignment = int.from_bytes(metadata.get("general.alignment", b"\x20\x00\x00\x00"), "little")
        if alignment & (alignment - 1) or not 1 <= alignment <= 65_536:
            raise self._reject("the alignment is not a small power of two")
        spans = self._tensors(tensors, alignment)
        start = -(-self._at // alignment) * alignment
        self._require_layout(spans, start, alignment)
        architecture = metadata.get("general.architecture", b"").decode("utf-8", "replace")
        templates = tuple(key for key in metadata if key.startswith("tokenizer.chat_template"))
        return GgufModel(version, architecture, tensors, templates, self._texts, self._forms)

    def _metadata(self, count: int) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for _ in range(count):
            key = self._text(MAX_NAME_BYTES)
            if key in found:
                raise self._reject(f"metadata {shorten(key)} is given twice")
            kind = self._integer(4)
            texts: list[bytes] = []
            found[key] = self._value(kind, 0, None if self._is_vocabulary(key, kind) else texts)
            if texts:
                self._texts[key] = b"\n".join(texts).decode("utf-8", "replace")
        return found

    @staticmethod
    def _is_vocabulary(key: str, kind: int) -> bool:
        return kind == _ARRAY and key.startswith(_VOCABULARY)

    def _value(self, kind: int, depth: int, texts: list[bytes] | None) -> bytes:
        """Step over a value, adding its texts to ``texts``; return the bytes of a small one."""
        if kind in _SCALAR_BYTES:
            return self._take(_SCALAR_BYTES[kind])
        if kind == _TEXT:
            text = self._text_bytes(MAX_TEXT_BYTES)
            if texts is not None:
                self._keep(texts, text)
            return text
        if kind != _ARRAY or depth >= MAX_ARRAY_DEPTH:
            raise self._reject(f"metadata of the unknown type {kind}, or nested too deep")
        inner, count = self._integer(4), self._integer(8)
        self._items_left -= count
        if self._items_left < 0:
            raise self._reject(f"more than {MAX_ARRAY_ITEMS} metadata items")
        if inner in _SCALAR_BYTES:
            self._skip(count * _SCALAR_BYTES[inner])
        elif inner == _TEXT and texts is None:
            self._skip_texts(count)
        else:
            for _ in range(count):
                self._value(inner, depth + 1, texts)
        return b""

    def _keep(self, texts: list[bytes], text: bytes) -> None:
        self._kept -= len(text) + 1
        if self._kept < 0:
            raise self._reject(f"more than {MAX_KEPT_BYTES} bytes of metadata texts")
        texts.append(text)

    def _tensors(self, count: int, alignment: int) -> list[tuple[int, int]]:
        names: set[str] = set()
        spans: list[tuple[int, int]] = []
        for _ in range(count):
            name = self._text(MAX_NAME_BYTES)
            if name in names:
                raise self._reject(f"tensor {shorten(name)} is given twice")
            names.add(name)
            rank = self._integer(4)
            if rank > MAX_DIMENSIONS:
                raise self._reject(f"tensor {shorten(name)} has more than {MAX_DIMENSIONS} dimensions")
            dims = [self._integer(8) for _ in range(rank)]
            kind = self._integer(4)
            block = _BLOCKS.get(kind)
            self._forms[name] = f"type {kind}[{','.join(map(str, dims))}]"
            offset = self._integer(8)
            if block is None or prod(dims) > MAX_ELEMENTS or (dims and dims[0] % block[0]):
                raise self._reject(f"tensor {shorten(name)} is of an unknown type or impossible shape")
            if offset % alignment:
                raise self._reject(f"tensor {shorten(name)} is not aligned")
            spans.append((offset, offset + prod(dims) // block[0] * block[1]))
        return sorted(spans)

    def _require_layout(self, spans: list[tuple[int, int]], start: int, alignment: int) -> None:
        end = 0
        for first, last in spans:
            if not end <= first < end + alignment:
                raise LayoutError(f"{self._what}: tensors overlap or leave a gap")
            end = last
        if not spans:
            start = min(start, self._size)
        if not start + end <= self._size < start + end + alignment:
            raise LayoutError(f"{self._what}: the file does not end where its last tensor does")

    def _text(self, limit: int) -> str:
        data = self._text_bytes(limit)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self._reject(f"text {shorten(data)} is not UTF-8") from None

    def _text_bytes(self, limit: int) -> bytes:
        size = self._integer(8)
        if size > limit:
            raise self._reject(f"a text of {size} bytes")
        return self._take(size)

    def _integer(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _skip(self, size: int) -> None:
        if size > self._size - self._at:
            raise self._reject("the file is cut")
        self._at += size

    def _skip_texts(self, count: int) -> None:
        """Step over texts that nobody reads. Few steps each: a vocabulary has hundreds of thousands."""
        while count:
            at = self._view(_LENGTH_BYTES)
            run = _SHORT_TEXTS.match(self._data, at) if count >= _RUN else None
            if run is not None:
                self._skip(run.end() - at)
                count -= _RUN
                continue
            for _ in range(min(count, _RUN)):
                size = self._integer(_LENGTH_BYTES)
                if size > MAX_TEXT_BYTES:
                    raise self._reject(f"a text of {size} bytes")
                self._skip(size)
                count -= 1

    def _take(self, size: int) -> bytes:
        offset = self._view(size)
        self._at += size
        return self._data[offset : offset + size]

    def _view(self, size: int) -> int:
        """Have the next ``size`` bytes in memory; returns where in `_data` they begin."""
        start = self._at
        if size > self._size - start:
            raise self._reject("the file is cut")
        if not self._start <= start <= start + size <= self._start + len(self._data):
            self._data = self._read_at(start, max(size, min(_WINDOW_BYTES, self._size - start)))
            self._start = start
            if len(self._data) < size:
                raise self._reject("the file is cut")
        return start - self._start

    def _reject(self, why: str) -> RejectedError:
        return RejectedError(f"{self._what}: {why}")
