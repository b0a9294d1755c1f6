"""A disk that is full or read-only: refused with exit 5, nothing unlogged, and well again with room."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.trust.authority import Authority
from strongroom.values import ModelId, State
from tests.cli.press import PASSPHRASE, Shell
from tests.faults.home import in_private_mounts, require_whole

pytestmark = pytest.mark.slow

PUBLISH = ("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "risk")
ADD = ("identity", "add", "nora")
RETIRE = ("retire", "fraud@1.0.0", "--reason", "old")
CHANGES = {"publish": PUBLISH, "identity add": ADD, "retire": RETIRE}


def _happened(authority: Authority, what: str) -> bool:
    return {
        "publish": ModelId.parse("fraud@1.1.0") in authority.versions,
        "identity add": "nora" in authority.identities,
        "retire": authority.versions[ModelId.parse("fraud@1.0.0")].state is State.RETIRED,
    }[what]


def _run(root: Path, home: Path, *arguments: str, limit_bytes: int | None = None) -> tuple[int, str]:
    """A plain child process; with ``limit_bytes`` no file of its may grow beyond that (RLIMIT_FSIZE)."""

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    done = subprocess.run(
        [sys.executable, "-m", "strongroom", *arguments, "--home", str(home)],
        cwd=root,
        env={
            "HOME": str(root),
            "PATH": os.environ["PATH"],
            "STRONGROOM_PASSPHRASE_FILE": str(root / "passphrase"),
            "PYTHONDONTWRITEBYTECODE": "1",  # a limit cuts .pyc files short as well, for all later processes
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )
    return done.returncode, done.stderr


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def _fill_and_try(root: str, what: str) -> None:
    """For each amount of room left: refused as an outage or done; afterwards whole, and a retry ends well.

    Each disk has a folder of its own: SQLite removes its side files by path when a connection is collected,
    and that path must not be another disk's by then.
    """
    place = Path(root)
    refused = 0
    for left_kib in (0, 8, 28, 124):
        disk = place / f"disk{left_kib}"
        disk.mkdir()
        _mount("-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(disk))
        home = disk / "home"
        shutil.copytree(place / "home", home, symlinks=True)
        before = require_whole(home)
        room = os.statvfs(disk)
        filler = max(0, room.f_bavail * room.f_frsize - left_kib * 1024)
        (disk / "filler").write_bytes(bytes(filler))
        code, said = _run(place, home, *CHANGES[what])
        (disk / "filler").unlink()
        assert code in (0, 5), (left_kib, code, said)
        assert "bug" not in said
        after = require_whole(home)
        if code == 0:
            assert _happened(after, what)
        else:
            refused += 1
            assert said.startswith("error: ")
            assert after.identities.keys() >= before.identities.keys()
        if not _happened(after, what):
            assert _run(place, home, *CHANGES[what])[0] == 0
            assert _happened(require_whole(home), what)
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert refused


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("what", CHANGES)
def test_full_disk(shell: Shell, what: str) -> None:
    in_private_mounts(_fill_and_try, str(shell.root), what)


def _with_read_only(root: str, folder: str) -> None:
    place = Path(root)
    home = place / "home"
    before = require_whole(home)
    target = home / folder
    _mount("--bind", str(target), str(target))
    _mount("-o", "remount,bind,ro", str(target))
    denied = ("publish", "model.onnx", "--as", "fraud@1.1.0", "--owner", "risk", "--identity", "rita")
    for arguments in (PUBLISH, ADD, RETIRE, ("verify", "fraud@1.0.0"), denied):
        code, said = _run(place, home, *arguments)
        assert code == 5, (arguments, code, said)
        assert said.startswith("error: ")
        assert "bug" not in said
    subprocess.run(["umount", str(target)], check=True)
    after = require_whole(home)
    assert (after.identities, after.versions) == (before.identities, before.versions)
    for arguments in (PUBLISH, ADD, RETIRE):
        code, said = _run(place, home, *arguments)
        assert code == 0, said


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_read_only_log(shell: Shell) -> None:
    in_private_mounts(_with_read_only, str(shell.root), "log")


def _read_only_home(root: str) -> None:
    place = Path(root)
    home = place / "home"
    _mount("--bind", str(home), str(home))
    _mount("-o", "remount,bind,ro", str(home))
    for arguments in (PUBLISH, ADD, RETIRE):
        code, said = _run(place, home, *arguments)
        assert code == 5, (arguments, code, said)
    for arguments in (("log", "verify"), ("list",), ("show", "fraud@1.0.0"), ("status",)):
        code, said = _run(place, home, *arguments)
        assert code in (0, 5), (arguments, code, said)
        assert "bug" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_read_only_home(shell: Shell) -> None:
    in_private_mounts(_read_only_home, str(shell.root))


@pytest.mark.parametrize("limit_bytes", [0, 100, 1000, 4096, 5000])
@pytest.mark.parametrize("what", CHANGES)
def test_files_that_may_not_grow(shell: Shell, what: str, limit_bytes: int) -> None:
    """A quota, without being root: every write that would go beyond fails with EFBIG."""
    code, said = _run(shell.root, shell.home, *CHANGES[what], limit_bytes=limit_bytes)
    assert code == 5, said
    assert "bug" not in said
    assert PASSPHRASE not in said
    authority = require_whole(shell.home)
    if not _happened(authority, what):
        assert shell(*CHANGES[what]).code == 0
    require_whole(shell.home)


def test_init_where_files_may_not_grow(bare: Shell) -> None:
    for limit_bytes in (0, 500, 3000):
        code, said = _run(bare.root, bare.home, "init", "--identity", "ada", limit_bytes=limit_bytes)
        assert code == 5, said
        assert not bare.home.exists()
        assert [path.name for path in bare.root.iterdir() if "draft" in path.name] == []
    bare.ok("init", "--identity", "ada")
