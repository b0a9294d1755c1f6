"""Write the vectors of sealed/1. What is written must never change: run it only to add to it."""

import json
from hashlib import shake_256
from pathlib import Path
from typing import Any

from strongroom.artifact.sealed import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES
from strongroom.artifact.stream import seal
from strongroom.values import ModelId, SealedEntry

FOLDER = Path(__file__).parent
DEK = bytes.fromhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
MODEL = "fraud@1.2.0"
SIZES = {"empty": 0, "small": 100, "three-chunks": 2 * CHUNK_BYTES + 37}


def make(
    name: str,
    size: int,
    model: str = MODEL,
    path: str = "model.onnx",
    salt: str = "",
    dek: bytes = DEK,
    seed: str = "",
) -> tuple[bytes, SealedEntry, bytes]:
    """Seal a plaintext made from the seed; salts are made from the name, which no real sealer may do."""
    plain = shake_256((seed or name).encode()).digest(size)
    out = bytearray(HEADER_BYTES + size + 16 * max(1, -(-size // CHUNK_BYTES)))

    def read_into(offset: int, buffer: memoryview) -> int:
        piece = plain[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def write_at(offset: int, data: bytes | bytearray | memoryview) -> None:
        out[offset : offset + len(data)] = data

    salted = shake_256(f"salt of {salt or name}".encode()).digest(32)
    entry = seal(read_into, write_at, size, ModelId.parse(model), path, "0.sealed", salted, dek, 1)
    return bytes(out), entry, plain


def describe(entry: SealedEntry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "size": entry.size_bytes,
        "sha256": entry.sha256.hex,
        "commitment": entry.commitment.hex(),
        "root": entry.root.hex(),
    }


def flip(at: int, bit: int = 0) -> dict[str, Any]:
    return {"op": "flip", "at": at, "bit": bit}


def put(at: int, data: bytes) -> dict[str, Any]:
    return {"op": "put", "at": at, "bytes": data.hex()}


def chunk_at(index: int) -> int:
    return HEADER_BYTES + index * SEALED_CHUNK_BYTES


def attacks() -> dict[str, dict[str, Any]]:
    """Name -> attack; see README.md."""
    big, small, size = "three-chunks", "small", SIZES["three-chunks"]
    _, entry, _ = make(small, 100)
    last = chunk_at(2)
    end = last + 37 + 16

    def last_chunk_of(**other: Any) -> dict[str, Any]:
        content, _, _ = make(big, size, **other)
        return put(last, content[last:])

    def whole(**other: Any) -> dict[str, Any]:
        content, _, _ = make(small, 100, **other)
        return put(0, content)

    def bad(of: str, because: str, message: str, *edits: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"of": of, "expect": "refused", "because": because, "message": message, "edits": edits, **more}

    tag, chunk, commitment = "the tag", "does not authenticate", "the commitment"
    return {
        "cut-empty": bad(small, "the header", "cut", {"op": "cut", "size": 0}),
        "cut-in-header": bad(small, "the header", "cut", {"op": "cut", "size": 4095}),
        "cut-after-header": bad(small, "the size", "is cut", {"op": "cut", "size": 4096}),
        "cut-last-byte": bad(small, "the size", "is cut", {"op": "cut", "size": 4096 + 115}),
        "cut-last-chunk": bad(big, "the size", "is cut", {"op": "cut", "size": last}),
        "cut-last-chunk-and-size": bad(
            big,
            commitment,
            "commitment",
            put(16, (2 * CHUNK_BYTES).to_bytes(8, "big")),
            {"op": "cut", "size": last},
            entry={"size": 2 * CHUNK_BYTES},
        ),
        "append-byte": bad(small, "the size", "appended", {"op": "append", "bytes": "00"}),
        "append-chunk": bad(small, "the size", "appended", {"op": "append", "bytes": "00" * 116}),
        "append-to-empty": bad("empty", "the size", "appended", {"op": "append", "bytes": "00" * 16}),
        "flip-magic": bad(small, "the magic", "not a sealed object", flip(3)),
        "flip-version": bad(small, "the version", "version 2 is not known", put(15, b"\x02")),
        "flip-size": bad(small, "the statement", "another size", flip(23)),
        "flip-size-also-in-entry": bad(small, "the size", "is cut", flip(23), entry={"size": 101}),
        "flip-chunk-size": bad(small, "the chunk size", "chunk size", flip(26)),
        "flip-reserved": bad(small, "the zero field", "flag", flip(31)),
        "flip-salt": bad(small, commitment, "commitment does not hold", flip(40)),
        "flip-commitment": bad(small, "the statement", "not the signed one", flip(64)),
        "flip-commitment-also-in-entry": bad(
            small,
            commitment,
            "commitment does not hold",
            flip(64, 7),
            entry={"commitment": bytes([entry.commitment[0] ^ 128, *entry.commitment[1:]]).hex()},
        ),
        "flip-model": bad(small, "the caller's model", "sealed for fraud@1.3.0", put(106, b"3")),
        "flip-model-also-asked": bad(
            small, commitment, "commitment does not hold", put(106, b"3"), model="fraud@1.3.0"
        ),
        "flip-path": bad(small, "the statement", "sealed as", put(111, b"n")),
        "flip-path-also-in-entry": bad(
            small, commitment, "commitment does not hold", put(111, b"n"), entry={"path": "nodel.onnx"}
        ),
        "path-leaves-folder": bad(
            small,
            "the path rules",
            "leaves its folder",
            put(111, b"../el.onnx"),
            entry={"path": "../el.onnx"},
        ),
        "path-not-utf8": bad(small, "the path rules", "not UTF-8", put(111, b"\xff")),
        "flip-padding": bad(small, "the padding", "not zero", flip(4095)),
        "flip-chunk-first": bad(big, tag, "chunk 0 of 3 does not authenticate", flip(chunk_at(0))),
        "flip-chunk-middle": bad(
            big, tag, "chunk 1 of 3 does not authenticate", flip(chunk_at(1) + 12345, 5)
        ),
        "flip-chunk-last": bad(big, tag, "chunk 2 of 3 does not authenticate", flip(last + 36, 7)),
        "flip-tag": bad(big, tag, "chunk 0 of 3 does not authenticate", flip(chunk_at(1) - 1)),
        "flip-last-tag": bad(big, tag, "chunk 2 of 3 does not authenticate", flip(end - 1)),
        "flip-tag-of-empty": bad("empty", tag, "chunk 0 of 1 does not authenticate", flip(4096)),
        "swap-chunks": bad(big, "the index", chunk, {"op": "swap", "chunks": [0, 1]}),
        "repeat-chunk": bad(big, "the index", "chunk 1 of 3", {"op": "copy", "from": 0, "to": 1}),
        "drop-chunk": bad(big, "the size", "is cut", {"op": "drop", "chunk": 1}),
        "drop-chunk-and-size": bad(
            big,
            commitment,
            "commitment does not hold",
            {"op": "drop", "chunk": 1},
            put(16, (CHUNK_BYTES + 37).to_bytes(8, "big")),
            entry={"size": CHUNK_BYTES + 37},
        ),
        "chunk-of-another-version": bad(big, "the key", "chunk 2 of 3", last_chunk_of(model="fraud@1.3.0")),
        "chunk-of-another-file": bad(big, "the key", "chunk 2 of 3", last_chunk_of(path="other.onnx")),
        "chunk-of-another-seal": bad(big, "the key", "chunk 2 of 3", last_chunk_of(salt="another")),
        "object-of-another-version": bad(small, "the model", "sealed for", whole(model="fraud@1.3.0")),
        "object-of-another-file": bad(small, "the path", "sealed as", whole(path="other.onnx")),
        "object-of-another-seal": bad(small, "the statement", "not the signed one", whole(salt="another")),
        "object-of-another-key": bad(small, "the statement", "not the signed one", whole(dek=bytes(32))),
        "forged-with-the-data-key": bad(small, "the root", "signed root", whole(seed="evil")),
        "foreign-key": bad(small, commitment, "commitment does not hold", dek="ff" * 32),
        "foreign-key-of-empty": bad("empty", commitment, "commitment does not hold", dek="ff" * 32),
        "renamed-entry": bad(small, "the path", "sealed as", entry={"path": "other.onnx"}),
        "wrong-commitment": bad(
            small, "the statement", "not the signed one", entry={"commitment": "00" * 32}
        ),
        "wrong-root": bad(small, "the root", "signed root", entry={"root": "00" * 32}),
        "wrong-digest": bad(small, "the digest", "SHA-256", entry={"sha256": "00" * 32}),
        "another-model-asked": bad(small, "the model", "sealed for", model="fraud@1.2.1"),
    }


def files() -> dict[str, bytes]:
    """All files of this folder that are made, by name."""
    made: dict[str, bytes] = {}
    for name, size in SIZES.items():
        content, entry, _ = make(name, size)
        good = {
            "expect": "opens", "dek": DEK.hex(), "model": MODEL, "entry": describe(entry),
            "plaintext": {"seed": name, "size": size},
        }  # fmt: skip
        made[f"{name}.sealed"] = content
        made[f"{name}.json"] = _text(good)
    made.update({f"bad/{name}.json": _text(attack) for name, attack in attacks().items()})
    return made


def _text(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


if __name__ == "__main__":
    for name, content in files().items():
        target = FOLDER / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
