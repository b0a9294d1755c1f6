"""The contract of a model being handed over, for a folder and its twin of the flow tests; then attacks."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.adapters.sources import local
from strongroom.adapters.sources.local import LocalSource
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import ModelSource
from tests.flows.scene import HandedModel

Make = Callable[[dict[str, bytes]], ModelSource]


@pytest.fixture(params=["local", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        return HandedModel

    def write(entries: dict[str, bytes]) -> ModelSource:
        for path, content in entries.items():
            target = tmp_path / "model" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return LocalSource(tmp_path / "model")

    return write


def _content(source: ModelSource) -> dict[str, bytes]:
    found = {}
    for file in source.files:
        buffer = bytearray(file.size)
        assert file.read_into(0, memoryview(buffer)) == file.size
        file.require_unchanged()
        found[file.path] = bytes(buffer)
    return found


ENTRIES = {"b.bin": b"2" * 5000, "a.onnx": b"1", "z/deep/c": b"", "z.txt": b"text", ".hidden": b"h"}


def test_all_files_by_path(make: Make) -> None:
    source = make(ENTRIES)
    assert [file.path for file in source.files] == sorted(ENTRIES)
    assert _content(source) == ENTRIES
    source.close()


def test_reads_anywhere_and_short_only_at_the_end(make: Make) -> None:
    source = make({"a": bytes(range(100))})
    buffer = bytearray(10)
    assert source.files[0].read_into(50, memoryview(buffer)) == 10
    assert buffer == bytes(range(50, 60))
    assert source.files[0].read_into(95, memoryview(buffer)) == 5
    assert source.files[0].read_into(100, memoryview(buffer)) == 0
    source.close()


# A local file or folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "model.onnx").write_bytes(b"model")
    return made


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_one_file_goes_by_its_own_name(folder: Path) -> None:
    source = LocalSource(folder / "model.onnx")
    assert _content(source) == {"model.onnx": b"model"}
    source.close()


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no such file"):
        LocalSource(tmp_path / "gone")


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(InvalidError, match="holds no file"):
        LocalSource(tmp_path / "a")


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _dangling_link(path: Path) -> None:
    path.symlink_to("gone")


def _link_to_folder(path: Path) -> None:
    path.symlink_to("/etc")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


@pytest.mark.parametrize("plant", [_link, _dangling_link, _link_to_folder, _loop, os.mkfifo, _socket])
@pytest.mark.parametrize("where", ["inside", "deep inside", "as the model"])
def test_only_plain_files_and_folders(folder: Path, plant: Callable[[Path], None], where: str) -> None:
    """Nothing is followed and nothing blocks; no descriptor is left open."""
    (folder / "deep").mkdir()
    bad = {"inside": folder / "x", "deep inside": folder / "deep" / "x", "as the model": folder / "y"}[where]
    plant(bad)
    before = _open_descriptors()
    with pytest.raises(RejectedError):
        LocalSource(bad if where == "as the model" else folder)
    assert _open_descriptors() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a device node")
def test_device(folder: Path) -> None:
    try:
        os.mknod(folder / "zero", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container may not make devices")
    with pytest.raises(RejectedError):
        LocalSource(folder)


def test_link_put_in_place_after_opening(folder: Path) -> None:
    """What was opened is what is read, whatever the name means later."""
    source = LocalSource(folder)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/etc/hostname")
    buffer = bytearray(5)
    source.files[0].read_into(0, memoryview(buffer))
    assert buffer == b"model"
    source.close()


@pytest.mark.parametrize("how", ["overwrite", "append", "cut", "touch", "unlink"])
def test_changed_while_it_was_read(folder: Path, how: str) -> None:
    path = folder / "model.onnx"
    os.utime(path, ns=(1, 1))
    source = LocalSource(folder)
    match how:
        case "overwrite":
            path.write_bytes(b"MODEL")
        case "append":
            with path.open("ab") as file:
                file.write(b"!")
        case "cut":
            os.truncate(path, 2)
        case "touch":
            os.utime(path)
        case "unlink":
            path.unlink()
    with pytest.raises(RejectedError, match="changed while it was read"):
        source.files[0].require_unchanged()
    source.close()


def test_changed_with_its_times_put_back(folder: Path) -> None:
    path = folder / "model.onnx"
    source = LocalSource(folder)
    status = path.stat()
    path.write_bytes(b"MODEL")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(RejectedError):
        source.files[0].require_unchanged()
    source.close()


def test_name_that_is_not_unicode(folder: Path) -> None:
    (folder / os.fsdecode(b"bad-\xff")).write_bytes(b"x")
    with pytest.raises(RejectedError, match="not UTF-8"):
        LocalSource(folder)


def test_too_deep(folder: Path) -> None:
    (folder / "/".join("d" * 30)).mkdir(parents=True)
    with pytest.raises(RejectedError, match="nested deeper"):
        LocalSource(folder)


def test_too_many_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted over all folders together: each open file is a descriptor of ours."""
    monkeypatch.setattr(local, "MAX_FILES", 8)
    for number in range(4):
        (folder / str(number)).mkdir()
        for name in "fg":
            (folder / str(number) / name).write_bytes(b"x")
    before = _open_descriptors()
    with pytest.raises(RejectedError, match="more than 8 files"):
        LocalSource(folder)
    assert _open_descriptors() == before


def test_a_disk_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = LocalSource(folder)

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(OutageError, match="Input/output error"):
        source.files[0].read_into(0, memoryview(bytearray(1)))
    source.close()


def test_closing_gives_everything_back(folder: Path) -> None:
    before = _open_descriptors()
    source = LocalSource(folder)
    assert _open_descriptors() == before + 1
    source.close()
    source.close()
    assert _open_descriptors() == before
