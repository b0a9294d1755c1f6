"""Plaintext memory: what every provider and its twin promise, and what only the kernel can."""

import fcntl
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from strongroom.adapters.memory import memfd, room
from strongroom.adapters.memory.buffer import Buffer, BufferProvider
from strongroom.adapters.memory.memfd import MemfdProvider, require_sealed
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import Memory, MemoryProvider


@pytest.fixture(params=["memfd", "buffer"])
def provider(request: pytest.FixtureRequest) -> MemoryProvider:
    return MemfdProvider() if request.param == "memfd" else BufferProvider()


def content(memory: Memory, size: int) -> bytes:
    return bytes(memory.content) if isinstance(memory, Buffer) else os.pread(memory.fd, size, 0)


def test_what_is_written_is_there_and_the_rest_is_zero(provider: MemoryProvider) -> None:
    memory = provider.allocate("fraud@1.0.0", 10)
    memory.write_at(5, memoryview(b"world"))
    memory.write_at(1, bytearray(b"e"))
    assert content(memory, 20) == b"\0e\0\0\0world"
    memory.close()


def test_empty_memory_can_be_sealed(provider: MemoryProvider) -> None:
    memory = provider.allocate("empty", 0)
    memory.write_at(0, b"")
    memory.seal()
    assert content(memory, 1) == b""
    memory.close()


def test_nothing_is_written_after_the_seal(provider: MemoryProvider) -> None:
    memory = provider.allocate("m", 4)
    memory.write_at(0, b"abcd")
    memory.seal()
    with pytest.raises(InvalidError):
        memory.write_at(0, b"x")
    assert content(memory, 4) == b"abcd"
    memory.close()


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (4, 1), (3, 2), (2**62, 1)])
def test_nothing_is_written_outside(provider: MemoryProvider, offset: int, size: int) -> None:
    memory = provider.allocate("m", 4)
    with pytest.raises(InvalidError):
        memory.write_at(offset, bytes(size))
    assert content(memory, 100) == bytes(4)
    memory.close()


def test_closing_twice_is_harmless_and_closed_memory_is_gone(provider: MemoryProvider) -> None:
    memory = provider.allocate("m", 4)
    memory.close()
    memory.close()
    for late in (lambda: memory.write_at(0, b"x"), lambda: memory.fd, memory.seal):
        with pytest.raises(InvalidError):
            late()


def test_a_negative_size_is_refused(provider: MemoryProvider) -> None:
    with pytest.raises(InvalidError):
        provider.allocate("m", -1)


def test_ranges_may_be_written_from_several_threads(provider: MemoryProvider) -> None:
    memory = provider.allocate("m", 32_000)
    threads = [
        threading.Thread(target=memory.write_at, args=(n * 1000, bytes([n]) * 1000)) for n in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(memory, 32_000) == b"".join(bytes([n]) * 1000 for n in range(32))
    memory.close()


# What the kernel promises of a sealed memfd.


@pytest.fixture
def sealed() -> Memory:
    memory = MemfdProvider().allocate("fraud@1.0.0", 8192)
    memory.write_at(0, b"weights")
    memory.seal()
    return memory


def test_the_kernel_refuses_every_change(sealed: Memory) -> None:
    for attack in (
        lambda: os.pwrite(sealed.fd, b"x", 0),
        lambda: os.ftruncate(sealed.fd, 0),
        lambda: os.ftruncate(sealed.fd, 10_000),
        lambda: mmap.mmap(sealed.fd, 8192, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE),
        lambda: fcntl.fcntl(sealed.fd, fcntl.F_ADD_SEALS, 0x20),
        lambda: os.posix_fallocate(sealed.fd, 0, 20_000),
    ):
        with pytest.raises(OSError):
            attack()


def test_reopening_through_proc_gives_no_way_to_write(sealed: Memory) -> None:
    try:
        descriptor = os.open(f"/proc/self/fd/{sealed.fd}", os.O_RDWR)
    except OSError:
        return
    with pytest.raises(OSError):
        os.write(descriptor, b"x")
    os.close(descriptor)


def test_a_private_mapping_for_reading_works(sealed: Memory) -> None:
    """Which is how a worker reads it; shared read-only mappings need Linux 6.7."""
    with mmap.mmap(sealed.fd, 8192, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapping:
        assert mapping[:7] == b"weights"


def test_it_is_not_inherited_by_a_child(sealed: Memory) -> None:
    listing = subprocess.run(
        [sys.executable, "-c", "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 200) "
         "if os.path.exists(f'/proc/self/fd/{n}')])"],
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    assert "memfd" not in listing.stdout


def test_it_cannot_be_executed(sealed: Memory) -> None:
    assert os.fstat(sealed.fd).st_mode & 0o333 == 0
    program = MemfdProvider().allocate("program", 100)
    program.write_at(0, b"#!/bin/sh\n")
    with pytest.raises(OSError):
        os.execve(program.fd, ["x"], {})  # noqa: S606 - and it must fail
    program.close()


def test_the_name_cannot_carry_anything(sealed: Memory) -> None:
    memory = MemfdProvider().allocate("a/../b\n\0secret" + "x" * 500, 1)
    link = os.readlink(f"/proc/self/fd/{memory.fd}")
    assert len(link) < 100
    assert set("\n\0") & set(link) == set()
    memory.close()


def test_an_older_kernel_without_noexec_seals_works(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.memfd_create

    def older(name: str, flags: int) -> int:
        if flags & 0x8:
            raise OSError(22, "Invalid argument")
        return plain(name, flags)

    monkeypatch.setattr(os, "memfd_create", older)
    memory = MemfdProvider().allocate("m", 4)
    memory.write_at(0, b"abcd")
    memory.seal()
    require_sealed(memory.fd)
    memory.close()


def test_memory_that_the_kernel_did_not_seal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writable shared mapping keeps F_SEAL_WRITE from being set."""
    memory = MemfdProvider().allocate("m", 4096)
    with mmap.mmap(memory.fd, 4096), pytest.raises(RejectedError, match="cannot be sealed"):
        memory.seal()
    memory.close()


def test_unsealed_or_other_descriptors_are_told_from_sealed_ones(sealed: Memory, tmp_path: Path) -> None:
    require_sealed(sealed.fd)
    memory = MemfdProvider().allocate("m", 4)
    with pytest.raises(RejectedError, match="not sealed"):
        require_sealed(memory.fd)
    with (tmp_path / "file").open("wb") as file, pytest.raises(RejectedError):
        require_sealed(file.fileno())
    memory.close()


def test_more_than_there_is_is_an_outage_and_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memfd, "find_available_bytes", lambda: 1000)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OutageError, match="1000 are left"):
        MemfdProvider().allocate("m", 1001)
    assert len(os.listdir("/proc/self/fd")) == before


def test_too_few_descriptors_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(name: str, flags: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", none_left)
    with pytest.raises(OutageError):
        MemfdProvider().allocate("m", 1)


def write_groups(folder: Path, limits: dict[str, tuple[str, int, str]]) -> None:
    for name, (limit, used, statistics) in limits.items():
        group = folder / name
        group.mkdir(parents=True, exist_ok=True)
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text(statistics)


def test_the_tightest_group_above_us_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = "anon 5\ninactive_file 300\nactive_file 100\n"
    write_groups(tmp_path / "cg", {"pod/app": ("max", 10, cache), "pod": ("5000", 2000, cache)})
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable:   50 kB\n")
    (tmp_path / "cgroup").write_text("0::/pod/app\n")
    monkeypatch.setattr(room, "_CGROUPS", tmp_path / "cg")
    monkeypatch.setattr(room, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(room, "_MEMBERSHIP", tmp_path / "cgroup")
    assert room.find_available_bytes() == 5000 - 2000 + 400
    write_groups(tmp_path / "cg", {"pod": ("1000000", 2000, cache)})
    assert room.find_available_bytes() == 50 * 1024


def test_a_host_that_says_nothing_has_no_known_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CGROUPS", "_MEMINFO", "_MEMBERSHIP"):
        monkeypatch.setattr(room, name, tmp_path / "nothing")
    assert room.find_available_bytes() is None
