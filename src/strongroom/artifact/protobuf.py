"""Read protocol buffers by structure, from anywhere, without believing a single length.

Only what a caller steps into is looked at; a tensor of 10 GB costs one length. Encoding:
https://protobuf.dev/programming-guides/encoding/
"""

import re
from collections.abc import Callable, Iterator, Mapping

from strongroom.errors import RejectedError, shorten

MAX_FIELDS = 8_000_000
"""Fields looked at one by one in one file; beyond it is a bomb."""
MAX_MESSAGE_BYTES = 2**31 - 1
"""What any implementation of protocol buffers takes."""
MAX_TEXT_BYTES = 64 * 1024

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WINDOW_BYTES = 256 * 1024
_FIRST_WINDOW_BYTES = 4096
"""Read after a jump over something large; doubled for as long as reading goes on from there."""
_LONGEST_HEAD = 20
"""A tag and a varint of ten bytes each."""

ReadAt = Callable[[int, int], bytes]
"""Bytes from an offset, fewer only at the end of the file."""

Span = tuple[int, int]
"""Start and end of a length-delimited value."""

NO_SPAN: Span = (-1, -1)

Fields = Mapping[int, str]
"""What a message may hold: number -> kind: ``v`` varint, ``f`` 32 bits, ``d`` 64 bits, ``b`` bytes, text or
message; then ``*`` if repeated, ``+`` if repeated and of no interest: runs of it are stepped over.
"""

_WIRE = {"v": VARINT, "f": FIXED32, "d": FIXED64, "b": BYTES}
_PACKABLE = frozenset({"v*", "f*", "d*", "v+", "f+", "d+"})

# Long runs of small elements, which a decision forest is made of, are stepped over by the regular expression
# engine: tag of the field, then the value. In pieces, so that a run costs little memory. Not possessive: the
# possessive quantifiers of Python before 3.11.5 match wrongly (cpython issue 101955); Debian 12 has 3.11.2.
_RUN_PIECE = 4096
_SHORT_BYTES = b"|".join(re.escape(bytes([n])) + b".{%d}" % n for n in range(32))
_RUN_VALUE = {
    VARINT: rb"[\x80-\xff]{0,9}[\x00-\x7f]",
    FIXED32: rb".{4}",
    FIXED64: rb".{8}",
    BYTES: b"(?:" + _SHORT_BYTES + b")",
}


class Wire:
    """A file seen as nested protocol buffer messages."""

    def __init__(self, read_at: ReadAt, size_bytes: int, what: str) -> None:
        if size_bytes > MAX_MESSAGE_BYTES:
            raise RejectedError(
                f"{what}: larger than 2 GiB, which no protocol buffer may be",
                hint="export the weights as external data",
            )
        self.size_bytes = size_bytes
        self._read_at = read_at
        self.what = what
        self._data = b""
        self._start = 0
        self._window_bytes = _FIRST_WINDOW_BYTES
        self._fields_left = MAX_FIELDS
        self._runs: dict[int, re.Pattern[bytes]] = {}

    def reject(self, why: str) -> RejectedError:
        return RejectedError(f"{self.what}: {why}")

    def message(self, span: Span, fields: Fields) -> Iterator[tuple[int, int, Span]]:
        """Yield number, scalar and span of each field; a field has one of them, the other is 0 or NO_SPAN.

        Raises:
            RejectedError: cut, overlong, a field that the message does not have, a wrong wire type, or a
                second value where there can be one.
        """
        at, end = span
        seen: set[int] = set()
        while at < end:
            tag, at = self._varint(at, end)
            number, wire = tag >> 3, tag & 7
            kind = fields.get(number)
            if kind is None:
                raise self.reject(f"field {number} is not known here")
            if wire != _WIRE[kind[0]] and not (wire == BYTES and kind in _PACKABLE):
                raise self.reject(f"field {number} has wire type {wire}")
            if kind[-1] not in "*+":
                if number in seen:
                    raise self.reject(f"field {number} is given twice")
                seen.add(number)
            if wire == BYTES:
                size, at = self._varint(at, end)
                if size > end - at:
                    raise self.reject(f"field {number} is cut")
                yield number, 0, (at, at + size)
                at += size
            else:
                value, at = self._scalar(wire, at, end)
                yield number, value, NO_SPAN
            if kind[-1] == "+" and tag < 0x80:
                at = self._skip_run(tag, at, end)

    def text(self, span: Span, limit: int = MAX_TEXT_BYTES) -> str:
        if span[1] - span[0] > limit:
            raise self.reject(f"a text of {span[1] - span[0]} bytes, more than {limit}")
        data = self.data(span)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self.reject(f"text {shorten(data)} is not UTF-8") from None

    def data(self, span: Span) -> bytes:
        """The bytes of a small value."""
        return self._read(span[0], span[1] - span[0])

    def integers(self, scalar: int, span: Span, limit: int) -> list[int]:
        """The elements of one occurrence of a repeated varint: itself, or a packed list."""
        if span == NO_SPAN:
            return [scalar]
        at, end = span
        if end - at > 10 * limit:
            raise self.reject(f"more than {limit} integers")
        values = []
        while at < end:
            value, at = self._varint(at, end)
            values.append(value)
        return values

    def _skip_run(self, tag: int, at: int, end: int) -> int:
        """Return the end of the run of small elements with this one-byte tag that begins at ``at``."""
        pattern = self._runs.get(tag)
        if pattern is None:
            value = _RUN_VALUE[tag & 7]
            element = re.escape(bytes([tag])) + value
            pattern = re.compile(b"(?:%b){0,%d}" % (element, _RUN_PIECE), re.DOTALL)
            self._runs[tag] = pattern
        while at < end:
            self._cover(at, end)
            offset = at - self._start
            match = pattern.match(self._data, offset, min(len(self._data), offset + end - at))
            if match is None or match.end() == offset:
                break
            at += match.end() - offset
        return at

    def _scalar(self, wire: int, at: int, end: int) -> tuple[int, int]:
        if wire == VARINT:
            return self._varint(at, end)
        size = 4 if wire == FIXED32 else 8
        if size > end - at:
            raise self.reject("a number is cut")
        return int.from_bytes(self._read(at, size), "little"), at + size

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        if not self._fields_left:
            raise self.reject(f"more than {MAX_FIELDS} fields")
        self._fields_left -= 1
        offset = at - self._start
        if at < end and 0 <= offset < len(self._data) and (byte := self._data[offset]) < 0x80:
            return byte, at + 1
        self._cover(at, end)
        data, offset = self._data, at - self._start
        value = shift = 0
        for byte in data[offset : offset + min(10, end - at)]:
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 2**64:
                    raise self.reject("a varint overflows 64 bits")
                return value, at
            shift += 7
        raise self.reject("a varint is cut or longer than ten bytes")

    def _read(self, start: int, size: int) -> bytes:
        if size > _WINDOW_BYTES:
            raise self.reject(f"a value of {size} bytes where a small one belongs")
        self._cover(start, start + size, size)
        offset = start - self._start
        return self._data[offset : offset + size]

    def _cover(self, at: int, end: int, size: int = _LONGEST_HEAD) -> None:
        """Have the bytes from ``at`` in the window, as far as the message goes."""
        needed = min(size, end - at)
        if self._start <= at and at + needed <= self._start + len(self._data):
            return
        goes_on = self._start <= at <= self._start + len(self._data)
        self._window_bytes = min(2 * self._window_bytes, _WINDOW_BYTES) if goes_on else _FIRST_WINDOW_BYTES
        self._data = self._read_at(at, min(max(self._window_bytes, needed), self.size_bytes - at))
        self._start = at
        if len(self._data) < needed:
            raise self.reject("the file is cut")


def signed(value: int) -> int:
    """Return a varint as the int64 it stands for."""
    return value - 2**64 if value >= 2**63 else value
