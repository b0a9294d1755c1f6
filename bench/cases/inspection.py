"""What scanning and inspecting adds to sealing, as `strongroom publish` does it: in one process, warm.

``inspection.py SOURCE FOLDER``. Prints JSON: processor seconds of each, and bytes unsealed again.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import meter

import strongroom.flows.publish  # what a publishing process has loaded before it begins  # noqa: F401
from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.sources.local import LocalSource
from strongroom.artifact import stream
from strongroom.artifact.inspect import inspect
from strongroom.scan.scan import Source
from strongroom.scan.upload import scan_upload
from strongroom.values import ModelId

_MODEL = ModelId.parse("bench@1.0.0")
_DEK = bytes(range(32))


def main() -> None:
    source, folder = LocalSource(Path(sys.argv[1])), Path(sys.argv[2])
    for file in source.files:
        _read_through(file.read_into)
    store = LocalBlobStore(folder / "blobs")
    began = _processor_s()
    sealed = []
    for index, file in enumerate(source.files):
        name = f"bench/1.0.0/{index}.sealed"
        writer = store.create(name, file.size)
        sealed.append(
            stream.seal(
                file.read_into, writer.write_at, file.size, _MODEL, file.path, name, os.urandom(32), _DEK
            )
        )
        writer.commit()
    seal_s = _processor_s() - began
    read_bytes = 0

    def counted(read_into: Callable[[int, memoryview], int]) -> Callable[[int, memoryview], int]:
        def read(offset: int, buffer: memoryview) -> int:
            nonlocal read_bytes
            found = read_into(offset, buffer)
            read_bytes += found
            return found

        return read

    seconds = []
    for _ in range(2):
        read_bytes = 0
        began = _processor_s()
        with ExitStack() as stack:
            entries: dict[str, Source] = {}
            for entry in sealed:
                blob = store.open(entry.object)
                stack.callback(blob.close)
                reader = stack.enter_context(
                    stream.SealedReader(counted(blob.read_into), _DEK, entry, _MODEL)
                )
                entries[entry.path] = (reader.read_at, entry.size_bytes)
            report = scan_upload(entries)
            inspect(entries)
        seconds.append(_processor_s() - began)
    print(
        json.dumps(
            {
                "seal_s": seal_s,
                "first_s": seconds[0],
                "again_s": seconds[1],
                "read_bytes": read_bytes,
                "verdict": report.verdict,
            }
        )
    )


def _read_through(read_into: Callable[[int, memoryview], int]) -> None:
    buffer, offset = memoryview(bytearray(meter.CHUNK_BYTES)), 0
    while found := read_into(offset, buffer):
        offset += found


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
