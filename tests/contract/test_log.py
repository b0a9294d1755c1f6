"""The log store: one contract for every place that keeps a log, then what a folder adds to it."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.adapters.log import folder
from strongroom.adapters.log.local import LocalLog
from strongroom.adapters.log.memory import MemoryLog
from strongroom.adapters.log.objects import ObjectLog
from strongroom.adapters.log.postgres import PostgresLog
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import LogGrewError, LogStore
from strongroom.trust.checkpoint import Head, claimed_head, sign_checkpoint
from strongroom.trust.log import BadRecordError, verify_log
from strongroom.trust.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash, require_included, tree_root
from strongroom.trust.tiles import encode_entries, hash_reader, parse_entries
from tests.unit.trust.chronicle import LOG, LOG_KEY, ORIGIN, OTHER


def records(start: int, end: int) -> list[bytes]:
    return [b"record %d" % number for number in range(start, end)]


def require_holds(log: LogStore, size: int) -> None:
    """The log verifies, offline and with its tiles, and holds the first ``size`` of our records."""
    note = log.checkpoint()
    if size == 0:
        assert note is None
        return
    assert note is not None
    verified = verify_log(log.leaves(0, size), note, LOG_KEY, ORIGIN, read_tile=log.tile)
    assert verified.size == size
    assert list(log.leaves(0, size)) == records(0, size)


class TestEveryLog:
    @pytest.fixture(params=["memory", "local", "postgres", "objects", "objects on disk"])
    def log(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogStore]:
        match request.param:
            case "memory":
                yield MemoryLog(ORIGIN)
            case "local":
                yield LocalLog(tmp_path / "log", ORIGIN)
            case "objects":
                yield ObjectLog(MemoryBlobStore(), ORIGIN)
            case "objects on disk":
                yield ObjectLog(LocalBlobStore(tmp_path / "objects"), ORIGIN)
            case "postgres":
                server = request.getfixturevalue("database").server()
                yield PostgresLog(server, ORIGIN)
                server.close()

    def test_a_log_never_written(self, log: LogStore) -> None:
        assert log.checkpoint() is None
        assert list(log.leaves(0, 0)) == []
        with pytest.raises(InvalidError):
            log.leaf(0)

    def test_it_grows_by_any_steps(self, log: LogStore) -> None:
        size = 0
        for step in (1, 1, 253, 1, 1, 300, 211, 256, 100):
            assert log.append(records(size, size + step), LOG) == size
            size += step
            require_holds(log, size)
        for index in (0, 255, 256, size - 1):
            assert log.leaf(index) == b"record %d" % index
            proof = inclusion_proof(index, size, hash_reader(size, log.tile))
            root = tree_root([leaf_hash(each) for each in records(0, size)])
            require_included(leaf_hash(b"record %d" % index), index, size, proof, root)

    @pytest.mark.parametrize(("start", "end"), [(0, 300), (255, 257), (256, 300), (299, 300), (7, 7)])
    def test_any_range_is_readable(self, log: LogStore, start: int, end: int) -> None:
        log.append(records(0, 300), LOG)
        assert list(log.leaves(start, end)) == records(start, end)

    @pytest.mark.parametrize(("start", "end"), [(0, 4), (-1, 2), (2, 1)])
    def test_records_that_are_not_there(self, log: LogStore, start: int, end: int) -> None:
        log.append(records(0, 3), LOG)
        with pytest.raises(InvalidError):
            list(log.leaves(start, end))
        for index in (-1, 3):
            with pytest.raises(InvalidError):
                log.leaf(index)
        with pytest.raises(RejectedError):
            log.tile(0, 0, 4)
        with pytest.raises(RejectedError):
            log.tile(0, 1, 1)

    @pytest.mark.parametrize("leaves", [[], [b"x" * 65_536], [b"good", b"x" * 65_536]])
    def test_what_cannot_be_appended_changes_nothing(self, log: LogStore, leaves: list[bytes]) -> None:
        log.append(records(0, 3), LOG)
        with pytest.raises(InvalidError):
            log.append(leaves, LOG)
        require_holds(log, 3)

    def test_the_longest_and_the_empty_record(self, log: LogStore) -> None:
        log.append([b"", b"x" * 65_535], LOG)
        assert [log.leaf(0), log.leaf(1)] == [b"", b"x" * 65_535]

    def test_it_is_appended_only_behind_what_was_read(self, log: LogStore) -> None:
        log.append([b"one"], LOG, after=0)
        for other in (0, 2):
            with pytest.raises(LogGrewError):
                log.append([b"two"], LOG, after=other)
        assert log.append([b"two"], LOG, after=1) == 1

    def test_foreign_key_cannot_append(self, log: LogStore) -> None:
        log.append(records(0, 3), LOG)
        with pytest.raises(RejectedError):
            log.append([b"forged"], OTHER)
        require_holds(log, 3)

    def test_a_signer_that_fails_appends_nothing(self, log: LogStore) -> None:
        class Silent:
            key_id = LOG.key_id
            public_pem = LOG.public_pem

            def sign(self, message: bytes) -> bytes:
                raise OutageError("signer: gone")

        log.append(records(0, 3), LOG)
        with pytest.raises(OutageError):
            log.append([b"unsigned"], Silent())
        require_holds(log, 3)
        log.append(records(3, 5), LOG)
        require_holds(log, 5)

    def test_a_signer_whose_signature_is_wrong_appends_nothing(self, log: LogStore) -> None:
        class Faulty:
            key_id = LOG.key_id
            public_pem = LOG.public_pem

            def sign(self, message: bytes) -> bytes:
                return OTHER.sign(message)

        log.append(records(0, 3), LOG)
        with pytest.raises(RejectedError):
            log.append([b"unsigned"], Faulty())
        require_holds(log, 3)

    def test_threads_append_one_after_the_other(self, log: LogStore) -> None:
        firsts: list[int] = []

        def append() -> None:
            firsts.append(log.append([b"from a thread", b"and another"], LOG))

        threads = [threading.Thread(target=append) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(firsts) == list(range(0, 16, 2))
        note = log.checkpoint()
        assert note is not None
        assert verify_log(log.leaves(0, 16), note, LOG_KEY, ORIGIN, read_tile=log.tile).size == 16


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(home: Path) -> LocalLog:
    return LocalLog(home, ORIGIN)


class TestLayout:
    def test_files_are_those_of_tlog_tiles(self, log: LocalLog, home: Path) -> None:
        log.append(records(0, 300), LOG)
        files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
        assert files == {
            "checkpoint",
            "lock",
            "tile/0/000",
            "tile/0/001.p/44",
            "tile/1/000.p/1",
            "tile/entries/000",
            "tile/entries/001.p/44",
        }
        hashes = [leaf_hash(each) for each in records(0, 300)]
        assert (home / "tile/0/000").read_bytes() == b"".join(hashes[:256])
        assert (home / "tile/1/000.p/1").read_bytes() == tree_root(hashes[:256])
        assert (home / "tile/entries/001.p/44").read_bytes() == encode_entries(records(256, 300))

    def test_superseded_partial_tiles_go_and_full_ones_stay(self, log: LocalLog, home: Path) -> None:
        for number in range(260):
            log.append(records(number, number + 1), LOG)
        assert {path.name for path in (home / "tile/0").iterdir()} == {"000", "001.p"}
        assert [path.name for path in (home / "tile/0/001.p").iterdir()] == ["4"]
        assert [path.name for path in (home / "tile/entries/001.p").iterdir()] == ["4"]

    def test_nobody_else_may_read_it(self, log: LocalLog, home: Path) -> None:
        log.append(records(0, 300), LOG)
        for path in [home, *home.rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0

    def test_a_reader_of_the_checkpoint_before_still_finds_its_tiles(self, log: LocalLog) -> None:
        log.append(records(0, 100), LOG)
        old = log.checkpoint()
        for size in (101, 255, 256, 300):
            log.append(records(claimed_head(log.checkpoint() or b"").size, size), LOG)
            assert log.tile(0, 0, 100) == [leaf_hash(each) for each in records(0, 100)]
            assert list(log.leaves(0, 100)) == records(0, 100)
        assert old is not None
        verify_log(log.leaves(0, 100), old, LOG_KEY, ORIGIN, read_tile=log.tile)

    def test_an_append_to_a_big_log_reads_only_its_edge(
        self, log: LocalLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log.append(records(0, 70_000), LOG)
        opened: list[str] = []
        plain = folder.os.open

        def spy(path: Any, *rest: Any, **named: Any) -> int:
            opened.append(str(path))
            return plain(path, *rest, **named)

        monkeypatch.setattr(folder.os, "open", spy)
        log.append(records(70_000, 70_001), LOG)
        assert len([path for path in opened if "/tile/" in path]) < 20


class TestCrash:
    """A crash at any instant leaves the tree of the last checkpoint, and the next append goes on from it."""

    STARTS = (0, 3, 250, 256, 300)

    @pytest.mark.parametrize(
        "start",
        [0, 3, 250, pytest.param(256, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.slow)],
    )
    def test_at_every_system_call(self, home: Path, tmp_path: Path, start: int) -> None:
        def prepare() -> LocalLog:
            shutil.rmtree(home, ignore_errors=True)
            log = LocalLog(home, ORIGIN)
            if start:
                log.append(records(0, start), LOG)
            return log

        calls = count_calls(lambda: prepare().append(records(start, start + 10), LOG), start > 0)
        assert calls > 8
        for at in range(calls):
            log = prepare()
            with Dying(at), pytest.raises(Died):
                log.append(records(start, start + 10), LOG)
            note = log.checkpoint()
            size = 0 if note is None else claimed_head(note).size
            assert size in (start, start + 10)
            require_holds(log, size)
            # another process, another batch: what was left is overwritten, never mixed in
            again = LocalLog(home, ORIGIN)
            more = 300 if at % 4 == 0 else 7
            assert again.append(records(size, size + more), LOG) == size
            require_holds(again, size + more)

    @pytest.mark.parametrize("start", STARTS)
    def test_leftovers_of_any_content_beyond_the_checkpoint(self, home: Path, start: int) -> None:
        log = LocalLog(home, ORIGIN)
        if start:
            log.append(records(0, start), LOG)
        before = (home / "checkpoint").read_bytes() if start else None
        log.append(records(start, start + 600), LOG)
        if before is None:
            (home / "checkpoint").write_bytes(sign_checkpoint(ORIGIN, 0, EMPTY_ROOT, LOG))
        else:
            (home / "checkpoint").write_bytes(before)
            restore_edge(home, start)
        for path in (home / "tile").rglob("*"):
            if path.is_file() and path.stat().st_ctime_ns and is_beyond(path, home, start):
                path.write_bytes(b"torn")
        require_holds(log, start)
        log.append(records(start, start + 600), LOG)
        require_holds(log, start + 600)

    def test_killed_in_the_middle_of_appending(self, home: Path) -> None:
        program = (
            "import sys; from pathlib import Path\n"
            "from strongroom.adapters.log.local import LocalLog\n"
            "from tests.unit.trust.chronicle import LOG, ORIGIN\n"
            "log = LocalLog(Path(sys.argv[1]), ORIGIN)\n"
            "size = 0\n"
            "while True:\n"
            "    log.append([b'record %d' % n for n in range(size, size + 37)], LOG); size += 37\n"
            "    print(size, flush=True)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            told = [int(child.stdout.readline()) for _ in range(12)][-1]
            child.send_signal(signal.SIGKILL)
        log = LocalLog(home, ORIGIN)
        size = claimed_head(log.checkpoint() or b"").size
        assert size >= told
        require_holds(log, size)
        log.append(records(size, size + 5), LOG)  # the lock died with its holder
        require_holds(log, size + 5)


class Died(BaseException):
    """Stands for the process's death: nothing after it runs, not even clean-up that catches Exception."""


class Dying:
    """Die at the n-th of the system calls that change the folder, after doing half of it if it writes."""

    NAMES = ("open", "write", "fsync")

    def __init__(self, at: int | None) -> None:
        self.calls = 0
        self._at = at
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> "Dying":
        for name in self.NAMES:
            self._patch.setattr(os, name, self._wrap(name, getattr(os, name)))
        for name in ("mkdir", "replace", "unlink"):
            self._patch.setattr(Path, name, self._wrap(name, getattr(Path, name)))
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _wrap(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if self._at is not None and number >= self._at:
                if name == "write" and number == self._at:
                    plain(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise Died
            return plain(*args, **named)

        return call


def count_calls(action: Callable[[], object], prepared: bool) -> int:
    """How many calls the last append of ``action`` makes."""
    with Dying(None) as counter:
        seen: list[int] = []
        plain = LocalLog.append

        def append(log: LocalLog, leaves: Any, signer: Any) -> int:
            seen.append(counter.calls)
            return plain(log, leaves, signer)

        counter._patch.setattr(LocalLog, "append", append)
        action()
        assert len(seen) == (2 if prepared else 1)
        return counter.calls - seen[-1]


def is_beyond(path: Path, home: Path, size: int) -> bool:
    """Whether a tree of ``size`` has no such tile or bundle."""
    parts = path.relative_to(home / "tile").parts
    level = 0 if parts[0] == "entries" else int(parts[0])
    name, width = (parts[1].removesuffix(".p"), int(parts[2])) if len(parts) == 3 else (parts[1], 256)
    return int(name) * 256 + width > size >> 8 * level


def restore_edge(home: Path, size: int) -> None:
    """Put the partial tiles back that an append took away when it was done."""
    hashes = [leaf_hash(each) for each in records(0, size)]
    if size % 256:
        name = f"{size // 256:03}.p"
        for kind, data in (
            ("0", b"".join(hashes[size // 256 * 256 :])),
            ("entries", encode_entries(records(size // 256 * 256, size))),
        ):
            (home / "tile" / kind / name).mkdir(exist_ok=True)
            (home / "tile" / kind / name / str(size % 256)).write_bytes(data)
    if size >= 256:
        (home / "tile/1/000.p").mkdir(exist_ok=True)
        roots = [tree_root(hashes[at : at + 256]) for at in range(0, size // 256 * 256, 256)]
        (home / f"tile/1/000.p/{len(roots)}").write_bytes(b"".join(roots))


class TestFullDisk:
    @pytest.fixture(params=[0, 3, 300])
    def start(self, request: pytest.FixtureRequest, log: LocalLog) -> int:
        size: int = request.param
        if size:
            log.append(records(0, size), LOG)
        return size

    @pytest.mark.parametrize("name", ["write", "fsync"])
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
    def test_nothing_is_appended(
        self, log: LocalLog, start: int, name: str, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at = 0
        while True:
            at += 1
            calls = 0
            plain = getattr(os, name)
            committed = False

            def call(*args: Any, limit: int = at, plain: Any = plain) -> Any:
                nonlocal calls
                calls += 1
                if calls >= limit:
                    raise OSError(code, os.strerror(code))
                return plain(*args)

            plain_replace = Path.replace

            def replace(path: Path, target: Path, plain: Any = plain_replace) -> Any:
                nonlocal committed
                result = plain(path, target)
                committed = claimed_head(Path(target).read_bytes()).size == start + 300
                return result

            with monkeypatch.context() as patch:
                patch.setattr(os, name, call)
                patch.setattr(Path, "replace", replace)
                try:
                    log.append(records(start, start + 300), LOG)
                except OutageError as error:
                    if committed:  # only the last fsync is after the fact, and the error says so
                        assert "may" in error.message
                        require_holds(log, start + 300)
                        return
                    assert "nothing was appended" in error.message or "may" in error.message
                else:
                    assert name == "write"
                    break
            require_holds(log, start)
        require_holds(log, start + 300)

    def test_a_real_limit_on_file_size(self, log: LocalLog, start: int) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        try:
            with pytest.raises(OutageError, match="nothing was appended"):
                log.append([b"x" * 60_000], LOG)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        require_holds(log, start)
        log.append(records(start, start + 2), LOG)
        require_holds(log, start + 2)

    def test_what_was_written_in_vain_is_removed(
        self, log: LocalLog, home: Path, start: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def files() -> set[Path]:
            return {path for path in home.rglob("*") if path.is_file()} - {home / "checkpoint"}

        before = files() | {home / "lock"}
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", full)
            with pytest.raises(OutageError):
                log.append(records(start, start + 600), LOG)
        assert files() - {home / "checkpoint.new"} == before

    def test_a_folder_without_permission_or_space_for_folders(
        self, log: LocalLog, start: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "mkdir", full)
            with pytest.raises(OutageError):
                log.append(records(start, start + 600), LOG)
        require_holds(log, start)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class TestTampering:
    """The folder was altered behind our back; a log of 600: two full bundles and one of 88."""

    @pytest.fixture(autouse=True)
    def written(self, log: LocalLog) -> None:
        log.append(records(0, 600), LOG)

    @pytest.mark.parametrize(
        "path", ["tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/002.p/88", "checkpoint"]
    )
    @pytest.mark.parametrize("how", ["flip", "cut", "grow", "remove", "swap for a link", "swap for a pipe"])
    def test_append_refuses_an_altered_edge(self, log: LocalLog, home: Path, path: str, how: str) -> None:
        alter(home / path, how)
        with pytest.raises(RejectedError):
            log.append([b"more"], LOG)

    @pytest.mark.parametrize("index", [0, 255, 256, 511, 512, 599])
    @pytest.mark.parametrize("attack", ["edited", "deleted", "inserted", "emptied"])
    def test_the_record_is_named(self, log: LocalLog, home: Path, index: int, attack: str) -> None:
        path = bundle(home, index)
        entries = list(parse_entries(path.read_bytes()))
        match attack:
            case "edited":
                entries[index % 256] = b"edited"
            case "deleted":
                del entries[index % 256]
            case "inserted" if len(entries) < 256:
                entries.insert(index % 256, b"inserted")
            case _:
                entries[index % 256] = b""
        path.write_bytes(encode_entries(entries))
        assert found(log) == (index, True)

    def test_a_bundle_of_too_many_records_is_torn_after_its_256th(self, log: LocalLog, home: Path) -> None:
        path = bundle(home, 0)
        path.write_bytes(path.read_bytes() + b"\0\1x")
        assert found(log) == (256, True)
        with pytest.raises(RejectedError):
            log.leaf(0)

    def test_a_removed_bundle(self, log: LocalLog, home: Path) -> None:
        bundle(home, 300).unlink()
        assert found(log) == (256, True)
        with pytest.raises(RejectedError, match="tile/entries/001 is missing"):
            log.leaf(300)
        assert log.leaf(0) == b"record 0"

    def test_a_short_bundle_gives_no_single_record(self, log: LocalLog, home: Path) -> None:
        path = bundle(home, 0)
        path.write_bytes(encode_entries(list(parse_entries(path.read_bytes()))[1:]))
        with pytest.raises(RejectedError, match="has 255 records"):
            log.leaf(0)

    def test_removed_checkpoint_is_not_a_new_log(self, log: LocalLog, home: Path) -> None:
        (home / "checkpoint").unlink()
        for action in (log.checkpoint, lambda: log.append([b"fresh start"], LOG), lambda: log.leaf(0)):
            with pytest.raises(RejectedError, match="checkpoint is missing"):
                action()

    def test_rollback_of_the_whole_folder_is_refused_by_what_is_remembered(
        self, log: LocalLog, home: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(home, tmp_path / "copy")
        log.append(records(600, 700), LOG)
        shutil.rmtree(home)
        (tmp_path / "copy").rename(home)
        remembered = Head(700, tree_root([leaf_hash(each) for each in records(0, 700)]))
        guarded = LocalLog(home, ORIGIN, remembered=lambda: remembered)
        with pytest.raises(RejectedError, match="rolled back, 600 records where 700"):
            guarded.append([b"forked"], LOG)
        require_holds(log, 600)

    def test_a_fork_signed_by_the_log_key_is_refused_by_what_is_remembered(self, home: Path) -> None:
        for size in (1, 256, 599):
            right = Head(size, tree_root([leaf_hash(each) for each in records(0, size)]))
            wrong = Head(size, leaf_hash(b"another history"))
            with pytest.raises(RejectedError):
                LocalLog(home, ORIGIN, remembered=lambda head=wrong: head).append([b"forked"], LOG)
            before = claimed_head((home / "checkpoint").read_bytes()).size
            guarded = LocalLog(home, ORIGIN, remembered=lambda head=right: head)
            assert guarded.append([b"more"], LOG) == before

    def test_checkpoint_of_another_log(self, log: LocalLog, home: Path) -> None:
        (home / "checkpoint").write_bytes(
            sign_checkpoint("vault.example/other", 600, claimed_head(log.checkpoint() or b"").root, LOG)
        )
        with pytest.raises(RejectedError):
            log.append([b"more"], LOG)

    def test_a_link_instead_of_a_new_tile_is_not_followed(
        self, log: LocalLog, home: Path, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.write_bytes(b"precious")
        (home / "tile/0/002.p/89").symlink_to(outside)
        with pytest.raises(OutageError):
            log.append([b"more"], LOG)
        assert outside.read_bytes() == b"precious"


def bundle(home: Path, index: int) -> Path:
    return home / "tile/entries" / ("002.p/88" if index >= 512 else f"{index // 256:03}")


def alter(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    match how:
        case "flip":
            path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        case "cut":
            path.write_bytes(data[:-1])
        case "grow":
            path.write_bytes(data + b"\0")
        case "swap for a link":
            (path.parent / "aside").write_bytes(data)
            path.symlink_to(path.parent / "aside")
        case "swap for a pipe":
            os.mkfifo(path)


def found(log: LocalLog) -> tuple[int, bool]:
    note = log.checkpoint()
    assert note is not None
    with pytest.raises(BadRecordError) as caught:
        verify_log(log.leaves(0, 600), note, LOG_KEY, ORIGIN, read_tile=log.tile)
    return caught.value.record, caught.value.exact


class TestWriters:
    def test_processes_append_one_after_the_other(self, home: Path) -> None:
        program = (
            "import sys; from pathlib import Path\n"
            "from strongroom.adapters.log.local import LocalLog\n"
            "from tests.unit.trust.chronicle import LOG, ORIGIN\n"
            "log = LocalLog(Path(sys.argv[1]), ORIGIN)\n"
            "for n in range(10): log.append([b'%s %d' % (sys.argv[2].encode(), n)] * 3, LOG)\n"
        )
        children = [
            subprocess.Popen([sys.executable, "-c", program, str(home), name]) for name in ("one", "two")
        ]
        assert [child.wait(60) for child in children] == [0, 0]
        log = LocalLog(home, ORIGIN)
        note = log.checkpoint()
        assert note is not None
        leaves = list(log.leaves(0, 60))
        verify_log(leaves, note, LOG_KEY, ORIGIN, read_tile=log.tile)
        assert all(leaves[at : at + 3] == [leaves[at]] * 3 for at in range(0, 60, 3))  # all or none
        for name in (b"one", b"two"):
            assert [leaf for leaf in leaves[::3] if leaf.startswith(name)] == [
                b"%s %d" % (name, number) for number in range(10)
            ]

    def test_a_writer_that_holds_the_lock_too_long(self, home: Path) -> None:
        log = LocalLog(home, ORIGIN, lock_timeout_s=0.05)
        log.append(records(0, 1), LOG)
        with folder.hold_lock(home / "lock", 1), pytest.raises(OutageError, match="another writer"):
            log.append(records(1, 2), LOG)
        log.append(records(1, 2), LOG)
        require_holds(log, 2)

    def test_reading_while_another_writes(self, log: LocalLog) -> None:
        log.append(records(0, 1), LOG)
        stop = threading.Event()

        def write() -> None:
            for size in range(1, 300, 23):
                log.append(records(size, size + 23), LOG)
            stop.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not stop.is_set():
            note = log.checkpoint()
            assert note is not None
            size = claimed_head(note).size
            verify_log(log.leaves(0, size), note, LOG_KEY, ORIGIN, read_tile=log.tile)
        writer.join()
