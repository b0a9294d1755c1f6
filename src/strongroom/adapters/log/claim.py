"""The object that an append is: what follows a log of one size, made once and never changed.

``append/<size>`` holds the records that follow a log of that size, and the checkpoint of the log with them.
The store makes an object only where there is none, so of two sequencers one takes the place and the other is
told; nobody who slept can still take it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from strongroom.errors import RejectedError
from strongroom.trust.checkpoint import Head, claimed_head
from strongroom.trust.note import MAX_NOTE_BYTES
from strongroom.trust.tiles import encode_entries

MAX_CLAIM_BYTES = 2**30
_MAGIC = b"strongroom-append/1\n"
_TOKEN_BYTES = 16
_NOTE_SIZE_BYTES = 4
_LEAF_SIZE_BYTES = 2
_DIGITS = 16
"""Of 2**53 - 1, the largest size of a log."""


def claim_name(size: int) -> str:
    return f"append/{size:0{_DIGITS}}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Records and the checkpoint that signs them as what follows."""

    token: bytes
    """Tells two appends of the same records apart."""
    note: bytes
    leaves: Sequence[bytes]

    @property
    def head(self) -> Head:
        """As claimed, unverified."""
        return claimed_head(self.note)

    def to_bytes(self) -> bytes:
        size = len(self.note).to_bytes(_NOTE_SIZE_BYTES)
        return b"".join((_MAGIC, self.token, size, self.note, encode_entries(self.leaves)))

    @classmethod
    def parse(cls, data: bytes, start: int) -> Self:
        """Read what claims to follow a log of size ``start``.

        Raises:
            RejectedError: torn, or its checkpoint is of another size than its records make.
        """
        at = len(_MAGIC) + _TOKEN_BYTES
        size = int.from_bytes(data[at : at + _NOTE_SIZE_BYTES])
        body = at + _NOTE_SIZE_BYTES + size
        if not data.startswith(_MAGIC) or size > MAX_NOTE_BYTES or body > len(data):
            raise _torn(start)
        note = data[at + _NOTE_SIZE_BYTES : body]
        claim = cls(data[len(_MAGIC) : at], note, tuple(_leaves(data, body, start)))
        if not claim.leaves or claim.head.size != start + len(claim.leaves):
            raise _torn(start)
        return claim


def _leaves(data: bytes, at: int, start: int) -> Iterator[bytes]:
    while at < len(data):
        begin = at + _LEAF_SIZE_BYTES
        end = begin + int.from_bytes(data[at:begin])
        if begin > len(data) or end > len(data):
            raise _torn(start)
        yield data[begin:end]
        at = end


def _torn(start: int) -> RejectedError:
    return RejectedError(f"log: {claim_name(start)} is not one that we wrote")
