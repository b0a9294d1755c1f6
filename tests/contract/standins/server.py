"""A stand-in's HTTP side: loopback, any free port, and the faults that a test asks for."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Fault:
    """What the server does instead of answering, once."""

    status: int = 0
    """Answer this; 0: cut the connection."""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b"{}"
    silent_s: float = 0.0
    """Say nothing for so long, then cut the connection."""
    after: bool = False
    """Do what was asked first, and only then fail."""


class Service(Protocol):
    def answer(self, asked: Asked) -> tuple[int, Any]: ...


class StandIn:
    """A running service; `faults` are used up in order, before anything else is answered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["StandIn"]:
        self._thread.start()
        try:
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """As if the power failed: nothing listens any more, open connections are cut."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.cut()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stand_in: StandIn

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.open: set[socket.socket] = set()
        self.lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 2**16
    server: _Server

    def _serve(self) -> None:
        stand_in = self.server.stand_in
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        is_json = "json" in self.headers.get("Content-Type", "")
        body = json.loads(data) if data and is_json else {}
        asked = Asked(self.command, parts.path, parts.query, dict(self.headers.items()), body)
        with self.server.lock:
            stand_in.asked.append(asked)
            fault = stand_in.faults.pop(0) if stand_in.faults else None
            status, answer = (0, None) if fault and not fault.after else stand_in.service.answer(asked)
        if fault is None:
            self._send(status, {}, b"" if answer is None else json.dumps(answer).encode())
        elif fault.status:
            self._send(fault.status, fault.headers, fault.raw)
        else:
            time.sleep(fault.silent_s)
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _serve  # noqa: N815 - named by http.server

    def _send(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            **headers,
            "Content-Length": str(len(data)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
        """Nothing is told on the terminal."""
