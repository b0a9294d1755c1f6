"""The two headers of a member of a ZIP archive, which have to say the same. PKWARE APPNOTE.TXT 6.3.10."""

import struct
from typing import NamedTuple

from strongroom.artifact.compression import require_ratio
from strongroom.artifact.member_names import MAX_NAME_BYTES, require_name
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

STORED, DEFLATED = 0, 8
ENTRY_BYTES = 46

_ENTRY = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
_FULL32 = 0xFFFFFFFF

_HAS_DESCRIPTOR, _UTF8 = 1 << 3, 1 << 11
_DEFLATE_EFFORT = 0b110
_NEWEST_VERSION = 45
_ZIP64 = 0x0001
_PADDING = 0x4246
"""``FB``: how PyTorch aligns its tensors; one byte, repeated."""
_HARMLESS = frozenset({0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xCAFE})
"""Extra fields with times and owners: NTFS, Info-ZIP's UT, UX, Ux, ux, and the mark of jar."""
_MAX_HARMLESS_BYTES = 64
_FILE, _FOLDER = 0o100000, 0o040000
_DOS_FOLDER = 0x10
_DESCRIPTOR_BYTES = (12, 16, 20, 24)


class ZipEntry(NamedTuple):
    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    header_at: int


def parse_entry(data: bytes, at: int) -> tuple[ZipEntry, int]:
    if len(data) - at < _ENTRY.size:
        raise RejectedError("the archive's directory is cut")
    (
        signature, _, version, flags, method, _, _, crc, packed, size,
        name_bytes, extra_bytes, comment_bytes, disk, _, attributes, header_at,
    ) = _ENTRY.unpack_from(data, at)  # fmt: skip
    at += _ENTRY.size
    end = at + name_bytes + extra_bytes + comment_bytes
    if signature != b"PK\x01\x02" or end > len(data):
        raise RejectedError("the archive's directory is malformed")
    raw_name = data[at : at + name_bytes]
    name = _decode_name(raw_name, flags)
    where = f"member {shorten(name)}"
    if comment_bytes or disk or version & 0xFF > _NEWEST_VERSION:
        raise RejectedError(f"{where}: has a comment, another disk or a version that is not known")
    _require_plain(where, flags, method)
    _require_kind(where, name, attributes)
    extra = _parse_extra(data[at + name_bytes : at + name_bytes + extra_bytes], where)
    size, packed, header_at = _widen(where, extra, size, packed, header_at)
    entry = ZipEntry(name, raw_name, flags, method, crc, packed, size, header_at)
    _require_sizes(where, entry)
    return entry, end


def _decode_name(raw: bytes, flags: int) -> str:
    if not raw or len(raw) > MAX_NAME_BYTES:
        raise RejectedError(f"a member's name has {len(raw)} bytes")
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise RejectedError(f"member {shorten(raw)}: its name is not UTF-8, marked as such") from None
    require_name(name)
    return name


def _require_plain(where: str, flags: int, method: int) -> None:
    if flags & 1:
        raise RejectedError(f"{where}: is encrypted")
    if method not in (STORED, DEFLATED):
        raise RejectedError(f"{where}: its compression method {method} is not known")
    if flags & ~(_HAS_DESCRIPTOR | _UTF8 | _DEFLATE_EFFORT) or (method == STORED and flags & _DEFLATE_EFFORT):
        raise RejectedError(f"{where}: its flags {flags:#06x} are not known")


def _require_kind(where: str, name: str, attributes: int) -> None:
    """Unix mode in the upper half, DOS attributes in the lower; whichever a reader believes."""
    kind = attributes >> 16 & 0o170000
    is_folder = name.endswith("/")
    if kind not in (0, _FOLDER if is_folder else _FILE) or (attributes & _DOS_FOLDER and not is_folder):
        raise RejectedError(f"{where}: is a link, a device or not the kind that its name says")


def _require_sizes(where: str, entry: ZipEntry) -> None:
    if entry.method == STORED and entry.packed_bytes != entry.size_bytes:
        raise RejectedError(f"{where}: is stored, and its two sizes differ")
    if entry.name.endswith("/") and (entry.size_bytes or entry.packed_bytes > 2 or entry.crc):
        raise RejectedError(f"{where}: is a folder with content")
    try:
        require_ratio(entry.packed_bytes, entry.size_bytes)
    except RejectedError as error:
        raise RejectedError(f"{where}: {error.message}") from None


def _parse_extra(data: bytes, where: str) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        kind, size = (
            int.from_bytes(data[at : at + 2], "little"),
            int.from_bytes(data[at + 2 : at + 4], "little"),
        )
        value = data[at + 4 : at + 4 + size]
        if len(data) - at < 4 or len(value) != size or kind in fields:
            raise RejectedError(f"{where}: its extra fields are malformed")
        is_harmless = (kind in _HARMLESS and size <= _MAX_HARMLESS_BYTES) or kind == _ZIP64
        if not is_harmless and not (kind == _PADDING and value == value[:1] * size):
            raise RejectedError(f"{where}: its extra field {kind:#06x} is not known")
        fields[kind] = value
        at += 4 + size
    return fields


def _widen(where: str, extra: dict[int, bytes], *values: int) -> list[int]:
    """Return the values with those that 32 bits cannot hold taken from the zip64 field (4.5.3).

    Python before 3.11.4 says both sizes there again where it did not know them beforehand, as NumPy writes.
    """
    wide, wanted = extra.get(_ZIP64, b""), values.count(_FULL32)
    if not wanted and wide == struct.pack("<2Q", *values[:2]):
        return list(values)
    if len(wide) != 8 * wanted:
        raise RejectedError(f"{where}: its zip64 field does not hold what its header leaves out")
    left = iter(struct.unpack(f"<{wanted}Q", wide))
    return [next(left) if value == _FULL32 else value for value in values]


def read_local(read_at: ReadAt, entry: ZipEntry, end: int) -> int:
    """Return where the data lies. Header, data and descriptor fill the file exactly up to ``end``."""
    where = f"member {shorten(entry.name)}"
    if end - entry.header_at < _LOCAL.size:
        raise RejectedError(f"{where}: lies over another one")
    header = _LOCAL.unpack(read_exactly(read_at, entry.header_at, _LOCAL.size))
    signature, version, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = header
    rest = read_exactly(read_at, entry.header_at + _LOCAL.size, name_bytes + extra_bytes)
    said = (signature, flags, method, rest[:name_bytes], version & 0xFF <= _NEWEST_VERSION)
    if said != (b"PK\x03\x04", entry.flags, entry.method, entry.raw_name, True):
        raise RejectedError(f"{where}: its two headers differ")
    size, packed = _widen(where, _parse_extra(rest[name_bytes:], where), size, packed)
    truth = (entry.crc, entry.packed_bytes, entry.size_bytes)
    is_later = bool(flags & _HAS_DESCRIPTOR)
    if any(a != b and not (is_later and a == 0) for a, b in zip((crc, packed, size), truth, strict=True)):
        raise RejectedError(f"{where}: its two headers differ")
    at = entry.header_at + _LOCAL.size + len(rest)
    gap = end - at - entry.packed_bytes
    if gap < 0:
        raise RejectedError(f"{where}: lies over another one")
    if gap not in (_DESCRIPTOR_BYTES if is_later else (0,)):
        raise RejectedError(f"{where}: is followed by bytes that belong to no member")
    if is_later and read_exactly(read_at, end - gap, gap) not in _descriptors(truth):
        raise RejectedError(f"{where}: its data descriptor differs from its header")
    return at


def _descriptors(truth: tuple[int, int, int]) -> set[bytes]:
    """All forms of 4.3.9: with or without signature, sizes of 32 or 64 bits."""
    plain = {struct.pack("<LQQ", *truth)}
    if max(truth) <= _FULL32:
        plain.add(struct.pack("<3L", *truth))
    return plain | {b"PK\x07\x08" + each for each in plain}


def read_exactly(read_at: ReadAt, offset: int, size: int) -> bytes:
    data = read_at(offset, size)
    if len(data) != size:
        raise RejectedError("the archive is cut")
    return data
