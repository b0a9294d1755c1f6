import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard

from strongroom.artifact import compression
from strongroom.artifact.compression import MAX_RATIO, RATIO_FREE_BYTES, unpack
from strongroom.errors import RejectedError
from tests.unit.artifact.objects import Octets, some_bytes

KINDS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
    "zlib": lambda data: zlib.compress(data, 1),
}
REPEATED = ("gzip", "bzip2", "xz", "zstd", "lz4")
DATA = some_bytes(5000) * 3


def run(content: bytes, limit: int = 2**25, spent: list[int] | None = None) -> bytes:
    spend = (lambda size: None) if spent is None else spent.append
    return bytes(unpack(Octets(content).read_at, len(content), limit, spend))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_packed_comes_out(kind: str) -> None:
    spent: list[int] = []
    assert run(KINDS[kind](DATA), len(DATA), spent) == DATA
    assert sum(spent) == len(DATA)


@pytest.mark.parametrize("kind", REPEATED)
def test_streams_one_behind_the_other_are_one(kind: str) -> None:
    assert run(KINDS[kind](b"a" * 100) + KINDS[kind](b"b" * 100)) == b"a" * 100 + b"b" * 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"x", bytes(512), b"\x80\x04N.", gzip.compress(b"")[:9]])
def test_bytes_behind_the_end_are_refused(kind: str, tail: bytes) -> None:
    with pytest.raises(RejectedError):
        run(KINDS[kind](DATA) + tail)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_of_another_kind_behind_the_end_is_refused(kind: str) -> None:
    other = "bzip2" if kind == "gzip" else "gzip"
    with pytest.raises(RejectedError, match="behind"):
        run(KINDS[kind](DATA) + KINDS[other](DATA))


@pytest.mark.parametrize("kind", ["lzma", "zlib"])
def test_a_second_stream_that_readers_do_not_look_for_is_refused(kind: str) -> None:
    with pytest.raises(RejectedError, match="behind"):
        run(KINDS[kind](DATA) * 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 9, 4000])
def test_a_cut_stream_is_refused(kind: str, cut: int) -> None:
    with pytest.raises(RejectedError):
        run(KINDS[kind](DATA)[:-cut])


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zlib"])
def test_an_altered_stream_is_refused(kind: str) -> None:
    packed = bytearray(KINDS[kind](DATA))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(RejectedError):
        run(bytes(packed))


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_than_the_limit_is_unpacked(kind: str) -> None:
    spent: list[int] = []
    with pytest.raises(RejectedError, match="more than 1000 bytes"):
        run(KINDS[kind](some_bytes(10**6)), 1000, spent)
    assert sum(spent) <= 2 * compression.PIECE_BYTES


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_goes_off_early(kind: str) -> None:
    content = KINDS[kind](bytes(RATIO_FREE_BYTES * 4))
    assert len(content) * MAX_RATIO < RATIO_FREE_BYTES * 4
    spent: list[int] = []
    with pytest.raises(RejectedError, match="bomb"):
        run(content, 2**30, spent)
    assert sum(spent) < RATIO_FREE_BYTES * 4


def test_what_asks_for_much_memory_is_refused() -> None:
    big = zstandard.ZstdCompressionParameters(window_log=28)
    packer = zstandard.ZstdCompressor(compression_params=big).compressobj()
    with pytest.raises(RejectedError, match="memory"):
        run(packer.compress(b"x" * 100) + packer.flush())
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**29}]
    with pytest.raises(RejectedError, match="memory"):
        run(lzma.compress(b"x" * 100, filters=filters))


def test_streams_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_STREAMS", 2)
    with pytest.raises(RejectedError):
        run(gzip.compress(b"") * 3)


@pytest.mark.parametrize("head", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x50\x2a\x4d\x18", b"", b"text"])
def test_what_cannot_be_unpacked_is_refused(head: bytes) -> None:
    with pytest.raises(RejectedError, match="not unpacked here"):
        run(head + bytes(100))
