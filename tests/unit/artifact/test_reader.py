from dataclasses import replace

import pytest

from strongroom.artifact.reader import SealedReader
from strongroom.artifact.sealed import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES
from strongroom.errors import InvalidError, RejectedError
from strongroom.values import ModelId
from tests.unit.artifact.objects import DEK, MODEL, Octets, Sealed, make_sealed

SIZE = 6 * CHUNK_BYTES + 5


def reader(made: Sealed) -> SealedReader:
    return SealedReader(Octets(made.content).read_into, made.dek, made.entry, made.model)


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (0, 10),
        (CHUNK_BYTES - 3, 6),
        (CHUNK_BYTES, CHUNK_BYTES),
        (10, 3 * CHUNK_BYTES),
        (SIZE - 5, 5),
        (SIZE - 5, 500),
        (SIZE, 10),
        (SIZE + 2**50, 10),
        (0, 0),
        (0, SIZE),
    ],
)
def test_any_range_is_what_was_sealed(offset: int, size: int) -> None:
    made = make_sealed(SIZE)
    with reader(made) as opened:
        assert opened.read_at(offset, size) == made.plain[offset : offset + size]
        assert opened.size == SIZE


def test_an_empty_file_reads_as_nothing() -> None:
    assert reader(make_sealed(0)).read_at(0, 10) == b""


@pytest.mark.parametrize(("offset", "size"), [(-1, 5), (0, -1)])
def test_negative_ranges_are_refused(offset: int, size: int) -> None:
    with pytest.raises(InvalidError):
        reader(make_sealed(5)).read_at(offset, size)


def test_a_flipped_chunk_is_refused_when_it_is_read_and_never_served_from_memory() -> None:
    opened = reader(make_sealed(SIZE).with_flip(HEADER_BYTES + 2 * SEALED_CHUNK_BYTES))
    assert opened.read_at(0, 5)
    for _ in range(2):
        with pytest.raises(RejectedError, match="chunk 2 of 7"):
            opened.read_at(2 * CHUNK_BYTES, 1)


@pytest.mark.parametrize(
    ("attack", "made"),
    [
        ("foreign key", replace(make_sealed(), dek=bytes(32))),
        ("other version", replace(make_sealed(), model=ModelId.parse("fraud@9.9.9"))),
        ("renamed entry", replace(make_sealed(), entry=replace(make_sealed().entry, path="b"))),
        ("cut", replace(make_sealed(), content=make_sealed().content[:-1])),
        ("appended", replace(make_sealed(), content=make_sealed().content + b"!")),
    ],
)
def test_an_object_that_is_not_the_one_bound_does_not_open(attack: str, made: Sealed) -> None:
    with pytest.raises(RejectedError):
        reader(made)


def test_few_chunks_are_kept_and_closing_wipes_them() -> None:
    made = make_sealed(SIZE)
    reads = []

    def counted(offset: int, buffer: memoryview) -> int:
        reads.append(offset)
        return Octets(made.content).read_into(offset, buffer)

    opened = SealedReader(counted, DEK, made.entry, MODEL)
    reads.clear()
    for _ in range(3):
        opened.read_at(0, 10)
    assert len(reads) == 1
    opened.read_at(0, SIZE)
    kept = list(opened._kept.values())
    assert len(kept) == 4
    opened.close()
    assert not any(any(chunk) for chunk in kept)
    assert opened.read_at(0, 10) == made.plain[:10]


def test_short_pieces_are_read_once_and_forgotten_when_closed() -> None:
    """Headers lie chunks apart and are read by scan and inspection alike; each costs a chunk."""
    made, reads = make_sealed(SIZE), []
    octets = Octets(made.content)

    def read_into(offset: int, buffer: memoryview) -> int:
        reads.append(offset)
        return octets.read_into(offset, buffer)

    opened = SealedReader(read_into, made.dek, made.entry, made.model)
    first = [opened.read_at(index * CHUNK_BYTES + 7, 100) for index in range(7)]
    count = len(reads)
    assert [opened.read_at(index * CHUNK_BYTES + 30, 5) for index in range(7)] == [
        made.plain[index * CHUNK_BYTES + 30 :][:5] for index in range(7)
    ]
    again = [opened.read_at(index * CHUNK_BYTES + 7, 100) for index in range(7)]
    assert (len(reads), again) == (count, first)
    assert again[3] == made.plain[3 * CHUNK_BYTES + 7 :][:100]
    opened.close()
    assert opened.read_at(7, 100) == first[0]
    assert len(reads) == count + 1


def test_memory_of_a_chunk_is_used_again_without_what_was_in_it() -> None:
    made = make_sealed(SIZE)
    with reader(made) as opened:
        for index in [*range(7), 0, 6, 5]:
            start = index * CHUNK_BYTES
            found = opened.read_at(start, 2 * CHUNK_BYTES)
            assert found == made.plain[start : start + 2 * CHUNK_BYTES]
