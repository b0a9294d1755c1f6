"""What text may be wrapped in: escapes of JSON, URLs and terminals, base64, hexadecimal, gzip and zlib."""

import binascii
import re
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

MIN_RUN_CHARS = 20
"""Of token characters in a row: no credential with a mark of its own is shorter."""
MIN_BASE64_CHARS = 24
MIN_HEX_CHARS = 40
MAX_REALIGNED_CHARS = 8192
"""A run up to this long is also tried after its first separators: a path or a label may be glued to it."""
MAX_STARTS = 4
MAX_INFLATED_BYTES = 32 * 2**20
"""Of all that lies compressed inside one text."""
MIN_BINARY_BYTES = 512
"""What is decoded, is no text and is shorter is a digest or an identifier."""

_RUN_CHARS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/=.~"
_MARKS = bytes(0x61 if char in _RUN_CHARS else 0x20 for char in range(256))
_STANDARD = bytes.maketrans(b"-_", b"+/")
MAX_UNESCAPED = 3
"""Times that escapes are undone: a notebook in a string of a configuration."""
_PRINTABLE = bytes(range(32, 127)) + b"\t\n\r"
_MIN_PRINTABLE_SHARE = 0.85
_SAMPLE_BYTES = 1024

_NUMBER = re.compile(rb"[0-9eE+.~/=-]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % MIN_BASE64_CHARS)
_HEX_MARKS = bytes(0x61 if char in b"0123456789abcdefABCDEF" else 0x20 for char in range(256))
_WRAP = re.compile(rb"(?:\\[nr]|[\s\"',+>#]){1,60}")
_LAST_LINE = re.compile(rb"(?:\\[nr]|[\s\"',+>#]){1,60}[A-Za-z0-9+/_-]{1,100}={0,2}")
_NOT_BASE64 = bytes(
    char
    for char in range(256)
    if char not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
)
_MIN_WRAPPED_CHARS = 40
_MIN_EVEN_LINES = 3
"""So many of one length are one text; fewer may as well be two of their own."""
_MAX_LINE_CHARS = 128
_ZLIB_LEVELS = (b"\x01", b"\x5e", b"\x9c", b"\xda")
_SEPARATOR = re.compile(rb"[/_-]")

_ESCAPE = re.compile(rb"\\(?:(?:u00|x)([0-9a-fA-F]{2})|([nrt\"'/\\]))")
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_PERCENT = re.compile(rb"%(0[9AaDd]|[2-7][0-9a-fA-F])")
_ENTITY = re.compile(rb"&(?:#([0-9]{2,3})|(amp|quot|apos|lt|gt));")
_ENTITIES = {b"amp": b"&", b"quot": b'"', b"apos": b"'", b"lt": b"<", b"gt": b">"}
_TERMINAL = re.compile(rb"\x1b\[[0-9;]{0,24}[A-Za-z]")
_ESCAPED_ESCAPES = (rb"\\", b"%25", b"&amp;", rb"\u005c", rb"\u0025")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Something read out of a part of a text."""

    data: bytes
    how: str
    start: int
    end: int
    """Of the part in the text that held it."""
    is_text: bool


def find_runs(data: bytes) -> "array[int]":
    """Return starts and ends, in turn, of where MIN_RUN_CHARS or more token characters follow one another.

    Numbers are left out: models consist of them, credentials do not.
    """
    marks = data.translate(_MARKS)
    wanted = b"a" * MIN_RUN_CHARS
    runs = array("q")
    start = marks.find(wanted)
    while start >= 0:
        end = marks.find(b" ", start + MIN_RUN_CHARS)
        end = len(data) if end < 0 else end
        if end - start > 2 * MIN_RUN_CHARS or _NUMBER.fullmatch(data, start, end) is None:
            runs.append(start)
            runs.append(end)
        start = marks.find(wanted, end)
    return runs


def unescape(data: bytes) -> bytes:
    """Return the text without escapes of JSON, URLs, XML and terminals and without the zeros of UTF-16.

    Nothing here can tell which of them the text was written in, so all are undone; what matters is that a
    credential becomes readable, not that the text stays right.
    """
    for _ in range(MAX_UNESCAPED):
        is_nested = any(escaped in data for escaped in _ESCAPED_ESCAPES)
        data = _unescape_once(data)
        if not is_nested:
            break
    return data


def _unescape_once(data: bytes) -> bytes:
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    if b"\\" in data:
        data = _ESCAPE.sub(_escaped, data)
    if b"%" in data:
        data = _PERCENT.sub(_percent, data)
    if b"&" in data:
        data = _ENTITY.sub(_entity, data)
    return _TERMINAL.sub(b" ", data) if b"\x1b" in data else data


def _escaped(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),)) if match[1] else _CONTROLS.get(match[2], match[2])


def _percent(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def _entity(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1]) & 127,)) if match[1] else _ENTITIES[match[2]]


class Decoder:
    """Decodes the parts of a text; keeps count of what was inflated."""

    def __init__(self) -> None:
        self.is_complete = True
        """Whether everything compressed could be read within MAX_INFLATED_BYTES."""
        self._left_bytes = MAX_INFLATED_BYTES

    def decode(self, data: bytes, runs: "array[int]") -> Iterator[Decoded]:
        """Yield what the runs of a text decode to, where that can be text or contain it."""
        first = 0
        for index in range(2, len(runs), 2):
            start, end = runs[index : index + 2]
            if end - start < MIN_BASE64_CHARS or not _is_wrap(data, runs[index - 1], start):
                yield from self._block(data, runs[first:index])
                first = index
        yield from self._block(data, runs[first:])

    def _run(self, data: bytes, start: int, end: int) -> Iterator[Decoded]:
        run = data[start:end]
        if len(run) >= MIN_HEX_CHARS:
            for begin, finish in _find_hex(run):
                yield from self._open(
                    binascii.unhexlify(run[begin:finish]), "hexadecimal", start + begin, start + finish
                )
        if run.islower():
            return  # a name in a program, or a path: base64 of 24 characters has capitals
        for match in _BASE64.finditer(run):
            for begin in _starts(run, *match.span()):
                found = list(
                    self._open(
                        _decode(run[begin : match.end()]), "base64", start + begin, start + match.end()
                    )
                )
                if found:
                    yield from found
                    break

    def _block(self, data: bytes, runs: "array[int]") -> Iterator[Decoded]:
        """Runs with nothing but line ends between: base64 in lines of one length and a last, shorter one."""
        if not runs:
            return
        start, width = runs[0], runs[1] - runs[0]
        lines = len(runs) // 2
        last = _LAST_LINE.match(data, runs[-1])
        if width >= _MIN_WRAPPED_CHARS and (last is not None or lines > 1):
            end = last.end() if last is not None else runs[-1]
            joined = data[start:end].replace(rb"\n", b"").replace(rb"\r", b"").translate(None, _NOT_BASE64)
            yield from self._open(_decode(joined), "base64", start, end)
            for begin, finish in _find_hex(joined):
                yield from self._open(binascii.unhexlify(joined[begin:finish]), "hexadecimal", start, end)
            if lines >= _MIN_EVEN_LINES and width <= _MAX_LINE_CHARS and _is_even(data, runs):
                return
        for index in range(0, len(runs), 2):
            yield from self._run(data, *runs[index : index + 2])

    def _open(self, decoded: bytes, how: str, start: int, end: int) -> Iterator[Decoded]:
        """Inflate if compressed; nothing for what cannot hold a credential."""
        if decoded[:2] == b"\x1f\x8b" or (decoded[:1] == b"\x78" and decoded[1:2] in _ZLIB_LEVELS):
            decoded = self._inflate(decoded) or decoded
        is_text = _is_text(decoded)
        if is_text or len(decoded) >= MIN_BINARY_BYTES:
            yield Decoded(decoded, how, start, end, is_text)

    def _inflate(self, packed: bytes) -> bytes:
        if self._left_bytes <= 0:
            self.is_complete = False
            return b""
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            data = inflater.decompress(packed, self._left_bytes)
        except zlib.error:
            return b""
        self._left_bytes -= len(data)
        if inflater.unconsumed_tail:
            self.is_complete = False
        return data


def _starts(data: bytes, start: int, end: int) -> list[int]:
    """Where base64 may begin in a run: at its start or after a separator that is also in its alphabet."""
    if end - start > MAX_REALIGNED_CHARS:
        return [start]
    found = [start]
    for match in _SEPARATOR.finditer(data, start, max(start, end - MIN_BASE64_CHARS)):
        found.append(match.end())
        if len(found) == MAX_STARTS:
            break
    return found


def _is_even(data: bytes, runs: "array[int]") -> bool:
    """Whether all lines but the last have one length and no padding: one text, not a list of several."""
    width = runs[1] - runs[0]
    return all(
        runs[index + 1] - runs[index] == width and data[runs[index + 1] - 1 : runs[index + 1]] != b"="
        for index in range(0, len(runs) - 2, 2)
    )


def _is_wrap(data: bytes, end: int, start: int) -> bool:
    return start - end <= 60 and _WRAP.fullmatch(data, end, start) is not None


def _find_hex(run: bytes) -> Iterator[tuple[int, int]]:
    marks = run.translate(_HEX_MARKS)
    wanted = b"a" * MIN_HEX_CHARS
    start = marks.find(wanted)
    while start >= 0:
        end = marks.find(b" ", start)
        end = len(run) if end < 0 else end
        yield start, end - (end - start) % 2
        start = marks.find(wanted, end)


def _decode(text: bytes) -> bytes:
    """Standard or URL-safe base64 without padding; a length that none has is cut by one."""
    whole = text[:-1] if len(text) % 4 == 1 else text
    return binascii.a2b_base64(whole.translate(_STANDARD) + b"=" * (-len(whole) % 4))


def _is_text(data: bytes) -> bool:
    sample = data[:_SAMPLE_BYTES].replace(b"\0", b"")
    return bool(sample) and len(sample.translate(None, _PRINTABLE)) <= (1 - _MIN_PRINTABLE_SHARE) * len(
        sample
    )
