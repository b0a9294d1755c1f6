"""The contract of journals, run over a folder and its twin in memory; then what only files suffer."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.adapters.journals.local import LocalJournals
from strongroom.adapters.journals.memory import MemoryJournals
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.ports import JournalFiles
from strongroom.serve.gateway.book import Book

FIRST, SECOND, THIRD = "1" * 32, "0" * 32, "a" * 32


@dataclass
class Place:
    """Journals, and the hand of a gateway that writes them."""

    files: JournalFiles
    write: Callable[[str, bytes], None]


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        memory = MemoryJournals()
        return Place(memory, memory.files.__setitem__)
    written: list[str] = []

    def write(name: str, data: bytes) -> None:
        path = tmp_path / f"{name}.journal"
        path.write_bytes(data)
        if name not in written:
            written.append(name)
        # Times of files are coarse: say plainly which was first.
        os.utime(path, ns=(written.index(name) * 10**9,) * 2)

    return Place(LocalJournals(tmp_path), write)


def test_no_journals(place: Place) -> None:
    assert list(place.files.open_names()) == []
    assert list(place.files.names()) == []


def test_oldest_first(place: Place) -> None:
    for name in (FIRST, SECOND, THIRD):
        place.write(name, b"x")
    assert list(place.files.open_names()) == [FIRST, SECOND, THIRD]
    assert list(place.files.names()) == [FIRST, SECOND, THIRD]


def test_a_journal_is_held_while_its_gateway_lives(tmp_path: Path) -> None:
    book = Book()
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    book.open(folder)
    os.close(folder)
    journals = LocalJournals(tmp_path)
    assert journals.open_names() == [book.name]
    assert journals.is_held(book.name)
    assert journals.is_held(book.name), "asking does not let go of it"
    book.close()
    assert not journals.is_held(book.name)
    journals.close(book.name)
    assert not journals.is_held(book.name)


def test_a_journal_that_nobody_writes_is_not_held(place: Place) -> None:
    place.write(FIRST, b"x")
    assert not place.files.is_held(FIRST)


def test_read_by_ranges(place: Place) -> None:
    place.write(FIRST, b"0123456789")
    assert place.files.read(FIRST, 0, 4) == b"0123"
    assert place.files.read(FIRST, 4, 100) == b"456789"
    assert place.files.read(FIRST, 10, 4) == b""
    assert place.files.read(FIRST, 99, 4) == b""


def test_a_journal_that_grows(place: Place) -> None:
    place.write(FIRST, b"01")
    assert place.files.read(FIRST, 0, 10) == b"01"
    place.write(FIRST, b"0123")
    assert place.files.read(FIRST, 2, 10) == b"23"


def test_closed_is_no_longer_open_but_still_there(place: Place) -> None:
    place.write(FIRST, b"first")
    place.write(SECOND, b"second")
    place.files.close(FIRST)
    assert list(place.files.open_names()) == [SECOND]
    assert sorted(place.files.names()) == sorted([FIRST, SECOND])
    assert place.files.read(FIRST, 0, 10) == b"first"


def test_closing_twice_changes_nothing(place: Place) -> None:
    """The second fold after an answer that was lost."""
    place.write(FIRST, b"first")
    place.files.close(FIRST)
    place.files.close(FIRST)
    assert list(place.files.names()) == [FIRST]
    assert place.files.read(FIRST, 0, 10) == b"first"


@pytest.mark.parametrize("name", [THIRD, "", "../" + FIRST, FIRST.upper().replace("1", "A"), "a" * 31, "a/b"])
def test_no_such_journal(place: Place, name: str) -> None:
    place.write(FIRST, b"first")
    with pytest.raises(RejectedError):
        place.files.read(name, 0, 1)
    with pytest.raises(RejectedError):
        place.files.close(name)
    assert list(place.files.names()) == [FIRST]


def test_a_negative_range(place: Place) -> None:
    place.write(FIRST, b"first")
    for offset, limit in ((-1, 1), (0, -1)):
        with pytest.raises(InvalidError):
            place.files.read(FIRST, offset, limit)


# Files


def test_strangers_in_the_folder_are_no_journals(tmp_path: Path) -> None:
    (tmp_path / "notes.journal").write_bytes(b"x")
    (tmp_path / f"{FIRST}.journal.bak").write_bytes(b"x")
    (tmp_path / FIRST).write_bytes(b"x")
    assert LocalJournals(tmp_path).names() == []


def test_symbolic_link_in_place_of_a_journal(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / f"{FIRST}.journal").symlink_to(secret)
    with pytest.raises(StrongroomError):
        LocalJournals(tmp_path).read(FIRST, 0, 10)


def test_folder_or_pipe_in_place_of_a_journal(tmp_path: Path) -> None:
    (tmp_path / f"{FIRST}.journal").mkdir()
    os.mkfifo(tmp_path / f"{SECOND}.journal")
    for name in (FIRST, SECOND):
        with pytest.raises(RejectedError):
            LocalJournals(tmp_path).read(name, 0, 10)


def test_dangling_link_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / f"{FIRST}.journal").symlink_to(tmp_path / "gone")
    (tmp_path / f"{SECOND}.journal").write_bytes(b"second")
    assert SECOND in LocalJournals(tmp_path).names()


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    assert LocalJournals(tmp_path / "gone").names() == []
    with pytest.raises(RejectedError):
        LocalJournals(tmp_path / "gone").read(FIRST, 0, 1)


def test_close_into_a_place_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "closed").write_bytes(b"a file, not a folder")
    (tmp_path / f"{FIRST}.journal").write_bytes(b"first")
    with pytest.raises(OutageError):
        LocalJournals(tmp_path).close(FIRST)
    assert LocalJournals(tmp_path).read(FIRST, 0, 10) == b"first"


def test_close_never_replaces_a_closed_one(tmp_path: Path) -> None:
    """Somebody who may write the open folder must not overwrite what the log vouches for."""
    journals = LocalJournals(tmp_path)
    (tmp_path / f"{FIRST}.journal").write_bytes(b"true")
    journals.close(FIRST)
    (tmp_path / f"{FIRST}.journal").write_bytes(b"forged")
    with pytest.raises(RejectedError):
        journals.close(FIRST)
    assert (tmp_path / "closed" / f"{FIRST}.journal").read_bytes() == b"true"
