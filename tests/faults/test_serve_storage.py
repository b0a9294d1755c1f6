"""Journals and logs that cannot be written: 503, nothing unrecorded, and back when there is room."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.load import Load, require_all_recorded, wait_for_answers
from tests.serve.e2e.deployment import ADMIN, LINEAR, Deployment, Server, ask
from tests.serve.e2e.processes import wait_until

pytestmark = pytest.mark.slow
Serve = Callable[..., Server]
DISK_BYTES = 4 * 2**20


@pytest.fixture
def small_disk(deployment: Deployment) -> Iterator[Path]:
    """The journals on a disk of their own, which is small."""
    folder = deployment.home / "journals"
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room at all."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


class TestFullDisk:
    def test_refused_while_full_and_back_with_room(
        self, deployment: Deployment, small_disk: Path, serve: Serve
    ) -> None:
        server = serve("linear")
        with Load(server) as load:
            wait_for_answers(load, 20)
            ballast = fill(small_disk)
            wait_until(lambda: not server.is_ready(), 20, "not ready on a full disk")
            connection = server.connect()
            # A batch of one may still fit behind what was taken back of a larger one: then it is recorded.
            wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 503, 20, "refused")
            status, answer, headers = ask(connection, "linear", LINEAR)
            assert status == 503
            assert "outputs" not in answer
            assert "Strongroom-Record" not in headers
            answered = load.answered()
            assert ask(connection, "linear", LINEAR)[0] == 503
            assert load.answered() == answered
            ballast.unlink()
            wait_for_answers(load, 20)
            assert wait_until(server.is_ready, 10, "ready again")
            assert ask(connection, "linear", LINEAR)[0] == 200
        assert load.unexpected == []
        assert server.stop() == 0
        require_all_recorded(deployment, load.received)

    def test_gateway_killed_on_a_full_disk(
        self, deployment: Deployment, small_disk: Path, serve: Serve
    ) -> None:
        server = serve("linear", hasty=True)
        with Load(server) as load:
            wait_for_answers(load, 20)
            ballast = fill(small_disk)
            os.kill(server.gateway, 9)
            wait_until(lambda: "cannot be opened" in server.notes.read_text(), 20, "it says why")
            assert server.process.poll() is None
            ballast.unlink()
            wait_for_answers(load, 20)
        assert server.stop() == 0
        require_all_recorded(deployment, load.received)

    def test_full_from_the_start(self, deployment: Deployment, small_disk: Path, serve: Serve) -> None:
        fill(small_disk)
        server = serve("linear", wait=False)
        assert server.process.wait(60) == 5
        assert "journal" in server.last_words()
        assert server.leftovers() == []


def test_journal_that_must_not_grow(deployment: Deployment, serve: Serve) -> None:
    """A limit on the file's size fails in the middle of a batch: what was written of it is taken back."""
    server = serve("linear")
    with Load(server) as load:
        wait_for_answers(load, 20)
        (journal,) = (deployment.home / "journals").glob("*.journal")
        gateway = server.gateway
        before = resource.prlimit(gateway, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway, resource.RLIMIT_FSIZE, (journal.stat().st_size + 900, before[1]))
        connection = server.connect()
        wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 503, 20, "refused")
        for _ in range(20):
            status, _, headers = ask(connection, "linear", LINEAR)
            assert (status == 503) == ("Strongroom-Record" not in headers)
        resource.prlimit(gateway, resource.RLIMIT_FSIZE, before)
        wait_for_answers(load, 20)
        assert server.gateway == gateway
    assert load.unexpected == []
    assert server.stop() == 0
    require_all_recorded(deployment, load.received)


def test_read_only_journals_refuse_the_start(deployment: Deployment, small_disk: Path, serve: Serve) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    server = serve("linear", wait=False)
    assert server.process.wait(60) == 5
    assert "journal" in server.last_words()
    assert server.leftovers() == []


class TestLog:
    def test_log_that_cannot_be_written_refuses_the_start(self, deployment: Deployment, serve: Serve) -> None:
        server = serve("linear", wait=False, preexec_fn=_write_no_files)
        assert server.process.wait(60) == 5
        assert server.leftovers() == []
        assert "Traceback" not in server.last_words()

    def test_log_that_fails_while_serving(self, deployment: Deployment, serve: Serve) -> None:
        """Answers go on: their records are in the journal. What needs the log waits for it."""
        deployment.set("[log]\nfold_interval_s = 0.5")
        server = serve("linear", hasty=True)
        with Load(server) as load:
            wait_for_answers(load, 20)
            before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (0, before[1]))
            time.sleep(0.5)
            size = deployment.as_(ADMIN).verify_log().size
            time.sleep(1.5)
            wait_for_answers(load, 20)
            assert deployment.as_(ADMIN).verify_log().size == size
            # A new gateway's key would have to be in the log: none starts, nothing is answered.
            os.kill(server.gateway, 9)
            time.sleep(0.5)
            answered = load.answered()
            time.sleep(2)
            assert load.answered() == answered
            assert server.process.poll() is None, server.notes.read_text()
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
            wait_for_answers(load, 20)
        assert load.unexpected == []
        assert server.stop() == 0
        require_all_recorded(deployment, load.received)

    def test_log_that_was_cut_stops_the_answers(self, deployment: Deployment, serve: Serve) -> None:
        """The evidence does not hold any more: what the gateway knows grows old, then it answers nothing."""
        deployment.set("[serve]\nsnapshot_max_age_s = 2.0")
        old = deployment.folder / "old-log"
        shutil.copytree(deployment.home / "log", old)
        server = serve("linear")
        connection = server.connect()
        assert ask(connection, "linear", LINEAR)[0] == 200
        deployment.as_(ADMIN).add_identity("evidence")
        shutil.rmtree(deployment.home / "log")
        old.rename(deployment.home / "log")
        wait_until(lambda: ask(connection, "linear", LINEAR)[0] == 503, 15, "refused")
        assert not server.is_ready()
        assert server.process.poll() is None


def test_a_journal_that_was_altered_is_named_and_serving_does_not_start_over_it(
    deployment: Deployment, serve: Serve
) -> None:
    server = serve("linear")
    with Load(server, threads=1) as load:
        wait_for_answers(load, 20)
        server.kill()
    wait_until(lambda: not server.leftovers(), 20)
    (journal,) = (deployment.home / "journals").glob("*.journal")
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 1
    journal.write_bytes(content)
    successor = serve("linear", wait=False)
    assert successor.process.wait(60) == 4
    assert journal.stem in successor.last_words()


def _write_no_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
