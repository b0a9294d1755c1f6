import zlib
from pathlib import Path

import pytest

from strongroom.artifact import images
from strongroom.artifact.images import read_image
from strongroom.errors import RejectedError
from tests.unit.artifact.objects import Octets

SAMPLES = Path(__file__).parents[2] / "vectors" / "beside"
PICTURES = [
    "notes.png",
    "plain.jpg",
    "progressive.jpg",
    "still.gif",
    "moving.gif",
    "lossy.webp",
    "lossless.webp",
]
PICKLE = b"cos\nsystem\n(S'id'\ntR."


def load(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def read(content: bytes) -> str:
    return "\n".join(read_image(Octets(content).read_at, len(content)))


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def with_chunk(part: bytes) -> bytes:
    png = load("notes.png")
    return png[:33] + part + png[33:]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_read(name: str) -> None:
    read(load(name))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("notes.png", ["Comment: hello there", "again again", "schön"]),
        ("plain.jpg", ["hello there"]),
        ("still.gif", ["hello there"]),
        ("progressive.jpg", ["a description"]),
        ("lossy.webp", ["a description"]),
    ],
)
def test_their_words_are_found(name: str, words: list[str]) -> None:
    text = read(load(name))
    assert all(word in text for word in words)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("tail", [b"\0", PICKLE, b"\xff\xd9", b"\x3b"])
def test_bytes_behind_the_end_are_refused(name: str, tail: bytes) -> None:
    with pytest.raises(RejectedError):
        read(load(name) + tail)


@pytest.mark.parametrize("name", PICTURES)
def test_every_cut_is_refused(name: str) -> None:
    content = load(name)
    for size in range(len(content)):
        with pytest.raises(RejectedError):
            read(content[:size])


@pytest.mark.parametrize(
    ("attack", "content"),
    [
        ("a part that nobody knows", with_chunk(chunk(b"evIL", PICKLE))),
        ("a wrong checksum", with_chunk(chunk(b"tEXt", b"a\0b")[:-1] + b"x")),
        ("a second header", with_chunk(chunk(b"IHDR", bytes(13)))),
        ("no header", load("notes.png")[:8] + load("notes.png")[33:]),
        ("a comment that is no stream", with_chunk(chunk(b"zTXt", b"a\0\0junk"))),
        ("a comment that is a bomb", with_chunk(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21))))),
        (
            "a comment with more behind it",
            with_chunk(chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x") + PICKLE)),
        ),
        ("a segment that nobody knows", b"\xff\xd8\xff\x02\x00\x04xx" + load("plain.jpg")[2:]),
        ("a block that nobody knows", load("still.gif")[:-1] + b"\x99;"),
        ("a part of WebP that nobody knows", load("lossless.webp").replace(b"VP8L", b"EVIL")),
    ],
)
def test_what_pictures_do_not_have_is_refused(attack: str, content: bytes) -> None:
    with pytest.raises(RejectedError):
        read(content)


def test_pictures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BLOCKS", 2)
    for name in ("notes.png", "plain.jpg", "moving.gif"):
        with pytest.raises(RejectedError):
            read(load(name))
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(RejectedError, match="more than 10"):
        read(load("notes.png"))
