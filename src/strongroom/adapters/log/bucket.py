"""What the log does with objects, small and large, in the terms of `BlobStore`."""

from contextlib import suppress

from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import BlobReader, BlobStore

_SMALL_BYTES = 8 * 2**20
"""What every store takes in one piece."""


class Bucket:
    """`Pieces` that are objects, and how they get there."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def find(self, path: str, limit: int) -> bytes | None:
        """Return an object, None if there is none. Raises RejectedError if it is larger than ``limit``."""
        reader = self._open(path)
        if reader is None:
            return None
        try:
            if reader.size > limit:
                raise RejectedError(f"log: {path} is larger than {limit} bytes")
            data = bytearray(reader.size)
            read = reader.read_into(0, memoryview(data))
        finally:
            reader.close()
        if read != len(data):
            raise RejectedError(f"log: {path} is shorter than it was")
        return bytes(data)

    def has(self, path: str) -> bool:
        reader = self._open(path)
        if reader is not None:
            reader.close()
        return reader is not None

    def partial_widths(self, path: str) -> list[str]:
        return [name.rpartition("/")[2] for name in self._blobs.list(f"{path}.p")]

    def is_filled(self, prefix: str) -> bool:
        return next(iter(self._blobs.list(prefix)), None) is not None

    def put_new(self, path: str, data: bytes) -> None:
        """Raises InvalidError if there is such an object already."""
        if len(data) <= _SMALL_BYTES:
            self._blobs.put_new(path, data)
            return
        writer = self._blobs.create(path, len(data))
        try:
            writer.write_at(0, data)
            writer.commit()
        finally:
            writer.discard()

    def put_same(self, path: str, data: bytes) -> None:
        """Make an object that another sequencer may have made too.

        Raises:
            RejectedError: there is one with other content.
        """
        with suppress(InvalidError):
            self.put_new(path, data)
            return
        if self.find(path, len(data)) != data:
            raise RejectedError(f"log: {path} holds something else than the records make")

    def replace(self, path: str, data: bytes) -> None:
        self._blobs.replace(path, data)

    def delete_below(self, prefix: str) -> None:
        for name in list(self._blobs.list(prefix)):
            self._blobs.delete(name)

    def _open(self, path: str) -> BlobReader | None:
        try:
            return self._blobs.open(path)
        except RejectedError:
            return None
