"""Plays supervisor, worker and client around a real gateway process with real TLS sockets."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from strongroom.guard.schema import Schema
from strongroom.serve import control
from strongroom.serve.frames import Batch, FrameReader, encode_answer, encode_failure
from strongroom.trust.journal import Batch as JournalBatch
from strongroom.trust.journal import JournalReader, JournalSigner, Record
from strongroom.trust.journal_key import sign_journal_key
from strongroom.trust.policy import policy_version
from strongroom.trust.signatures import PublicKey
from strongroom.values import Digest, format_time
from tests.serve.gateway_certificates import DOMAIN, Authority, Leaf

Outputs = dict[str, Any]
Handler = Callable[[Batch], Outputs | None]
"""Returns the outputs, or None for no answer; raises `EngineError` or `WorkerDiedError`."""

SCHEMA = Schema.auto(
    [{"name": "x", "dtype": "FP32", "shape": [-1, 3]}],
    [
        {"name": "label", "dtype": "INT64", "shape": [-1]},
        {"name": "score", "dtype": "FP32", "shape": [-1, 2]},
    ],
)
LOG_ORIGIN = "log.test/strongroom"
FRAUD = "fraud@1.2.0"
PATIENCE_S = 20.0
"""For things that happen at once on an idle machine."""


class EngineError(Exception):
    """The engine refuses the batch: family and message of the failure frame."""


class WorkerDiedError(Exception):
    """The worker is gone without a word."""


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def score(batch: Batch) -> Outputs:
    x = batch.inputs["x"]
    total = x.sum(axis=1)
    return {
        "label": (total > 0).astype(np.int64),
        "score": np.stack([total, -total], axis=1).astype(np.float32),
    }


class FakeWorker(threading.Thread):
    """Answers frames with ``handler`` and remembers the row count of every batch."""

    def __init__(self, channel: socket.socket, handler: Handler) -> None:
        super().__init__(daemon=True)
        self.channel = channel
        self.handler = handler
        self.batches: list[int] = []
        self.deadlines_ms: list[int] = []
        self.start()

    def run(self) -> None:
        reader = FrameReader()
        with self.channel:
            while True:
                try:
                    data = self.channel.recv(2**20)
                except OSError:
                    return
                if not data:
                    return
                for frame in reader.feed(data):
                    assert isinstance(frame, Batch)
                    try:
                        self._answer(frame)
                    except (WorkerDiedError, OSError):
                        return

    def _answer(self, batch: Batch) -> None:
        self.batches.append(len(next(iter(batch.inputs.values()))))
        self.deadlines_ms.append(batch.deadline_ms)
        try:
            outputs = self.handler(batch)
        except EngineError as failure:
            buffers = encode_failure(batch.number, failure.args[0], failure.args[1])
        else:
            if outputs is None:
                return
            buffers = encode_answer(batch.number, list(outputs.items()))
        self.channel.sendall(b"".join(bytes(buffer) for buffer in buffers))


class Harness:
    """One gateway. Knows alice, who may use fraud, and bob, who may not; both have certificates."""

    def __init__(self, folder: Path, limits: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.alice = self.authority.client("alice")
        self.bob = self.authority.client("bob")
        self.journals = folder / "journals"
        self.journals.mkdir()
        self.limits = {"linger_s": 0.2} | (limits or {})
        self.messages: list[dict[str, Any]] = []
        self.workers: list[FakeWorker] = []
        self.identities = [self.identity("alice", self.alice), self.identity("bob", self.bob)]
        self.grants = [self.grant("alice", "consumer", "fraud")]
        self.models = [self.model(FRAUD, SCHEMA)]
        self.number = 0
        self.max_age_s = 3600.0
        self._start()

    # -- what a snapshot says --------------------------------------------------------------------------

    @staticmethod
    def identity(name: str, *leaves: Leaf, revoked: bool = False) -> dict[str, Any]:
        return {"name": name, "serials": [leaf.serial for leaf in leaves], "revoked": revoked}

    @staticmethod
    def grant(
        principal: str,
        role: str,
        resource: str,
        start: timedelta = timedelta(minutes=-1),
        end: timedelta = timedelta(hours=1),
    ) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "id": f"g-{os.urandom(16).hex()}",
            "principal": principal,
            "role": role,
            "resource": resource,
            "start": format_time(now + start),
            "end": format_time(now + end),
            "reason": "test",
            "granted_by": "root",
        }

    @staticmethod
    def model(name: str, schema: Schema, *, default: bool = True) -> dict[str, Any]:
        return {
            "model": name,
            "digest": str(Digest.of(name.encode())),
            "statement": str(Digest.of(b"statement")),
            "schema": schema.to_dict(),
            "aliases": [name.partition("@")[0]],
            "default": default,
        }

    def push_snapshot(self, **changes: Any) -> None:
        self.number += 1
        message = {
            "kind": "snapshot",
            "number": self.number,
            "time": format_time(datetime.now(UTC)),
            "max_age_s": self.max_age_s,
            "policy_version": policy_version(),
            "solo": False,
            "identities": self.identities,
            "grants": self.grants,
            "models": self.models,
        }
        control.send(self.channel, message | changes)

    # -- the process -----------------------------------------------------------------------------------

    def _start(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self.listener.getsockname()[1]
        self.channel, theirs = control.pair()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-m", "strongroom.serve.gateway", "--control-fd", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        theirs.close()
        self.channel.settimeout(PATIENCE_S)
        hello = control.receive(self.channel)
        assert hello is not None
        self.journal: str = hello[0]["journal"]
        self.journal_pem: str = hello[0]["public_pem"]
        self.log_key = JournalSigner(os.urandom(32))
        """Stands in for the log's key, which certifies the journal's."""
        note = sign_journal_key(
            bytes.fromhex(self.journal),
            PublicKey.from_pem(self.journal_pem),
            datetime.now(UTC),
            LOG_ORIGIN,
            self.log_key,
        )
        folder = os.open(self.journals, os.O_RDONLY | os.O_DIRECTORY)
        certificate = self._certificate()
        control.send(
            self.channel,
            {
                "kind": "start",
                "limits": self.limits,
                "trusted_ca_pem": self.authority.pem,
                "trust_domain": DOMAIN,
                "server_name": "strongroom",
                "journal_note": note.decode(),
                "log_origin": LOG_ORIGIN,
            },
            [self.listener.fileno(), folder, certificate],
        )
        os.close(folder)
        os.close(certificate)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def serve(self, handler: Handler = score) -> "Harness":
        """Push a first snapshot, attach a worker to every model, wait until the gateway is ready."""
        self.push_snapshot()
        for model in self.models:
            self.attach(handler, model["model"])
        self.wait_for("ready")
        return self

    def attach(self, handler: Handler = score, model: str = FRAUD) -> FakeWorker:
        ours, theirs = socket.socketpair()
        worker = FakeWorker(ours, handler)
        self.workers.append(worker)
        digest = next(known["digest"] for known in self.models if known["model"] == model)
        with theirs:
            control.send(
                self.channel, {"kind": "worker", "model": model, "digest": digest}, [theirs.fileno()]
            )
        return worker

    def renew_certificate(self) -> None:
        certificate = self._certificate()
        control.send(self.channel, {"kind": "tls"}, [certificate])
        os.close(certificate)

    def tell(self, kind: str) -> None:
        control.send(self.channel, {"kind": kind})

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Return the first message of that kind, also one that came before."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for message in list(self.messages):
                if message.get("kind") == kind:
                    return message
            time.sleep(0.01)
        raise AssertionError(f"no {kind} in {self.messages}, gateway status {self.process.poll()}")

    def heard(self, kind: str) -> bool:
        return any(message.get("kind") == kind for message in list(self.messages))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)
        self._reading.join(PATIENCE_S)
        self.channel.close()
        self.listener.close()

    def _certificate(self) -> int:
        memory = os.memfd_create("server")
        os.write(memory, self.authority.server().pem)
        return memory

    def _read(self) -> None:
        self.channel.settimeout(None)
        while True:
            try:
                received = control.receive(self.channel)
            except OSError:
                return
            if received is None:
                return
            self.messages.append(received[0])

    # -- records ---------------------------------------------------------------------------------------

    def batches(self) -> list[JournalBatch]:
        """All batches of the journal, verified."""
        data = (self.journals / f"{self.journal}.journal").read_bytes()
        reader = JournalReader(PublicKey.from_pem(self.journal_pem), bytes.fromhex(self.journal))
        return list(reader.read(data))

    def records(self) -> list[Record]:
        return [record for batch in self.batches() for record in batch.records]

    def contexts(self) -> list[dict[str, Any]]:
        return [orjson.loads(record.context) | {"status": record.status} for record in self.records()]

    # -- clients ---------------------------------------------------------------------------------------

    def client(self, leaf: Leaf | None = None, **more: Any) -> "Client":
        return Client(self.port, self.authority, leaf, **more)

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def cpu_s(self) -> float:
        """Processor time of the gateway so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_bytes(self) -> int:
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Client:
    """A raw HTTP client: sends exactly the bytes it is given."""

    def __init__(
        self,
        port: int,
        authority: Authority,
        leaf: Leaf | None,
        *,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.path)
        context.minimum_version = context.maximum_version = version
        if leaf is not None:
            context.load_cert_chain(leaf.path)
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        try:
            self.socket = context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise
        self._buffer = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *details: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Response:
        """Read one response. Raises EOFError if the connection ends first."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Response(int(start.split(" ")[1]), headers, body)

    def ends(self) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        self.send(build_request(method, target, body, **headers))
        return self.receive()

    def infer(self, rows: list[list[float]], model: str = "fraud", **headers: str) -> Response:
        return self.ask("POST", f"/v2/models/{model}/infer", infer_body(rows), **headers)

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError) as error:
            raise EOFError(str(error)) from None
        if not data:
            raise EOFError("closed")
        self._buffer += data


def build_request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    named = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body or method == "POST":
        named.setdefault("content-length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def infer_body(rows: list[list[float]], **more: Any) -> bytes:
    tensor = {"name": "x", "shape": [len(rows), 3], "datatype": "FP32", "data": rows}
    return orjson.dumps({"inputs": [tensor]} | more)


@contextlib.contextmanager
def running(folder: Path, **limits: Any) -> Iterator[Harness]:
    harness = Harness(folder, limits)
    try:
        yield harness
    finally:
        harness.stop()
