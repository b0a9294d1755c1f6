"""Responses as bytes."""

import orjson

JSON = "application/json"
BINARY = "application/octet-stream"

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_CLOSE = "connection: close\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STARTS = {status: f"HTTP/1.1 {status} {phrase}\r\n" for status, phrase in _PHRASES.items()}
_STATUS_HEADERS = {
    429: "retry-after: 1\r\n",
    503: "retry-after: 1\r\n",
}


def build_reply(
    status: int, body: bytes, content_type: str = JSON, extra: str = "", *, keep_alive: bool = True
) -> bytes:
    """Return one response; ``extra`` is complete header lines of our own making."""
    head = (
        f"{_STARTS[status]}content-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        f"{_STATUS_HEADERS.get(status, '')}{extra}{'' if keep_alive else _CLOSE}\r\n"
    )
    return head.encode() + body


def error_body(message: str) -> bytes:
    """The protocol's error object."""
    return orjson.dumps({"error": message})
