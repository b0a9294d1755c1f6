"""Request heads: a strict gate on the raw bytes, then httptools; both must agree before anything is believed.

The gate refuses every spelling on which two HTTP implementations are known to differ (RFC 9112 sections
2.2, 3, 5 and 6, RFC 9110 section 5), so that whatever proxy stands before us read the same request.
"""

import re
from typing import NamedTuple

import httptools

MAX_TARGET_BYTES = 512
MAX_NONCE_CHARS = 128
CHUNKED = -1
"""The length of a body that says its own."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_GATE = re.compile(
    rb"(?:[A-Z]{1,16}) (/[!-~]*) HTTP/1\.1\r\n(?:" + _TOKEN + rb"{1,64}:[\t\x20-\x7e]*\r\n)*\r\n"
)
_TARGET = re.compile(rb"(?:/[A-Za-z0-9._~@:-]+)+|/")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,11}")
_HOST = re.compile(rb"[A-Za-z0-9.\-_]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_NONCE = re.compile(rb"[A-Za-z0-9_=+/.\-]{1,128}")
_BARE = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|\x00")
_VERSION = re.compile(rb"[^\r\n]* HTTP/[0-9]\.[0-9]\r\n")

_SINGLE = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"inference-header-content-length",
        b"strongroom-nonce",
        b"strongroom-receipt",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that mean something here: a second one is a contradiction."""


class HeadError(Exception):
    """A head that is refused; the connection closes after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Head(NamedTuple):
    """What the gateway acts on; everything else a client sends in its head is ignored."""

    method: str
    target: str
    length: int
    """Of the body in bytes, or CHUNKED."""
    keep_alive: bool
    expects_continue: bool
    json_length: int | None
    """``Inference-Header-Content-Length``: where binary tensor data begins in the body."""
    inline_receipt: bool
    hashed: tuple[bytes, bytes, bytes]
    """Method, target and nonce, as they go into the request's hash."""


class _Collector:
    __slots__ = ("complete", "headers", "repeated", "target")

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.repeated = False
        self.target = b""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self.headers and name in _SINGLE:
            self.repeated = True
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.complete = True


def parse_head(raw: bytes, max_headers: int) -> Head:
    """Return the head whose bytes, through the empty line, are ``raw``.

    Raises:
        HeadError: anything but one unmistakable request that this server can take.
    """
    gate = _GATE.fullmatch(raw)
    if gate is None:
        raise _explain(raw)
    if raw.count(b"\r\n") > max_headers + 2:
        raise HeadError(431, "request: too many headers")
    target = gate[1]
    if len(target) > MAX_TARGET_BYTES:
        raise HeadError(414, "request: target is too long")
    if _TARGET.fullmatch(target) is None or b"/." in target:
        raise HeadError(400, "request: target is not a plain path")
    seen = _Collector()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        raise HeadError(400, "request: malformed head") from None
    if not seen.complete or seen.target != target or seen.repeated:
        raise HeadError(400, "request: ambiguous head")
    return _read(parser.get_method(), target, seen.headers)


def _read(method: bytes, target: bytes, headers: dict[bytes, bytes]) -> Head:
    host = headers.get(b"host")
    if host is None or _HOST.fullmatch(host) is None:
        raise HeadError(400, "request: needs one valid host header")
    if b"upgrade" in headers:
        raise HeadError(400, "request: no upgrade is offered")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise HeadError(415, "request: content-encoding is not supported")
    expectation = headers.get(b"expect")
    if expectation is not None and expectation.lower() != b"100-continue":
        raise HeadError(417, "request: unknown expectation")
    receipt = headers.get(b"strongroom-receipt")
    if receipt is not None and receipt != b"inline":
        raise HeadError(400, "request: strongroom-receipt is not inline")
    length = _framing(method, headers)
    return Head(
        method.decode(),
        target.decode(),
        length,
        _keeps_alive(headers),
        expectation is not None and length != 0,
        _json_length(headers),
        receipt is not None,
        (method, target, _nonce(headers)),
    )


def _framing(method: bytes, headers: dict[bytes, bytes]) -> int:
    encoding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if encoding is not None:
        if length is not None:
            raise HeadError(400, "request: both content-length and transfer-encoding")
        if encoding != b"chunked":
            raise HeadError(400, "request: transfer-encoding is not chunked")
        size = CHUNKED
    elif length is not None:
        if _LENGTH.fullmatch(length) is None:
            raise HeadError(400, "request: content-length is not a number")
        size = int(length)
    elif method == b"POST":
        raise HeadError(411, "request: a body needs its length")
    else:
        size = 0
    if size and method != b"POST":
        raise HeadError(400, "request: only POST takes a body")
    return size


def _keeps_alive(headers: dict[bytes, bytes]) -> bool:
    connection = headers.get(b"connection")
    if connection is None or connection == b"keep-alive":
        return True
    options = {option.strip() for option in connection.lower().split(b",")}
    return b"close" not in options


def _json_length(headers: dict[bytes, bytes]) -> int | None:
    text = headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if _LENGTH.fullmatch(text) is None:
        raise HeadError(400, "request: inference-header-content-length is not a number")
    return int(text)


def _nonce(headers: dict[bytes, bytes]) -> bytes:
    text = headers.get(b"strongroom-nonce")
    if text is None:
        return b""
    if _NONCE.fullmatch(text) is None:
        raise HeadError(400, f"request: strongroom-nonce is not 1 to {MAX_NONCE_CHARS} plain characters")
    return text


def _explain(raw: bytes) -> HeadError:
    """Say what is wrong as far as that is safe to say; the head is refused in any case."""
    if _VERSION.match(raw) is not None and b" HTTP/1.1\r\n" not in raw[: raw.index(b"\n") + 1]:
        return HeadError(505, "request: only HTTP/1.1 is spoken here")
    return HeadError(400, "request: malformed head")


def require_plausible(partial: bytes, start: int = 0) -> None:
    """Refuse the beginning of a head that can never become a good one, without waiting for its end.

    What stands before ``start`` was found plausible already.

    Raises:
        HeadError: a bare line feed or carriage return, or a NUL byte.
    """
    if _BARE.search(partial, start) is not None:
        raise HeadError(400, "request: malformed head")
