"""What the stand-ins of Azure and Google share: objects, ranges, conditions, and a server around them.

Written from the public documentation of the services; they know only what a store of ours asks.
"""

import hashlib
import itertools
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from werkzeug import Request, Response
from werkzeug.serving import make_server

Answer = Callable[[Request], Response]


@dataclass
class Stored:
    data: bytes
    tag: str
    metadata: dict[str, str] = field(default_factory=dict)


class Objects:
    """One bucket; whoever writes holds its lock from the question to the deed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held: dict[str, Stored] = {}
        self.public = ""
        self._numbers = itertools.count(1)

    def write(self, key: str, data: bytes, metadata: dict[str, str], *, only_new: bool) -> bool:
        """False: the key is taken."""
        with self.lock:
            if only_new and key in self.held:
                return False
            self.held[key] = Stored(data, f"0x{next(self._numbers):X}", metadata)
            return True

    def keys(self, prefix: str) -> list[str]:
        with self.lock:
            return sorted(key for key in self.held if key.startswith(prefix))


def give(found: Stored, request: Request, range_header: str | None, headers: dict[str, str]) -> Response:
    """GET or HEAD of an object: the whole, or a range, if it is the one asked for."""
    quoted = f'"{found.tag}"'
    wanted = request.headers.get("If-Match")
    if wanted not in (None, quoted):
        return Response("<Error><Code>ConditionNotMet</Code></Error>", 412)
    headers = {"ETag": quoted, "Last-Modified": "Sun, 22 Nov 2026 08:00:00 GMT", **headers}
    if range_header is None:
        return Response(found.data, 200, headers)
    first, _, last = range_header.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last or len(found.data)), len(found.data) - 1)
    if start > end:
        return Response("<Error><Code>InvalidRange</Code></Error>", 416)
    headers["Content-Range"] = f"bytes {start}-{end}/{len(found.data)}"
    return Response(found.data[start : end + 1], 206, headers)


def is_intact(data: bytes, claimed_md5: bytes) -> bool:
    return hashlib.md5(data).digest() == claimed_md5


def run(answer: Answer) -> None:
    """Print the port and serve until standard input ends."""

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        return answer(Request(environ))(environ, start)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
