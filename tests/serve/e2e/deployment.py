"""A real home and a real ``strongroom serve`` process on it, as an operator would start it."""

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from strongroom import Client, Strongroom
from tests import models
from tests.models import SampleModel
from tests.serve.e2e.processes import command_line, descendants, is_alive, wait_until
from tests.serve.e2e.slow_model import slow

PASSPHRASE = "only ever used on the way to a test"
ADMIN, REVIEWER, CALLER, STRANGER = "alice", "bob", "carol", "mallory"
HOST = "127.0.0.1"
START_TIMEOUT_S = 90.0
# The waits between restarts are for real life; a test that kills a hundred times cannot afford them.
_HASTY = """
from strongroom.serve.supervisor import fleet, supervise
fleet.RESTART_DELAYS_S = supervise.RESTART_DELAYS_S = (0.0,)
"""
# An hour is the shortest life of a server certificate; this one is due three seconds after each renewal.
_RENEWING = """
from strongroom.serve.supervisor import tls
tls.RENEW_WHEN_LEFT = 3597 / 3600
"""
_MAIN = "from strongroom.cli import main; main()"


def family_of(builder: Any) -> str:
    return str(builder.__name__).replace("_", "-")


@dataclass(frozen=True)
class Deployment:
    """One home, and the exported certificates of its people beside it."""

    folder: Path
    _opened: dict[str, Strongroom] = field(default_factory=dict)
    """Opening a keystore costs a second of scrypt; each identity does it once."""

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def as_(self, identity: str) -> Strongroom:
        if identity not in self._opened:
            self._opened[identity] = Strongroom(self.home, acting=identity, passphrase=PASSPHRASE)
        return self._opened[identity]

    def export(self, identity: str) -> Path:
        """Return the folder with ``ca.pem``, ``<identity>.pem`` and ``<identity>.key``."""
        target = self.folder / "exports" / identity
        if not target.exists():
            self.as_(ADMIN).export_identity(identity, target)
        return target

    def add(self, sample: SampleModel, model: str) -> None:
        """Publish and approve."""
        folder = self.folder / "sources" / model
        sample.write(folder)
        whole = folder if len(sample.entries) > 1 else folder / sample.main
        self.as_(ADMIN).publish(whole, model, owner="tests")
        self.as_(REVIEWER).approve(model)

    def set(self, text: str) -> None:
        """Append to the settings."""
        with (self.home / "strongroom.toml").open("a") as file:
            file.write(f"\n{text}\n")

    def copy(self, folder: Path) -> "Deployment":
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Deployment(folder)


def establish(folder: Path) -> Deployment:
    """Make the home that all tests copy: four people, every servable sample, one family of two versions."""
    made = Deployment(folder)
    admin = Strongroom.init(made.home, passphrase=PASSPHRASE, founder=ADMIN)
    admin.add_identity(REVIEWER, roles=("reviewer",))
    admin.add_identity(CALLER)
    admin.grant(CALLER, "consumer", "*", duration=timedelta(days=1), reason="tests")
    admin.add_identity(STRANGER)
    for builder in models.SERVABLE:
        made.add(builder(), f"{family_of(builder)}@1.0.0")
    made.add(models.linear(), "linear@1.1.0")
    made.add(slow(), "slow@1.0.0")
    for identity in (CALLER, STRANGER):
        made.export(identity)
    return made


@dataclass
class Server:
    """One running ``strongroom serve``."""

    deployment: Deployment
    process: subprocess.Popen[str]
    notes: Path
    """Its standard error."""
    port: int = 0
    _seen: set[int] = field(default_factory=set)

    @classmethod
    def start(
        cls,
        deployment: Deployment,
        *names: str,
        port: int = 0,
        identity: str = ADMIN,
        hasty: bool = False,
        renewing: bool = False,
        deaf: bool = False,
        wait: bool = True,
        **options: Any,
    ) -> "Server":
        """Start it and wait until it says that it is ready.

        ``hasty``: no waits between restarts. ``renewing``: its certificate every few seconds.
        ``deaf``: nobody reads its standard error. ``options`` go to the process.
        """
        reading, writing = os.pipe()
        os.write(writing, PASSPHRASE.encode() + b"\n")
        os.close(writing)
        notes = deployment.folder / f"notes-{time.monotonic_ns()}.txt"
        changes = (_HASTY if hasty else "") + (_RENEWING if renewing else "")
        how = ["-c", changes + _MAIN] if changes else ["-m", "strongroom"]
        with _stderr(notes, deaf=deaf) as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, *how, "serve", *names),
                    *("--home", str(deployment.home), "--identity", identity),
                    *("--host", HOST, "--port", str(port), "--passphrase-fd", str(reading), "--json"),
                ],
                pass_fds=[reading],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
                **options,
            )
        os.close(reading)
        server = cls(deployment, process, notes, port)
        if wait:
            server.wait_ready()
        return server

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if '"ready":true' not in line:
            self.process.wait(START_TIMEOUT_S)
            raise AssertionError(f"serve: did not start: {line}{self.notes.read_text()}")
        self.port = int(json.loads(line)["url"].rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def gateway(self) -> int:
        """Its process id; waits for one to be there."""
        return wait_until(lambda: self.gateways, what="a gateway")[0]

    @property
    def gateways(self) -> list[int]:
        """One, or none for a moment."""
        return self._find("strongroom.serve.gateway")

    @property
    def workers(self) -> list[int]:
        """The processes of all workers, also those in process namespaces of their own."""
        return self._find("strongroom.serve.worker")

    def family(self) -> list[int]:
        """Every process that was ever seen below the supervisor, itself included."""
        self._seen.update(descendants(self.pid), [self.pid])
        return sorted(self._seen)

    def kill(self) -> None:
        """SIGKILL the supervisor, and only it."""
        self.family()
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; returns the exit code."""
        self.family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def last_words(self) -> str:
        """What a server that has ended said; a failure with ``--json`` is on its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.read() + self.notes.read_text()

    def leftovers(self, more: Iterable[int] = ()) -> list[str]:
        """Command lines of processes of this family, and of ``more``, that still run."""
        return [command_line(pid) for pid in {*self._seen, *more} if is_alive(pid)]

    def client(self, identity: str = CALLER, **more: Any) -> Client:
        folder = self.deployment.export(identity)
        return Client(
            f"https://{HOST}:{self.port}",
            ca=folder / "ca.pem",
            certificate=folder / f"{identity}.pem",
            key=folder / f"{identity}.key",
            **more,
        )

    def connect(self, identity: str = CALLER, timeout_s: float = 30.0) -> http.client.HTTPSConnection:
        """One keep-alive connection of the standard library; it never reconnects behind the test's back."""
        folder = self.deployment.export(identity)
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / f"{identity}.pem", folder / f"{identity}.key")
        connection = http.client.HTTPSConnection(HOST, self.port, timeout=timeout_s, context=context)
        connection.auto_open = 0
        connection.connect()
        return connection

    def is_ready(self) -> bool:
        with self.client() as client:
            return client.is_ready()

    def _find(self, module: str) -> list[int]:
        return [pid for pid in descendants(self.pid) if module in command_line(pid) and is_alive(pid)]


@contextmanager
def _stderr(path: Path, *, deaf: bool) -> Iterator[Any]:
    if not deaf:
        with path.open("wb") as file:
            yield file
        return
    path.touch()
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@contextmanager
def serving(deployment: Deployment, *names: str, **options: Any) -> Iterator[Server]:
    """Serve while the block runs; nothing is left afterwards, however it ends."""
    server = Server.start(deployment, *names, **options)
    try:
        yield server
    finally:
        end(server)


def end(server: Server) -> None:
    """Make sure that nothing of ``server`` runs any more."""
    server.family()
    try:
        if server.process.poll() is None:
            server.stop(30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    finally:
        for pid in server.family():
            if pid != server.pid and is_alive(pid) and "strongroom" in command_line(pid):
                os.kill(pid, signal.SIGKILL)
        if server.process.stdout is not None:
            server.process.stdout.close()


def ask(
    connection: http.client.HTTPSConnection,
    model: str,
    inputs: Sequence[dict[str, Any]],
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, http.client.HTTPMessage]:
    """One inference on an open connection."""
    family, _, version = model.partition("@")
    path = f"/v2/models/{family}/versions/{version}" if version else f"/v2/models/{family}"
    connection.request("POST", f"{path}/infer", json.dumps({"inputs": list(inputs)}), headers or {})
    response = connection.getresponse()
    body = response.read()
    return response.status, json.loads(body), response.headers


LINEAR = [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]


def slowly(turns: int) -> list[dict[str, Any]]:
    """Inputs that keep the model ``slow`` busy."""
    return [{"name": "turns", "shape": [1, 1], "datatype": "FP32", "data": [turns]}]
