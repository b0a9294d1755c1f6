"""Read ZIP archives that have one truth: directory, headers and data agree, and there is nothing else.

Readers differ: some believe the directory at the end, some the headers before the data, some look for either.
An archive that would show two of them different files is refused. PKWARE APPNOTE.TXT 6.3.10.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from strongroom.artifact.compression import inflate, read_pieces
from strongroom.artifact.member_names import require_distinct, require_name
from strongroom.artifact.protobuf import ReadAt
from strongroom.artifact.zip_headers import (
    ENTRY_BYTES,
    STORED,
    ZipEntry,
    parse_entry,
    read_exactly,
    read_local,
)
from strongroom.errors import RejectedError, shorten

MAX_MEMBERS = 2**15
MAX_DIRECTORY_BYTES = 8 * 2**20
MAX_COMMENT_BYTES = 4096

_END = struct.Struct("<4s4H2LH")  # 4.3.16
_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file or folder of an archive, as directory and local header agree on it."""

    name: str
    """Relative, parts separated by ``/``; a folder without the slash at its end."""
    method: int
    offset: int
    """Of its data."""
    packed_bytes: int
    size_bytes: int
    crc: int
    is_folder: bool


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """All that an archive holds."""

    members: tuple[ZipMember, ...]
    """As the directory orders them."""
    comment: str


def read_zip(read_at: ReadAt, size_bytes: int) -> tuple[ZipMember, ...]:
    """Return the members of an archive that a framework wrote: strictly one truth, and no comment.

    Raises:
        RejectedError: cut, two truths, junk, links, names that lead elsewhere, a bomb; see `read_directory`.
    """
    directory = read_directory(read_at, size_bytes)
    if directory.comment:
        raise RejectedError("the archive has a comment, which no framework writes")
    return directory.members


def read_directory(read_at: ReadAt, size_bytes: int, starts: tuple[int, int] = (0, 0)) -> ZipDirectory:
    """Return what an archive holds. Reads its structure only; `open_member` checks the data.

    ``starts`` is between which bytes it has to begin, where it is appended to something else.

    Raises:
        RejectedError: directory and local headers differ; bytes that belong to no member; two members of one
            name, in any case; encrypted, linked or nameless members; unknown methods, flags or extra fields;
            sizes that overlap or unpack to a bomb.
    """
    end = _find_end(read_at, size_bytes)
    data = read_exactly(read_at, end.directory_at, end.directory_bytes)
    entries, at = [], 0
    for _ in range(end.members):
        entry, at = parse_entry(data, at)
        entries.append(entry)
    if at != len(data):
        raise RejectedError("the archive's directory is longer than its entries")
    require_distinct([entry.name for entry in entries])
    return ZipDirectory(_locate(read_at, entries, end.directory_at, starts), end.comment)


def is_packed(member: ZipMember) -> bool:
    """Return whether `open_member` has to unpack it into memory."""
    return member.method != STORED


def open_member(read_at: ReadAt, member: ZipMember, limit: int) -> tuple[ReadAt, int]:
    """Return what reads a member, and its size; its checksum has been verified.

    A stored member is read in place, whatever its size. A deflated one is unpacked into memory.

    Raises:
        RejectedError: larger than ``limit`` unpacked, a wrong checksum, broken data.
    """
    where = f"member {shorten(member.name)}"
    if member.method == STORED:
        crc = 0
        for piece in read_pieces(read_at, member.offset, member.offset + member.size_bytes):
            crc = zlib.crc32(piece, crc)
        if crc != member.crc:
            raise RejectedError(f"{where}: its checksum is wrong")
        return part_of(read_at, member.offset, member.size_bytes), member.size_bytes
    if member.size_bytes > limit:
        raise RejectedError(f"{where}: unpacks to more than {limit} bytes")
    try:
        data = inflate(read_at, member.offset, member.offset + member.packed_bytes, member.size_bytes)
    except RejectedError as error:
        raise RejectedError(f"{where}: {error.message}") from None
    if zlib.crc32(data) != member.crc:
        raise RejectedError(f"{where}: its checksum is wrong")
    return reader_of(data), len(data)


def reader_of(data: bytes | bytearray) -> ReadAt:
    """Return what reads bytes in memory, without a second copy of all of them."""
    view = memoryview(data)
    return lambda offset, size: bytes(view[offset : offset + size])


def part_of(read_at: ReadAt, start: int, size_bytes: int) -> ReadAt:
    """Return what reads a part of a file as if it were one."""

    def read_part(offset: int, size: int) -> bytes:
        return read_at(start + offset, min(size, size_bytes - offset)) if offset < size_bytes else b""

    return read_part


class _End(NamedTuple):
    directory_at: int
    directory_bytes: int
    members: int
    comment: str


def _find_end(read_at: ReadAt, size_bytes: int) -> _End:
    tail_at = max(0, size_bytes - MAX_COMMENT_BYTES - _END.size)
    tail = read_exactly(read_at, tail_at, size_bytes - tail_at)
    at = tail.rfind(b"PK\x05\x06")  # the last one is the one that readers take
    if at < 0 or len(tail) - at < _END.size:
        raise RejectedError("the archive has no end record, or bytes behind it")
    _, disk, first_disk, here, count, size, offset, comment_bytes = _END.unpack_from(tail, at)
    if at + _END.size + comment_bytes != len(tail):
        raise RejectedError("the archive has bytes behind its end record")
    end_at = tail_at + at
    if disk or first_disk or here != count:
        raise RejectedError("the archive is spread over several files")
    directory_end = end_at
    locator = read_at(end_at - _LOCATOR.size, _LOCATOR.size) if end_at >= _LOCATOR.size else b""
    if locator.startswith(b"PK\x06\x07"):
        said, (count, size, offset) = (count, size, offset), _end64(read_at, locator, end_at)
        if any(a not in (b, full) for a, b, full in zip(said, (count, size, offset), _FULLS, strict=True)):
            raise RejectedError("the archive's two end records differ")
        directory_end -= _LOCATOR.size + _END64.size
    if count > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES or size < count * ENTRY_BYTES:
        raise RejectedError(f"the archive's directory of {count} members and {size} bytes is out of bounds")
    if offset + size != directory_end:
        raise RejectedError("the archive's directory does not lie where it says")
    return _End(offset, size, count, _comment(tail[at + _END.size :]))


_FULLS = (_FULL16, _FULL32, _FULL32)


def _end64(read_at: ReadAt, locator: bytes, end_at: int) -> tuple[int, int, int]:
    _, disk, record_at, disks = _LOCATOR.unpack(locator)
    expected_at = end_at - _LOCATOR.size - _END64.size
    if disk or disks not in (0, 1) or record_at != expected_at:
        raise RejectedError("the archive's zip64 end record does not lie where it says")
    record = _END64.unpack(read_exactly(read_at, expected_at, _END64.size))
    signature, size, _, _, disk, first_disk, here, count, directory_bytes, directory_at = record
    if signature != b"PK\x06\x06" or size != _END64.size - 12 or disk or first_disk or here != count:
        raise RejectedError("the archive's zip64 end record is malformed")
    return count, directory_bytes, directory_at


def _comment(data: bytes) -> str:
    try:
        comment = data.decode()
    except UnicodeDecodeError:
        raise RejectedError("the archive's comment is not text") from None
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", comment):
        raise RejectedError("the archive's comment is not text")
    return comment


def _locate(
    read_at: ReadAt, entries: list[ZipEntry], directory_at: int, allowed: tuple[int, int]
) -> tuple[ZipMember, ...]:
    """Read the local headers, which lie one behind the other from the first byte to the directory."""
    order = sorted(range(len(entries)), key=lambda index: entries[index].header_at)
    starts = [entries[index].header_at for index in order] + [directory_at]
    if not allowed[0] <= starts[0] <= allowed[1]:
        raise RejectedError("the archive has bytes before its first member")
    offsets = {
        index: read_local(read_at, entries[index], end) for index, end in zip(order, starts[1:], strict=True)
    }
    return tuple(
        ZipMember(
            require_name(entry.name),
            entry.method,
            offsets[index],
            entry.packed_bytes,
            entry.size_bytes,
            entry.crc,
            entry.name.endswith("/"),
        )
        for index, entry in enumerate(entries)
    )
