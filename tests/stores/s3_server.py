"""An S3 server in a process of its own: moto, which may be stopped and started again without losing a thing.

Moto 5.2 does not know conditional completion of an upload, and looks and writes without a lock in between;
both are added here as Amazon documents them. Run as ``python -m tests.stores.s3_server [certificate key]``:
it prints its port, obeys ``stop`` and ``start`` on its standard input, and ends when that ends.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import BaseWSGIServer, make_server

_REFUSED = b"<?xml version='1.0'?><Error><Code>PreconditionFailed</Code><Message>taken</Message></Error>"


class ConditionalWrites:
    """Refuses ``If-None-Match: *`` on a name that is taken, and lets one write at a time decide."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_IF_NONE_MATCH") != "*" or environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return self._app(environ, start)
        with self._lock:
            if "uploadId" in parse_qs(environ.get("QUERY_STRING", "")) and _is_taken(environ["PATH_INFO"]):
                start("412 Precondition Failed", [("Content-Type", "application/xml")])
                return [_REFUSED]
            return list(self._app(environ, start))


def _is_taken(path: str) -> bool:
    _, bucket, key = path.split("/", 2)
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(bucket, key) is not None


def main(arguments: list[str]) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = ConditionalWrites(DomainDispatcherApplication(create_backend_app))
    context: Any = (arguments[0], arguments[1]) if arguments else None

    def run(port: int) -> BaseWSGIServer:
        server = make_server("127.0.0.1", port, app, threaded=True, ssl_context=context)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    server = run(0)
    port = server.server_port
    print(port, flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            server.shutdown()
            server.server_close()
        else:
            server = run(port)
        print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
