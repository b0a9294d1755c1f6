"""What a compromised gateway or worker may say to the supervisor: it ends that process and nothing else."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from strongroom.errors import OutageError, RejectedError
from strongroom.serve import control
from strongroom.serve.supervisor import worker as workers
from strongroom.serve.supervisor.child import Child
from strongroom.serve.supervisor.fleet import Fleet, Slot
from strongroom.serve.supervisor.gateway import Gateway
from strongroom.serve.supervisor.supervise import Notices, Supervisor


@pytest.fixture
def pair() -> Iterator[tuple[Child, socket.socket]]:
    """A child as the supervisor sees it, and the child's end of the channel."""
    ours, theirs = control.pair()
    ours.settimeout(5)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    child = Child("child", process, ours)
    yield child, theirs
    child.kill()
    theirs.close()


def gateway_of(child: Child) -> Gateway:
    gateway = Gateway.__new__(Gateway)
    gateway.child = child
    return gateway


def packet(content: bytes, *descriptors: int) -> tuple[bytes, tuple[int, ...]]:
    return content, descriptors


NONSENSE = {
    "nothing": b"\0",
    "not JSON": b"{",
    "a list": b"[]",
    "a number": b"7",
    "deep": b"[" * 60_000,
    "not UTF-8": b'{"kind":"\xff"}',
    "a long one without its memfd": b"memfd",
}


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_of_a_gateway_is_its_end(pair: tuple[Child, socket.socket], nonsense: str) -> None:
    child, theirs = pair
    theirs.send(NONSENSE[nonsense])
    with pytest.raises(OutageError):
        gateway_of(child).hear(lambda message: None)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "large file", "not JSON"])
def test_a_long_message_that_is_none_is_its_end_and_leaves_no_descriptor(
    pair: tuple[Child, socket.socket], tmp_path: Path, kind: str
) -> None:
    child, theirs = pair
    path = tmp_path / "file"
    path.write_bytes(b"not JSON")
    other = -1
    match kind:
        case "pipe":
            descriptor, other = os.pipe()
        case "socket":
            one, two = socket.socketpair()
            descriptor, other = one.detach(), two.detach()
        case "folder":
            descriptor = os.open(tmp_path, os.O_RDONLY)
        case _:
            descriptor = os.open(path, os.O_RDWR)
            if kind == "large file":
                os.truncate(path, control.MAX_MESSAGE_BYTES + 1)
    socket.send_fds(theirs, [b"memfd"], [descriptor, descriptor, descriptor])
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OutageError):
        gateway_of(child).hear(lambda message: None)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(descriptor)
    if other >= 0:
        os.close(other)


def test_descriptors_that_come_with_a_message_are_closed(pair: tuple[Child, socket.socket]) -> None:
    child, theirs = pair
    heard: list[dict[str, Any]] = []
    reading, writing = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [b'{"kind":"stats"}'], [reading] * 60)
    gateway_of(child).hear(heard.append)
    assert heard == [{"kind": "stats"}]
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(reading)
    os.close(writing)


class Scene:
    """A supervisor with one model whose worker lives, and what it tells the operator."""

    def __init__(self, child: Child) -> None:
        self.said: list[str] = []
        self.supervisor = Supervisor.__new__(Supervisor)
        self.supervisor.notices = Notices(event=self.said.append)
        fleet = Fleet.__new__(Fleet)
        slot = Slot(cast(Any, None))
        slot.worker = workers.Worker("m@1.0.0", "sha256:0", child, {})
        fleet.slots = {"m@1.0.0": slot}
        self.supervisor._fleet = fleet

    def hear(self, message: dict[str, Any]) -> None:
        self.supervisor._on_message(message)


ODD: list[Any] = [None, 7, [], {}, ["m@1.0.0"], "x" * 100_000, "\x1b[2J", "../../etc/passwd", True, 1e300]


@pytest.mark.parametrize("value", ODD, ids=str)
@pytest.mark.parametrize("kind", ["worker-lost", "worker-stuck", "journal-failed", "stats", "drained", "?"])
def test_odd_values_in_a_gateway_s_messages_do_nothing(
    pair: tuple[Child, socket.socket], kind: str, value: Any
) -> None:
    scene = Scene(pair[0])
    scene.hear({"kind": kind, "model": value, "message": value})
    scene.hear({"kind": value})
    assert pair[0].is_alive()
    for line in scene.said:
        assert line.isprintable()
        assert len(line) < 400


@pytest.mark.parametrize("kind", ["failed", "refused"])
@pytest.mark.parametrize("value", ODD, ids=str)
def test_a_gateway_that_gives_up_says_so_in_bounds(
    pair: tuple[Child, socket.socket], kind: str, value: Any
) -> None:
    with pytest.raises(OutageError) as raised:
        Scene(pair[0]).hear({"kind": kind, "message": value})
    assert len(raised.value.message) < 400
    assert raised.value.message.isprintable()


def test_a_worker_that_is_said_to_be_lost_a_thousand_times_is_lost_once(
    pair: tuple[Child, socket.socket],
) -> None:
    scene = Scene(pair[0])
    for _ in range(1000):
        scene.hear({"kind": "worker-lost", "model": "m@1.0.0"})
        scene.hear({"kind": "worker-lost", "model": "of-nobody@1.0.0"})
    assert len(scene.said) == 1
    assert not pair[0].is_alive()


@pytest.mark.parametrize(
    "layers", [None, [], "on", {"seccomp": 1}, {"seccomp": None}, {"seccomp": {"on": "on"}}], ids=str
)
def test_a_worker_that_says_nothing_sensible_of_its_locks_gets_no_model(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[Child, socket.socket], layers: Any
) -> None:
    child, theirs = pair
    monkeypatch.setattr(Child, "start", lambda *arguments: child)
    theirs.send(orjson.dumps({"kind": "locked", "layers": layers}))
    with pytest.raises(RejectedError):
        workers.start_locked("worker", ["seccomp"])
    assert not child.is_alive()


@pytest.mark.parametrize(
    "answer", [b"{", b"[]", b'{"kind":"failed","family":7,"message":{}}', b'{"kind":[]}']
)
def test_a_worker_s_nonsense_at_its_start_is_a_failure_that_the_fleet_expects(
    pair: tuple[Child, socket.socket], answer: bytes
) -> None:
    child, theirs = pair
    theirs.send(answer)
    with pytest.raises(RejectedError):
        child.expect("ready", 5)
