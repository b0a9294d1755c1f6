"""Before: a model in an open folder behind a plain HTTP server, as found everywhere. Every theft works."""

import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from demo.stage import Outcome, Stage


class OpenServer(ThreadingHTTPServer):
    """Loads whatever lies in the folder and answers whoever asks."""

    daemon_threads = True

    def __init__(self, model: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model


class _Handler(BaseHTTPRequestHandler):
    server: OpenServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        session = onnxruntime.InferenceSession(str(self.server.model), providers=["CPUExecutionProvider"])
        answer = _malignant(session, body)
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """An open server writes no log; that is part of the story."""


def play(stage: Stage, folder: Path, model: Path, other: bytes, row: list[float]) -> None:
    """Show what anyone on the network or the machine can do."""
    stage.act("before", "a model in an open folder, served without a login")
    shared = folder / "bucket" / "model.onnx"
    shared.parent.mkdir(parents=True)
    shutil.copy(model, shared)
    with _serving(shared) as url:
        stage.attack("copy the file and load it at home", lambda: _steal(shared, folder, row), works=True)
        stage.attack("call it with no login", lambda: _call(url, row), works=True)
        stage.attack("swap the file for another model", lambda: _swap(url, shared, other, row), works=True)


def _steal(shared: Path, folder: Path, row: list[float]) -> Outcome:
    copy = folder / "stolen.onnx"
    shutil.copy(shared, copy)
    session = onnxruntime.InferenceSession(str(copy), providers=["CPUExecutionProvider"])
    return Outcome(False, f"the thief's copy answers {_malignant(session, [row])}; nothing recorded it")


def _call(url: str, row: list[float]) -> Outcome:
    return Outcome(False, f"a stranger is answered {_ask(url, row)}; nothing recorded it")


def _swap(url: str, shared: Path, other: bytes, row: list[float]) -> Outcome:
    before = _ask(url, row)
    shared.write_bytes(other)
    after = _ask(url, row)
    return Outcome(before == after, f"the server now answers {after} instead of {before}; nobody noticed")


def _malignant(session: onnxruntime.InferenceSession, rows: list[list[float]]) -> str:
    (probabilities,) = session.run(["probabilities"], {"x": np.asarray(rows, dtype=np.float32)})
    return f"{probabilities[0][0]:.1%} malignant"


def _ask(url: str, row: list[float]) -> Any:
    request = urllib.request.Request(url, data=json.dumps([row]).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@contextmanager
def _serving(model: Path) -> Iterator[str]:
    server = OpenServer(model)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
