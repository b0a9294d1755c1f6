import struct
from hashlib import sha256

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.artifact import sealed
from strongroom.artifact.sealed import CHUNK_BYTES, HEADER_BYTES, Header, build, derive
from strongroom.errors import InvalidError, RejectedError
from strongroom.values import ModelId
from tests.unit.artifact.objects import DEK, MODEL, SALT, make_sealed


def header(**changes: object) -> Header:
    fields = {"model": MODEL, "path": "model.onnx", "size_bytes": 10, "salt": SALT, "commitment": bytes(32)}
    return Header(**{**fields, **changes})  # type: ignore[arg-type]


def edited(at: int, replacement: bytes) -> bytes:
    data = bytearray(header().to_bytes())
    data[at : at + len(replacement)] = replacement
    return bytes(data)


def test_the_header_lies_where_the_format_says() -> None:
    data = header(path="pfad/modèle.onnx").to_bytes()
    assert len(data) == 4096
    assert data[:16] == b"strongroom-seal\x01"
    assert struct.unpack(">QII", data[16:32]) == (10, 1048576, 0)
    assert (data[32:64], data[64:96]) == (SALT, bytes(32))
    assert data[96:109] == b"\x00\x0bfraud@1.2.0"
    assert data[109:].startswith(b"\x00\x11pfad/mod\xc3\xa8le.onnx\x00")


def test_a_header_survives_the_round_trip_and_only_that() -> None:
    assert Header.parse(header().to_bytes()) == header()


@pytest.mark.parametrize(
    ("attack", "data"),
    [
        ("cut", header().to_bytes()[:-1]),
        ("appended", header().to_bytes() + b"\x00"),
        ("empty", b""),
        ("other file", b"\x08\x08" + bytes(4094)),
        ("next version", edited(15, b"\x02")),
        ("smaller chunks", edited(24, (65536).to_bytes(4, "big"))),
        ("chunk size zero", edited(24, bytes(4))),
        ("flag", edited(31, b"\x01")),
        ("size beyond 1 TiB", edited(16, (2**40 + 1).to_bytes(8, "big"))),
        ("size overflows", edited(16, b"\xff" * 8)),
        ("no model", edited(96, b"\x00\x00")),
        ("model name beyond the header", edited(96, b"\xff\xff")),
        ("model without version", edited(98, b"fraud-1.2.0")),
        ("other spelling of the model", edited(98, b"Fraud@1.2.0")),
        ("path leaves its folder", edited(111, b"../l.onnx")),
        ("path not UTF-8", edited(111, b"\xff")),
        ("path with NUL", edited(111, b"\x00")),
        ("path of length zero", edited(109, b"\x00\x00")),
        ("path beyond its limit", edited(109, b"\x04\x01")),
        ("padding", edited(4095, b"\x01")),
        ("padding after the names", edited(122, b"x")),
    ],
)
def test_a_header_that_is_not_exactly_sealed_1_is_refused(attack: str, data: bytes) -> None:
    with pytest.raises(RejectedError):
        Header.parse(data)


def test_the_longest_names_fit() -> None:
    longest = header(model=ModelId.parse(f"{'f' * 63}@1.0.0-{'r' * 58}"), path="é" * 512)
    assert len(str(longest.model)) == 128
    assert Header.parse(longest.to_bytes()) == longest


def test_key_and_commitment_are_hkdf_over_the_header_without_its_commitment() -> None:
    built, key = build(DEK, SALT, MODEL, "model.onnx", 5)
    blank = header(size_bytes=5).to_bytes()
    derived = HKDF(SHA512(), 64, SALT, b"strongroom/sealed/1\x00" + blank).derive(DEK)
    assert built.commitment == derived[32:]
    out = memoryview(bytearray(21))
    key.encrypt(0, memoryview(b"hello"), out)
    aad = sha256(built.to_bytes()).digest() + (0).to_bytes(8, "big") + b"\x01"
    assert bytes(out) == AESGCM(derived[:32]).encrypt(bytes(12), b"hello", aad)


def test_a_foreign_key_fails_at_the_commitment() -> None:
    built, _ = build(DEK, SALT, MODEL, "model.onnx", 5)
    with pytest.raises(RejectedError, match="commitment"):
        derive(bytes(32), built)


@pytest.mark.parametrize(
    "change",
    [{"size_bytes": 6}, {"path": "other.onnx"}, {"salt": bytes(32)}, {"model": ModelId.parse("fraud@1.2.1")}],
)
def test_an_edited_header_fails_at_the_commitment(change: dict[str, object]) -> None:
    built, _ = build(DEK, SALT, MODEL, "model.onnx", 5)
    with pytest.raises(RejectedError, match="commitment"):
        derive(DEK, header(**{"size_bytes": 5, "commitment": built.commitment, **change}))


@pytest.mark.parametrize("dek", [b"", bytes(31), bytes(33)])
def test_a_data_key_has_32_bytes(dek: bytes) -> None:
    with pytest.raises(InvalidError):
        build(dek, SALT, MODEL, "model.onnx", 5)


@pytest.mark.parametrize("salt", [b"", bytes(16), bytes(33)])
def test_a_salt_has_32_bytes(salt: bytes) -> None:
    with pytest.raises(RejectedError):
        build(DEK, salt, MODEL, "model.onnx", 5)


@pytest.mark.parametrize(
    ("size", "chunks"),
    [(0, 1), (1, 1), (CHUNK_BYTES - 1, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2), (2**40, 2**20)],
)
def test_object_sizes(size: int, chunks: int) -> None:
    assert sealed.count_chunks(size) == chunks
    assert sealed.object_size(size) == 4096 + size + 16 * chunks


def test_the_root_covers_the_header_and_every_chunk_hash() -> None:
    made = make_sealed()
    hashes = b"".join(blake3(made.chunk(index)).digest() for index in range(4))
    assert made.entry.root == blake3(made.content[:HEADER_BYTES] + hashes).digest()


def test_a_key_never_shows() -> None:
    _, key = build(DEK, SALT, MODEL, "model.onnx", 5)
    assert DEK.hex() not in repr(key)
    assert not hasattr(key, "__dict__")
