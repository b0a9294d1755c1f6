"""Read tar archives that have one truth: plain files and folders, nothing that readers could see in two ways.

POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
"""

import re
from dataclasses import dataclass, field

from strongroom.artifact.compression import read_pieces
from strongroom.artifact.member_names import MAX_NAME_BYTES, require_distinct, require_name
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError, shorten

MAX_HEADERS = 2**16
MAX_COMMENTS = 16
MAX_EXTENDED_BYTES = 2**16
"""Of one extended header or long name."""

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_FILE, _OLD_FILE, _FOLDER, _LONG_NAME, _PAX, _PAX_ALL = b"0\x005Lxg"
_OCTAL = re.compile(rb" *[0-7]+[ \x00]*")
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([^=\n]{1,128})=", re.DOTALL)
_PAX_HARMLESS = re.compile(
    r"path|size|[amc]time|uid|gid|uname|gname|comment"
    r"|(?:SCHILY|LIBARCHIVE)\.(?:xattr\.[\w.:@#-]+|fflags|dev|ino|nlink|creationtime)"
)
_LARGEST_OCTAL = 8**11


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file or folder of an archive."""

    name: str
    offset: int
    """Of its data."""
    size_bytes: int
    is_folder: bool


@dataclass(frozen=True, slots=True)
class TarListing:
    """All that an archive holds."""

    members: tuple[TarMember, ...]
    comments: tuple[str, ...]


def read_tar(read_at: ReadAt, size_bytes: int) -> TarListing:
    """Return what an archive holds. Reads its headers and its padding only.

    Raises:
        RejectedError: cut, or bytes behind its end; a wrong checksum; links, devices, sparse or unknown
            members; names that lead elsewhere, given twice, or given in two ways that disagree.
    """
    reading = _Reading(read_at, size_bytes)
    steps = 0
    while reading.step():
        steps += 1
        if steps > MAX_HEADERS:
            raise RejectedError(f"the archive has more than {MAX_HEADERS} headers")
    require_distinct(reading.names)
    return TarListing(tuple(reading.members), tuple(reading.comments))


@dataclass(slots=True)
class _Header:
    name: bytes
    kind: int
    size: int


@dataclass(slots=True)
class _Reading:
    read_at: ReadAt
    size_bytes: int
    at: int = 0
    members: list[TarMember] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    long_name: bytes = b""
    pax: dict[str, str] = field(default_factory=dict)

    def step(self) -> bool:
        """Read one member, or what is said of the next; False at the end."""
        block = self._read(self.at, _BLOCK)
        if block == _ZEROS:
            self._require_end()
            return False
        header = _parse_header(block)
        data_at, data_end = self.at + _BLOCK, self.at + _BLOCK + header.size
        self.at = data_end + -data_end % _BLOCK
        if self._read(data_end, self.at - data_end).strip(b"\x00"):
            raise RejectedError(f"member {_shown(header.name)}: hides bytes behind its end")
        if header.kind in (_LONG_NAME, _PAX, _PAX_ALL):
            self._read_extension(header, data_at)
        elif header.kind in (_FILE, _OLD_FILE, _FOLDER):
            self._add(header, data_at)
        else:
            raise RejectedError(f"member {_shown(header.name)}: is a link, a device or of an unknown kind")
        return True

    def _read(self, offset: int, size: int) -> bytes:
        data = self.read_at(offset, size) if size else b""
        if len(data) != size:
            raise RejectedError("the archive is cut")
        return data

    def _require_end(self) -> None:
        """Two blocks of zeros, and what fills the last record."""
        if self.long_name or self.pax or self.size_bytes - self.at < 2 * _BLOCK:
            raise RejectedError("the archive is cut")
        if any(piece.strip(b"\x00") for piece in read_pieces(self.read_at, self.at, self.size_bytes)):
            raise RejectedError("the archive has bytes behind its end")

    def _read_extension(self, header: _Header, data_at: int) -> None:
        if self.long_name or self.pax or header.size > MAX_EXTENDED_BYTES:
            raise RejectedError("the archive describes one member twice, or at too great length")
        data = self._read(data_at, header.size)
        if header.kind == _LONG_NAME:
            self.long_name = data.removesuffix(b"\x00")
            if not self.long_name:
                raise RejectedError("the archive has a member without a name")
            return
        fields = _parse_pax(data)
        self.comments += [value for key, value in fields.items() if key == "comment"]
        if len(self.comments) > MAX_COMMENTS:
            raise RejectedError(f"the archive has more than {MAX_COMMENTS} comments")
        if header.kind == _PAX:
            self.pax = fields
        elif not fields.keys() <= {"comment", "mtime"}:
            raise RejectedError("the archive says something of all of its members at once")

    def _add(self, header: _Header, data_at: int) -> None:
        name = _agree(header, self.long_name, self.pax)
        self.long_name, self.pax = b"", {}
        is_folder = header.kind == _FOLDER or (header.kind == _OLD_FILE and name.endswith("/"))
        if (is_folder and header.size) or (name.endswith("/") and not is_folder):
            raise RejectedError(f"member {shorten(name)}: is a folder with content")
        plain = name.removeprefix("./").removesuffix("/")
        if plain in ("", "."):
            if not is_folder:
                raise RejectedError("the archive has a member without a name")
            return  # the folder itself, which `tar c .` begins with
        self.members.append(TarMember(require_name(plain), data_at, header.size, is_folder))
        self.names.append(plain + "/" * is_folder)


def _agree(header: _Header, long_name: bytes, pax: dict[str, str]) -> str:
    """Return the name that readers of every kind see, or one that only old readers see cut."""
    short, name = header.name, header.name
    if long_name:
        name = long_name
        if not name.startswith(short) or len(short) < 99:  # as many bytes as the field holds, or one less
            raise RejectedError(f"member {_shown(name)}: has another name for other readers")
    elif "path" in pax:
        name = pax["path"].encode()
        require_name(short.decode(errors="replace").removeprefix("./"))  # which older readers see
        is_plain = name.isascii() and len(name) <= 100
        if is_plain and name.removesuffix(b"/") != short.removesuffix(b"/"):
            raise RejectedError(f"member {_shown(name)}: has another name for other readers")
    if pax.get("size", str(header.size)) != str(header.size):
        raise RejectedError(f"member {_shown(name)}: has another size for other readers")
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise RejectedError(f"member {_shown(name)}: its name is not UTF-8") from None


def _parse_header(block: bytes) -> _Header:
    stated = _number(block[148:156])
    if stated != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise RejectedError("the archive has a member with a wrong checksum, or bytes between its members")
    name, kind, size = _text(block[:100]), block[156], _number(block[124:136], wide=True)
    if kind not in (_LONG_NAME, _PAX, _PAX_ALL) and block[157:257].strip(b"\x00"):
        raise RejectedError(f"member {_shown(name)}: is a link")
    match block[257:265]:
        case b"ustar\x0000":
            prefix = _text(block[345:500])
        case b"ustar  \x00" | b"\x00\x00\x00\x00\x00\x00\x00\x00" if not block[345:500].strip(b"\x00"):
            prefix = b""
        case _:
            raise RejectedError(f"member {_shown(name)}: its header is of an unknown kind")
    if block[500:].strip(b"\x00") or not name or len(prefix) + len(name) > MAX_NAME_BYTES:
        raise RejectedError(f"member {_shown(name)}: its header is malformed")
    return _Header(prefix + b"/" + name if prefix else name, kind, size)


def _shown(name: bytes) -> str:
    return shorten(name.decode(errors="replace"))


def _text(field_bytes: bytes) -> bytes:
    text, _, rest = field_bytes.partition(b"\x00")
    if rest.strip(b"\x00"):
        raise RejectedError(f"member {_shown(text)}: hides bytes behind its name")
    return text


def _number(field_bytes: bytes, wide: bool = False) -> int:
    """Octal, or base 256 for what octal digits cannot hold."""
    if wide and field_bytes[:1] == b"\x80":
        value = int.from_bytes(field_bytes[1:], "big")
        if _LARGEST_OCTAL <= value < 2**63:
            return value
    if _OCTAL.fullmatch(field_bytes) is None:
        raise RejectedError("the archive has a header with a malformed number")
    return int(field_bytes.strip(b" \x00"), 8)


def _parse_pax(data: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    at = 0
    while at < len(data):
        match = _PAX_RECORD.match(data, at)
        end = at + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise RejectedError("the archive has a malformed extended header")
        try:
            key, value = match[2].decode(), data[match.end() : end - 1].decode()
        except UnicodeDecodeError:
            key, value = "", ""
        if key in fields or _PAX_HARMLESS.fullmatch(key) is None:
            raise RejectedError(f"the archive has an extended header that is not known, {_shown(match[2])}")
        fields[key] = value
        at = end
    return fields
