"""No protection at all: file to file, file to memory. What everything else is measured by."""

from pathlib import Path

import meter
from memory import MemfdModel, only_file


def seal(source: Path, folder: Path) -> None:
    buffer = bytearray(meter.CHUNK_BYTES)
    with source.open("rb", buffering=0) as read, (folder / "copy.model").open("wb", buffering=0) as written:
        while size := read.readinto(buffer):
            written.write(memoryview(buffer)[:size])


def load(folder: Path) -> MemfdModel:
    path = only_file(folder)
    model = MemfdModel(path.stat().st_size)
    buffer = bytearray(meter.CHUNK_BYTES)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            model.append(memoryview(buffer)[:size])
    return model


if __name__ == "__main__":
    meter.main(seal, load)
