"""Chunked bodies, read strictly: no extensions, no trailers, one size spelling (RFC 9112 section 7.1)."""

import re

from strongroom.serve.gateway.heads import HeadError

MAX_CHUNKS = 4096
"""Of one body: thousands of tiny chunks cost us more than they cost their sender."""

_MAX_LINE_BYTES = 10
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_SEPARATED_SIZE = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})\r\n")
_PARTIAL = re.compile(rb"(?:\r(?:\n|$))?(?:[0-9A-Fa-f]{1,8}\r?)?")
_END = b"\r\n"


class ChunkReader:
    """Takes the bytes of one chunked body; bounded by ``max_bytes`` of data whatever the chunks claim."""

    __slots__ = ("_body", "_chunks", "_ending", "_left", "_line", "_max")

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._body = bytearray()
        self._line = b""
        self._left = 0
        self._chunks = 0
        self._ending = False

    @property
    def size(self) -> int:
        """Bytes of data taken so far."""
        return len(self._body)

    def body(self) -> bytes:
        """The whole body, once `feed` has returned what lies behind it."""
        return bytes(self._body)

    def feed(self, data: bytes) -> bytes | None:
        """Take ``data``; return what lies behind the body, or None while the body goes on.

        Raises:
            HeadError: not a chunked body in its strict form, or larger than allowed.
        """
        if self._line:
            data, self._line = self._line + data, b""
        at = 0
        while True:
            if self._left:
                end = min(at + self._left, len(data))
                self._body += data[at:end]
                self._left -= end - at
                at = end
                if self._left:
                    return None
            if self._ending:
                return self._finish(data[at:])
            pattern = _SEPARATED_SIZE if self._chunks else _SIZE
            match = pattern.match(data, at)
            if match is None:
                self._keep(data[at : at + _MAX_LINE_BYTES + 3])
                return None
            self._begin(int(match[1], 16))
            at = match.end()

    def _begin(self, size: int) -> None:
        self._chunks += 1
        if len(self._body) + size > self._max:
            raise HeadError(413, "request: body is too large")
        if self._chunks > MAX_CHUNKS:
            raise HeadError(413, "request: body has too many chunks")
        self._left = size
        self._ending = size == 0

    def _keep(self, rest: bytes) -> None:
        """Keep the beginning of a size line, if it can still become one."""
        if _PARTIAL.fullmatch(rest) is None or (not self._chunks and rest.startswith(b"\r")):
            raise HeadError(400, "request: malformed chunk")
        self._line = rest

    def _finish(self, rest: bytes) -> bytes | None:
        if rest.startswith(_END):
            return rest[len(_END) :]
        if not _END.startswith(rest):
            raise HeadError(400, "request: trailers are not accepted")
        self._line = rest
        return None
