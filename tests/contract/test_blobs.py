"""Every blob store and its in-memory twin keep the same promises."""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.blobs.memory import MemoryBlobStore
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import BlobStore
from tests.stores.servers import (
    Server,
    azure_credentials,
    azure_store,
    google_credentials,
    google_store,
    make_bucket,
    s3_credentials,
    s3_store,
)

NAME = "fraud/1.2.0/0.sealed"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def local(root: Path) -> Iterator[LocalBlobStore]:
    store = LocalBlobStore(root)
    yield store
    store.close()


@pytest.fixture(scope="module")
def s3_opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobStore]:
    with s3_credentials():
        server = Server("tests.stores.s3_server")
        make_bucket(server.url)
        yield s3_store(server.url, tmp_path_factory.mktemp("s3") / "spool", "team/home")
        server.close()


@pytest.fixture(scope="module")
def azure_opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobStore]:
    with azure_credentials():
        server = Server("tests.stores.azure_server")
        yield azure_store(f"{server.url}/account", tmp_path_factory.mktemp("az") / "spool", "team/home")
        server.close()


@pytest.fixture(scope="module")
def google_opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobStore]:
    folder = tmp_path_factory.mktemp("gs")
    server = Server("tests.stores.google_server")
    with google_credentials(server.url, folder):
        yield google_store(server.url, folder / "spool", "team/home")
        server.close()


@pytest.fixture
def azure(azure_opened: BlobStore) -> BlobStore:
    return emptied(azure_opened)


@pytest.fixture
def google(google_opened: BlobStore) -> BlobStore:
    return emptied(google_opened)


@pytest.fixture
def s3(s3_opened: BlobStore) -> BlobStore:
    return emptied(s3_opened)


def emptied(store: BlobStore) -> BlobStore:
    for name in list(store.list("")):
        store.delete(name)
    return store


@pytest.fixture(params=["local", "memory", "s3", "azure", "google"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    if request.param == "memory":
        return MemoryBlobStore()
    found: BlobStore = request.getfixturevalue(request.param)
    return found


def read_all(store: BlobStore, name: str) -> bytes:
    reader = store.open(name)
    try:
        data = bytearray(reader.size)
        assert reader.read_into(0, memoryview(data)) == reader.size
        return bytes(data)
    finally:
        reader.close()


def test_an_object_is_invisible_until_committed(store: BlobStore) -> None:
    writer = store.create(NAME, 10)
    writer.write_at(5, b"world")
    writer.write_at(0, b"hello")
    assert list(store.list("")) == []
    with pytest.raises(RejectedError):
        store.open(NAME)
    writer.commit()
    assert list(store.list("")) == [NAME]
    assert read_all(store, NAME) == b"helloworld"


def test_nothing_is_written_before_the_beginning(store: BlobStore) -> None:
    writer = store.create(NAME)
    with pytest.raises(InvalidError):
        writer.write_at(-1, b"xy")
    writer.discard()


def test_a_discarded_object_leaves_nothing(store: BlobStore) -> None:
    writer = store.create(NAME)
    writer.write_at(0, b"x")
    writer.discard()
    writer.discard()
    assert list(store.list("")) == []
    for late in (lambda: writer.write_at(0, b"x"), writer.commit):
        with pytest.raises(InvalidError):
            late()


def test_discard_after_commit_is_harmless(store: BlobStore) -> None:
    writer = store.create(NAME)
    writer.write_at(0, b"x")
    writer.commit()
    writer.discard()
    assert read_all(store, NAME) == b"x"
    with pytest.raises(InvalidError):
        writer.commit()


def test_of_two_writers_of_one_name_the_first_to_commit_wins(store: BlobStore) -> None:
    first, second = store.create(NAME), store.create(NAME)
    first.write_at(0, b"first")
    second.write_at(0, b"second")
    second.commit()
    with pytest.raises(InvalidError, match="exists already"):
        first.commit()
    first.discard()
    assert read_all(store, NAME) == b"second"
    assert list(store.list("")) == [NAME]


def test_of_many_writers_at_once_exactly_one_wins(store: BlobStore) -> None:
    writers = [store.create(NAME) for _ in range(8)]
    won: list[int] = []

    def race(number: int) -> None:
        writers[number].write_at(0, bytes([number]))
        with suppress(InvalidError):
            writers[number].commit()
            won.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert read_all(store, NAME) == bytes(won)


def test_ranges_may_be_written_from_several_threads(store: BlobStore) -> None:
    writer = store.create(NAME, 64 * 1000)
    threads = [
        threading.Thread(target=writer.write_at, args=(n * 1000, bytes([n]) * 1000))
        for n in reversed(range(64))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.commit()
    assert read_all(store, NAME) == b"".join(bytes([n]) * 1000 for n in range(64))


def test_an_empty_object_is_an_object(store: BlobStore) -> None:
    store.put_new(NAME, b"")
    assert read_all(store, NAME) == b""
    assert store.read(NAME, 0) == b""


def test_put_new_never_overwrites(store: BlobStore) -> None:
    store.put_new(NAME, b"one")
    with pytest.raises(InvalidError, match="exists already"):
        store.put_new(NAME, b"two")
    assert store.read(NAME, 10) == b"one"


def test_replace_creates_and_replaces(store: BlobStore) -> None:
    store.replace("fraud/1.2.0/keys.json", b"one")
    store.replace("fraud/1.2.0/keys.json", b"two, longer")
    assert store.read("fraud/1.2.0/keys.json", 100) == b"two, longer"
    assert list(store.list("")) == ["fraud/1.2.0/keys.json"]


def test_an_open_object_stays_the_version_it_was(store: BlobStore) -> None:
    store.replace("keys.json", b"one")
    reader = store.open("keys.json")
    store.replace("keys.json", b"other")
    buffer = bytearray(10)
    assert reader.read_into(0, memoryview(buffer)) == reader.size == 3
    assert buffer[:3] == b"one"
    reader.close()


def test_reading_is_short_only_at_the_end(store: BlobStore) -> None:
    store.put_new(NAME, b"0123456789")
    reader = store.open(NAME)
    buffer = memoryview(bytearray(4))
    assert (reader.read_into(3, buffer), bytes(buffer)) == (4, b"3456")
    assert reader.read_into(8, buffer) == 2
    assert reader.read_into(10, buffer) == 0
    assert reader.read_into(2**50, buffer) == 0
    with pytest.raises(InvalidError):
        reader.read_into(-1, buffer)
    reader.close()


def test_a_small_read_is_bounded(store: BlobStore) -> None:
    store.put_new(NAME, b"0123456789")
    assert store.read(NAME, 10) == b"0123456789"
    with pytest.raises(RejectedError, match="larger"):
        store.read(NAME, 9)


def test_a_missing_object_is_missing(store: BlobStore) -> None:
    for ask in (lambda: store.open(NAME), lambda: store.read(NAME, 10)):
        with pytest.raises(RejectedError, match="no such object"):
            ask()


def test_deleting_removes_and_a_missing_one_is_no_error(store: BlobStore) -> None:
    store.put_new(NAME, b"x")
    store.delete(NAME)
    store.delete(NAME)
    store.delete("never/was")
    assert list(store.list("")) == []
    store.put_new(NAME, b"again")


def test_list_is_sorted_and_by_whole_segments(store: BlobStore) -> None:
    names = [
        "fraud/1.2.0/0.sealed",
        "fraud/1.2.0/1.sealed",
        "fraud/1.2.0-rc.1/0.sealed",
        "fraud2/1.0.0/0.sealed",
    ]
    for name in reversed(names):
        store.put_new(name, b"")
    assert list(store.list("")) == sorted(names)
    assert list(store.list("fraud/1.2.0")) == names[:2]
    assert list(store.list("fraud/1.2.0/")) == names[:2]
    assert list(store.list("fraud/1.2")) == []
    assert list(store.list("other")) == []


def test_stat_says_the_size_and_whether_it_was_written_again(store: BlobStore) -> None:
    store.replace("keys.json", b"one")
    before = store.stat("keys.json")
    assert before.size == 3
    assert store.stat("keys.json") == before
    store.replace("keys.json", b"two")
    after = store.stat("keys.json")
    assert (after.size, after.tag != before.tag) == (3, True)
    with pytest.raises(RejectedError, match="no such object"):
        store.stat("fraud/1.2.0/missing")


def test_a_survey_says_of_all_what_stat_says_of_each(store: BlobStore) -> None:
    for number, name in enumerate(["fraud/1.2.0/1.sealed", "fraud/1.2.0/0.sealed", "fraud2/1.0.0/0.sealed"]):
        store.put_new(name, bytes(number))
    found = list(store.survey(""))
    assert [name for name, _ in found] == list(store.list(""))
    assert found == [(name, store.stat(name)) for name in store.list("")]
    assert [name for name, _ in store.survey("fraud/1.2.0")] == list(store.list("fraud/1.2.0"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "fraud/../x",
        "fraud//x",
        "fraud/",
        ".staging/x",
        "fraud/.hidden",
        "fraud/.",
        "a\\b",
        "a\x00b",
        "a b",
        "ä",
        "a\n",
        "a:b",
        "~root",
        "a" * 129,
        "/".join("a" * 9),
        "/".join(["a" * 100] * 6),
    ],
)
def test_names_that_could_leave_the_store_are_refused(store: BlobStore, name: str) -> None:
    asks: list[Callable[[], object]] = [
        lambda: store.create(name),
        lambda: store.put_new(name, b""),
        lambda: store.replace(name, b""),
        lambda: store.open(name),
        lambda: store.read(name, 1),
        lambda: store.delete(name),
        lambda: store.stat(name),
    ]
    for ask in asks:
        with pytest.raises(InvalidError):
            ask()
    if name and name != "fraud/":
        with pytest.raises(InvalidError):
            list(store.list(name))


def test_versions_with_capitals_are_names(store: BlobStore) -> None:
    store.put_new("fraud/1.0.0-RC.1/0.sealed", b"x")
    assert store.read("fraud/1.0.0-RC.1/0.sealed", 1) == b"x"


def test_one_piece_is_bounded(store: BlobStore) -> None:
    for write in (store.put_new, store.replace):
        with pytest.raises(InvalidError, match="one piece"):
            write(NAME, bytes(16 * 2**20 + 1))


# The local folder: what stands in it may have been put there by someone else.


def place(root: Path, kind: str, at: str = NAME) -> Path:
    target = root / at
    target.parent.mkdir(parents=True, exist_ok=True)
    outside = root.parent / "outside"
    match kind:
        case "link to a file":
            outside.write_bytes(b"secret")
            target.symlink_to(outside)
        case "dangling link":
            target.symlink_to(root.parent / "nowhere")
        case "link to a folder":
            outside.mkdir()
            target.symlink_to(outside)
        case "folder":
            target.mkdir()
        case "pipe":
            os.mkfifo(target)
        case "socket":  # relative: an absolute path may be too long for a socket
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(target.relative_to(root)))
        case "device":
            try:
                os.mknod(target, stat.S_IFCHR | 0o600, os.makedev(1, 3))
            except PermissionError:
                pytest.skip("making a device needs a privilege")
    return target


KINDS = ["link to a file", "dangling link", "link to a folder", "folder", "pipe", "socket", "device"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_plain_file_is_never_opened(
    local: LocalBlobStore, root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    place(root, kind)
    for ask in (lambda: local.open(NAME), lambda: local.read(NAME, 100), lambda: local.stat(NAME)):
        with pytest.raises(RejectedError):
            ask()
    with pytest.raises(InvalidError, match="exists already"):
        local.put_new(NAME, b"mine")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
def test_what_is_not_a_plain_file_is_listed(
    local: LocalBlobStore, root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    place(root, kind)
    assert list(local.list("fraud/1.2.0")) == [NAME]
    assert list(local.list("")) == [NAME]
    assert [name for name, _ in local.survey("")] == [NAME]


def test_a_modification_time_set_back_does_not_hide_a_change(local: LocalBlobStore, root: Path) -> None:
    local.put_new(NAME, b"genuine")
    before, times = local.stat(NAME), (root / NAME).stat()
    (root / NAME).chmod(0o600)
    (root / NAME).write_bytes(b"altered")
    os.utime(root / NAME, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = local.stat(NAME)
    assert (after.size, after.tag != before.tag) == (before.size, True)


@pytest.mark.parametrize("name", [".hidden", "Ünïcode", "a b", "x.sealed~", "..data", "0.sealed\n"])
def test_foreign_files_are_listed(local: LocalBlobStore, root: Path, name: str) -> None:
    local.put_new(NAME, b"x")
    (root / "fraud/1.2.0" / name).write_bytes(b"")
    assert set(local.list("fraud/1.2.0")) == {NAME, f"fraud/1.2.0/{name}"}


def test_foreign_files_deep_down_and_beside_are_listed(local: LocalBlobStore, root: Path) -> None:
    deep = root / "fraud/1.2.0" / "/".join("d" * 20)
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(b"")
    (root / "stray").write_bytes(b"")
    found = list(local.list(""))
    assert "stray" in found
    assert len(found) == 2


def test_a_linked_folder_is_not_entered(local: LocalBlobStore, root: Path, tmp_path: Path) -> None:
    """An attacker points a version's folder to files of their own."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0.sealed").write_bytes(b"evil")
    (root / "fraud").mkdir()
    (root / "fraud/1.2.0").symlink_to(elsewhere)
    asks: list[Callable[[], object]] = [
        lambda: local.open(NAME),
        lambda: local.read(NAME, 10),
        lambda: list(local.list("fraud/1.2.0")),
        lambda: local.put_new("fraud/1.2.0/1.sealed", b""),
        lambda: local.replace("fraud/1.2.0/keys.json", b""),
        lambda: local.delete(NAME),
    ]
    for ask in asks:
        with pytest.raises(RejectedError):
            ask()
    assert sorted(path.name for path in elsewhere.iterdir()) == ["0.sealed"]
    assert list(local.list("")) == ["fraud/1.2.0"]


def test_replacing_a_link_replaces_the_link_and_not_its_target(
    local: LocalBlobStore, root: Path, tmp_path: Path
) -> None:
    place(root, "link to a file")
    local.replace(NAME, b"mine")
    assert (tmp_path / "outside").read_bytes() == b"secret"
    assert local.read(NAME, 10) == b"mine"


def test_deleting_a_link_deletes_the_link(local: LocalBlobStore, root: Path, tmp_path: Path) -> None:
    place(root, "link to a file")
    local.delete(NAME)
    assert (tmp_path / "outside").exists()
    assert list(local.list("")) == []


def test_a_folder_is_not_deleted_as_an_object(local: LocalBlobStore, root: Path) -> None:
    place(root, "folder")
    with pytest.raises((RejectedError, OutageError)):
        local.delete(NAME)


def test_nobody_else_may_read(local: LocalBlobStore, root: Path) -> None:
    mask = os.umask(0)
    try:
        local.put_new(NAME, b"x")
        local.replace("keys.json", b"x")
    finally:
        os.umask(mask)
    for path in [root, *root.rglob("*")]:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_folder_that_others_may_enter_is_refused(root: Path) -> None:
    root.mkdir()
    root.chmod(0o750)
    with pytest.raises(InvalidError, match="other users"):
        LocalBlobStore(root)


def test_a_file_is_no_root(root: Path) -> None:
    root.write_bytes(b"")
    with pytest.raises(InvalidError, match="not a folder"):
        LocalBlobStore(root)


def test_a_linked_staging_folder_is_refused(root: Path, tmp_path: Path) -> None:
    root.mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    (root / ".staging").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RejectedError):
        LocalBlobStore(root)


def staged(root: Path) -> list[Path]:
    return sorted((root / ".staging").iterdir())


def test_two_stores_on_one_folder_see_one_world(local: LocalBlobStore, root: Path) -> None:
    other = LocalBlobStore(root)
    local.put_new(NAME, b"x")
    assert other.read(NAME, 1) == b"x"
    with pytest.raises(InvalidError):
        other.put_new(NAME, b"y")


def test_a_crash_before_commit_leaves_what_sweep_removes(local: LocalBlobStore, root: Path) -> None:
    """A process that is killed while it writes leaves a staged file, and no object."""
    script = (
        "import os, sys; from pathlib import Path\n"
        "from strongroom.adapters.blobs.local import LocalBlobStore\n"
        f"writer = LocalBlobStore(Path(sys.argv[1])).create({NAME!r})\n"
        "writer.write_at(0, b'half')\n"
        "os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", script, str(root)], check=False)
    assert dead.returncode == -9
    assert list(local.list("")) == []
    assert len(staged(root)) == 1
    assert local.sweep() == 1
    assert staged(root) == []


def test_a_crash_between_link_and_unlink_leaves_a_whole_object(local: LocalBlobStore, root: Path) -> None:
    local.put_new(NAME, b"whole")
    os.link(root / NAME, root / ".staging" / "0123")
    assert list(local.list("")) == [NAME]
    assert local.sweep() == 1
    assert local.read(NAME, 10) == b"whole"


def test_sweep_spares_writers_that_live(local: LocalBlobStore, root: Path) -> None:
    writer = local.create(NAME)
    writer.write_at(0, b"alive")
    assert LocalBlobStore(root).sweep() == 0
    writer.commit()
    assert local.read(NAME, 10) == b"alive"


def test_a_writer_whose_file_was_swept_before_it_was_locked_begins_again(
    local: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, swept = fcntl.flock, []

    def flock_after_sweep(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not swept:
            swept.append(staged(root)[0])
            swept[0].unlink()
        plain(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_after_sweep)
    writer = local.create(NAME)
    writer.write_at(0, b"x")
    writer.commit()
    assert swept
    assert local.read(NAME, 1) == b"x"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EMFILE])
@pytest.mark.parametrize("call", ["open", "pwrite", "fdatasync", "link", "fsync", "mkdir"])
def test_a_disk_that_fails_is_an_outage_and_nothing_or_all_is_left(
    local: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def fail(*args: object, **keywords: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OutageError):
            local.put_new(NAME, b"whole")
    assert staged(root) == []
    left = list(local.list(""))
    assert left in ([], [NAME])
    if left:
        assert (call, local.read(NAME, 10)) == ("fsync", b"whole")


@pytest.mark.parametrize("call", ["open", "pwrite", "fdatasync", "rename", "fsync"])
def test_a_replacement_that_fails_leaves_the_old_or_the_new(
    local: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    local.replace("keys.json", b"old")

    def fail(*args: object, **keywords: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OutageError):
            local.replace("keys.json", b"new")
    assert staged(root) == []
    assert local.read("keys.json", 10) == (b"new" if call == "fsync" else b"old")


def test_a_write_that_is_cut_short_is_continued(
    local: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: plain(fd, bytes(data)[:3], offset))
    local.put_new(NAME, b"0123456789")
    assert local.read(NAME, 10) == b"0123456789"


def test_no_room_is_said_before_anything_is_written(local: LocalBlobStore, root: Path) -> None:
    with pytest.raises(OutageError, match="no room"):
        local.create(NAME, 2**62)
    assert staged(root) == []


def test_no_descriptor_is_left_open(local: LocalBlobStore) -> None:
    before = len(os.listdir("/proc/self/fd"))
    local.put_new(NAME, b"x")
    with suppress(InvalidError):
        local.put_new(NAME, b"y")
    local.replace("keys.json", b"x")
    local.read(NAME, 1)
    for name in ("missing", "fraud", "fraud/1.2.0/0.sealed/x"):
        with suppress(RejectedError):
            local.read(name, 1)
    list(local.list(""))
    local.sweep()
    local.delete(NAME)
    assert len(os.listdir("/proc/self/fd")) == before
