"""Object headers of HDF5: the messages that describe a group, a dataset or a named type."""

from collections.abc import Iterator
from typing import NamedTuple

from strongroom.artifact.hdf5_bytes import Cursor, Hdf5Bytes
from strongroom.errors import RejectedError

MAX_MESSAGES = 65_536
"""Of one object."""
MAX_CONTINUATIONS = 4096

NIL, EXTENT, LINK_INFO, TYPE, OLD_FILL, FILL, LINK, EXTERNAL = 0, 1, 2, 3, 4, 5, 6, 7
LAYOUT, GROUP_INFO, FILTERS, ATTRIBUTE, COMMENT, OLD_TIME = 8, 10, 11, 12, 13, 14
SHARED_TABLE, CONTINUATION, SYMBOLS, TIME, TREE_SIZES, DRIVER = 15, 16, 17, 18, 19, 20
ATTRIBUTE_INFO, REFERENCES, FILE_SPACE = 21, 22, 23
_KNOWN = frozenset({*range(9), *range(10, 24)})
_REPEATED = frozenset({NIL, LINK, ATTRIBUTE, CONTINUATION})
_SHARED, _UNKNOWN_FLAGS = 0x02, 0xC0


class Message(NamedTuple):
    """One message of a header."""

    kind: int
    data: bytes
    is_shared: bool
    """Its data is the address of the header that holds it."""


def read_header(file: Hdf5Bytes, address: int) -> list[Message]:
    """Return the messages of the object at an address.

    Raises:
        RejectedError: cut, a wrong checksum, an unknown message, a kind given twice that there is one of,
            more than MAX_MESSAGES, continuations that repeat.
    """
    signature = file.read(address, 4)
    blocks = _new_blocks(file, address) if signature == b"OHDR" else _old_blocks(file, address)
    messages: list[Message] = []
    seen: set[int] = set()
    for message in blocks:
        if message.kind not in _KNOWN:
            raise RejectedError(f"message {message.kind} of an object is not known")
        if message.kind in seen and message.kind not in _REPEATED:
            raise RejectedError(f"message {message.kind} of an object is given twice")
        seen.add(message.kind)
        if message.kind not in (NIL, CONTINUATION):
            messages.append(message)
        if len(messages) > MAX_MESSAGES:
            raise RejectedError(f"an object with more than {MAX_MESSAGES} messages")
    return messages


def _old_blocks(file: Hdf5Bytes, address: int) -> Iterator[Message]:
    """Version 1: a prefix of 16 bytes, then messages padded to eights."""
    head = Cursor(file.read(address, 16), "an object header")
    head.require(b"\x01\x00")
    count, _, size = head.number(2), head.number(4), head.number(4)
    blocks = _Blocks(file)
    blocks.add(address + 16, size)
    found = 0
    for start, size_bytes in blocks:
        cursor = Cursor(file.read(start, size_bytes), "an object header")
        while cursor.left >= 8 and found < count:
            kind, length, flags = cursor.number(2), cursor.number(2), cursor.number(1)
            cursor.take(3)
            found += 1
            message = _message(kind, cursor.take(length), flags)
            blocks.follow(message)
            yield message
    if found != count:
        raise RejectedError("an object header has fewer messages than it says")


def _new_blocks(file: Hdf5Bytes, address: int) -> Iterator[Message]:
    """Version 2: a signature and a checksum around each block."""
    head = Cursor(file.read(address, 6), "an object header")
    head.require(b"OHDR\x02")
    flags = head.number(1)
    if flags & 0xC0:
        raise RejectedError("an object header has unknown flags")
    prefix = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(file.read(address + prefix, width), "little")
    blocks = _Blocks(file)
    blocks.add(address, prefix + width + size + 4)
    skip = prefix + width
    for start, size_bytes in blocks:
        block = file.read(start, size_bytes)
        if size_bytes < 8 or (start != address and not block.startswith(b"OCHK")):
            raise RejectedError("a continued object header is malformed")
        file.require_checksum(block, "an object header")
        cursor = Cursor(block[:-4], "an object header", skip)
        skip = 4
        while cursor.left >= (6 if flags & 4 else 4):
            kind, length, message_flags = cursor.number(1), cursor.number(2), cursor.number(1)
            if flags & 4:
                cursor.take(2)
            message = _message(kind, cursor.take(length), message_flags)
            blocks.follow(message)
            yield message


def _message(kind: int, data: bytes, flags: int) -> Message:
    if flags & _UNKNOWN_FLAGS:
        raise RejectedError("a message of an object has unknown flags")
    is_shared = bool(flags & _SHARED)
    if is_shared and kind not in (TYPE, NIL):
        raise RejectedError("a message is shared between objects, which no model does")
    return Message(kind, data, is_shared)


class _Blocks:
    """The blocks of one header in order; a message may add another at the end."""

    def __init__(self, file: Hdf5Bytes) -> None:
        self._file = file
        self._spans: list[tuple[int, int]] = []
        self._starts: set[int] = set()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        yield from self._spans  # grows while it is walked

    def add(self, start: int, size: int) -> None:
        if start in self._starts or len(self._spans) >= MAX_CONTINUATIONS:
            raise RejectedError("the blocks of an object header repeat")
        self._file.require_span(start, size, "an object header")
        self._starts.add(start)
        self._spans.append((start, size))

    def follow(self, message: Message) -> None:
        if message.kind == CONTINUATION:
            cursor = Cursor(message.data, "a continuation")
            self.add(cursor.number(8), cursor.number(8))


def shared_address(message: Message) -> int:
    """Where the header is that holds a shared message: that of a named type."""
    cursor = Cursor(message.data, "a shared message")
    version, kind = cursor.number(1), cursor.number(1)
    if version not in (2, 3) or kind not in (0, 2):
        raise RejectedError("a shared message lies in a heap, which no model does")
    return cursor.number(8)
