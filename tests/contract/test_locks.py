"""The contract of locks, over files, PostgreSQL and the twin in memory; then what only processes can do."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.locks.local import LocalLocks
from strongroom.adapters.locks.memory import MemoryLocks
from strongroom.adapters.locks.postgres import PostgresLocks
from strongroom.errors import InvalidError, OutageError
from strongroom.ports import Locks


@pytest.fixture(params=["local", "memory", "postgres"])
def locks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Locks]:
    match request.param:
        case "local":
            yield LocalLocks(tmp_path / "locks")
        case "memory":
            yield MemoryLocks()
        case "postgres":
            server = request.getfixturevalue("database").server()
            yield PostgresLocks(server)
            server.close()


def test_held_by_one_at_a_time(locks: Locks) -> None:
    with locks.hold("log"):
        with pytest.raises(OutageError, match="log"), locks.hold("log", timeout_s=0.02):
            pass
        with pytest.raises(OutageError), locks.hold("log", timeout_s=0):
            pass
    with locks.hold("log", timeout_s=0):
        pass


def test_names_do_not_stand_in_each_others_way(locks: Locks) -> None:
    with locks.hold("control"), locks.hold("publish-fraud", timeout_s=0):
        pass


def test_freed_when_the_block_fails(locks: Locks) -> None:
    with pytest.raises(ZeroDivisionError), locks.hold("log"):
        raise ZeroDivisionError
    with locks.hold("log", timeout_s=0):
        pass


def test_one_that_waits_gets_it(locks: Locks) -> None:
    entered, order = threading.Event(), []

    def first() -> None:
        with locks.hold("log"):
            entered.set()
            order.append("first")

    thread = threading.Thread(target=first)
    with locks.hold("log"):
        thread.start()
        assert not entered.wait(0.05)
        order.append("main")
    assert entered.wait(10)
    thread.join(10)
    assert order == ["main", "first"]


def test_counting_under_a_lock_loses_nothing(locks: Locks) -> None:
    count = [0]

    def work() -> None:
        for _ in range(25):
            with locks.hold("count"):
                count[0] = count[0] + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert count == [100]


@pytest.mark.parametrize(
    "name", ["", "../log", "a/b", ".hidden", "Log", "a\x00b", "x" * 129, "lög", "a b", "a\n"]
)
def test_names_that_could_leave_the_folder(locks: Locks, name: str) -> None:
    with pytest.raises(InvalidError), locks.hold(name):
        pass


# Only between processes

_HOLD = """
import sys
from pathlib import Path
from strongroom.adapters.locks.local import LocalLocks
with LocalLocks(Path(sys.argv[1])).hold("log"):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(folder: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_another_process_is_kept_out_until_the_holder_is_killed(tmp_path: Path) -> None:
    locks = LocalLocks(tmp_path)
    with _holder(tmp_path) as holder:
        with pytest.raises(OutageError, match="another process holds it"), locks.hold("log", timeout_s=0.02):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        with locks.hold("log", timeout_s=10):
            pass


def test_a_child_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    locks = LocalLocks(tmp_path)
    with locks.hold("log"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    with child, locks.hold("log", timeout_s=0):
        child.communicate(b"\n", timeout=30)


def test_a_link_instead_of_the_lock_file(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "log").symlink_to(target)
    with pytest.raises(OutageError, match="cannot be opened"), LocalLocks(folder).hold("log"):
        pass
    assert not target.exists()


def test_nobody_else_may_hold_our_locks(tmp_path: Path) -> None:
    with LocalLocks(tmp_path / "locks").hold("log"):
        pass
    assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "locks" / "log").stat().st_mode & 0o777 == 0o600
