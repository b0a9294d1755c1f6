"""What a cloud's adapter supplies to `remote.RemoteBlobStore`: how to write, and what the bucket is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from strongroom.adapters.blobs.place import Place
from strongroom.errors import RejectedError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES = 16 * 2**20
"""A part of an object that is sent in several; more if there would be more than `MAX_PARTS`."""
MAX_PARTS = 8000
"""Below the 10,000 of S3 and the 50,000 blocks of Azure."""
MAX_OBJECT_BYTES = 2**40 + 2**32
"""One entry of the largest model, sealed."""
SENDING_THREADS = 2


def part_size(size: int) -> int:
    """Bytes of every part but the last, a multiple of 1 MiB."""
    least = -(-size // MAX_PARTS)
    return max(PART_BYTES, -(-least // 2**20) * 2**20)


@dataclass(frozen=True, slots=True)
class Posture:
    """What a cloud says of a bucket; None where it would not say."""

    public: bool | None
    encrypted: bool | None
    detail: str = ""
    """For people: by what it is public, or how it is encrypted."""


class Source(Protocol):
    """What is sent: a spooled file or an object of the spool."""

    @property
    def size(self) -> int: ...

    def read_into(self, offset: int, buffer: memoryview) -> int: ...


def read_part(source: Source, offset: int, size: int) -> bytes:
    """Raises RejectedError: the source is shorter than it said."""
    data = bytearray(min(size, source.size - offset))
    if source.read_into(offset, memoryview(data)) != len(data):
        raise RejectedError("spool: an object became shorter while it was sent")
    return bytes(data)


class Notes(Protocol):
    """What a sending in several parts must remember to go on after a crash: a small JSON object."""

    def load(self) -> dict[str, Any] | None: ...

    def save(self, state: dict[str, Any]) -> None: ...

    def clear(self) -> None: ...


class Bucket(Protocol):
    """One bucket of one cloud. Failures are StrongroomErrors; SilentError where asking again may help."""

    @property
    def place(self) -> Place: ...

    @property
    def objects(self) -> "ObjectStore":
        """For reading and listing, with the prefix applied."""

    def put(self, name: str, data: bytes, mark: str, *, only_new: bool) -> None:
        """Write in one request. ``mark``, kept with the object, tells our write from another's.

        Raises InvalidError: ``only_new``, and the name is taken by an object of another mark.
        """

    def delete(self, name: str) -> None:
        """Remove an object; a missing one is no error."""

    def send(self, name: str, source: Source, notes: Notes) -> None:
        """Write in parts, create-only, going on from what ``notes`` say; clears them when it is done.

        Raises InvalidError: the name is taken; the parts are removed.
        """

    def abandon(self, name: str, notes: Notes) -> None:
        """Remove the parts that ``notes`` tell of, as well as that can be done."""

    def posture(self) -> Posture: ...
