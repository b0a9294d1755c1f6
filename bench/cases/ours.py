"""Strongroom: hash, encrypt, store in one pass; authenticate, decrypt into a sealed memfd in one."""

import json
import os
import sys
from pathlib import Path

import meter

from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.memory.memfd import MemfdProvider
from strongroom.adapters.sources.local import LocalSource
from strongroom.artifact import stream
from strongroom.ports import Memory
from strongroom.values import Digest, ModelId, SealedEntry

_MODEL = ModelId.parse("bench@1.0.0")
_OBJECT = "bench/1.0.0/0.sealed"
_DEK = bytes(range(32))
_THREADS = int(sys.argv[5]) if len(sys.argv) > 5 else 2


class _Sealed:
    def __init__(self, memory: Memory, size_bytes: int) -> None:
        self._memory = memory
        self.hidden_bytes = size_bytes

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._memory.fd, size, offset)


def seal(source: Path, folder: Path) -> meter.Finish:
    opened = LocalSource(source)
    (file,) = opened.files
    writer = LocalBlobStore(folder / "blobs").create(_OBJECT, file.size)
    entry = stream.seal(
        file.read_into,
        writer.write_at,
        file.size,
        _MODEL,
        "model.onnx",
        _OBJECT,
        os.urandom(32),
        _DEK,
        threads=_THREADS,
    )
    facts = [entry.path, entry.size_bytes, str(entry.sha256), entry.commitment.hex(), entry.root.hex()]
    (folder / "entry.json").write_text(json.dumps(facts))
    return writer.commit


def load(folder: Path) -> _Sealed:
    path, size, digest, commitment, root = json.loads((folder / "entry.json").read_text())
    entry = SealedEntry(
        path, size, Digest.parse(digest), _OBJECT, bytes.fromhex(commitment), bytes.fromhex(root)
    )
    reader = LocalBlobStore(folder / "blobs").open(_OBJECT)
    memory = MemfdProvider().allocate("model", size)
    stream.unseal(reader.read_into, memory.write_at, _DEK, entry, _MODEL, threads=_THREADS)
    memory.seal()
    return _Sealed(memory, size)


if __name__ == "__main__":
    meter.main(seal, load)
