"""Everything an attack could want to reach, set up for one test, and what became of it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from strongroom.serve import frames
from tests.serve.harness import Worker, memfd
from tests.serve.hostile.payloads import Target

HERE = Path(__file__).parent
SECRET = "the-data-key-of-another-model"
NOBODY = 65534


@dataclass(frozen=True)
class Mode:
    """How the attacker's worker is started."""

    name: str
    options: tuple[str, ...]

    @property
    def uid(self) -> int | None:
        return NOBODY if "--uid" in self.options else None


@dataclass
class Scene:
    mode: Mode
    target: Target
    standin: subprocess.Popen[str]
    victim: subprocess.Popen[bytes]
    inherited: int
    limits: str
    layers: dict[str, str] = field(default_factory=dict)

    def attack(self, name: str, when: str = "run", timeout_s: float = 20) -> str:
        """Run the attack in a fresh worker; returns ``got: ...`` or ``stopped: ...``."""
        with Worker(
            [str(HERE / "run.py"), *self.mode.options],
            env={"STRONGROOM_SECRET": SECRET},
            pass_fds=[self.inherited],
        ) as worker:
            locked = worker.receive()
            assert locked is not None, f"did not start: {worker.process.poll()}"
            self.layers = locked["layers"]
            plan = {"attack": name, "when": when, "target": asdict(self.target) | {"environment": None}}
            plan["target"].pop("environment")
            ready = worker.load({"plan": json.dumps(plan).encode()}, "plan")
            if ready is None or ready["kind"] != "ready":
                return self._outcome(f"stopped: at load, {ready}", worker)
            try:
                answer = self._ask(worker, timeout_s)
            except TimeoutError:
                worker.process.kill()
                return self._outcome("stopped: by the watchdog", worker)
            if isinstance(answer, frames.Answer):
                return f"got: {answer.outputs['got'][0].decode()}"
            detail = answer.message if answer else "no answer"
            return self._outcome(f"stopped: {detail}", worker)

    def _ask(self, worker: Worker, timeout_s: float) -> frames.Frame | None:
        channel = worker.open_channel()
        sender = socket.socket(fileno=os.dup(channel.fileno()))
        fresh = memfd(b"a descriptor by the data channel")
        try:
            channel.sendall(frames.encode_batch(1, 1000, [("x", np.ones(1, np.float32))])[0])
            with contextlib.suppress(TimeoutError):
                channel.settimeout(0.2)
                channel.recv(1, socket.MSG_PEEK)
            with contextlib.suppress(OSError):
                socket.send_fds(sender, [b"\0"], [fresh])
            channel.settimeout(timeout_s)
            with contextlib.suppress(ConnectionError):
                data, smuggled, _, _ = socket.recv_fds(channel, 2**20, 1)
                for descriptor in smuggled:
                    os.close(descriptor)
                    return frames.Answer(1, {"got": np.array([b"a descriptor sent out"], object)})
                return next(frames.FrameReader().feed(data), None)
            return None
        finally:
            sender.close()
            os.close(fresh)

    def _outcome(self, otherwise: str, worker: Worker) -> str:
        code = worker.close()
        if Path(self.target.marker).exists():
            Path(self.target.marker).unlink()
            return "got: marker written"
        return f"{otherwise}, exit {code}"

    def harm(self) -> list[str]:
        """Return what was damaged outside of the worker."""
        if self.standin.poll() is not None or self.victim.poll() is not None:
            return ["a bystander was killed"]
        found = []
        if _limits(self.victim.pid) != self.limits:
            found.append("limits changed")
        if os.getpriority(os.PRIO_PROCESS, self.victim.pid) != os.getpriority(os.PRIO_PROCESS, 0):
            found.append("priority changed")
        if not Path(self.target.folder, "removable").exists():
            found.append("file removed")
        if os.path.ismount(f"{self.target.folder}/mountable"):
            found.append("mounted")
        return found


@contextlib.contextmanager
def build_scene(mode: Mode) -> Iterator[Scene]:
    identity = ["--uid", str(mode.uid)] if mode.uid else []
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="strongroom-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o777)
        for name in ("readable", "removable"):
            (folder / name).write_text("a file of the host")
        (folder / "mountable").mkdir()
        stack.callback(_unmount, folder / "mountable")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        for address in (f"{folder}/unix.sock", f"\0strongroom-{port}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        (folder / "unix.sock").chmod(0o777)
        inherited = memfd(b"an inherited secret")
        stack.callback(os.close, inherited)
        standin = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "standin.py"), *identity],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[inherited],
        )
        stack.callback(_stop, standin)
        assert standin.stdin is not None
        assert standin.stdout is not None
        print(SECRET, file=standin.stdin, flush=True)
        address = int(standin.stdout.readline())
        victim = subprocess.Popen(["sleep", "600"], user=mode.uid, cwd="/")
        stack.callback(_stop, victim)
        target = Target(
            parent=standin.pid,
            victim=victim.pid,
            secret_address=address,
            secret=SECRET,
            tcp_port=port,
            udp_port=udp.getsockname()[1],
            folder=str(folder),
            inherited=inherited,
        )
        yield Scene(mode, target, standin, victim, inherited, _limits(victim.pid))


def _limits(process: int) -> str:
    return Path(f"/proc/{process}/limits").read_text()


def _stop(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _unmount(place: Path) -> None:
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=False)
