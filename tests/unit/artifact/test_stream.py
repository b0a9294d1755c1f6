import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from strongroom.artifact.sealed import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from strongroom.artifact.stream import seal, unseal, verify_root
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.values import Digest, ModelId, SealedEntry
from tests.unit.artifact.objects import DEK, MODEL, SALT, Octets, Sealed, make_sealed, some_bytes

SIZES = [0, 1, 15, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 3]
OTHER = ModelId.parse("fraud@1.3.0")


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_is_unsealed(size: int, threads: int) -> None:
    made = make_sealed(size, threads=threads)
    assert made.entry.sha256 == Digest(sha256(made.plain).digest())
    assert made.open(threads) == made.plain
    assert made.open(threads, full=True) == made.plain
    verify_root(Octets(made.content).read_into, made.entry, len(made.content), threads)


def test_the_same_input_gives_the_same_object_whatever_the_threads() -> None:
    assert make_sealed(threads=1) == make_sealed(threads=4)


def test_no_plaintext_is_in_the_object() -> None:
    made = make_sealed()
    for at in range(0, len(made.plain) - 16, 4096):
        assert made.plain[at : at + 16] not in made.content


def swap(a: int, b: int) -> Callable[[Sealed], Sealed]:
    def attack(made: Sealed) -> Sealed:
        chunks = [made.chunk(index) for index in range(4)]
        chunks[a], chunks[b] = chunks[b], chunks[a]
        return made.with_chunks(*chunks)

    return attack


def cut(size: int) -> Callable[[Sealed], Sealed]:
    return lambda made: replace(made, content=made.content[:-size])


def moved_from(other: Sealed) -> Callable[[Sealed], Sealed]:
    return lambda made: made.with_chunks(made.chunk(0), other.chunk(1), made.chunk(2), made.chunk(3))


def entry_with(**changes: object) -> Callable[[Sealed], Sealed]:
    return lambda made: replace(made, entry=replace(made.entry, **changes))  # type: ignore[arg-type]


LAST = HEADER_BYTES + 3 * SEALED_CHUNK_BYTES
ATTACKS: list[tuple[str, Callable[[Sealed], Sealed]]] = [
    ("cut by a byte", cut(1)),
    ("cut by the last tag", cut(TAG_BYTES)),
    ("cut by the last chunk", cut(5 + TAG_BYTES)),
    ("cut to the header", lambda made: replace(made, content=made.content[:HEADER_BYTES])),
    ("cut in the header", lambda made: replace(made, content=made.content[:100])),
    ("empty", lambda made: replace(made, content=b"")),
    ("appended byte", lambda made: replace(made, content=made.content + b"\x00")),
    ("appended chunk", lambda made: replace(made, content=made.content + made.chunk(3))),
    ("flip in magic", lambda made: made.with_flip(0)),
    ("flip in size", lambda made: made.with_flip(23)),
    ("flip in salt", lambda made: made.with_flip(32)),
    ("flip in commitment", lambda made: made.with_flip(64)),
    ("flip in model", lambda made: made.with_flip(98)),
    ("flip in path", lambda made: made.with_flip(112)),
    ("flip in padding", lambda made: made.with_flip(HEADER_BYTES - 1)),
    ("flip in first chunk", lambda made: made.with_flip(HEADER_BYTES)),
    ("flip in middle chunk", lambda made: made.with_flip(HEADER_BYTES + SEALED_CHUNK_BYTES + 77, 7)),
    ("flip in tag", lambda made: made.with_flip(HEADER_BYTES + CHUNK_BYTES)),
    ("flip in last tag", lambda made: made.with_flip(LAST + 5 + 15, 7)),
    ("swap", swap(1, 2)),
    ("swap with first", swap(0, 1)),
    ("repeat", lambda made: made.with_chunks(made.chunk(0), made.chunk(1), made.chunk(1), made.chunk(3))),
    ("drop", lambda made: made.with_chunks(made.chunk(0), made.chunk(2), made.chunk(3))),
    ("moved between versions", moved_from(make_sealed(model=OTHER))),
    ("moved between files", moved_from(make_sealed(path="other.onnx"))),
    ("moved between salts", moved_from(make_sealed(salt=bytes(32)))),
    ("foreign key", lambda made: replace(made, dek=bytes(32))),
    ("other version asked for", lambda made: replace(made, model=OTHER)),
    ("object of another version", lambda made: replace(made, content=make_sealed(model=OTHER).content)),
    ("object of another file", lambda made: replace(made, content=make_sealed(path="b.onnx").content)),
    (
        "older object of the same file",
        lambda made: replace(made, content=make_sealed(salt=bytes(32)).content),
    ),
    (
        "forged by the holder of the key",
        lambda made: replace(made, content=make_sealed(seed=b"evil").content),
    ),
    ("renamed entry", entry_with(path="other.onnx")),
    ("wrong commitment in the statement", entry_with(commitment=bytes(32))),
    ("short commitment in the statement", entry_with(commitment=b"")),
    ("wrong root in the statement", entry_with(root=bytes(32))),
    ("short root in the statement", entry_with(root=b"")),
    ("other size in the statement", entry_with(size_bytes=3 * CHUNK_BYTES)),
    ("size without bound in the statement", entry_with(size_bytes=2**63)),
]


@pytest.mark.parametrize(("attack", "change"), ATTACKS, ids=[name for name, _ in ATTACKS])
def test_an_attacked_object_does_not_unseal(attack: str, change: Callable[[Sealed], Sealed]) -> None:
    before = threading.active_count()
    with pytest.raises(RejectedError, match=r"^entry '"):
        change(make_sealed()).open()
    assert threading.active_count() == before


NEEDS_KEY = {"foreign key", "other version asked for"}


@pytest.mark.parametrize(("attack", "change"), ATTACKS, ids=[name for name, _ in ATTACKS])
def test_an_attacked_object_is_noticed_without_the_key(
    attack: str, change: Callable[[Sealed], Sealed]
) -> None:
    made = change(make_sealed())
    if attack in NEEDS_KEY:  # the object itself is untouched
        verify_root(Octets(made.content).read_into, made.entry, len(made.content))
        return
    with pytest.raises(RejectedError, match=r"^entry '"):
        verify_root(Octets(made.content).read_into, made.entry, len(made.content))


def test_the_failure_names_the_chunk() -> None:
    with pytest.raises(RejectedError, match=r"entry 'model.onnx': chunk 2 of 4 does not authenticate"):
        make_sealed().with_flip(HEADER_BYTES + 2 * SEALED_CHUNK_BYTES + 9).open()


def test_a_forgery_with_valid_tags_is_not_told_from_its_tags_but_from_the_signed_root() -> None:
    """Whoever holds the data key can make tags; the signed root is what they cannot make."""
    forged = replace(make_sealed(), content=make_sealed(seed=b"evil").content)
    with pytest.raises(RejectedError, match="signed root"):
        forged.open()


def test_no_byte_of_a_chunk_is_written_before_it_authenticates() -> None:
    made, written = make_sealed().with_flip(HEADER_BYTES + 3), []
    with pytest.raises(RejectedError):
        unseal(
            Octets(made.content).read_into,
            lambda offset, data: written.append((offset, bytes(data))),
            DEK,
            made.entry,
            MODEL,
            threads=1,
        )
    assert written == []


def test_full_compares_the_plaintext_with_its_digest() -> None:
    made = replace(make_sealed(), entry=replace(make_sealed().entry, sha256=Digest.of(b"other")))
    assert made.open() == made.plain
    with pytest.raises(RejectedError, match="SHA-256"):
        made.open(full=True)


@pytest.mark.parametrize("declared", [2 * CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 10 * CHUNK_BYTES])
def test_a_source_that_shrank_is_refused(declared: int) -> None:
    source = Octets(some_bytes(2 * CHUNK_BYTES))
    with pytest.raises(InvalidError, match="changed while it was read"):
        seal(source.read_into, Octets().write_at, declared, MODEL, "m.onnx", "o", SALT, DEK)


@pytest.mark.parametrize("declared", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES - 1])
def test_a_source_that_grew_is_refused(declared: int) -> None:
    source = Octets(some_bytes(2 * CHUNK_BYTES))
    with pytest.raises(InvalidError, match="changed while it was read"):
        seal(source.read_into, Octets().write_at, declared, MODEL, "m.onnx", "o", SALT, DEK)


@pytest.mark.parametrize("size", [-1, 2**40 + 1])
def test_sizes_to_seal_are_bounded_before_anything_is_read(size: int) -> None:
    def refuse(offset: int, buffer: memoryview) -> int:
        raise AssertionError("was read")

    with pytest.raises(InvalidError):
        seal(refuse, Octets().write_at, size, MODEL, "m.onnx", "o", SALT, DEK)


def test_a_path_that_leaves_its_folder_is_not_sealed() -> None:
    with pytest.raises(RejectedError):
        seal(Octets().read_into, Octets().write_at, 0, MODEL, "../m.onnx", "o", SALT, DEK)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_full_disk_stops_all_threads_at_once(threads: int) -> None:
    before, writes = threading.active_count(), []

    def full(offset: int, data: object) -> None:
        writes.append(offset)
        if offset:
            raise OutageError("disk: full")

    size = 64 * CHUNK_BYTES
    with pytest.raises(OutageError, match="full"):
        seal(Octets(bytes(size)).read_into, full, size, MODEL, "m.onnx", "o", SALT, DEK, threads)
    assert len(writes) <= 1 + threads
    assert threading.active_count() == before


def test_a_flipped_chunk_stops_all_threads_at_once() -> None:
    made = make_sealed(40 * CHUNK_BYTES).with_flip(HEADER_BYTES)
    written = []
    with pytest.raises(RejectedError, match="chunk 0 of 40"):
        unseal(
            Octets(made.content).read_into,
            lambda offset, data: written.append(offset),
            DEK,
            made.entry,
            MODEL,
            threads=2,
        )
    assert len(written) < 20


def test_an_interrupt_in_a_callback_stops_all_threads() -> None:
    before = threading.active_count()

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    made = make_sealed()
    with pytest.raises(KeyboardInterrupt):
        unseal(Octets(made.content).read_into, Octets().write_at, DEK, made.entry, MODEL, progress=interrupt)
    assert threading.active_count() == before


def test_progress_adds_up() -> None:
    made, done = make_sealed(), list[int]()
    unseal(Octets(made.content).read_into, Octets().write_at, DEK, made.entry, MODEL, progress=done.append)
    assert sum(done) == len(made.plain)


def test_an_error_of_the_store_passes_unchanged() -> None:
    made = make_sealed()

    def silent(offset: int, buffer: memoryview) -> int:
        if offset > HEADER_BYTES and len(buffer) > 2:
            raise OutageError("store: no answer")
        return Octets(made.content).read_into(offset, buffer)

    with pytest.raises(OutageError, match="no answer"):
        unseal(silent, Octets().write_at, DEK, made.entry, MODEL)


def test_an_object_that_changes_while_it_is_read_is_refused() -> None:
    """The header is read once and every later byte is bound to it; a second version swapped in fails."""
    first, second = make_sealed(), make_sealed(salt=bytes(32))
    state = Octets(first.content)

    def switching(offset: int, buffer: memoryview) -> int:
        if offset == HEADER_BYTES + SEALED_CHUNK_BYTES:
            state.content = bytearray(second.content)
        return state.read_into(offset, buffer)

    with pytest.raises(RejectedError):
        unseal(switching, Octets().write_at, DEK, first.entry, MODEL, threads=1)


@pytest.mark.parametrize("threads", [0, -1, 9, 1000])
def test_threads_are_bounded(threads: int) -> None:
    with pytest.raises(InvalidError):
        make_sealed(threads=threads)


def test_sealing_takes_little_memory() -> None:
    """32 MiB at most, whatever the size: nothing of the file is kept but 32 bytes a chunk."""
    size = 64 * CHUNK_BYTES
    zeros = bytes(CHUNK_BYTES)

    def read_zeros(offset: int, buffer: memoryview) -> int:
        count = max(0, min(len(buffer), size - offset))
        buffer[:count] = zeros[:count]
        return count

    tracemalloc.start()
    try:
        seal(read_zeros, lambda offset, data: None, size, MODEL, "m.onnx", "o", SALT, DEK)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * 2**20


def test_the_entry_says_what_was_sealed() -> None:
    made = make_sealed(7)
    assert made.entry == SealedEntry(
        "model.onnx", 7, Digest.of(made.plain), "fraud/1.2.0/0.sealed", made.content[64:96], made.entry.root
    )
